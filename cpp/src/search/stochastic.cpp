#include <pathrelu/search.hpp>

#include <pathrelu/error.hpp>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "search/slider.hpp"
#include "search/variables.hpp"
#include "support/random.hpp"

namespace pathrelu {
namespace {

/// Decay of the means of gradients and of their squares. The second is shorter than usual, for steps are
/// few: with 0.999 the first hundreds would go by squares that no longer hold.
constexpr double kMean = 0.9, kSquare = 0.99;
constexpr Index kTogether = 2048;    // variables that stay in a cache while a step changes them
constexpr double kLeastRoot = 1e-8;  // of a mean of squares, as in the source

/// Numbers 0 .. n - 1 in random order.
std::vector<Index> shuffled(Index n, Random random) {
    std::vector<Index> order(n);
    std::iota(order.begin(), order.end(), Index{0});
    for (Index i = n - 1; i > 0; --i) std::swap(order[i], order[random.below(i + 1)]);
    return order;
}

}  // namespace

std::vector<double> slide_variables(const StartTrees& from, const TreeShape& shape, bool shared,
                                    bool fit_intercept, double unit) {
    Trees trees = trees_of(from, shape, shared);
    std::vector<double> intercept(from.intercept.begin(), from.intercept.end());
    const Vector x = Variables(trees, intercept, shared, fit_intercept, unit).pack();
    return {x.data(), x.data() + x.size()};
}

SlideResult trees_at(VecView<const double> x, const StartTrees& from, const TreeShape& shape, bool shared,
                     bool fit_intercept, double unit) {
    Trees trees = trees_of(from, shape, shared);
    SlideResult result;
    result.intercept.assign(from.intercept.begin(), from.intercept.end());
    Variables variables(trees, result.intercept, shared, fit_intercept, unit);
    require(x.size == variables.size(), "x has ", x.size, " variables; expected ", variables.size());
    variables.unpack(ConstMap(x.data, x.size));
    trees = thinned(trees, kLoneAlike, 0);
    result.leaves = std::move(trees.V);
    result.edge_signs = std::move(trees.signs);
    result.directions = std::move(trees.omega);
    result.linear = std::move(trees.linear);
    return result;
}

template <class X>
void descend_stochastically(PassRows<X> rows, MatView<const double> y, VecView<const double> w, double alpha,
                            const LossSpec& loss_spec, const TreeShape& shape, const StartTrees& kinds,
                            const StochasticOptions& options, StochasticState& state,
                            VecView<const std::int8_t> monotone) {
    require(rows.rows == y.rows, "y has ", y.rows, " rows; X has ", rows.rows);
    const Index n = rows.rows, C = y.cols;
    const std::vector<Index> order = shuffled(n, Random(options.seed, options.stream));
    std::vector<double> y_in_order(n * C), w_in_order(n);
    for (Index i = 0; i < n; ++i) {
        std::copy_n(y.row(order[i]), C, y_in_order.data() + i * C);
        w_in_order[i] = w[order[i]];
    }
    const VecView<const double> weights{w_in_order.data(), n};
    const std::unique_ptr<Loss> loss = make_loss(loss_spec, {y_in_order.data(), n, C}, weights, 1);
    Trees trees = trees_of(kinds, shape, options.shared), u = trees;
    TreePass<X> pass(rows, shape, weights, C, options.threads, {order.data(), n});
    std::vector<double> intercept(kinds.intercept.begin(), kinds.intercept.end()), a;
    const Variables variables(trees, intercept, options.shared, options.fit_intercept, options.unit);
    const Index size = variables.size();
    for (const auto& part : {state.x, state.mean, state.square})
        require(static_cast<Index>(part.size()) == size, "the state has ", part.size(),
                " variables; expected ", size);
    Map x(state.x.data(), size), mean(state.mean.data(), size), square(state.square.data(), size);

    require(monotone.size == 0 || (monotone.size == rows.cols && !(options.shared && C > 1)), "monotone has ",
            monotone.size, " entries; expected ", rows.cols, ", and outputs apart");
    const std::vector<std::int8_t> signs = variables.signs(shape, Monotone(monotone));
    PassSums sums;
    Vector gradient;
    const Index batches = std::max<Index>(1, n / options.batch);  // the last one takes what is left over
    for (Index step = 0; step < batches; ++step) {
        const Index first = step * options.batch, last = step + 1 == batches ? n : first + options.batch;
        variables.factors(x, u, a);
        pass.template descend_on<float>(u, a.data(), intercept.data(), *loss, first, last, sums);
        const double share = static_cast<double>(n) / static_cast<double>(last - first);
        for (double& s : sums.S) s *= share;
        for (double& g : sums.G) g *= share;
        variables.penalty(x, sums, alpha, gradient);
        const double at = static_cast<double>(step) / static_cast<double>(batches);
        const double rate =
            options.unit * (options.first_rate + at * (options.last_rate - options.first_rate));
        ++state.steps;
        const double mean_bias = 1 - std::pow(kMean, state.steps),
                     square_bias = 1 - std::pow(kSquare, state.steps);
        for (Index begin = 0; begin < size; begin += kTogether) {
            const Index count = std::min(kTogether, size - begin);
            const auto g = gradient.segment(begin, count);
            auto m = mean.segment(begin, count), s = square.segment(begin, count);
            m = kMean * m + (1 - kMean) * g;
            s = kSquare * s + (1 - kSquare) * g.cwiseAbs2();
            x.segment(begin, count).array() -=
                rate / mean_bias * m.array() / ((s.array() / square_bias).sqrt() + kLeastRoot);
        }
        clip(signs, x.data());
    }
}

template void descend_stochastically<float>(PassRows<float>, MatView<const double>, VecView<const double>,
                                            double, const LossSpec&, const TreeShape&, const StartTrees&,
                                            const StochasticOptions&, StochasticState&,
                                            VecView<const std::int8_t>);
template void descend_stochastically<double>(PassRows<double>, MatView<const double>, VecView<const double>,
                                             double, const LossSpec&, const TreeShape&, const StartTrees&,
                                             const StochasticOptions&, StochasticState&,
                                             VecView<const std::int8_t>);

}  // namespace pathrelu
