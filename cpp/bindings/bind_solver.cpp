#include <pathrelu/losses.hpp>
#include <pathrelu/solver.hpp>

#include "numpy.hpp"

namespace pathrelu {
namespace {

template <class X>
SolveReport solve_arrays(const Array<X>& x, const Array<double>& y, const Array<double>& w,
                         const Arrangements& arrangements, double alpha, const LossSpec& loss, bool relu,
                         const SolveOptions& options, Array<double>& blocks, Array<double>& intercept,
                         const py::object& callback, const py::object& stop, double seconds,
                         const std::optional<Array<double>>& directions) {
    Program<X> program{matrix(x, "X"), matrix(y, "y"), vector(w, "w"), arrangements, alpha, loss, relu};
    if (directions) program.directions = matrix(*directions, "directions");
    require(blocks.ndim() == 4 && blocks.shape(0) == program.layers() &&
                blocks.shape(1) == program.groups() && blocks.shape(2) == program.signs() &&
                blocks.shape(3) == program.dim(),
            "blocks must have the shape (", program.layers(), ", ", program.groups(), ", ", program.signs(),
            ", ", program.dim(), ")");
    const MatView<double> Z{blocks.mutable_data(), program.blocks(), program.dim()};
    const auto b = mutable_vector(intercept, "intercept");
    const Observer observer = observer_for(callback, {stop.is_none() ? nullptr : &stop, seconds});
    const WithoutGil nogil;
    return solve(program, options, Z, b, observer);
}

template <class X>
void bind(py::module_& m) {
    m.def("solve", &solve_arrays<X>, py::arg("X").noconvert(), py::arg("y").noconvert(),
          py::arg("w").noconvert(), py::arg("arrangements"), py::arg("alpha"), py::arg("loss"),
          py::arg("relu"), py::arg("options"), py::arg("blocks").noconvert(),
          py::arg("intercept").noconvert(), py::arg("callback") = py::none(), py::arg("stop") = py::none(),
          py::arg("seconds") = std::numeric_limits<double>::infinity(), py::arg("directions") = py::none(),
          "Solves the program from blocks (C, P, signs, paths * d), or (1, P, 1, paths * d) with directions "
          "(P, C), "
          "and intercept (C), which are overwritten.");
    m.def(
        "alpha_max",
        [](const Array<X>& x, const Array<double>& y, const Array<double>& w,
           const Arrangements& arrangements, const LossSpec& loss, bool relu, bool fit_intercept, int threads,
           const std::optional<Array<double>>& directions) {
            Program<X> program{matrix(x, "X"), matrix(y, "y"), vector(w, "w"), arrangements, 1, loss, relu};
            if (directions) program.directions = matrix(*directions, "directions");
            const WithoutGil nogil;
            return alpha_max(program, fit_intercept, threads);
        },
        py::arg("X").noconvert(), py::arg("y").noconvert(), py::arg("w").noconvert(), py::arg("arrangements"),
        py::arg("loss"), py::arg("relu"), py::arg("fit_intercept"), py::arg("threads"),
        py::arg("directions") = py::none(), "Smallest alpha whose solution is the zero network.");
}

}  // namespace

void register_solver(py::module_& m) {
    py::class_<LossSpec>(m, "LossSpec")
        .def(py::init<std::string>())
        .def(py::init([](const std::pair<std::string, std::vector<double>>& named) {
            return LossSpec(named.first, named.second);
        }));
    py::implicitly_convertible<py::str, LossSpec>();
    py::implicitly_convertible<py::tuple, LossSpec>();
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
        .def_readonly("rounding", &SolveReport::rounding)
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
    py::class_<LossTraits>(m, "LossTraits")
        .def_readonly("name", &LossTraits::name)
        .def_property_readonly("parameter", [](const LossTraits& traits) { return traits.parameter.name; })
        .def_property_readonly("default_value",
                               [](const LossTraits& traits) { return traits.parameter.default_value; })
        .def_property_readonly("below", [](const LossTraits& traits) { return traits.parameter.below; })
        .def_property_readonly("in_spreads",
                               [](const LossTraits& traits) { return traits.parameter.in_spreads; })
        .def_readonly("kinked", &LossTraits::kinked)
        .def_readonly("log_link", &LossTraits::log_link)
        .def_property_readonly("targets", [](const LossTraits& traits) {
            const char* names[] = {"real", "signs", "one_hot", "nonnegative", "positive"};
            return names[static_cast<int>(traits.targets)];
        });
    m.def("losses", &losses, "What there is to know of every loss without data.");
    m.def(
        "loss_bounds",
        [](const LossSpec& loss, Index outputs) {
            const auto l = make_loss(loss, {nullptr, 0, outputs}, {nullptr, 0}, 1);
            return std::pair(l->smoothness(), l->lipschitz());
        },
        py::arg("loss"), py::arg("outputs"), "Bounds on the norms of a row's Hessian and gradient.");
    m.def(
        "best_constant",
        [](const Array<double>& y, const Array<double>& w, const LossSpec& loss) {
            const auto targets = matrix(y, "y");
            const std::vector<double> zero(targets.size(), 0.0);
            std::vector<double> b(targets.cols, 0.0);
            make_loss(loss, targets, vector(w, "w"), 1)->optimal_intercept(zero.data(), b.data());
            return copy_of(b, std::vector<Index>{targets.cols});
        },
        py::arg("y").noconvert(), py::arg("w").noconvert(), py::arg("loss"),
        "The constant outputs (C) of least loss.");
    m.def(
        "mean_loss",
        [](const Array<double>& f, const Array<double>& y, const Array<double>& w, const LossSpec& loss) {
            const auto predictions = matrix(f, "f"), targets = matrix(y, "y");
            require_shape("f", predictions, targets.rows, targets.cols);
            return make_loss(loss, targets, vector(w, "w"), 1)->value(predictions.data);
        },
        py::arg("f").noconvert(), py::arg("y").noconvert(), py::arg("w").noconvert(), py::arg("loss"),
        "Weighted mean loss of predictions f (n, C).");
}

}  // namespace pathrelu
