#include <pathrelu/search.hpp>

#include "numpy.hpp"

namespace pathrelu {
namespace {

/// Leaves (K, paths * d), edge signs (K, edges), directions (K, C) and whether without gates (K) of trees,
/// and an intercept (C) or none.
using TreeArrays =
    std::tuple<Array<double>, Array<std::int8_t>, Array<double>, Array<std::uint8_t>, Array<double>>;

StartTrees view_of(const TreeArrays& trees) {
    const auto& [leaves, edge_signs, directions, linear, intercept] = trees;
    return {matrix(leaves, "leaves of the trees"), matrix(edge_signs, "edge signs of the trees"),
            matrix(directions, "directions of the trees"), vector(linear, "linear of the trees"),
            vector(intercept, "intercept of the trees")};
}

py::tuple search_arrays(const ProblemArrays& problem, double alpha, std::vector<Index> width,
                        const SolveOptions& solve_options, const SearchOptions& search_options,
                        const CallerWatch& watch, const std::optional<TreeArrays>& start) {
    const auto targets = matrix(problem.y, "y");
    const auto weights = vector(problem.w, "w");
    const TreeShape shape(std::move(width));
    const Observer observer = watch.observer();
    const StartTrees from = start ? view_of(*start) : StartTrees{};
    Index columns = 0;
    const auto search_rows = [&](const auto& X) {
        const auto rows = matrix(X, "X");
        columns = rows.cols;
        const WithoutGil nogil;
        return search(rows, targets, weights, alpha, problem.loss, problem.relu, shape, solve_options,
                      search_options, observer, from);
    };
    SearchResult result = std::visit(search_rows, problem.X);
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
    const auto slide_on = [&](const auto& X) {
        const auto rows = matrix(X, "X");
        const WithoutGil nogil;
        return slide(rows, targets, weights, alpha, problem.loss, shape, solve_options, options, observer,
                     from);
    };
    const SlideResult result = std::visit(slide_on, problem.X);
    const auto K = static_cast<Index>(result.linear.size());
    const auto table = [K](const auto& values) {
        return copy_of(values, std::vector<Index>{K, K > 0 ? static_cast<Index>(values.size()) / K : 0});
    };
    const TreeArrays trees{table(result.leaves), table(result.edge_signs), table(result.directions),
                           copy_of(result.linear, std::vector<Index>{K}),
                           copy_of(result.intercept, std::vector<Index>{targets.cols})};
    return py::make_tuple(trees, result.stopped);
}

Array<double> outputs_of_trees(const std::variant<Array<double>, Array<float>>& table,
                               std::vector<Index> width, const TreeArrays& trees, int threads) {
    const StartTrees from = view_of(trees);
    const TreeShape shape(std::move(width));
    const auto of_rows = [&](const auto& X) {
        const auto rows = matrix(X, "X");
        Array<double> f({rows.rows, from.intercept.size});
        double* out = f.mutable_data();
        const WithoutGil nogil;
        outputs_of(rows, shape, from, threads, out);
        return f;
    };
    return std::visit(of_rows, table);
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
    m.def("slide", &slide_arrays, py::arg("problem"), py::arg("alpha"), py::arg("width"),
          py::arg("solve_options"), py::arg("slide_options"), py::arg("watch"), py::arg("start") = py::none(),
          "((leaves (K, paths * d), edge_signs (K, edges), directions (K, C), linear (K), intercept (C)), "
          "stopped)");
    m.def("tree_outputs", &outputs_of_trees, py::arg("X").noconvert(), py::arg("width"), py::arg("trees"),
          py::arg("threads"), "Outputs (n, C) of trees as `slide` gives them.");
    m.def("search", &search_arrays, py::arg("problem"), py::arg("alpha"), py::arg("width"),
          py::arg("solve_options"), py::arg("search_options"), py::arg("watch"),
          py::arg("start") = py::none(),
          "(arrangements, weights (P, paths * d), blocks (C, P, signs, paths * d) or, if shared, "
          "(1, P, 1, paths * d), directions (P, C) if shared, intercept, report, n_rounds, n_failed_starts)");
}

}  // namespace pathrelu
