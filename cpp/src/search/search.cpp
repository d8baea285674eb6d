#include <pathrelu/error.hpp>
#include <pathrelu/search.hpp>

#include <algorithm>
#include <cmath>

#include "search/polish.hpp"
#include "search/slider.hpp"
#include "search/starts.hpp"
#include "search/tree_pass.hpp"

namespace pathrelu {
namespace {

/// Cosine of trees above which a slide of the first round makes them one: coarse, for later rounds split them
/// again. The rest of it to 1 decays from round to round.
constexpr double kFirstAlike = 0.97, kAlikeDecay = 0.3;
/// Cosines above which `merge` takes trees together: coarse ones first, for they leave fewer.
constexpr double kMerged[] = {0.99, 0.999};
constexpr int kAscentSteps = 25;               // of one start
constexpr double kAscentStep = 0.5;            // of a unit vector towards the normalised gradient
constexpr Index kMostNew = 15;                 // trees added per output and sign in a round
constexpr Index kMostNewGates = 4 * kMostNew;  // a gate costs no slide
/// Clouds that the search starts from: as many as this many multiplications for the trees of the first allow.
constexpr Index kStartWork = 200000, kMostClouds = 6;
constexpr Index kLeastAgain = 2;       // rounds from a given start, while ascents find anything
constexpr double kSameOptimum = 1e-7;  // relative difference between clouds that end at one optimum
constexpr double kLeastScore = 1e-6;   // that a new tree's score exceeds alpha by, relatively
constexpr double kLeastStep = 1e-3;    // of alpha: the excess that the first step of a new tree assumes

template <class X>
class Search {
  public:
    Search(const SearchProblem<X>& problem, const SolveOptions& solve_options, const SearchOptions& options,
           const Observer& observer)
        : problem_(problem),
          solve_options_(solve_options),
          options_(options),
          n_(problem.rows.rows),
          C_(problem.outputs()),
          slider_(problem, problem.rows, solve_options.fit_intercept, options.seed, solve_options.threads),
          pass_(slider_.pass()),
          loss_(slider_.loss()),
          starts_(slider_.starts()),
          budget_(observer, solve_options.max_iter),
          polish_(problem_, solve_options, options.rough, budget_) {
        require(options.n_starts > 0 && options.max_rounds >= 0,
                "n_starts must be positive, max_rounds not negative");
    }

    SearchResult run(const Trees& from);

  private:
    Trees polish(const Trees& trees) {
        polish_.solve_over(trees);
        polish_.note(std::max<Index>(n_rounds_, 1));
        return polish_.trees();
    }
    void solve_given(const Trees& from) {
        polish_.solve_over(from, true);
        polish_.note(0);
    }
    void go_through_rounds(const Trees& from, Trees current);
    std::vector<double> shift_by_intercept(std::vector<double>& f) const {
        return slider_.shift_by_intercept(f, polish_.result.intercept);
    }
    double alike(Index round) const {
        return 1 - (1 - kFirstAlike) * std::pow(kAlikeDecay, static_cast<double>(round));
    }
    void slide_to_rest(Trees& trees, double alike);
    void first_round(const Trees& from, Trees& current);
    Trees grow(const Trees& current, Index round, bool& found);
    void ascend(Trees& starts, const std::vector<double>& theta, std::vector<double>& score);
    double of_pattern(const Trees& starts, Index k, const Map& G) const;
    void merge();

