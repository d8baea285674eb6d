#include <pathrelu/error.hpp>
#include <pathrelu/losses.hpp>
#include <pathrelu/operators.hpp>
#include <pathrelu/search.hpp>

#include <Eigen/Core>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <deque>
#include <map>

#include "parallel.hpp"
#include "trees.hpp"

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
    std::vector<double> V;           // (K, paths * d)
    std::vector<std::int8_t> signs;  // (K, edges)
    std::vector<double> sigma;
    std::vector<Index> output;
    std::vector<char> linear;

    Index size() const { return static_cast<Index>(sigma.size()); }
    /// The trees whose norm is above `floor`.
    Trees above(double floor, Index dim, Index edges) const {
        Trees out;
        for (Index k = 0; k < size(); ++k)
            if (ConstMap(V.data() + k * dim, dim).norm() > floor)
                out.add(V.data() + k * dim, dim, signs.data() + k * edges, edges, sigma[k], output[k],
                        linear[k]);
        return out;
    }
    double largest_norm(Index dim) const {
        double largest = 0;
        for (Index k = 0; k < size(); ++k)
            largest = std::max(largest, ConstMap(V.data() + k * dim, dim).norm());
        return largest;
    }
    void add(const double* weights, Index dim, const std::int8_t* sign, Index edges, double s, Index c,
             bool without_gates = false) {
        V.insert(V.end(), weights, weights + dim);
        signs.insert(signs.end(), sign, sign + edges);
        sigma.push_back(s);
        output.push_back(c);
        linear.push_back(without_gates);
    }
};

/// Slides stop when a step gains less than this share of the objective.
constexpr double kSlideGain = 1e-9;
constexpr int kMemory = 12;          // pairs that L-BFGS keeps
constexpr int kAscentSteps = 40;     // of one start
constexpr double kAscentStep = 0.5;  // of a unit vector towards the normalised gradient
constexpr Index kMostNew = 15;       // trees added per output and sign in a round
/// Solver steps of one polish: what they leave is for the next slide or, in the end, for the last solve.
constexpr Index kPolishIter = 100;
constexpr double kRoundGain = 3e-5;   // a round that gains a smaller share, or less than tol, does not pay
constexpr double kNegligible = 1e-5;  // trees below this share of the largest norm are dropped after a slide

template <class X>
class Search {
  public:
    Search(Rows<X> rows, MatView<const double> y, VecView<const double> w, double alpha,
           const std::string& loss, bool relu, const TreeShape& shape, const SolveOptions& solve_options,
           const SearchOptions& options, const Observer& observer)
        : rows_(rows),
          y_(y),
          w_(w),
          alpha_(alpha),
          loss_name_(loss),
          relu_(relu),
          shape_(shape),
          solve_options_(solve_options),
          options_(options),
          observer_(observer),
          n_(rows.rows),
          d_(rows.cols),
          C_(y.cols),
          dim_(shape.paths() * rows.cols),
          loss_(make_loss(loss, y, w, solve_options.threads)) {
        require(options.n_starts > 0 && options.max_rounds > 0, "n_starts and max_rounds must be positive");
        result_.intercept.assign(C_, 0.0);
        result_.arrangements.shape = shape;
        result_.arrangements.n_rows = n_;
    }

    SearchResult run();

