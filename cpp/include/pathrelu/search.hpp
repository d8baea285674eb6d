#pragma once
#include <cstdint>

#include <pathrelu/pass_rows.hpp>
#include <pathrelu/solver.hpp>

namespace pathrelu {

constexpr double kRoundGain = 3e-4;  ///< a round that gains a smaller share of the objective does not pay
constexpr Index kLeastRounds = 6;    ///< without a given start, unless the program is large

struct SearchOptions {
    Index n_starts = 64;      ///< ascents per output sign in every round; half as many as in all, if shared
    Index max_rounds = 30;    ///< the starts are one of them; 0: only the program over the trees given
    Index slide_iter = 2000;  ///< evaluations of one slide
    std::uint64_t seed = 0;
    bool skip_connection = false;  ///< a linear group beside those searched for, in every round
    bool rough = false;            ///< one slide and a short polish, for the outputs, not for the gap
    bool shared = false;           ///< sub-networks feed all outputs, each in a direction of its own
};

/// Trees for a search to start from, with all magnitudes in the leaves; gates for gated networks.
struct StartTrees {
    MatView<const double> leaves{};           ///< (K, paths * d)
    MatView<const std::int8_t> edge_signs{};  ///< (K, edges)
    MatView<const double> directions{};       ///< (K, C), of norm 1; +-e_c unless outputs are shared
    VecView<const std::uint8_t> linear{};     ///< (K) whether without gates; empty if none is
    VecView<const double> intercept{};        ///< (C), or empty for the best one
};

struct SlideOptions {
    Index random_trees = 0;      ///< added to those given
    Index stream = 0;            ///< of random numbers
    Index max_evaluations = 50;  ///< of the objective and its gradient
    std::uint64_t seed = 0;
    bool skip_connection = false;
    bool shared = false;
};

/// Where a slide ended: trees with all magnitudes in the leaves.
struct SlideResult {
    std::vector<double> leaves;           ///< (K, paths * d)
    std::vector<std::int8_t> edge_signs;  ///< (K, edges)
    std::vector<double> directions;       ///< (K, C)
    std::vector<std::uint8_t> linear;     ///< (K)
    std::vector<double> intercept;        ///< (C)
    bool stopped = false;
};

/// Outcome of a search: arrangements, trees that generate them, and the program's solution over them.
struct SearchResult {
    Arrangements arrangements;
    std::vector<double> weights;     ///< (P, paths * d) leaf weights with these patterns
    std::vector<double> blocks;      ///< (C, P, signs, paths * d), or (1, P, 1, paths * d) if shared
    std::vector<double> directions;  ///< (P, C) if shared
    std::vector<double> intercept;   ///< (C)
    SolveReport report;              ///< of the last solve; history has one record a round
    Index n_rounds = 0;
    /// Ascents of the last round that all found nothing better than alpha, or 0 if the search stopped for
    /// another reason. A search result, never a certificate.
    Index n_failed_starts = 0;
};

/// A descent on the network's own objective over all leaf weights, output directions and the intercept: one
/// local step of a search, without the convex program. For relu. With `monotone`, as of a program, all trees
/// are clipped to it. The same bits for any number of threads.
template <class X>
SlideResult slide(PassRows<X> rows, MatView<const double> y, VecView<const double> w, double alpha,
                  const LossSpec& loss, const TreeShape& shape, const SolveOptions& solve_options,
                  const SlideOptions& options, const Observer& observer = {}, const StartTrees& from = {},
                  VecView<const std::int8_t> monotone = {});

/// The variables of slides, (a_k, u_k) of each tree and then the intercept, and Adam's means of gradients and
/// of their squares (Kingma & Ba 2015) after so many steps.
struct StochasticState {
    std::vector<double> x, mean, square;
    Index steps = 0;
};

struct StochasticOptions {
    Index batch = 256;                         ///< rows of a step: a multiple of 64
    double first_rate = 0.008, last_rate = 0;  ///< of the steps, in units of a variable
    double unit = 1;                           ///< of a variable: the square root of one of outputs
    std::uint64_t seed = 0, stream = 0;        ///< of the order of rows
    bool shared = false, fit_intercept = true;
    int threads = 1;
};

/// One pass of Adam over the rows in random order, on the objective of `slide`. `kinds` are trees whose edge
/// signs and, unless outputs are shared, directions hold throughout. In single precision but for the state.
/// False if the observer has ended it.
template <class X>
void descend_stochastically(PassRows<X> rows, MatView<const double> y, VecView<const double> w, double alpha,
                            const LossSpec& loss, const TreeShape& shape, const StartTrees& kinds,
                            const StochasticOptions& options, StochasticState& state,
                            VecView<const std::int8_t> monotone = {});

/// The variables of slides for trees with their intercept, and back: then without negligible ones.
std::vector<double> slide_variables(const StartTrees& from, const TreeShape& shape, bool shared,
                                    bool fit_intercept, double unit);
SlideResult trees_at(VecView<const double> x, const StartTrees& kinds, const TreeShape& shape, bool shared,
                     bool fit_intercept, double unit);

/// f (n, C) <- outputs of trees with their intercept, in double.
template <class X>
void outputs_of(PassRows<X> rows, const TreeShape& shape, const StartTrees& trees, int threads, double* f);

/// Search for arrangements. relu: many random trees slide together, by L-BFGS on all leaf weights of the true
/// network, where those that come to coincide are merged, and the convex program over the patterns reached
/// polishes them; a few such starts are joined. Then rounds while they pay: split the trees, add what ascents
/// on the dual score find, slide, polish. gated: rounds of ascents and polish. The trees of `from`, such as
/// those found at another alpha, join one random start and make the others unnecessary. With `monotone`, as
/// of a program, gates read no column that has to be monotone. The same bits for any number of threads.
template <class X>
SearchResult search(Rows<X> rows, MatView<const double> y, VecView<const double> w, double alpha,
                    const LossSpec& loss, bool relu, const TreeShape& shape,
                    const SolveOptions& solve_options, const SearchOptions& options,
                    const Observer& observer = {}, const StartTrees& from = {},
                    VecView<const std::int8_t> monotone = {});

}  // namespace pathrelu
