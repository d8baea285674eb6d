#include <pathrelu/search.hpp>

#include "numpy.hpp"

namespace pathrelu {
namespace {

/// Leaves (K, paths * d), edge signs (K, edges) and directions (K, C) of trees.
using Start = std::tuple<Array<double>, Array<std::int8_t>, Array<double>>;

template <class X>
py::tuple search_arrays(const Array<X>& x, const Array<double>& y, const Array<double>& w, double alpha,
                        std::vector<Index> width, const LossSpec& loss, bool relu,
                        const SolveOptions& solve_options, const SearchOptions& search_options,
                        const py::object& callback, const py::object& stop, double seconds,
                        const std::optional<Start>& start) {
    const auto rows = matrix(x, "X");
    const auto targets = matrix(y, "y");
    const auto weights = vector(w, "w");
    const TreeShape shape(std::move(width));
    const Observer observer = observer_for(callback, {stop.is_none() ? nullptr : &stop, seconds});
    StartTrees from;
    if (start) {
        from.leaves = matrix(std::get<0>(*start), "leaves of the start");
        from.edge_signs = matrix(std::get<1>(*start), "edge signs of the start");
        from.directions = matrix(std::get<2>(*start), "directions of the start");
    }
    SearchResult result;
    {
        const WithoutGil nogil;
        result = search(rows, targets, weights, alpha, loss, relu, shape, solve_options, search_options,
                        observer, from);
    }
    const Index P = result.arrangements.size(), dim = shape.paths() * rows.cols;
    auto W = copy_of(result.weights, std::vector<Index>{P, dim});
    const bool shared = !result.directions.empty();
    auto blocks = copy_of(result.blocks,
                          std::vector<Index>{shared ? 1 : targets.cols, P, relu && !shared ? 2 : 1, dim});
    auto directions = copy_of(result.directions, std::vector<Index>{shared ? P : 0, targets.cols});
    auto intercept = copy_of(result.intercept, std::vector<Index>{targets.cols});
    return py::make_tuple(std::move(result.arrangements), W, blocks, directions, intercept, result.report,
                          result.n_rounds, result.n_failed_starts);
}

template <class X>
void bind(py::module_& m) {
    m.def("search", &search_arrays<X>, py::arg("X").noconvert(), py::arg("y").noconvert(),
          py::arg("w").noconvert(), py::arg("alpha"), py::arg("width"), py::arg("loss"), py::arg("relu"),
          py::arg("solve_options"), py::arg("search_options"), py::arg("callback") = py::none(),
          py::arg("stop") = py::none(), py::arg("seconds") = std::numeric_limits<double>::infinity(),
          py::arg("start") = py::none(),
          "(arrangements, weights (P, paths * d), blocks (C, P, signs, paths * d) or, if shared, "
          "(1, P, 1, paths * d), directions (P, C) if shared, intercept, report, n_rounds, n_failed_starts)");
}

}  // namespace

void register_search(py::module_& m) {
    const SearchOptions defaults;
    py::class_<SearchOptions>(m, "SearchOptions")
        .def(py::init(
                 [](Index n_starts, Index max_rounds, std::uint64_t seed, bool skip_connection, bool shared) {
                     SearchOptions options;
                     options.n_starts = n_starts;
                     options.max_rounds = max_rounds;
                     options.seed = seed;
                     options.skip_connection = skip_connection;
                     options.shared = shared;
                     return options;
                 }),
             py::arg("n_starts") = defaults.n_starts, py::arg("max_rounds") = defaults.max_rounds,
             py::arg("seed") = defaults.seed, py::arg("skip_connection") = defaults.skip_connection,
             py::arg("shared") = defaults.shared)
        .def_readwrite("n_starts", &SearchOptions::n_starts)
        .def_readwrite("max_rounds", &SearchOptions::max_rounds)
        .def_readwrite("seed", &SearchOptions::seed)
        .def_readwrite("skip_connection", &SearchOptions::skip_connection)
        .def_readwrite("shared", &SearchOptions::shared);
    bind<double>(m);
    bind<float>(m);
}

}  // namespace pathrelu
