#include <pathrelu/losses.hpp>
#include <pathrelu/solver.hpp>

#include <algorithm>

#include "numpy.hpp"

namespace pathrelu {
namespace {

SolveReport solve_arrays(const ProblemArrays& problem, const Arrangements& arrangements, double alpha,
                         const SolveOptions& options, Array<double>& blocks, Array<double>& intercept,
                         const CallerWatch& watch, const std::optional<Array<double>>& directions) {
    const auto solve_rows = [&](const auto& X) {
        const auto program = problem.program(X, arrangements, alpha, directions);
        require(blocks.ndim() == 4 && blocks.shape(0) == program.layers() &&
                    blocks.shape(1) == program.groups() && blocks.shape(2) == program.signs() &&
                    blocks.shape(3) == program.dim(),
                "blocks must have the shape (", program.layers(), ", ", program.groups(), ", ",
                program.signs(), ", ", program.dim(), ")");
        const MatView<double> Z{blocks.mutable_data(), program.blocks(), program.dim()};
        const auto b = mutable_vector(intercept, "intercept");
        const Observer observer = watch.observer();
        const WithoutGil nogil;
        return solve(program, options, Z, b, observer);
    };
    return on_dense_rows(problem.X, solve_rows);
}

double alpha_max_arrays(const ProblemArrays& problem, const Arrangements& arrangements, bool fit_intercept,
                        int threads, const std::optional<Array<double>>& directions) {
    const auto of_rows = [&](const auto& X) {
        const auto program = problem.program(X, arrangements, 1, directions);
        const WithoutGil nogil;
        return alpha_max(program, fit_intercept, threads);
    };
    return on_dense_rows(problem.X, of_rows);
}

SparseArrays sparse_rows(const Array<std::int64_t>& begin, const Array<std::int32_t>& columns,
                         std::variant<Array<double>, Array<float>> values, const Array<double>& offset) {
    const auto starts = vector(begin, "begin");
    const auto places = vector(columns, "columns");
    const Index d = vector(offset, "offset").size;
    const Index nonzeros = std::visit([](const auto& v) { return vector(v, "values").size; }, values);
    require(starts.size > 0 && starts[0] == 0 && starts[starts.size - 1] == nonzeros &&
                std::is_sorted(starts.begin(), starts.end()),
            "begin must rise from 0 to ", nonzeros, ", the number of values");
    require(places.size == nonzeros, "columns has ", places.size, " entries; expected ", nonzeros);
    require(std::all_of(places.begin(), places.end(), [d](Index j) { return 0 <= j && j < d; }),
            "columns has entries outside 0 .. ", d - 1);
    return {begin, columns, std::move(values), offset};
}

template <class Rows>
ProblemArrays problem_of(const Rows& X, const Array<double>& y, const Array<double>& w, const LossSpec& loss,
                         bool relu, const std::optional<Array<std::int8_t>>& monotone) {
    return {X, y, w, loss, relu, monotone};
}

template <class Rows>
void bind_problem(py::class_<ProblemArrays>& problem) {
    problem.def(py::init(&problem_of<Rows>), py::arg("X").noconvert(), py::arg("y").noconvert(),
                py::arg("w").noconvert(), py::arg("loss"), py::arg("relu"), py::arg("monotone") = py::none());
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
    py::class_<Record>(m, "Record")
        .def_readonly("n_iter", &Record::n_iter)
        .def_readonly("objective", &Record::objective)
        .def_readonly("dual_objective", &Record::dual_objective)
        .def_readonly("gap", &Record::gap)
        .def_readonly("n_active", &Record::n_active)
        .def_readonly("seconds", &Record::seconds)
        .def_readonly("round", &Record::round)
        .def_readonly("n_groups", &Record::n_groups)
        .def_readonly("target_gap", &Record::target_gap);
    py::class_<SolveReport, Record>(m, "Report")
        .def_readonly("objective_at_zero", &SolveReport::objective_at_zero)
        .def_readonly("rounding", &SolveReport::rounding)
        .def_readonly("converged", &SolveReport::converged)
        .def_readonly("stopped", &SolveReport::stopped)
        .def_property_readonly("dual_point",
                               [](const SolveReport& report) {
                                   const auto size = static_cast<Index>(report.dual_point.size());
                                   return copy_of(report.dual_point, std::vector<Index>{size});
                               })
        .def_readonly("history", &SolveReport::history);
    py::class_<SparseArrays>(m, "SparseRows")
        .def(py::init(&sparse_rows), py::arg("begin").noconvert(), py::arg("columns").noconvert(),
             py::arg("values").noconvert(), py::arg("offset").noconvert());
    py::class_<ProblemArrays> problem(m, "Problem");
    bind_problem<Array<double>>(problem);
    bind_problem<Array<float>>(problem);
    bind_problem<SparseArrays>(problem);
    py::class_<CallerWatch>(m, "Watch")
        .def(py::init([](const py::object& callback, const py::object& stop, double seconds) {
                 return CallerWatch{callback, stop, seconds};
             }),
             py::arg("callback") = py::none(), py::arg("stop") = py::none(),
             py::arg("seconds") = std::numeric_limits<double>::infinity());
    m.def("solve", &solve_arrays, py::arg("problem"), py::arg("arrangements"), py::arg("alpha"),
          py::arg("options"), py::arg("blocks").noconvert(), py::arg("intercept").noconvert(),
          py::arg("watch"), py::arg("directions") = py::none(),
          "Solves the program from blocks (C, P, signs, paths * d), or (1, P, 1, paths * d) with directions "
          "(P, C), and intercept (C), which are overwritten.");
    m.def("alpha_max", &alpha_max_arrays, py::arg("problem"), py::arg("arrangements"),
          py::arg("fit_intercept"), py::arg("threads"), py::arg("directions") = py::none(),
          "Smallest alpha whose solution is the zero network.");
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
        .def_property_readonly("targets",
                               [](const LossTraits& traits) {
                                   const char* names[] = {"real", "signs", "one_hot", "nonnegative",
                                                          "positive"};
                                   return names[static_cast<int>(traits.targets)];
                               })
        .def_property_readonly("expects", [](const LossTraits& traits) { return in_words(traits.targets); })
        .def(
            "takes",
            [](const LossTraits& traits, const Array<double>& y) {
                const auto targets = matrix(y, "y");
                py::array_t<bool> out({targets.rows, targets.cols});
                std::transform(targets.data, targets.data + targets.size(), out.mutable_data(),
                               [&](double entry) { return takes(traits.targets, entry); });
                return out;
            },
            py::arg("y").noconvert(), "Of each entry of y (n, C), whether the loss is defined for it.");
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