  private:
    /// What one evaluation of trees on all rows gives.
    struct Evaluation {
        std::vector<double> roots;           // (K, n) relu outputs of the roots, if asked for
        std::vector<double> f;               // (n, C), without the intercept
        std::vector<std::uint32_t> words;    // (ceil(n / 32), K * paths) path masks
        std::vector<std::int8_t> path_sign;  // (K * paths)
    };
    void evaluate(const Trees& trees, Evaluation& out, bool keep_roots) const;
    double slide_objective(const Trees& trees, std::vector<double>& gradient, Evaluation& work);
    /// Minimises the loss of f + intercept over the intercept, if it is free, and adds it to f (n, C).
    void shift_by_intercept(std::vector<double>& f, std::vector<double>& intercept) const {
        if (solve_options_.fit_intercept) loss_->optimal_intercept(f.data(), intercept.data());
        for (Index i = 0; i < n_; ++i)
            for (Index c = 0; c < C_; ++c) f[i * C_ + c] += intercept[c];
    }
    void slide(Trees& trees);
    Trees grow(const Trees& current, Index round, const std::vector<double>& theta, bool& found);
    void ascend(Trees& starts, const std::vector<double>& theta, std::vector<double>& score);
    void polish(const Trees& trees);
    void solve_from(const Arrangements& arrangements, Index max_iter, std::vector<double>& blocks,
                    std::vector<double>& intercept);
    void adopt();
    void note();
    Trees active_trees() const;
    std::vector<double> dual_point();
    void poll() {
        if (observer_.poll && seconds() - last_poll_ > 0.05) {
            last_poll_ = seconds();
            observer_.poll();
        }
    }
    double seconds() const {
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    }

    Rows<X> rows_;
    MatView<const double> y_;
    VecView<const double> w_;
    double alpha_;
    std::string loss_name_;
    bool relu_;
    TreeShape shape_;
    SolveOptions solve_options_;
    SearchOptions options_;
    const Observer& observer_;
    Index n_, d_, C_, dim_;
    std::unique_ptr<Loss> loss_;
    SearchResult result_;
    SolveReport solved_;  // of the last solve
    std::vector<double> slide_intercept_;
    Index n_iter_ = 0;
    std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
    double last_poll_ = 0;
};

template <class X>
void Search<X>::evaluate(const Trees& trees, Evaluation& out, bool keep_roots) const {
    const Index K = trees.size(), paths = shape_.paths(), units = shape_.units(), edges = shape_.edges();
    out.f.assign(n_ * C_, 0.0);
    out.words.assign((n_ + 31) / 32 * K * paths, 0);
    out.path_sign.assign(K * paths, 1);
    if (keep_roots) out.roots.resize(K * n_);
    for (Index k = 0; k < K; ++k)
        for (Index p = 0; p < paths; ++p)
            for (Index l = 0; l + 1 < shape_.layers(); ++l)
                out.path_sign[k * paths + p] *=
                    trees.signs[k * edges + shape_.layer_begin(l) + p / shape_.leaves_below(l)];
    LeafProduct<double> shared;
    shared.set_weights(trees.V.data(), K * paths, d_, d_);
    const int team = threads_for(n_ * K * dim_, solve_options_.threads);
#pragma omp parallel num_threads(team) if (team > 1)
    {
        LeafProduct<double> product = shared;
        std::vector<double> tile(kTileRows * d_), value(units);
#pragma omp for schedule(dynamic)
        for (Index t = 0; t < (n_ + kTileRows - 1) / kTileRows; ++t) {
            const Index i0 = t * kTileRows, count = std::min(kTileRows, n_ - i0);
            std::copy(rows_.row(i0), rows_.row(i0) + count * d_, tile.begin());
            product.run(tile.data(), count);
            for (Index i = i0; i < i0 + count; ++i) {
                const double* h = product.row(i - i0);
                std::uint32_t* words = out.words.data() + i / 32 * K * paths;
                const std::uint32_t bit = std::uint32_t{1} << (i % 32);
                for (Index k = 0; k < K; ++k) {
                    const std::int8_t* sign = trees.signs.data() + k * edges;
                    if (trees.linear[k]) {
                        out.f[i * C_ + trees.output[k]] += trees.sigma[k] * h[k * paths];
                        words[k * paths] |= bit;
                        continue;
                    }
                    tree_values(shape_, sign, h + k * paths, value.data());
                    const double root = std::max(value[units - 1], 0.0);
                    out.f[i * C_ + trees.output[k]] += trees.sigma[k] * root;
                    if (keep_roots) out.roots[k * n_ + i] = root;
                    visit_paths(shape_, sign, value.data(),
                                [&](Index p, int) { words[k * paths + p] |= bit; });
                }
            }
        }
    }
}

