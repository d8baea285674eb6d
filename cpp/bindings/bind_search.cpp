#include <pathrelu/search.hpp>

#include "numpy.hpp"

namespace pathrelu {
namespace {

/// Leaves (K, paths * d), edge signs (K, edges) and directions (K, C) of trees.
using Start = std::tuple<Array<double>, Array<std::int8_t>, Array<double>>;

py::tuple search_arrays(const ProblemArrays& problem, double alpha, std::vector<Index> width,
                        const SolveOptions& solve_options, const SearchOptions& search_options,
                        const CallerWatch& watch, const std::optional<Start>& start) {
    const auto targets = matrix(problem.y, "y");
    const auto weights = vector(problem.w, "w");
    const TreeShape shape(std::move(width));
    const Observer observer = watch.observer();
    StartTrees from;
    if (start) {
        from.leaves = matrix(std::get<0>(*start), "leaves of the start");
        from.edge_signs = matrix(std::get<1>(*start), "edge signs of the start");
        from.directions = matrix(std::get<2>(*start), "directions of the start");
    }
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
    m.def("search", &search_arrays, py::arg("problem"), py::arg("alpha"), py::arg("width"),
          py::arg("solve_options"), py::arg("search_options"), py::arg("watch"),
          py::arg("start") = py::none(),
          "(arrangements, weights (P, paths * d), blocks (C, P, signs, paths * d) or, if shared, "
          "(1, P, 1, paths * d), directions (P, C) if shared, intercept, report, n_rounds, n_failed_starts)");
}

}  // namespace pathrelu
