#include <pathrelu/cones.hpp>
#include <pathrelu/error.hpp>
#include <pathrelu/losses.hpp>
#include <pathrelu/operators.hpp>
#include <pathrelu/search.hpp>

#include <Eigen/Core>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <deque>
#include <limits>
#include <map>

#include "kernels/table.hpp"
#include "parallel.hpp"

namespace pathrelu {
namespace {

using Vector = Eigen::VectorXd;
using Map = Eigen::Map<Vector>;
using ConstMap = Eigen::Map<const Vector>;

/// Random numbers by counter: the same for any order of use (Steele, Lea & Flood 2014).
class Random {
  public:
    Random(std::uint64_t seed, std::uint64_t stream) : state_(mix(seed ^ mix(stream))) {}
    std::uint64_t next() { return mix(state_ += 0x9e3779b97f4a7c15u); }
    double uniform() { return (static_cast<double>(next() >> 11) + 0.5) * 0x1p-53; }
    double normal() {
        return std::sqrt(-2 * std::log(uniform())) * std::cos(6.283185307179586477 * uniform());
    }
    Index below(Index count) { return static_cast<Index>(uniform() * static_cast<double>(count)); }

  private:
    static std::uint64_t mix(std::uint64_t z) {
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
        z = (z ^ z >> 27) * 0x94d049bb133111ebu;
        return z ^ z >> 31;
    }
    std::uint64_t state_;
};

/// K trees with all magnitudes in the leaves: tree k adds sigma_k * tree(V_k) to output_k. A linear one is
/// the product with its first leaf, without gates.
struct Trees {
    Index dim, edges;
    std::vector<double> V = {};           // (K, dim)
    std::vector<std::int8_t> signs = {};  // (K, edges)
    std::vector<double> sigma = {};
    std::vector<Index> output = {};
    std::vector<char> linear = {};

    Index size() const { return static_cast<Index>(sigma.size()); }
    Map weights(Index k) { return {V.data() + k * dim, dim}; }
    ConstMap weights(Index k) const { return {V.data() + k * dim, dim}; }
    const std::int8_t* sign(Index k) const { return signs.data() + k * edges; }
    void add(const double* leaves, const std::int8_t* sign, double s, Index c, bool without_gates = false) {
        V.insert(V.end(), leaves, leaves + dim);
        signs.insert(signs.end(), sign, sign + edges);
        sigma.push_back(s);
        output.push_back(c);
        linear.push_back(without_gates);
    }
    void add(const Trees& other, Index k, double factor = 1) {
        add(other.V.data() + k * dim, other.sign(k), other.sigma[k], other.output[k], other.linear[k]);
        weights(size() - 1) *= factor;
    }
    void add(const Trees& other, double factor = 1) {
        for (Index k = 0; k < other.size(); ++k) add(other, k, factor);
    }
    /// Whether two trees differ in their leaf weights only.
    bool same_kind(Index a, Index b) const {
        return sigma[a] == sigma[b] && output[a] == output[b] && linear[a] == linear[b] &&
               std::equal(sign(a), sign(a) + edges, sign(b));
    }
};

/// Rows of one tile of the product with leaf weights, and leaves of one block of trees: what they give stays
/// in a first-level cache.
constexpr Index kTile = 64, kWord = 32, kBlockLeaves = 60;
/// Slides stop when the evaluations between two thinnings gain less than this share of the objective.
constexpr double kSlideGain = 2e-4;
constexpr int kMemory = 12;             // pairs that L-BFGS keeps
constexpr Index kThinEvery = 50;        // evaluations of a slide after which trees are dropped and merged
constexpr double kNegligible = 1e-3;    // trees below this share of the largest norm are dropped in a slide
constexpr double kVanished = 1e-9;      // and trees below this share of the largest path norm that can pay
constexpr double kAlike = 0.97;         // cosine of leaf weights above which two trees become one
constexpr double kParallel = 1 - 1e-6;  // the same of blocks of a solution
/// Cosines above which `merge` takes blocks together: coarse ones first, for they leave fewer.
constexpr double kMerged[] = {0.99, 0.999};
constexpr double kAlikeDecay = 0.3;   // of the rest of that cosine to 1, from round to round
constexpr double kCloudNorm = 0.1;    // of a cloud: share of the largest path norm that can pay
constexpr double kCloudSize = 100;    // and not above this, in units whose outputs are as large as y
constexpr Index kSplit = 4;           // copies of an active tree that a round starts from
constexpr double kSpread = 0.5;       // distance between them, of their norm
constexpr double kSpreadDecay = 0.7;  // of that distance from round to round
constexpr int kAscentSteps = 25;      // of one start
constexpr double kAscentStep = 0.5;   // of a unit vector towards the normalised gradient
constexpr Index kMostNew = 15;        // trees added per output and sign in a round
/// Solver steps of one polish: what they leave is for the next slide or, in the end, for the last solve.
constexpr Index kPolishIter = 50, kConePolishIter = 150;
constexpr Index kPolishSteps = 20;  // the same of a large program, which ends the rounds
/// Most unknowns, and rows times unknowns, of a program that is not large.
constexpr Index kMostUnknowns = 4000, kMostEntries = 8000000;
constexpr double kPolishTol = 1e-6;  // at most, of polishes, and of the last solve if it is cheap
constexpr Index kCheap = 2000;       // unknowns
/// Trees of a cloud: as many as this many multiplications allow, within bounds.
constexpr Index kCloudWork = 6000000, kLeastCloud = 150, kMostCloud = 400;
/// Clouds that the search starts from: as many as this many multiplications for the trees of the first allow.
constexpr Index kStartWork = 200000, kMostClouds = 6;
constexpr double kRoundGain = 3e-4;    // a round that gains a smaller share does not pay
constexpr Index kLeastRounds = 6;      // unless the program is large
constexpr Index kLeastAgain = 3;       // the same from a given start, while ascents find anything
constexpr double kSameOptimum = 1e-7;  // relative difference between clouds that end at one optimum
constexpr double kLastPolish = 0.2;    // seconds for the polish after a stop

template <class X>
class Search {
  public:
    Search(Rows<X> rows, MatView<const double> y, VecView<const double> w, double alpha, const LossSpec& loss,
           bool relu, const TreeShape& shape, const SolveOptions& solve_options, const SearchOptions& options,
           const Observer& observer)
        : rows_(rows),
          y_(y),
          w_(w),
          alpha_(alpha),
          loss_spec_(loss),
          relu_(relu),
          shape_(shape),
          solve_options_(solve_options),
          options_(options),
          observer_(observer),
          n_(rows.rows),
          d_(rows.cols),
          C_(y.cols),
          dim_(shape.paths() * rows.cols),
          blocks_((rows.rows + kWord - 1) / kWord),
          loss_(make_loss(loss, y, w, solve_options.threads)) {
        require(options.n_starts > 0 && options.max_rounds > 0, "n_starts and max_rounds must be positive");
        result_.intercept.assign(C_, 0.0);
        result_.arrangements.shape = shape;
        result_.arrangements.n_rows = n_;
        std::vector<double> f(n_ * C_, 0.0), intercept(C_, 0.0);
        shift_by_intercept(f, intercept);
        const double at_zero = loss_->value(f.data());
        double square = 0;
        for (Index k = 0; k < rows.size(); ++k) square += static_cast<double>(rows.data[k]) * rows.data[k];
        const double scale = std::sqrt(square / static_cast<double>(std::max<Index>(rows.size(), 1)));
        most_norm_ = at_zero / alpha_;
        cloud_norm_ = kCloudNorm * most_norm_;
        if (scale > 0) cloud_norm_ = std::min(cloud_norm_, kCloudSize * std::sqrt(2 * at_zero) / scale);
        pack_rows();
    }

