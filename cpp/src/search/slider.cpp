#include "search/slider.hpp"

#include <pathrelu/error.hpp>

#include <algorithm>
#include <cmath>

namespace pathrelu {
namespace {

/// Trees below this share of the largest path norm that can pay are dropped.
constexpr double kVanished = 1e-9;
constexpr double kCloudNorm = 0.1;    // of a cloud: share of the largest path norm that can pay
constexpr double kCloudSize = 100;    // and not above this, in units whose outputs are as large as y
constexpr double kFurther = 0.1;      // of a cloud's norm: what is added to trees in use
constexpr double kSingleRange = 1e9;  // single precision holds products of four numbers up to it

/// The sum of the squares of all entries; size (d) <- the largest one of each column.
template <class X>
double sizes_of(Rows<X> rows, std::vector<double>& size) {
    double square = 0;
    for (Index i = 0; i < rows.rows; ++i)
        for (Index j = 0; j < rows.cols; ++j) {
            const double x = std::abs(static_cast<double>(rows(i, j)));
            square += x * x;
            size[j] = std::max(size[j], x);
        }
    return square;
}

template <class X>
double sizes_of(const SparseRows<X>& rows, std::vector<double>& size) {
    const Index n = rows.begin.size - 1;
    double square = 0;
    std::vector<Index> zeros(size.size(), n);
    for (Index e = 0; e < rows.values.size; ++e) {
        const Index j = rows.columns[e];
        const double x = std::abs(static_cast<double>(rows.values[e]) - rows.offset[j]);
        square += x * x;
        size[j] = std::max(size[j], x);
        --zeros[j];
    }
    for (std::size_t j = 0; j < size.size(); ++j) {
        const double x = std::abs(rows.offset[j]);
        square += static_cast<double>(zeros[j]) * x * x;
        if (zeros[j] > 0) size[j] = std::max(size[j], x);
    }
    return square;
}

}  // namespace

template <class X>
Slider<X>::Slider(const SearchProblem<X>& problem, PassRows<X> rows, bool fit_intercept, std::uint64_t seed,
                  int threads)
    : problem_(problem),
      fit_intercept_(fit_intercept),
      loss_(make_loss(problem.loss, problem.y, problem.w, threads)),
      pass_(rows, problem.shape, problem.w, problem.outputs(), threads),
      starts_(problem, rows, seed) {
    require(!problem.shared || !Monotone(problem.monotone).any(),
            "monotone is for sub-networks that feed one output each");
    require(problem.monotone.size == 0 || problem.monotone.size == problem.rows.cols, "monotone has ",
            problem.monotone.size, " entries; expected ", problem.rows.cols);
    const Index C = problem.outputs();
    std::vector<double> f(problem.rows.rows * C, 0.0);
    shift_by_intercept(f, std::vector<double>(C, 0.0));
    const double at_zero = loss_->value(f.data());
    std::vector<double> size(rows.cols, 0.0);  // of a column: its largest entry
    const double square = rows.is_sparse() ? sizes_of(rows.sparse(), size) : sizes_of(rows.dense(), size);
    const double scale = std::sqrt(square / static_cast<double>(std::max<Index>(rows.rows * rows.cols, 1)));
    const double most_norm = at_zero / problem.alpha;  // more costs more than the zero network
    negligible_norm_ = kVanished * most_norm;
    cloud_norm_ = kCloudNorm * most_norm;
    if (scale > 0) cloud_norm_ = std::min(cloud_norm_, kCloudSize * std::sqrt(2 * at_zero) / scale);
    // Losses grow as squares of outputs, outputs as products of two variables of a tree.
    intercept_unit_ = at_zero > 0 ? std::sqrt(std::sqrt(2 * at_zero)) : 1;
    const auto fits = [](double x) { return x == 0 || (x < kSingleRange && x > 1 / kSingleRange); };
    single_range_ = fits(at_zero) && std::all_of(size.begin(), size.end(), fits);
}

template <class X>
std::vector<double> Slider<X>::shift_by_intercept(std::vector<double>& f, std::vector<double> start) const {
    if (fit_intercept_) loss_->optimal_intercept(f.data(), start.data());
    const auto C = static_cast<Index>(start.size());
    for (std::size_t k = 0; k < f.size(); ++k) f[k] += start[k % C];
    return start;
}

template <class X>
void Slider<X>::slide_to_rest(Trees& trees, std::vector<double>& intercept, double alike,
                              Index max_evaluations, const std::function<bool()>& stopped,
                              Index single_pass) {
    const bool single = single_range_ && problem_.rows.rows * trees.size() * trees.dim >= single_pass;
    slide<X>({pass_, *loss_, problem_.alpha, fit_intercept_, intercept_unit_, problem_.shared, single,
              negligible_norm_, stopped, problem_.shape, Monotone(problem_.monotone)},
             trees, intercept, alike, max_evaluations);
}

namespace {

Trees checked_trees(const StartTrees& from, Index dim, Index edges, Index C, bool shared) {
    const Index K = from.leaves.rows;
    Trees trees{dim, edges, C};
    require_shape("leaves of the start", from.leaves, K, K > 0 ? trees.dim : 0);
    require_shape("edge signs of the start", from.edge_signs, K, K > 0 ? trees.edges : 0);
    require_shape("directions of the start", from.directions, K, K > 0 ? C : 0);
    require(from.linear.size == 0 || from.linear.size == K, "linear of the start has ", from.linear.size,
            " entries; expected ", K);
    for (Index k = 0; k < K; ++k) {
        const ConstMap omega(from.directions.row(k), C);
        require(std::abs(omega.norm() - 1) <= 1e-6, "direction ", k, " of the start has norm ", omega.norm(),
                "; expected 1");
        require(shared || omega.cwiseAbs().maxCoeff() == 1, "direction ", k,
                " of the start feeds several outputs; expected one");
        trees.add(from.leaves.row(k), from.edge_signs.row(k), from.directions.row(k),
                  from.linear.size > 0 && from.linear[k] != 0);
    }
    return trees;
}

}  // namespace

Trees trees_of(const StartTrees& from, const TreeShape& shape, bool shared) {
    return checked_trees(from, from.leaves.cols, shape.edges(), from.intercept.size, shared);
}

template <class X>
Trees trees_of(const StartTrees& from, const SearchProblem<X>& problem) {
    return checked_trees(from, problem.dim(), problem.shape.edges(), problem.outputs(), problem.shared);
}

template <class X>
SlideResult slide(PassRows<X> rows, MatView<const double> y, VecView<const double> w, double alpha,
                  const LossSpec& loss, const TreeShape& shape, const SolveOptions& solve_options,
                  const SlideOptions& options, const Observer& observer, const StartTrees& from,
                  VecView<const std::int8_t> monotone) {
    require(rows.rows == y.rows, "y has ", y.rows, " rows; X has ", rows.rows);
    const Index C = y.cols;
    const SearchProblem<X> problem{
        rows.dense(), y, w, alpha, loss, true, shape, options.shared && C > 1, options.skip_connection,
        monotone};
    Slider<X> slider(problem, rows, solve_options.fit_intercept, options.seed, solve_options.threads);
    Budget budget(observer, 0);
    Trees trees = trees_of(from, problem);
    problem.restrict(trees);
    if (options.random_trees > 0) {
        const Trees cloud = slider.cloud(options.stream, options.random_trees);
        if (options.skip_connection && trees.size() == 0)
            for (Index c = 0; c < C; ++c)  // of the weights of a random tree: at none they would stay
                trees.add(cloud.V.data() + c % cloud.size() * cloud.dim, cloud.sign(0), c, 1, true);
        problem.restrict(trees);
        trees.add(cloud, from.leaves.rows == 0 ? 1 : kFurther);
    }
    SlideResult result;
    if (from.intercept.size > 0) {
        require(from.intercept.size == C, "intercept of the start has ", from.intercept.size,
                " entries; expected ", C);
        result.intercept.assign(from.intercept.data, from.intercept.data + C);
    } else {
        std::vector<double> f(rows.rows * C, 0.0);
        slider.pass().outputs(trees, trees.omega.data(), f.data());
        result.intercept = slider.shift_by_intercept(f, std::vector<double>(C, 0.0));
    }
    slider.slide_to_rest(
        trees, result.intercept, kLoneAlike, options.max_evaluations, [&] { return budget.stopped(); }, 0);
    result.stopped = budget.was_stopped();
    result.leaves = std::move(trees.V);
    result.edge_signs = std::move(trees.signs);
    result.directions = std::move(trees.omega);
    result.linear = std::move(trees.linear);
    return result;
}

template <class X>
void outputs_of(PassRows<X> rows, const TreeShape& shape, const StartTrees& trees, int threads, double* f) {
    const Index C = trees.intercept.size;
    const SearchProblem<X> problem{rows.dense(), {f, rows.rows, C}, {}, 0, "squared_error", true, shape, true,
                                   false};
    const Trees all = trees_of(trees, problem);
    TreePass<X>(rows, shape, {}, C, threads).outputs(all, all.omega.data(), f);
    for (Index i = 0; i < rows.rows; ++i)
        for (Index c = 0; c < C; ++c) f[i * C + c] += trees.intercept[c];
}

template class Slider<float>;
template class Slider<double>;
template void outputs_of<float>(PassRows<float>, const TreeShape&, const StartTrees&, int, double*);
template void outputs_of<double>(PassRows<double>, const TreeShape&, const StartTrees&, int, double*);
template Trees trees_of<float>(const StartTrees&, const SearchProblem<float>&);
template Trees trees_of<double>(const StartTrees&, const SearchProblem<double>&);
template SlideResult slide<float>(PassRows<float>, MatView<const double>, VecView<const double>, double,
                                  const LossSpec&, const TreeShape&, const SolveOptions&, const SlideOptions&,
                                  const Observer&, const StartTrees&, VecView<const std::int8_t>);
template SlideResult slide<double>(PassRows<double>, MatView<const double>, VecView<const double>, double,
                                   const LossSpec&, const TreeShape&, const SolveOptions&,
                                   const SlideOptions&, const Observer&, const StartTrees&,
                                   VecView<const std::int8_t>);

}  // namespace pathrelu
