#include <pathrelu/search.hpp>

#include "tree_arrays.hpp"

namespace pathrelu {
namespace {

TreeArrays arrays_of(const SlideResult& result) {
    const auto K = static_cast<Index>(result.linear.size());
    const auto table = [K](const auto& values) {
        return copy_of(values, std::vector<Index>{K, K > 0 ? static_cast<Index>(values.size()) / K : 0});
    };
    return {table(result.leaves), table(result.edge_signs), table(result.directions),
            copy_of(result.linear, std::vector<Index>{K}),
            copy_of(result.intercept, std::vector<Index>{static_cast<Index>(result.intercept.size())})};
}

py::tuple search_arrays(const ProblemArrays& problem, double alpha, std::vector<Index> width,
                        const SolveOptions& solve_options, const SearchOptions& search_options,
                        const CallerWatch& watch, const std::optional<TreeArrays>& start) {
    const auto targets = matrix(problem.y, "y");
    const auto weights = vector(problem.w, "w");
    const TreeShape shape(std::move(width));
    const Observer observer = watch.observer();
    const StartTrees from = start ? view_of(*start) : StartTrees{};
    const auto monotone = problem.directions_of_columns();
    Index columns = 0;
    const auto search_rows = [&](const auto& X) {
        const auto rows = matrix(X, "X");
        columns = rows.cols;
        const WithoutGil nogil;
        return search(rows, targets, weights, alpha, problem.loss, problem.relu, shape, solve_options,
                      search_options, observer, from, monotone);
    };
    SearchResult result = on_dense_rows(problem.X, search_rows);
    const Index P = result.arrangements.size(), dim = shape.paths() * columns;
    auto W = copy_of(result.weights, std::vector<Index>{P, dim});
    const bool shared = !result.directions.empty();
    const Index signs = problem.relu && !shared ? 2 : 1;
    auto blocks = copy_of(result.blocks, std::vector<Index>{shared ? 1 : targets.cols, P, signs, dim});
    auto directions = copy_of(result.directions, std::vector<Index>{shared ? P : 0, targets.cols});
    auto intercept = copy_of(result.intercept, std::vector<Index>{targets.cols});
    return py::make_tuple(std::move(result.arrangements), W, blocks, directions, intercept, result.report,
                          result.n_rounds, result.n_failed_starts);
}

py::tuple slide_arrays(const ProblemArrays& problem, double alpha, std::vector<Index> width,
                       const SolveOptions& solve_options, const SlideOptions& options,
                       const CallerWatch& watch, const std::optional<TreeArrays>& start) {
    require(problem.relu, "a slide is of relu networks");
    const auto targets = matrix(problem.y, "y");
    const auto weights = vector(problem.w, "w");
    const TreeShape shape(std::move(width));
    const Observer observer = watch.observer();
    const StartTrees from = start ? view_of(*start) : StartTrees{};
    const auto monotone = problem.directions_of_columns();
    const auto slide_on = [&](const auto& rows) {
        const WithoutGil nogil;
        return slide(rows, targets, weights, alpha, problem.loss, shape, solve_options, options, observer,
                     from, monotone);
    };
    const SlideResult result = on_rows(problem.X, slide_on);
    return py::make_tuple(arrays_of(result), result.stopped);
}

/// The variables of slides, Adam's means of gradients and of their squares, and steps so far.
using StateArrays = std::tuple<Array<double>, Array<double>, Array<double>, Index>;

StateArrays descend_arrays(const ProblemArrays& problem, double alpha, std::vector<Index> width,
                           const StochasticOptions& options, const TreeArrays& kinds,
                           const StateArrays& from) {
    require(problem.relu, "a slide is of relu networks");
    const auto targets = matrix(problem.y, "y");
    const auto weights = vector(problem.w, "w");
    const TreeShape shape(std::move(width));
    const StartTrees trees = view_of(kinds);
    const auto monotone = problem.directions_of_columns();
    const auto values = [](const Array<double>& part) {
        const auto view = vector(part, "the state");
        return std::vector<double>(view.begin(), view.end());
    };
    StochasticState state{values(std::get<0>(from)), values(std::get<1>(from)), values(std::get<2>(from)),
                          std::get<3>(from)};
    const auto descend = [&](const auto& rows) {
        const WithoutGil nogil;
        descend_stochastically(rows, targets, weights, alpha, problem.loss, shape, trees, options, state,
                               monotone);
    };
    on_rows(problem.X, descend);
    const std::vector<Index> size{static_cast<Index>(state.x.size())};
    return {copy_of(state.x, size), copy_of(state.mean, size), copy_of(state.square, size), state.steps};
}

Array<double> variables_of(const TreeArrays& trees, std::vector<Index> width, bool shared, bool fit_intercept,
                           double unit) {
    const auto x = slide_variables(view_of(trees), TreeShape(std::move(width)), shared, fit_intercept, unit);
    return copy_of(x, std::vector<Index>{static_cast<Index>(x.size())});
}

TreeArrays trees_at_variables(const Array<double>& x, const TreeArrays& kinds, std::vector<Index> width,
                              bool shared, bool fit_intercept, double unit) {
    return arrays_of(
        trees_at(vector(x, "x"), view_of(kinds), TreeShape(std::move(width)), shared, fit_intercept, unit));
}

Array<double> outputs_of_trees(const RowArrays& table, std::vector<Index> width, const TreeArrays& trees,
                               int threads) {
    const StartTrees from = view_of(trees);
    const TreeShape shape(std::move(width));
    const auto of_rows = [&](const auto& rows) {
        Array<double> f({rows.rows, from.intercept.size});
        double* out = f.mutable_data();
        const WithoutGil nogil;
        outputs_of(rows, shape, from, threads, out);
        return f;
    };
    return on_rows(table, of_rows);
}

}  // namespace

void register_search(py::module_& m) {
    const SearchOptions defaults;
    py::class_<SearchOptions>(m, "SearchOptions")
        .def(py::init([](Index n_starts, Index max_rounds, std::uint64_t seed, bool skip_connection,
                         bool shared, bool rough) {
                 SearchOptions options;
                 options.n_starts = n_starts;
                 options.max_rounds = max_rounds;
                 options.seed = seed;
                 options.skip_connection = skip_connection;
                 options.shared = shared;
                 options.rough = rough;
                 return options;
             }),
             py::arg("n_starts") = defaults.n_starts, py::arg("max_rounds") = defaults.max_rounds,
             py::arg("seed") = defaults.seed, py::arg("skip_connection") = defaults.skip_connection,
             py::arg("shared") = defaults.shared, py::arg("rough") = defaults.rough)
        .def_readwrite("n_starts", &SearchOptions::n_starts)
        .def_readwrite("max_rounds", &SearchOptions::max_rounds)
        .def_readwrite("seed", &SearchOptions::seed)
        .def_readwrite("skip_connection", &SearchOptions::skip_connection)
        .def_readwrite("shared", &SearchOptions::shared)
        .def_readwrite("rough", &SearchOptions::rough);
    const SlideOptions slide_defaults;
    py::class_<SlideOptions>(m, "SlideOptions")
        .def(py::init([](Index random_trees, Index stream, Index max_evaluations, std::uint64_t seed,
                         bool skip_connection, bool shared) {
                 return SlideOptions{random_trees, stream, max_evaluations, seed, skip_connection, shared};
             }),
             py::kw_only(), py::arg("random_trees") = slide_defaults.random_trees,
             py::arg("stream") = slide_defaults.stream,
             py::arg("max_evaluations") = slide_defaults.max_evaluations,
             py::arg("seed") = slide_defaults.seed,
             py::arg("skip_connection") = slide_defaults.skip_connection,
             py::arg("shared") = slide_defaults.shared);
    m.attr("ROUND_GAIN") = kRoundGain;
    m.attr("LEAST_ROUNDS") = kLeastRounds;
    m.def("slide", &slide_arrays, py::arg("problem"), py::arg("alpha"), py::arg("width"),
          py::arg("solve_options"), py::arg("slide_options"), py::arg("watch"), py::arg("start") = py::none(),
          "((leaves (K, paths * d), edge_signs (K, edges), directions (K, C), linear (K), intercept (C)), "
          "stopped)");
    const StochasticOptions stochastic_defaults;
    py::class_<StochasticOptions>(m, "StochasticOptions")
        .def(py::init([](Index batch, double first_rate, double last_rate, double unit, std::uint64_t seed,
                         std::uint64_t stream, bool shared, bool fit_intercept, int threads) {
                 return StochasticOptions{batch,  first_rate, last_rate,     unit,   seed,
                                          stream, shared,     fit_intercept, threads};
             }),
             py::kw_only(), py::arg("batch") = stochastic_defaults.batch,
             py::arg("first_rate") = stochastic_defaults.first_rate,
             py::arg("last_rate") = stochastic_defaults.last_rate, py::arg("unit") = stochastic_defaults.unit,
             py::arg("seed") = stochastic_defaults.seed, py::arg("stream") = stochastic_defaults.stream,
             py::arg("shared") = stochastic_defaults.shared,
             py::arg("fit_intercept") = stochastic_defaults.fit_intercept,
             py::arg("threads") = stochastic_defaults.threads);
    m.def("descend_stochastically", &descend_arrays, py::arg("problem"), py::arg("alpha"), py::arg("width"),
          py::arg("options"), py::arg("kinds"), py::arg("state"),
          "(variables, means of gradients, means of their squares, steps) after a pass of Adam.");
    m.def("slide_variables", &variables_of, py::arg("trees"), py::arg("width"), py::arg("shared"),
          py::arg("fit_intercept"), py::arg("unit"), "The variables of slides for trees.");
    m.def("trees_at", &trees_at_variables, py::arg("x"), py::arg("kinds"), py::arg("width"),
          py::arg("shared"), py::arg("fit_intercept"), py::arg("unit"),
          "Trees, as `slide` gives them, at variables.");
    m.def("tree_outputs", &outputs_of_trees, py::arg("X").noconvert(), py::arg("width"), py::arg("trees"),
          py::arg("threads"), "Outputs (n, C) of trees as `slide` gives them.");
    m.def("search", &search_arrays, py::arg("problem"), py::arg("alpha"), py::arg("width"),
          py::arg("solve_options"), py::arg("search_options"), py::arg("watch"),
          py::arg("start") = py::none(),
          "(arrangements, weights (P, paths * d), blocks (C, P, signs, paths * d) or, if shared, "
          "(1, P, 1, paths * d), directions (P, C) if shared, intercept, report, n_rounds, n_failed_starts)");
}

}  // namespace pathrelu