    SearchResult run(const Trees& from);

  private:
    /// What one evaluation of trees on all rows gives.
    struct Evaluation {
        std::vector<double> roots;           // (K, 32 * blocks) relu outputs of the roots, if asked for
        std::vector<double> f;               // (n, C), without the intercept
        std::vector<std::uint32_t> words;    // (blocks, K * paths) path masks, 32 rows to a word
        std::vector<std::int8_t> path_sign;  // (K * paths)
    };
    void pack_rows();
    void evaluate(const Trees& trees, Evaluation& out, bool keep_roots) const;
    double smooth(const Trees& trees, std::vector<double>& gradient, Evaluation& work);
    /// Minimises the loss of f + intercept over the intercept, if it is free, and adds it to f (n, C).
    void shift_by_intercept(std::vector<double>& f, std::vector<double>& intercept) const {
        if (solve_options_.fit_intercept) loss_->optimal_intercept(f.data(), intercept.data());
        for (Index i = 0; i < n_; ++i)
            for (Index c = 0; c < C_; ++c) f[i * C_ + c] += intercept[c];
    }
    void slide(Trees& trees, double alike);
    Trees thinned(const Trees& trees, double alike) const;
    void random_leaves(Random& random, Index kind, double* leaves) const;
    Trees cloud(Index start);
    Trees split(const Trees& trees, Index round) const;
    Trees grow(const Trees& current, Index round, const std::vector<double>& theta, bool& found);
    void ascend(Trees& starts, const std::vector<double>& theta, std::vector<double>& score);
    Trees polish(const Trees& trees);
    void solve_from(const Arrangements& arrangements, Index max_iter, std::vector<double>& blocks,
                    std::vector<double>& intercept);
    void merge();
    bool add_up_parallel();
    void adopt();
    void note();
    Trees active_trees(const Arrangements& arrangements, const std::vector<double>& blocks) const;
    std::vector<double> dual_point();
    /// Polls now and then; true once the observer has thrown `Stop`. Slides and ascents then end where they
    /// are, and polishes soon.
    bool stopped() {
        if (observer_.poll && !stopped_ && seconds() - last_poll_ > 0.05) {
            last_poll_ = seconds();
            stop_if_told([&] { observer_.poll(); });
        }
        return stopped_;
    }
    template <class Body>
    void stop_if_told(Body body) {
        stopped_ |= !runs_to_its_end(body);
    }
    double seconds() const {
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    }