/// (NC) over the leaf weights, with the intercept minimised out, and its gradient.
template <class X>
double Search<X>::slide_objective(const Trees& trees, std::vector<double>& gradient, Evaluation& work) {
    const Index K = trees.size(), paths = shape_.paths();
    evaluate(trees, work, false);
    std::vector<double>& f = work.f;
    shift_by_intercept(f, slide_intercept_);
    double objective = loss_->value(f.data());
    std::vector<double> theta(n_ * C_), column(n_), G(K * dim_);
    loss_->dual_point(f.data(), theta.data());
    gradient.assign(K * dim_, 0.0);
    const MaskWords masks{work.words.data(), nullptr, n_, K * paths};
    for (Index c = 0; c < C_; ++c) {
        for (Index i = 0; i < n_; ++i) column[i] = theta[i * C_ + c];
        kernels().masked<X, double>().adjoint(rows_.data, d_, masks, column.data(), G.data(),
                                              threads_for(n_ * K * dim_, solve_options_.threads));
        for (Index k = 0; k < K; ++k)
            if (trees.output[k] == c)
                for (Index p = 0; p < paths; ++p)
                    for (Index j = 0; j < d_; ++j)
                        gradient[(k * paths + p) * d_ + j] =
                            -trees.sigma[k] * work.path_sign[k * paths + p] * G[(k * paths + p) * d_ + j];
    }
    for (Index k = 0; k < K; ++k) {
        const ConstMap v(trees.V.data() + k * dim_, dim_);
        const double norm = v.norm();
        objective += alpha_ * norm;
        if (norm > 0) Map(gradient.data() + k * dim_, dim_) += alpha_ / norm * v;
    }
    return objective;
}

