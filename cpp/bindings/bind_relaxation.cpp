#include <pathrelu/relaxation.hpp>

#include "numpy.hpp"

namespace pathrelu {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();

}  // namespace

void register_relaxation(py::module_& m) {
    m.def(
        "relaxed_correlation",
        [](const Array<double>& z, const Array<double>& theta, Index max_steps, double tol,
           const Array<double>& start, Index max_nodes, double floor, int threads, double seconds) {
            const auto rows = matrix(z, "rows");
            const auto t = vector(theta, "theta"), from = vector(start, "start");
            const RelaxationOptions options{max_steps, tol, max_nodes, floor, threads};
            const Observer observer = observer_for(py::none(), {nullptr, seconds});
            RelaxedCorrelation found;
            {
                const WithoutGil nogil;
                found = relaxed_correlation(rows, t, options, from, observer.poll);
            }
            const auto moments = static_cast<Index>(found.moments.size());
            const auto points = static_cast<Index>(found.points.size()) / std::max<Index>(rows.rows, 1);
            return py::make_tuple(found.bound, copy_of(found.values, std::vector<Index>{2}),
                                  copy_of(found.points, std::vector<Index>{points, rows.rows}),
                                  copy_of(found.units, std::vector<Index>{points, rows.cols}),
                                  copy_of(found.moments, std::vector<Index>{moments}), found.reached,
                                  found.n_nodes);
        },
        py::arg("rows").noconvert(), py::arg("theta").noconvert(), py::arg("max_steps"), py::arg("tol"),
        py::arg("start").noconvert(), py::arg("max_nodes"), py::arg("floor"), py::arg("threads"),
        py::arg("seconds") = kNever,
        "Semidefinite bound on |theta . (rows u)_+| over unit u: (bound, values, points, units, moments, "
        "reached, n_nodes).");
    m.def(
        "solve_columns",
        [](const Array<double>& columns, const Array<double>& directions, const Array<double>& y,
           const Array<double>& w, const LossSpec& loss, double alpha, bool fit_intercept,
           const Array<double>& start, double seconds) {
            const auto t = matrix(columns, "columns"), along = matrix(directions, "directions"),
                       targets = matrix(y, "y");
            const auto weights = vector(w, "w"), from = vector(start, "start");
            const Observer observer = observer_for(py::none(), {nullptr, seconds});
            ColumnSolution found;
            {
                const WithoutGil nogil;
                found = solve_columns(t, along, targets, weights, loss, alpha, fit_intercept, from,
                                      observer.poll);
            }
            return py::make_tuple(found.objective, copy_of(found.coefficients, std::vector<Index>{t.rows}),
                                  copy_of(found.theta, std::vector<Index>{targets.rows, targets.cols}));
        },
        py::arg("columns").noconvert(), py::arg("directions").noconvert(), py::arg("y").noconvert(),
        py::arg("w").noconvert(), py::arg("loss"), py::arg("alpha"), py::arg("fit_intercept"),
        py::arg("start").noconvert(), py::arg("seconds") = kNever,
        "min over c >= 0 of loss(sum_k c_k t_k w_k^T) + alpha sum_k c_k: (objective, c, theta).");
}

}  // namespace pathrelu