    Rows<X> rows_;
    MatView<const double> y_;
    VecView<const double> w_;
    double alpha_;
    LossSpec loss_spec_;
    bool relu_;
    TreeShape shape_;
    SolveOptions solve_options_;
    SearchOptions options_;
    const Observer& observer_;
    Index n_, d_, C_, dim_, blocks_;
    std::unique_ptr<Loss> loss_;
    double most_norm_;            // a path norm above it costs more than the zero network
    double cloud_norm_;           // path norm of a cloud
    std::vector<double> packed_;  // tiles of kTile rows, for products with leaf weights from the left
    SearchResult result_;
    SolveReport solved_;  // of the last solve
    bool large_ = false;  // whether the last polish was that of a large program
    std::vector<double> slide_intercept_;
    Index n_iter_ = 0;
    std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
    double last_poll_ = -1;
    bool stopped_ = false;
};

template <class X>
void Search<X>::pack_rows() {
    const auto& dense = kernels().dense<double>();
    const Index size = dense.packed_size(kTile, d_);
    packed_.resize((n_ + kTile - 1) / kTile * size);
    for (Index i = 0; i < n_; i += kTile) {
        const Index count = std::min(kTile, n_ - i);
        std::vector<double> tile(rows_.row(i), rows_.row(i) + count * d_);
        tile.resize(kTile * d_, 0.0);
        dense.pack(tile.data(), kTile, d_, d_, packed_.data() + i / kTile * size);
    }
}

template <class X>
void Search<X>::evaluate(const Trees& trees, Evaluation& out, bool keep_roots) const {
    const Index K = trees.size(), paths = shape_.paths(), units = shape_.units();
    const Index padded = blocks_ * kWord;
    std::vector<double> f(padded * C_, 0.0);
    out.words.assign(blocks_ * K * paths, 0);
    out.path_sign.assign(K * paths, 1);
    if (keep_roots) out.roots.assign(K * padded, 0.0);
    for (Index k = 0; k < K; ++k)
        for (Index p = 0; p < paths; ++p)
            for (Index l = 0; l + 1 < shape_.layers(); ++l)
                out.path_sign[k * paths + p] *=
                    trees.sign(k)[shape_.layer_begin(l) + p / shape_.leaves_below(l)];
    // Trees in a row that feed one output, as many as a block holds; a linear one by itself.
    std::vector<Index> starts;
    const Index most = std::max<Index>(1, kBlockLeaves / paths);
    for (Index k = 0; k < K; ++k)
        if (k == 0 || trees.output[k] != trees.output[k - 1] || trees.linear[k] || trees.linear[k - 1] ||
            k - starts.back() == most)
            starts.push_back(k);
    starts.push_back(K);
    const auto& dense = kernels().dense<double>();
    const Index tile_size = dense.packed_size(kTile, d_);
    const int team = threads_for(n_ * K * dim_, solve_options_.threads);
    in_team(team, (n_ + kTile - 1) / kTile, [&](Tasks& tasks) {
        std::vector<double> pre(most * paths * kTile), scratch(units * (kWord + 1));
        for (Index t; tasks.take(t);)
            for (std::size_t s = 0; s + 1 < starts.size(); ++s) {
                const Index k = starts[s], count = starts[s + 1] - k;
                dense.multiply(trees.V.data() + k * dim_, count * paths, d_, d_,
                               packed_.data() + t * tile_size, kTile, pre.data(), kTile);
                for (Index b = t * kTile / kWord; b < std::min((t + 1) * kTile / kWord, blocks_); ++b) {
                    const double* h = pre.data() + b * kWord % kTile;
                    double* f_block = f.data() + trees.output[k] * padded + b * kWord;
                    std::uint32_t* words = out.words.data() + (b * K + k) * paths;
                    if (trees.linear[k]) {
                        for (Index i = 0; i < kWord; ++i) f_block[i] += trees.sigma[k] * h[i];
                        words[0] = ~std::uint32_t{0};
                        continue;
                    }
                    kernels().trees(shape_.width().data(), shape_.layers(), paths, h, kTile, count,
                                    trees.sign(k), trees.sigma.data() + k, scratch.data(), f_block,
                                    keep_roots ? out.roots.data() + k * padded + b * kWord : nullptr, padded,
                                    words);
                }
            }
    });
    out.f.resize(n_ * C_);
    for (Index c = 0; c < C_; ++c)
        for (Index i = 0; i < n_; ++i) out.f[i * C_ + c] = f[c * padded + i];
}

/// Mean loss of the trees' outputs, with the intercept minimised out, and its gradient in the leaf weights.
template <class X>
double Search<X>::smooth(const Trees& trees, std::vector<double>& gradient, Evaluation& work) {
    const Index K = trees.size(), paths = shape_.paths();
    evaluate(trees, work, false);
    std::vector<double>& f = work.f;
    shift_by_intercept(f, slide_intercept_);
    std::vector<double> theta(n_ * C_), column(n_), G(C_ > 1 ? K * dim_ : 0);
    loss_->dual_point(f.data(), theta.data());
    gradient.resize(K * dim_);
    const MaskWords masks{work.words.data(), nullptr, n_, K * paths};
    for (Index c = 0; c < C_; ++c) {
        for (Index i = 0; i < n_; ++i) column[i] = theta[i * C_ + c];
        double* out = C_ > 1 ? G.data() : gradient.data();
        kernels().masked<X, double>().adjoint(rows_.data, d_, masks, column.data(), out,
                                              threads_for(n_ * K * dim_, solve_options_.threads));
        for (Index k = 0; k < K; ++k)
            if (trees.output[k] == c)
                for (Index p = k * paths; p < (k + 1) * paths; ++p)
                    Map(gradient.data() + p * d_, d_) =
                        -trees.sigma[k] * work.path_sign[p] * ConstMap(out + p * d_, d_);
    }
    return loss_->value(f.data());
}

/// The trees without negligible ones, and with those that are alike added up.
template <class X>
Trees Search<X>::thinned(const Trees& trees, double alike) const {
    const Index K = trees.size();
    std::vector<double> norm(K);
    std::vector<Index> order;
    for (Index k = 0; k < K; ++k) norm[k] = trees.weights(k).norm();
    double floor = kVanished * most_norm_;
    for (const double value : norm) floor = std::max(floor, kNegligible * value);
    for (Index k = 0; k < K; ++k)
        if (norm[k] > floor) order.push_back(k);
    std::sort(order.begin(), order.end(),
              [&](Index a, Index b) { return norm[a] != norm[b] ? norm[a] > norm[b] : a < b; });
    Trees out{dim_, shape_.edges()};
    std::vector<Index> kept;
    for (const Index k : order) {
        std::size_t into = 0;
        while (into < kept.size() &&
               !(trees.same_kind(kept[into], k) &&
                 trees.weights(kept[into]).dot(trees.weights(k)) > alike * norm[kept[into]] * norm[k]))
            ++into;
        if (into < kept.size()) {
            out.weights(static_cast<Index>(into)) += trees.weights(k);
        } else {
            kept.push_back(k);
            out.add(trees, k);
        }
    }
    return out;
}

/// Descends on (NC) over all leaf weights by L-BFGS (Nocedal 1980) with a bisection for the weak Wolfe
/// conditions, which also serves where the objective has kinks (Lewis & Overton 2013).
///
/// A tree's leaves are V = |a| W with the penalty alpha (a^2 + |W|^2) / 2, whose minimum over such (a, W) is
/// alpha |V|: weight decay of the tree as a unit. It is smooth where a tree vanishes.
template <class X>
void Search<X>::slide(Trees& trees, double alike) {
    Evaluation work;
    std::vector<double> x, gradient, trial_x, trial_gradient, G;
    const Index stride = dim_ + 1;
    slide_intercept_ = result_.intercept;
    Index evaluations = 0;
    const auto unpack = [&](const std::vector<double>& from) {
        for (Index k = 0; k < trees.size(); ++k)
            trees.weights(k) = std::abs(from[k * stride]) * ConstMap(from.data() + k * stride + 1, dim_);
    };
    const auto value_at = [&](const std::vector<double>& at, std::vector<double>& out) {
        ++evaluations;
        unpack(at);
        double value = smooth(trees, G, work);
        out.resize(at.size());
        for (Index k = 0; k < trees.size(); ++k) {
            const double a = at[k * stride];
            const ConstMap w(at.data() + k * stride + 1, dim_), g(G.data() + k * dim_, dim_);
            value += alpha_ / 2 * (a * a + w.squaredNorm());
            out[k * stride] = alpha_ * a + (a < 0 ? -1 : 1) * g.dot(w);
            Map(out.data() + k * stride + 1, dim_) = alpha_ * w + std::abs(a) * g;
        }
        return value;
    };
    struct Pair {
        Vector s, y;
        double rho;
    };
    std::deque<Pair> memory;
    double objective = 0;
    const auto restart = [&] {
        x.resize(trees.size() * stride);
        for (Index k = 0; k < trees.size(); ++k) {
            const double a = std::sqrt(trees.weights(k).norm());
            x[k * stride] = a;
            Map(x.data() + k * stride + 1, dim_) = trees.weights(k) / (a > 0 ? a : 1);
        }
        memory.clear();
        objective = value_at(x, gradient);
    };
    restart();
    Index thin_at = kThinEvery;
    double before = std::numeric_limits<double>::infinity();
    while (evaluations < options_.slide_iter && !stopped()) {
        if (evaluations >= thin_at) {
            if (before - objective < kSlideGain * objective) break;
            before = objective;
            thin_at = evaluations + kThinEvery;
            unpack(x);
            Trees fewer = thinned(trees, alike);
            if (fewer.size() < 0.9 * static_cast<double>(trees.size())) {
                trees = std::move(fewer);
                restart();
            }
        }
        const Index size = static_cast<Index>(x.size());
        const Map g(gradient.data(), size);
        Vector direction = -g;
        std::vector<double> a(memory.size());
        for (std::size_t m = memory.size(); m-- > 0;) {
            a[m] = memory[m].rho * memory[m].s.dot(direction);
            direction -= a[m] * memory[m].y;
        }
        if (!memory.empty()) direction *= 1 / (memory.back().rho * memory.back().y.squaredNorm());
        for (std::size_t m = 0; m < memory.size(); ++m)
            direction += (a[m] - memory[m].rho * memory[m].y.dot(direction)) * memory[m].s;
        const double slope = direction.dot(g);
        double t = 1, low = 0, high = 0, reached = objective;
        if (memory.empty()) t = 0.1 * ConstMap(x.data(), size).norm() / direction.norm();
        bool accepted = false;
        for (int k = 0; k < 25 && slope < 0 && !stopped(); ++k) {
            trial_x.resize(size);
            Map(trial_x.data(), size) = ConstMap(x.data(), size) + t * direction;
            reached = value_at(trial_x, trial_gradient);
            if (!(reached <= objective + 1e-4 * t * slope)) {
                high = t;
            } else {
                accepted = true;
                if (ConstMap(trial_gradient.data(), size).dot(direction) >= 0.9 * slope) break;
                low = t;
            }
            t = high > 0 ? 0.5 * (low + high) : 2 * t;
        }
        if (!accepted || !(reached < objective)) {
            if (memory.empty()) break;
            memory.clear();
            continue;
        }
        Pair pair{ConstMap(trial_x.data(), size) - ConstMap(x.data(), size),
                  ConstMap(trial_gradient.data(), size) - g, 0};
        const double curvature = pair.s.dot(pair.y);
        objective = reached;
        std::swap(x, trial_x);
        std::swap(gradient, trial_gradient);
        if (curvature > 1e-14 * pair.s.norm() * pair.y.norm()) {
            pair.rho = 1 / curvature;
            memory.push_back(std::move(pair));
            if (memory.size() > kMemory) memory.pop_front();
        }
    }
    unpack(x);
    trees = thinned(trees, alike);
}

/// Ascent of sigma theta^T h(U) over unit U for all starts at once; the best points met replace the starts.
/// Scored by that value, or by |B^T theta| of their patterns (gated).
template <class X>
void Search<X>::ascend(Trees& starts, const std::vector<double>& theta, std::vector<double>& score) {
    const Index K = starts.size(), paths = shape_.paths();
    Evaluation work;
    std::vector<double> column(n_), G(K * dim_);
    score.assign(K, -1.0);
    std::vector<double> best = starts.V;
    for (int step = 0; step <= kAscentSteps && !stopped(); ++step) {
        for (Index k = 0; k < K; ++k) {
            Map u(starts.V.data() + k * dim_, dim_);
            const double norm = u.norm();
            if (norm > 0) u /= norm;
        }
        evaluate(starts, work, true);
        const auto keep_best = [&](Index k, double value) {
            if (value <= score[k]) return;
            score[k] = value;
            std::copy_n(starts.V.data() + k * dim_, dim_, best.data() + k * dim_);
        };
        if (relu_)
            for (Index k = 0; k < K; ++k) {
                double value = 0;
                for (Index i = 0; i < n_; ++i)
                    value += theta[i * C_ + starts.output[k]] * work.roots[k * blocks_ * kWord + i];
                keep_best(k, starts.sigma[k] * value);
            }
        if (relu_ && step == kAscentSteps) break;
        const MaskWords masks{work.words.data(), nullptr, n_, K * paths};
        for (Index c = 0; c < C_; ++c) {
            for (Index i = 0; i < n_; ++i) column[i] = theta[i * C_ + c];
            kernels().masked<X, double>().adjoint(rows_.data, d_, masks, column.data(), G.data(),
                                                  threads_for(n_ * K * dim_, solve_options_.threads));
            for (Index k = 0; k < K; ++k) {
                if (starts.output[k] != c) continue;
                Map g(G.data() + k * dim_, dim_);
                for (Index p = 0; p < paths; ++p)
                    g.segment(p * d_, d_) *= starts.sigma[k] * work.path_sign[k * paths + p];
                const double norm = g.norm();
                if (!relu_) keep_best(k, norm);  // of the pattern, whatever the weights on it
                if (norm > 0) Map(starts.V.data() + k * dim_, dim_) += kAscentStep / norm * g;
            }
        }
    }
    starts.V = std::move(best);
}

/// theta at the solution so far, or at the zero network.
template <class X>
std::vector<double> Search<X>::dual_point() {
    std::vector<double> f(n_ * C_, 0.0), column(n_), theta(n_ * C_), intercept = result_.intercept;
    const Index S = relu_ ? 2 : 1, P = result_.arrangements.size();
    if (!result_.blocks.empty()) {
        const MaskedOperator<X> op(rows_, result_.arrangements, solve_options_.threads);
        std::vector<double> V(P * dim_);
        for (Index c = 0; c < C_; ++c) {
            for (Index g = 0; g < P; ++g) {
                const double* block = result_.blocks.data() + (c * P + g) * S * dim_;
                Map v(V.data() + g * dim_, dim_);
                v = ConstMap(block, dim_);
                if (relu_) v -= ConstMap(block + dim_, dim_);
            }
            op.forward(V.data(), column.data());
            for (Index i = 0; i < n_; ++i) f[i * C_ + c] = column[i];
        }
    }
    shift_by_intercept(f, intercept);
    loss_->dual_point(f.data(), theta.data());
    return theta;
}

/// leaves (dim) <- rows of X (kind 0), differences of two (kind 1), or normal random numbers.
template <class X>
void Search<X>::random_leaves(Random& random, Index kind, double* leaves) const {
    if (kind > 1) {
        for (Index j = 0; j < dim_; ++j) leaves[j] = random.normal();
        return;
    }
    for (Index p = 0; p < shape_.paths(); ++p) {
        const X* a = rows_.row(random.below(n_));
        const X* b = rows_.row(random.below(n_));
        const double side = random.next() & 1u ? 1 : -1;
        for (Index j = 0; j < d_; ++j)
            leaves[p * d_ + j] =
                side * (static_cast<double>(a[j]) - (kind == 1 ? static_cast<double>(b[j]) : 0.0));
    }
}

/// Trees in every direction from which a slide starts: many, so that it ends near a good optimum.
template <class X>
Trees Search<X>::cloud(Index start) {
    const Index count = std::clamp<Index>(kCloudWork / (n_ * dim_ * C_), kLeastCloud,
                                          std::max(kLeastCloud, kMostCloud / shape_.paths()));
    const double norm = cloud_norm_ / static_cast<double>(count);
    std::vector<double> leaves(dim_);
    std::vector<std::int8_t> sign(shape_.edges());
    Trees out{dim_, shape_.edges()};
    for (Index c = 0; c < C_; ++c)
        for (Index s = 0; s < count; ++s) {
            Random random(options_.seed, (static_cast<std::uint64_t>(start) * 1000003 + c) * 1000003 + s);
            for (std::int8_t& e : sign) e = random.next() & 1u ? 1 : -1;
            random_leaves(random, s / 2 % 8, leaves.data());
            const double length = ConstMap(leaves.data(), dim_).norm();
            if (length > 0) Map(leaves.data(), dim_) *= norm / length;
            out.add(leaves.data(), sign.data(), s % 2 == 0 ? 1 : -1, c);
        }
    return out;
}

/// Every tree as several around it, the closer the later the round: their patterns differ across the facets
/// near by, and a slide brings together again what does not pay.
template <class X>
Trees Search<X>::split(const Trees& trees, Index round) const {
    const double spread = kSpread * std::pow(kSpreadDecay, static_cast<double>(round - 1)) /
                          std::sqrt(static_cast<double>(dim_));
    const Index copies =
        std::clamp<Index>(kMostCloud / (shape_.paths() * std::max<Index>(trees.size(), 1)), 1, kSplit);
    Trees out{dim_, shape_.edges()};
    for (Index k = 0; k < trees.size(); ++k) {
        Random random(options_.seed ^ 0x5bd1e995u, static_cast<std::uint64_t>(round) * 1000003 + k);
        const double norm = trees.weights(k).norm();
        for (Index copy = 0; copy < copies; ++copy) {
            out.add(trees, k, 1 / static_cast<double>(copies));
            if (copy == 0 || trees.linear[k]) continue;
            Map v = out.weights(out.size() - 1);
            for (Index j = 0; j < dim_; ++j)
                v[j] += spread * norm / static_cast<double>(copies) * random.normal();
        }
    }
    return out;
}

/// New trees with score above alpha (1 + tol), with small weights; the best one where there is none.
template <class X>
Trees Search<X>::grow(const Trees& current, Index round, const std::vector<double>& theta, bool& found) {
    const Index edges = shape_.edges();
    Trees starts{dim_, edges};
    std::vector<double> weights(dim_);
    std::vector<std::int8_t> sign(edges);
    for (Index c = 0; c < C_; ++c) {
        for (Index s = 0; s < 2 * options_.n_starts; ++s) {
            Random random(options_.seed ^ 0x2545f491u,
                          (static_cast<std::uint64_t>(round) * 1000003 + c) * 1000003 + s);
            for (Index e = 0; e < edges; ++e) sign[e] = random.next() & 1u ? 1 : -1;
            const Index kind = s / 2 % 8;
            if (kind < 3 && current.size() > 0) {  // an active tree turned around, or moved across facets
                const Index k = random.below(current.size());
                const double spread = kind == 0   ? 0.0
                                      : kind == 1 ? 0.3 * current.weights(k).norm()
                                                  : current.weights(k).norm();
                for (Index j = 0; j < dim_; ++j)
                    weights[j] = (kind == 0 ? -1 : 1) * current.weights(k)[j] +
                                 spread / std::sqrt(static_cast<double>(dim_)) * random.normal();
                std::copy_n(current.sign(k), edges, sign.begin());
            } else {
                random_leaves(random, kind - 3, weights.data());
            }
            starts.add(weights.data(), sign.data(), s % 2 == 0 ? 1 : -1, c);
        }
    }
    if (relu_)  // active trees as they are: their own patterns may have moved
        for (Index k = 0; k < current.size(); ++k)
            if (!current.linear[k]) starts.add(current, k);

    std::vector<double> score;
    ascend(starts, theta, score);
    std::vector<Index> order(starts.size());
    for (Index k = 0; k < starts.size(); ++k) order[k] = k;
    std::sort(order.begin(), order.end(),
              [&](Index a, Index b) { return score[a] != score[b] ? score[a] > score[b] : a < b; });

    const double floor = alpha_ * (1 + std::max(1e-6, solve_options_.tol));
    Evaluation work;
    evaluate(starts, work, true);
    const Index words = (n_ + 31) / 32, columns = starts.size() * shape_.paths();
    std::map<std::vector<std::uint32_t>, Index> seen;
    std::vector<Index> kept_per_kind(2 * C_, 0);
    std::vector<Index> kept;
    for (const Index k : order) {
        if (score[k] <= floor && !kept.empty()) break;
        Index& count = kept_per_kind[2 * starts.output[k] + (starts.sigma[k] > 0)];
        if (count >= (relu_ ? kMostNew : 4 * kMostNew)) continue;
        std::vector<std::uint32_t> key{static_cast<std::uint32_t>(starts.output[k]), starts.sigma[k] > 0};
        for (Index p = 0; p < shape_.paths(); ++p)
            for (Index b = 0; b < words; ++b) key.push_back(work.words[b * columns + k * shape_.paths() + p]);
        if (!seen.emplace(std::move(key), k).second) continue;
        ++count;
        kept.push_back(k);
    }
    found = score[kept.front()] > floor;
    Trees grown{dim_, edges};
    for (const Index k : kept) {
        // A share of the best single step: (score - alpha) / curvature along the new tree.
        double square = 0;
        const double* root = work.roots.data() + k * blocks_ * kWord;
        for (Index i = 0; i < n_; ++i) square += w_[i] * root[i] * root[i];
        const double curvature = loss_->typical_curvature() * square / static_cast<double>(n_);
        const double wanted = std::max(score[k] - alpha_, 1e-3 * alpha_) / static_cast<double>(kept.size());
        const double size = curvature > 0 ? wanted / curvature : 1;
        grown.add(starts, k, size);
    }
    return grown;
}

/// Trees of a solution: its nonzero blocks (relu), or its gates with the merged block's weights as
/// further starts (gated).
template <class X>
Trees Search<X>::active_trees(const Arrangements& arrangements, const std::vector<double>& blocks) const {
    Trees trees{dim_, shape_.edges()};
    const Index S = relu_ ? 2 : 1, P = arrangements.size();
    for (Index b = 0; b < static_cast<Index>(blocks.size()) / dim_; ++b) {
        const double* v = blocks.data() + b * dim_;
        const Index group = b / S % P;
        if (ConstMap(v, dim_).squaredNorm() > 0)
            trees.add(v, arrangements.sign(group), b % S == 0 ? 1 : -1, b / (S * P),
                      arrangements.is_linear(group));
    }
    return trees;
}

/// Solves the program over the patterns of the trees, from the trees' own weights (relu), together with the
/// groups in use (gated); keeps what is better. Returns the trees of what it solved.
template <class X>
Trees Search<X>::polish(const Trees& trees) {
    const Index S = relu_ ? 2 : 1;
    Arrangements next{shape_, n_, {}, {}};
    std::vector<double> weights;
    std::vector<std::pair<Index, Index>> source;  // tree, or block of the solution (gated)
    if (!relu_) {
        const Arrangements& old = result_.arrangements;
        std::vector<Index> used;
        for (Index g = 0; g < old.size(); ++g) {
            bool nonzero = false;
            for (Index c = 0; c < C_; ++c)
                nonzero |=
                    ConstMap(result_.blocks.data() + (c * old.size() + g) * dim_, dim_).squaredNorm() > 0;
            if (nonzero) used.push_back(g);
        }
        next = old.select(used);
        for (const Index g : used)
            weights.insert(weights.end(), result_.weights.begin() + g * dim_,
                           result_.weights.begin() + (g + 1) * dim_);
        for (const Index g : used) source.emplace_back(-1, g);
    }
    const MatView<const double> W{trees.V.data(), trees.size(), dim_};
    const MatView<const std::int8_t> signs{trees.signs.data(), trees.size(), shape_.edges()};
    const Arrangements patterns = arrangements_from_trees<X>(rows_, W, signs, shape_, solve_options_.threads);
    for (Index k = 0; k < trees.size(); ++k) {
        trees.linear[k] ? next.append_linear() : next.append(patterns.select({k}));
        source.emplace_back(k, -1);
    }
    weights.insert(weights.end(), trees.V.begin(), trees.V.end());
    if (options_.skip_connection) {
        next.append_linear();
        source.emplace_back(-1, -1);
        weights.insert(weights.end(), dim_, 0.0);
    }

    const std::vector<Index> kept = next.distinct();
    const bool first = result_.report.history.empty();
    if (kept.empty() && !first) return trees;
    const Index P = static_cast<Index>(kept.size());
    std::vector<double> kept_weights;
    for (const Index g : kept)
        kept_weights.insert(kept_weights.end(), weights.begin() + g * dim_, weights.begin() + (g + 1) * dim_);
    const Arrangements arrangements = next.select(kept);
    std::vector<double> blocks(C_ * P * S * dim_, 0.0), intercept = result_.intercept;
    for (Index g = 0; g < next.size(); ++g) {
        Index k = 0;  // the kept group like this one, if it is not zero
        while (k < P && !next.same_group(g, arrangements, k)) ++k;
        if (k == P) continue;
        const auto [tree, old] = source[g];
        if (relu_ && tree >= 0) {
            const Index block = (trees.output[tree] * P + k) * S + (trees.sigma[tree] > 0 ? 0 : 1);
            Map(blocks.data() + block * dim_, dim_) += ConstMap(trees.V.data() + tree * dim_, dim_);
        } else if (old >= 0) {
            for (Index c = 0; c < C_; ++c)
                Map(blocks.data() + (c * P + k) * dim_, dim_) =
                    ConstMap(result_.blocks.data() + (c * result_.arrangements.size() + old) * dim_, dim_);
        }
    }
    large_ = relu_ && (P * dim_ > kMostUnknowns || n_ * P * dim_ > kMostEntries);
    solve_from(arrangements,
               large_  ? kPolishSteps
               : relu_ ? kConePolishIter
                       : kPolishIter,
               blocks, intercept);
    Trees solved = active_trees(arrangements, blocks);
    if (solved_.objective < result_.report.objective || first) {
        result_.arrangements = arrangements;
        result_.weights = std::move(kept_weights);
        result_.blocks = std::move(blocks);
        result_.intercept = std::move(intercept);
        adopt();
    }
    note();
    return solved;
}

/// Solves over the arrangements from the blocks and the intercept, in place, within max_iter steps.
template <class X>
void Search<X>::solve_from(const Arrangements& arrangements, Index max_iter, std::vector<double>& blocks,
                           std::vector<double>& intercept) {
    const Program<X> program{rows_, y_, w_, arrangements, alpha_, loss_spec_, relu_};
    SolveOptions options = solve_options_;
    if (max_iter < solve_options_.max_iter || program.blocks() * dim_ <= kCheap)
        options.tol = std::min(options.tol, kPolishTol);
    options.max_iter = std::clamp<Index>(solve_options_.max_iter - n_iter_, 0, max_iter);
    const Poll last_polls = [this, until = seconds() + kLastPolish] {
        if (seconds() > until) throw Stop();
    };
    solved_ = solve<X>(program, options, {blocks.data(), program.blocks(), dim_}, {intercept.data(), C_},
                       {stopped_ ? last_polls : observer_.poll, {}});
    n_iter_ += solved_.n_iter;
    stopped_ |= solved_.stopped;
}

/// Around one direction a solution may use several patterns where one, that of their sum slid to its place,
/// does: as many as the accidents of the search have left there. Tries it, and keeps what is no worse.
template <class X>
void Search<X>::merge() {
    for (const double alike : kMerged) {
        const Trees current = active_trees(result_.arrangements, result_.blocks);
        Trees fewer = thinned(current, alike);
        if (fewer.size() == current.size() || stopped_ || n_iter_ >= solve_options_.max_iter) return;
        slide(fewer, alike);
        polish(fewer);
    }
}

/// Adds up the blocks of a solution that point the same way and lie in one cone. The trees do the same there,
/// so that outputs stay as they are; the penalty falls by what the directions differ. False if there are
/// none.
template <class X>
bool Search<X>::add_up_parallel() {
    const Arrangements& a = result_.arrangements;
    const Index S = 2, P = a.size();
    const auto block = [&](Index b) { return Map(result_.blocks.data() + b * dim_, dim_); };
    const Cones<X> cones(rows_, a);
    double saved = 0;
    bool any = false;
    for (Index side = 0; side < C_ * S; ++side) {
        std::vector<Index> active;
        std::vector<double> norm(C_ * P * S);
        for (Index g = 0; g < P; ++g) {
            const Index b = (side / S * P + g) * S + side % S;
            norm[b] = block(b).norm();
            if (norm[b] > 0 && !a.is_linear(g)) active.push_back(b);
        }
        std::sort(active.begin(), active.end(),
                  [&](Index b, Index c) { return norm[b] != norm[c] ? norm[b] > norm[c] : b < c; });
        std::vector<Index> kept;
        for (const Index b : active) {
            const auto joins = [&](Index into) {
                const Index g = into / S % P;
                return std::equal(a.sign(g), a.sign(g) + shape_.edges(), a.sign(b / S % P)) &&
                       block(into).dot(block(b)) > kParallel * block(into).norm() * norm[b] &&
                       cones.contains(g, block(b).data());
            };
            const auto into = std::find_if(kept.begin(), kept.end(), joins);
            if (into == kept.end()) {
                kept.push_back(b);
                continue;
            }
            const double apart = block(*into).norm() + norm[b];
            block(*into) += block(b);
            block(b).setZero();
            saved += alpha_ * (apart - block(*into).norm());
            --result_.report.n_active;
            any = true;
        }
    }
    result_.report.objective -= saved;
    result_.report.gap = std::max(result_.report.gap - saved, 0.0);
    return any;
}

/// Makes the last solve's report the search's, which keeps its history.
template <class X>
void Search<X>::adopt() {
    std::swap(solved_.history, result_.report.history);
    result_.report = solved_;
}

/// Records where the search stands.
template <class X>
void Search<X>::note() {
    result_.report.n_iter = n_iter_;
    result_.report.seconds = seconds();
    result_.report.round = std::max<Index>(result_.n_rounds, 1);
    result_.report.n_groups = result_.arrangements.size();
    result_.report.history.push_back(result_.report);
    if (observer_.record && !stopped_) stop_if_told([&] { observer_.record(result_.report); });
}

template <class X>
SearchResult Search<X>::run(const Trees& from) {
    Trees current{dim_, shape_.edges()}, pool = current;
    const auto adopted = [&] { return active_trees(result_.arrangements, result_.blocks); };
    if (options_.skip_connection) {  // trees are for what a linear model leaves
        polish(current);
        current = adopted();
    }
    if (from.size() > 0) {  // what comes out is no worse than the start
        polish(from);
        current = adopted();
    }
    if (relu_) {  // the first round: independent starts and their union
        result_.n_rounds = 1;
        Index clouds = 1;
        for (Index start = 0; start < clouds && !stopped_; ++start) {
            Trees candidate = cloud(start);
            candidate.add(current);
            slide(candidate, kAlike);
            const double best = start > 0 ? result_.report.objective : 0;
            const Trees solved = polish(candidate);
            if (start > 0 && std::abs(solved_.objective - best) <= kSameOptimum * best) clouds = start + 1;
            if (start == 0 && from.size() == 0)
                clouds = std::clamp<Index>(kStartWork / (n_ * dim_ * std::max<Index>(solved.size(), 1)), 1,
                                           kMostClouds);
            pool.add(solved, 1 / static_cast<double>(clouds));
        }
        if (clouds > 1 && !stopped_) polish(pool);
        current = adopted();
    }
    double before = result_.report.objective;
    for (Index round = result_.n_rounds; round < options_.max_rounds && !large_ && !stopped_; ++round) {
        bool found;
        const Trees grown = grow(current, round, dual_point(), found);
        if (stopped_ && !result_.report.history.empty()) break;
        result_.n_rounds = round + 1;
        result_.n_failed_starts = found ? 0 : 2 * options_.n_starts * C_;
        if (!found && round > 0 && (!relu_ || current.size() == 0)) break;
        Trees candidate = relu_ ? split(current, round) : current;
        candidate.add(grown);
        if (relu_) slide(candidate, 1 - (1 - kAlike) * std::pow(kAlikeDecay, static_cast<double>(round)));
        polish(candidate);
        current = adopted();
        const double objective = result_.report.objective;
        const bool pays = before - objective >= kRoundGain * objective;
        before = objective;
        const Index least = from.size() == 0 ? kLeastRounds : found ? kLeastAgain : round + 1;
        if ((round + 1 >= least && !pays) || n_iter_ >= solve_options_.max_iter) break;
    }
    if (relu_) merge();
    const bool cheap = static_cast<Index>(result_.blocks.size()) <= kCheap;
    bool moved = (cheap || !result_.report.converged) && n_iter_ < solve_options_.max_iter && !stopped_;
    if (moved) {
        std::vector<double> blocks = result_.blocks, intercept = result_.intercept;
        solve_from(result_.arrangements, solve_options_.max_iter, blocks, intercept);
        if (!stopped_ || solved_.objective <= result_.report.objective) {
            result_.blocks = std::move(blocks);
            result_.intercept = std::move(intercept);
            adopt();
        }
    }
    if (relu_) moved |= add_up_parallel();
    if (moved) note();
    if (stopped_) {
        result_.n_failed_starts = 0;
        result_.report.converged = false;
        result_.report.stopped = true;
    }
    return std::move(result_);
}

}  // namespace

template <class X>
SearchResult search(Rows<X> rows, MatView<const double> y, VecView<const double> w, double alpha,
                    const LossSpec& loss, bool relu, const TreeShape& shape,
                    const SolveOptions& solve_options, const SearchOptions& options, const Observer& observer,
                    const StartTrees& from) {
    require(rows.rows == y.rows, "y has ", y.rows, " rows; X has ", rows.rows);
    const Index K = from.output.size;
    Trees trees{shape.paths() * rows.cols, shape.edges()};
    require_shape("leaves of the start", from.leaves, K, K > 0 ? trees.dim : 0);
    require_shape("edge signs of the start", from.edge_signs, K, K > 0 ? trees.edges : 0);
    require_size("output signs of the start", from.output_sign, K);
    for (Index k = 0; k < K; ++k) {
        require(0 <= from.output[k] && from.output[k] < y.cols, "the start has a tree for output ",
                from.output[k], "; y has ", y.cols, " columns");
        trees.add(from.leaves.row(k), from.edge_signs.row(k), from.output_sign[k], from.output[k]);
    }
    return Search<X>(rows, y, w, alpha, loss, relu, shape, solve_options, options, observer).run(trees);
}

template SearchResult search<float>(Rows<float>, MatView<const double>, VecView<const double>, double,
                                    const LossSpec&, bool, const TreeShape&, const SolveOptions&,
                                    const SearchOptions&, const Observer&, const StartTrees&);
template SearchResult search<double>(Rows<double>, MatView<const double>, VecView<const double>, double,
                                     const LossSpec&, bool, const TreeShape&, const SolveOptions&,
                                     const SearchOptions&, const Observer&, const StartTrees&);

}  // namespace pathrelu