/// L-BFGS (Nocedal 1980) with a bisection for the weak Wolfe conditions, which also serves where the
/// objective has kinks (Lewis & Overton 2013).
template <class X>
void Search<X>::slide(Trees& trees) {
    Evaluation work;
    std::vector<double> gradient, trial_gradient;
    slide_intercept_ = result_.intercept;
    double objective = slide_objective(trees, gradient, work);
    struct Pair {
        Vector s, y;
        double rho;
    };
    std::deque<Pair> memory;
    const Index size = static_cast<Index>(trees.V.size());
    int small_gains = 0;
    for (Index step = 0; step < options_.slide_iter; ++step) {
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
        double slope = direction.dot(g);
        if (!(slope < 0)) {
            if (memory.empty()) return;
            memory.clear();
            continue;
        }
        double t = 1, low = 0, high = 0;
        if (memory.empty()) {
            const double norm = ConstMap(trees.V.data(), size).norm();
            t = 0.1 * norm / direction.norm();
        }
        Trees trial = trees;
        double reached = objective;
        bool accepted = false;
        for (int k = 0; k < 25; ++k) {
            poll();
            Map(trial.V.data(), size) = ConstMap(trees.V.data(), size) + t * direction;
            reached = slide_objective(trial, trial_gradient, work);
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
            if (memory.empty()) return;
            memory.clear();
            continue;
        }
        Pair pair{ConstMap(trial.V.data(), size) - ConstMap(trees.V.data(), size),
                  ConstMap(trial_gradient.data(), size) - g, 0};
        const double curvature = pair.s.dot(pair.y);
        small_gains = objective - reached < kSlideGain * objective ? small_gains + 1 : 0;
        objective = reached;
        std::swap(trees, trial);
        std::swap(gradient, trial_gradient);
        if (small_gains >= 5) return;
        if (curvature > 1e-14 * pair.s.norm() * pair.y.norm()) {
            pair.rho = 1 / curvature;
            memory.push_back(std::move(pair));
            if (memory.size() > kMemory) memory.pop_front();
        }
    }
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
    for (int step = 0; step <= kAscentSteps; ++step) {
        poll();
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
                    value += theta[i * C_ + starts.output[k]] * work.roots[k * n_ + i];
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

/// New trees with score above alpha (1 + tol), with small weights; the best one where there is none.
template <class X>
Trees Search<X>::grow(const Trees& current, Index round, const std::vector<double>& theta, bool& found) {
    const Index edges = shape_.edges();
    Trees starts;
    std::vector<double> weights(dim_);
    std::vector<std::int8_t> sign(edges);
    for (Index c = 0; c < C_; ++c) {
        for (Index s = 0; s < 2 * options_.n_starts; ++s) {
            Random random(options_.seed, (static_cast<std::uint64_t>(round) * 1000003 + c) * 1000003 + s);
            for (Index e = 0; e < edges; ++e) sign[e] = random.next() & 1u ? 1 : -1;
            const Index kind = s / 2 % 8;
            if (kind == 0 && current.size() > 0) {  // an active tree, its leaves turned around
                const Index k = random.below(current.size());
                Map(weights.data(), dim_) = -ConstMap(current.V.data() + k * dim_, dim_);
                std::copy_n(current.signs.begin() + k * edges, edges, sign.begin());
            } else if (kind <= 2 && current.size() > 0) {  // an active tree, moved across nearby facets
                const Index k = random.below(current.size());
                const ConstMap v(current.V.data() + k * dim_, dim_);
                const double spread =
                    v.norm() / std::sqrt(static_cast<double>(dim_)) * (kind == 1 ? 0.3 : 1.0);
                for (Index j = 0; j < dim_; ++j) weights[j] = v[j] + spread * random.normal();
                std::copy_n(current.signs.begin() + k * edges, edges, sign.begin());
            } else if (kind <= 4) {  // rows of X, and differences of two
                for (Index p = 0; p < shape_.paths(); ++p) {
                    const X* a = rows_.row(random.below(n_));
                    const X* b = rows_.row(random.below(n_));
                    const double side = random.next() & 1u ? 1 : -1;
                    for (Index j = 0; j < d_; ++j)
                        weights[p * d_ + j] = side * (static_cast<double>(a[j]) -
                                                      (kind == 4 ? static_cast<double>(b[j]) : 0.0));
                }
            } else {
                for (double& v : weights) v = random.normal();
            }
            starts.add(weights.data(), dim_, sign.data(), edges, s % 2 == 0 ? 1 : -1, c);
        }
    }
    if (relu_ && current.size() > 0)  // active trees as they are: their own patterns may have moved
        for (Index k = 0; k < current.size(); ++k)
            starts.add(current.V.data() + k * dim_, dim_, current.signs.data() + k * edges, edges,
                       current.sigma[k], current.output[k]);

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
    Trees grown;
    for (const Index k : kept) {
        // A share of the best single step: (score - alpha) / curvature along the new tree.
        double square = 0;
        for (Index i = 0; i < n_; ++i) square += w_[i] * work.roots[k * n_ + i] * work.roots[k * n_ + i];
        const double curvature = loss_->smoothness() * square / static_cast<double>(n_);
        const double wanted = std::max(score[k] - alpha_, 1e-3 * alpha_) / static_cast<double>(kept.size());
        const double size = curvature > 0 ? wanted / curvature : 1;
        const Vector v = size * ConstMap(starts.V.data() + k * dim_, dim_);
        grown.add(v.data(), dim_, starts.signs.data() + k * edges, edges, starts.sigma[k], starts.output[k]);
    }
    return grown;
}

/// Trees of the current solution: its nonzero blocks (relu), or its gates with the merged block's weights as
/// further starts (gated).
template <class X>
Trees Search<X>::active_trees() const {
    Trees trees;
    const Arrangements& a = result_.arrangements;
    const Index S = relu_ ? 2 : 1;
    for (Index b = 0; b < static_cast<Index>(result_.blocks.size()) / dim_; ++b) {
        const double* v = result_.blocks.data() + b * dim_;
        if (ConstMap(v, dim_).squaredNorm() == 0) continue;
        const Index group = b / S % a.size();
        trees.add(v, dim_, a.sign(group), shape_.edges(), b % S == 0 ? 1 : -1, b / (S * a.size()),
                  a.is_linear(group));
    }
    return trees;
}

/// Solves the program over the patterns of the trees, from the trees' own weights (relu), together with the
/// groups in use (gated); keeps what is better.
template <class X>
void Search<X>::polish(const Trees& trees) {
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
    if (kept.empty() && !first) return;
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
    solve_from(arrangements, kPolishIter, blocks, intercept);
    if (solved_.objective < result_.report.objective || first) {
        result_.arrangements = arrangements;
        result_.weights = std::move(kept_weights);
        result_.blocks = std::move(blocks);
        result_.intercept = std::move(intercept);
        adopt();
    }
    note();
}

/// Solves over the arrangements from the blocks and the intercept, in place, within max_iter steps.
template <class X>
void Search<X>::solve_from(const Arrangements& arrangements, Index max_iter, std::vector<double>& blocks,
                           std::vector<double>& intercept) {
    const Program<X> program{rows_, y_, w_, arrangements, alpha_, loss_name_, relu_};
    SolveOptions options = solve_options_;
    options.max_iter = std::clamp<Index>(solve_options_.max_iter - n_iter_, 1, max_iter);
    solved_ = solve<X>(program, options, {blocks.data(), program.blocks(), dim_}, {intercept.data(), C_},
                       {observer_.poll, {}});
    n_iter_ += solved_.n_iter;
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
    result_.report.history.push_back(result_.report);
    if (observer_.record) observer_.record(result_.report);
}

template <class X>
SearchResult Search<X>::run() {
    Trees current;
    double before = 0;
    int small_gains = 0;
    if (options_.skip_connection) {  // trees are for what a linear model leaves
        polish(current);
        current = active_trees();
    }
    for (Index round = 0; round < options_.max_rounds; ++round) {
        bool found;
        const Trees grown = grow(current, round, dual_point(), found);
        result_.n_rounds = round + 1;
        if (!found) result_.n_failed_starts = 2 * options_.n_starts * C_;
        if (!found && round > 0) break;
        const Index edges = shape_.edges();
        Trees candidate = current;
        for (Index k = 0; k < grown.size(); ++k)
            candidate.add(grown.V.data() + k * dim_, dim_, grown.signs.data() + k * edges, edges,
                          grown.sigma[k], grown.output[k]);
        if (relu_ && found) {
            slide(candidate);
            candidate = candidate.above(kNegligible * candidate.largest_norm(dim_), dim_, edges);
        }
        polish(candidate);
        current = active_trees();
        const double objective = result_.report.objective;
        const double worth =
            std::max(kRoundGain * objective, solve_options_.tol * result_.report.objective_at_zero);
        small_gains = round > 0 && before - objective < worth ? small_gains + 1 : 0;
        before = objective;
        if (small_gains >= 2 || n_iter_ >= solve_options_.max_iter) break;
    }
    if (!result_.report.converged && n_iter_ < solve_options_.max_iter) {
        solve_from(result_.arrangements, solve_options_.max_iter, result_.blocks, result_.intercept);
        adopt();
        note();
    }
    return std::move(result_);
}

}  // namespace

template <class X>
SearchResult search(Rows<X> rows, MatView<const double> y, VecView<const double> w, double alpha,
                    const std::string& loss, bool relu, const TreeShape& shape,
                    const SolveOptions& solve_options, const SearchOptions& options,
                    const Observer& observer) {
    require(rows.rows == y.rows, "y has ", y.rows, " rows; X has ", rows.rows);
    return Search<X>(rows, y, w, alpha, loss, relu, shape, solve_options, options, observer).run();
}

template SearchResult search<float>(Rows<float>, MatView<const double>, VecView<const double>, double,
                                    const std::string&, bool, const TreeShape&, const SolveOptions&,
                                    const SearchOptions&, const Observer&);
template SearchResult search<double>(Rows<double>, MatView<const double>, VecView<const double>, double,
                                     const std::string&, bool, const TreeShape&, const SolveOptions&,
                                     const SearchOptions&, const Observer&);

}  // namespace pathrelu