    const SearchProblem<X>& problem_;
    SolveOptions solve_options_;
    SearchOptions options_;
    Index n_, C_;
    Slider<X> slider_;
    TreePass<X>& pass_;
    const Loss& loss_;
    const Starts<X>& starts_;
    Budget budget_;
    Polish<X> polish_;
    Index n_rounds_ = 0, n_failed_starts_ = 0;
};

template <class X>
void Search<X>::slide_to_rest(Trees& trees, double alike) {
    std::vector<double> f(n_ * C_);
    pass_.outputs(trees, trees.omega.data(), f.data());
    std::vector<double> intercept = shift_by_intercept(f);
    slider_.slide_to_rest(trees, intercept, alike, options_.slide_iter, [this] { return budget_.stopped(); });
}

/// Norm of the projection of G on the cone of a pattern: what its best weights come to.
template <class X>
double Search<X>::of_pattern(const Trees& starts, Index k, const Map& G) const {
    const Monotone monotone(problem_.monotone);
    if (!monotone.any()) return G.norm();
    Vector weights = G;
    monotone.clip(problem_.shape, starts.sign(k), starts.side(k), false, weights.data());
    return weights.norm();
}

/// Ascent of |theta^T h(U)|, or of omega^T theta^T h(U) where directions are not shared, over unit U for all
/// starts at once; the best points met replace the starts. Scored by that value, or by |B^T theta omega| of
/// their patterns (gated).
template <class X>
void Search<X>::ascend(Trees& starts, const std::vector<double>& theta, std::vector<double>& score) {
    const Index K = starts.size();
    PassSums sums;
    score.assign(K, -1.0);
    Trees best = starts;
    const auto turn = [&](Index k) {
        if (!problem_.shared) return;
        const ConstMap S(sums.S.data() + k * C_, C_);
        if (S.norm() > 0) starts.direction(k) = S / S.norm();
    };
    const auto keep_best = [&](Index k, double value) {
        if (value <= score[k]) return;
        score[k] = value;
        best.weights(k) = starts.weights(k);
        best.direction(k) = starts.direction(k);
    };
    for (int step = problem_.shared ? -1 : 0; step <= kAscentSteps && !budget_.stopped(); ++step) {
        for (Index k = 0; k < K; ++k) {
            const double norm = starts.weights(k).norm();
            if (norm > 0) starts.weights(k) /= norm;
        }
        pass_.correlate(starts, starts.omega.data(), theta.data(), sums);
        for (Index k = 0; k < K; ++k) {
            const Map G(sums.G.data() + k * starts.dim, starts.dim);
            if (!problem_.relu && step >= 0) keep_best(k, of_pattern(starts, k, G));
            turn(k);
            if (problem_.relu) keep_best(k, ConstMap(sums.S.data() + k * C_, C_).dot(starts.direction(k)));
            if (step >= 0 && G.norm() > 0) starts.weights(k) += kAscentStep / G.norm() * G;
        }
        problem_.restrict(starts);
    }
    starts = std::move(best);
}

/// New trees with score above alpha (1 + tol), with small weights; the best one where there is none.
template <class X>
Trees Search<X>::grow(const Trees& current, Index round, bool& found) {
    std::vector<double> f = polish_.outputs(), theta(n_ * C_);
    shift_by_intercept(f);
    loss_.dual_point(f.data(), theta.data());
    Trees starts = starts_.of_ascents(current, round, options_.n_starts);
    if (problem_.relu)  // active trees as they are: their own patterns may have moved
        for (Index k = 0; k < current.size(); ++k)
            if (!current.linear[k]) starts.add(current, k);
    std::vector<double> score;
    ascend(starts, theta, score);

    std::vector<Index> order(starts.size());
    for (Index k = 0; k < starts.size(); ++k) order[k] = k;
    std::sort(order.begin(), order.end(),
              [&](Index a, Index b) { return score[a] != score[b] ? score[a] > score[b] : a < b; });
    const double floor = problem_.alpha * (1 + std::max(kLeastScore, solve_options_.tol));
    const Arrangements patterns = arrangements_from_trees<X>(
        problem_.rows, {starts.V.data(), starts.size(), starts.dim},
        {starts.signs.data(), starts.size(), starts.edges}, problem_.shape, solve_options_.threads);
    std::vector<Index> kept, kept_of_kind(2 * starts_.kinds(), 0);
    for (const Index k : order) {
        if (score[k] <= floor && !kept.empty()) break;
        const Index c = problem_.shared ? 0 : starts.output(k);
        Index& count = kept_of_kind[problem_.shared ? k % 2 : 2 * c + (starts.direction(k)[c] > 0)];
        if (count >= (problem_.relu ? kMostNew : kMostNewGates)) continue;
        const auto same = [&](Index other) {
            return starts.direction(other).dot(starts.direction(k)) > kFirstAlike &&
                   patterns.same_group(other, patterns, k);
        };
        if (std::any_of(kept.begin(), kept.end(), same)) continue;
        ++count;
        kept.push_back(k);
    }
    found = score[kept.front()] > floor;
    Trees grown = starts_.none();
    for (const Index k : kept) grown.add(starts, k);
    PassSums sums;
    pass_.correlate(grown, grown.omega.data(), theta.data(), sums);
    for (Index k = 0; k < grown.size(); ++k) {
        // A share of the best single step: (score - alpha) / curvature along the new tree.
        const double curvature = loss_.typical_curvature() * sums.squares[k] / static_cast<double>(n_);
        const double excess = std::max(score[kept[k]] - problem_.alpha, kLeastStep * problem_.alpha);
        if (curvature > 0) grown.weights(k) *= excess / static_cast<double>(kept.size()) / curvature;
    }
    return grown;
}

/// Around one direction a solution may use several patterns where one, that of their sum slid to its place,
/// does: as many as the accidents of the search have left there. Tries it, and keeps what is no worse.
template <class X>
void Search<X>::merge() {
    for (const double cosine : kMerged) {
        const Trees current = polish_.trees();
        Trees fewer = thinned(current, cosine, slider_.negligible_norm());
        if (fewer.size() == current.size() || budget_.stopped() || !budget_.any_left()) return;
        slide_to_rest(fewer, cosine);
        polish_.solve_over(fewer);
        polish_.note(n_rounds_);
    }
}

/// Independent starts, each from a cloud of its own, and their union.
template <class X>
void Search<X>::first_round(const Trees& from, Trees& current) {
    n_rounds_ = 1;
    Trees pool = starts_.none();
    Index clouds = 1;
    for (Index start = 0; start < clouds && !budget_.stopped(); ++start) {
        Trees candidate = slider_.cloud(start);
        candidate.add(current);
        slide_to_rest(candidate, kFirstAlike);
        const double best = start > 0 ? polish_.objective() : 0;
        const Trees solved = polish_.solve_over(candidate);
        polish_.note(n_rounds_);
        if (start > 0 && std::abs(polish_.solved_objective() - best) <= kSameOptimum * best)
            clouds = start + 1;
        if (start == 0 && from.size() == 0 && !options_.rough)
            clouds = std::clamp<Index>(kStartWork / (n_ * solved.dim * std::max<Index>(solved.size(), 1)), 1,
                                       kMostClouds);
        pool.add(solved, 1 / static_cast<double>(clouds));
    }
    if (clouds > 1 && !budget_.stopped()) {
        polish_.solve_over(pool);
        polish_.note(n_rounds_);
    }
    current = polish_.trees();
}

template <class X>
void Search<X>::go_through_rounds(const Trees& from, Trees current) {
    if (from.size() > 0) current = polish(from);  // what comes out is no worse than the start
    if (problem_.relu) first_round(from, current);
    double before = polish_.objective();
    while (n_rounds_ < options_.max_rounds && !polish_.large() && !budget_.stopped()) {
        bool found;
        const Index round = n_rounds_;
        const Trees grown = grow(current, round, found);
        if (budget_.stopped() && polish_.any()) break;
        n_rounds_ = round + 1;
        n_failed_starts_ = found ? 0 : 2 * options_.n_starts * starts_.kinds();
        if (!found && round > 0 && (!problem_.relu || current.size() == 0)) break;
        Trees candidate = problem_.relu ? starts_.split(current, round) : current;
        candidate.add(grown);
        if (problem_.relu) slide_to_rest(candidate, alike(round));
        current = polish(candidate);
        const bool pays = before - polish_.objective() >= kRoundGain * polish_.objective();
        before = polish_.objective();
        const Index least = from.size() == 0 ? kLeastRounds : found ? kLeastAgain : round + 1;
        if ((round + 1 >= least && !pays) || !budget_.any_left()) break;
    }
    if (problem_.relu && !options_.rough) merge();
}

template <class X>
SearchResult Search<X>::run(const Trees& from) {
    Trees current = starts_.none();
    if (problem_.skip_connection) current = polish(current);  // trees are for what a linear model leaves
    if (options_.max_rounds == 0)
        solve_given(from);
    else
        go_through_rounds(from, std::move(current));
    bool moved = !options_.rough && polish_.finish();
    if (problem_.relu) moved |= polish_.add_up_parallel();
    if (moved) polish_.note(std::max<Index>(n_rounds_, 1));
    SearchResult result = std::move(polish_.result);
    result.n_rounds = n_rounds_;
    result.n_failed_starts = n_failed_starts_;
    if (budget_.was_stopped()) {
        result.n_failed_starts = 0;
        result.report.converged = false;
        result.report.stopped = true;
    }
    return result;
}

}  // namespace

template <class X>
SearchResult search(Rows<X> rows, MatView<const double> y, VecView<const double> w, double alpha,
                    const LossSpec& loss, bool relu, const TreeShape& shape,
                    const SolveOptions& solve_options, const SearchOptions& options, const Observer& observer,
                    const StartTrees& from, VecView<const std::int8_t> monotone) {
    require(rows.rows == y.rows, "y has ", y.rows, " rows; X has ", rows.rows);
    const SearchProblem<X> problem{
        rows,    y, w, alpha, loss, relu, shape, options.shared && y.cols > 1, options.skip_connection,
        monotone};
    Trees start = trees_of(from, problem);
    Search<X> on(problem, solve_options, options, observer);  // which checks `monotone`
    problem.restrict(start);
    return on.run(start);
}

template SearchResult search<float>(Rows<float>, MatView<const double>, VecView<const double>, double,
                                    const LossSpec&, bool, const TreeShape&, const SolveOptions&,
                                    const SearchOptions&, const Observer&, const StartTrees&,
                                    VecView<const std::int8_t>);
template SearchResult search<double>(Rows<double>, MatView<const double>, VecView<const double>, double,
                                     const LossSpec&, bool, const TreeShape&, const SolveOptions&,
                                     const SearchOptions&, const Observer&, const StartTrees&,
                                     VecView<const std::int8_t>);

}  // namespace pathrelu
