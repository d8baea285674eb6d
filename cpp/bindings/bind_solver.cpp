#include <pathrelu/losses.hpp>
#include <pathrelu/solver.hpp>

#include "numpy.hpp"

namespace pathrelu {
namespace {

template <class X>
SolveReport solve_arrays(const Array<X>& x, const Array<double>& y, const Array<double>& w,
                         const Arrangements& arrangements, double alpha, const std::string& loss, bool relu,
                         const SolveOptions& options, Array<double>& blocks, Array<double>& intercept,
                         const py::object& callback, const py::object& stop, double seconds) {
    const Program<X> program{matrix(x, "X"), matrix(y, "y"), vector(w, "w"), arrangements, alpha, loss, relu};
    require(blocks.ndim() == 4 && blocks.shape(0) == program.outputs() &&
                blocks.shape(1) == program.groups() && blocks.shape(2) == program.signs() &&
                blocks.shape(3) == program.dim(),
            "blocks must have the shape (", program.outputs(), ", ", program.groups(), ", ", program.signs(),
            ", ", program.dim(), ")");
    const MatView<double> Z{blocks.mutable_data(), program.blocks(), program.dim()};
    const auto b = mutable_vector(intercept, "intercept");
    const Observer observer = observer_for(callback, {stop.is_none() ? nullptr : &stop, seconds});
    const WithoutGil nogil;
    return solve(program, options, Z, b, observer);
}

template <class X>
void bind(py::module_& m) {
    m.def(
        "solve", &solve_arrays<X>, py::arg("X").noconvert(), py::arg("y").noconvert(),
        py::arg("w").noconvert(), py::arg("arrangements"), py::arg("alpha"), py::arg("loss"), py::arg("relu"),
        py::arg("options"), py::arg("blocks").noconvert(), py::arg("intercept").noconvert(),
        py::arg("callback") = py::none(), py::arg("stop") = py::none(),
        py::arg("seconds") = std::numeric_limits<double>::infinity(),
        "Solves the program from blocks (C, P, signs, paths * d) and intercept (C), which are overwritten.");
    m.def(
        "alpha_max",
        [](const Array<X>& x, const Array<double>& y, const Array<double>& w,
           const Arrangements& arrangements, const std::string& loss, bool relu, bool fit_intercept,
           int threads) {
            const Program<X> program{
                matrix(x, "X"), matrix(y, "y"), vector(w, "w"), arrangements, 1, loss, relu};
            const WithoutGil nogil;
            return alpha_max(program, fit_intercept, threads);
        },
        py::arg("X").noconvert(), py::arg("y").noconvert(), py::arg("w").noconvert(), py::arg("arrangements"),
        py::arg("loss"), py::arg("relu"), py::arg("fit_intercept"), py::arg("threads"),
        "Smallest alpha whose solution is the zero network.");
}

}  // namespace

void register_solver(py::module_& m) {
    py::class_<SolveOptions>(m, "SolveOptions")
        .def(py::init([](double tol, Index max_iter, bool fit_intercept, int threads) {
                 return SolveOptions{tol, max_iter, fit_intercept, threads};
             }),
             py::arg("tol") = SolveOptions{}.tol, py::arg("max_iter") = SolveOptions{}.max_iter,
             py::arg("fit_intercept") = false, py::arg("threads") = 1)
        .def_readwrite("tol", &SolveOptions::tol)
        .def_readwrite("max_iter", &SolveOptions::max_iter)
        .def_readwrite("fit_intercept", &SolveOptions::fit_intercept)
        .def_readwrite("threads", &SolveOptions::threads);
    py::class_<SolveReport>(m, "Report")
        .def_readonly("objective", &SolveReport::objective)
        .def_readonly("dual_objective", &SolveReport::dual_objective)
        .def_readonly("gap", &SolveReport::gap)
        .def_readonly("objective_at_zero", &SolveReport::objective_at_zero)
        .def_readonly("converged", &SolveReport::converged)
        .def_readonly("stopped", &SolveReport::stopped)
        .def_readonly("n_iter", &SolveReport::n_iter)
        .def_readonly("n_active", &SolveReport::n_active)
        .def_property_readonly("history", [](const SolveReport& r) {
            py::list rows;
            for (const Record& record : r.history) rows.append(as_tuple(record));
            return rows;
        });
    bind<double>(m);
    bind<float>(m);
    m.def(
        "mean_loss",
        [](const Array<double>& f, const Array<double>& y, const Array<double>& w, const std::string& loss) {
            const auto predictions = matrix(f, "f"), targets = matrix(y, "y");
            require_shape("f", predictions, targets.rows, targets.cols);
            return make_loss(loss, targets, vector(w, "w"), 1)->value(predictions.data);
        },
        py::arg("f").noconvert(), py::arg("y").noconvert(), py::arg("w").noconvert(), py::arg("loss"),
        "Weighted mean loss of predictions f (n, C).");
}

}  // namespace pathrelu
