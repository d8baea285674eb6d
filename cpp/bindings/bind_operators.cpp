#include <pathrelu/kernels.hpp>
#include <pathrelu/operators.hpp>

#ifdef _OPENMP
#include <omp.h>
#endif

#include "numpy.hpp"

namespace pathrelu {
namespace {

template <class X>
void bind(py::module_& m) {
    m.def(
        "masked_forward",
        [](const Array<X>& x, const Arrangements& arrangements, const Array<double>& v, int threads, bool exact) {
            const auto rows = matrix(x, "X");
            const auto V = matrix(v, "V");
            require_shape("V", V, arrangements.size() * arrangements.shape.paths(), rows.cols);
            Array<double> out(rows.rows);
            double* data = out.mutable_data();
            const py::gil_scoped_release nogil;
            using Operator = MaskedOperator<X>;
            Operator(rows, arrangements, threads)
                .forward(V.data, data, exact ? Operator::Sums::exact : Operator::Sums::fast);
            return out;
        },
        py::arg("X").noconvert(), py::arg("arrangements"), py::arg("V").noconvert(), py::arg("threads") = 1,
        py::arg("exact") = true, "sum_p s_p M_p * (X v_p) for V (P * paths, d).");
    m.def(
        "masked_adjoint",
        [](const Array<X>& x, const Arrangements& arrangements, const Array<double>& r, int threads, bool exact) {
            const auto rows = matrix(x, "X");
            const auto residual = vector(r, "r");
            require_size("r", residual, rows.rows);
            Array<double> out({arrangements.size() * arrangements.shape.paths(), rows.cols});
            double* data = out.mutable_data();
            const py::gil_scoped_release nogil;
            using Operator = MaskedOperator<X>;
            Operator(rows, arrangements, threads)
                .adjoint(residual.data, data, exact ? Operator::Sums::exact : Operator::Sums::fast);
            return out;
        },
        py::arg("X").noconvert(), py::arg("arrangements"), py::arg("r").noconvert(), py::arg("threads") = 1,
        py::arg("exact") = true, "s_p X^T (M_p * r) for every path: (P * paths, d).");
}

}  // namespace

void register_kernels(py::module_& m) {
    m.def("kernel_level", &kernel_level, "The instruction set in use.");
    m.def("kernel_levels", &kernel_levels, "Instruction sets this build and processor can run, slowest first.");
    m.def("use_kernels", &use_kernels, py::arg("level"), "Switches the instruction set, for tests.");
    m.def(
        "default_threads",
        [] {
#ifdef _OPENMP
            return omp_get_max_threads();
#else
            return 1;
#endif
        },
        "Threads that OpenMP and the process's limits allow.");
}

void register_operators(py::module_& m) {
    bind<double>(m);
    bind<float>(m);
}

}  // namespace pathrelu
