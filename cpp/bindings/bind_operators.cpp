#include <pathrelu/kernels.hpp>
#include <pathrelu/operators.hpp>
#include <pathrelu/threads.hpp>

#ifdef _OPENMP
#include <omp.h>
#endif

#include "numpy.hpp"

namespace pathrelu {
namespace {

/// An operator together with the array it reads.
template <class X>
struct BoundOperator {
    using Operator = MaskedOperator<X>;
    using Sums = typename Operator::Sums;

    BoundOperator(Array<X> x, const Arrangements& arrangements, int threads)
        : rows(std::move(x)), op(matrix(rows, "X"), arrangements, threads) {}

    Array<double> forward(const Array<double>& v, bool exact) const {
        const auto V = matrix(v, "V");
        require_shape("V", V, op.n_paths(), op.dim());
        Array<double> out(op.n_rows());
        double* data = out.mutable_data();
        const WithoutGil nogil;
        op.forward(V.data, data, exact ? Sums::exact : Sums::fast);
        return out;
    }

    Array<double> adjoint(const Array<double>& r, bool exact) const {
        const auto residual = vector(r, "r");
        require_size("r", residual, op.n_rows());
        Array<double> out({op.n_paths(), op.dim()});
        double* data = out.mutable_data();
        const WithoutGil nogil;
        op.adjoint(residual.data, data, exact ? Sums::exact : Sums::fast);
        return out;
    }

    Array<X> rows;
    Operator op;
};

template <class X>
void bind(py::module_& m, const char* name) {
    using Bound = BoundOperator<X>;
    py::class_<Bound>(m, name, "B V = sum_p s_p M_p * (X v_p) over groups of paths, and its adjoint.")
        .def("forward", &Bound::forward, py::arg("V").noconvert(), py::arg("exact") = true,
             "B V (n) for V (P * paths, d).")
        .def("adjoint", &Bound::adjoint, py::arg("r").noconvert(), py::arg("exact") = true,
             "s_p X^T (M_p * r) for every path: (P * paths, d).");
    m.def(
        "masked_operator",
        [](const Array<X>& x, const Arrangements& arrangements, int threads) {
            return Bound(x, arrangements, threads);
        },
        py::arg("X").noconvert(), py::arg("arrangements"), py::arg("threads") = 1,
        "The masked operator over rows X, which it keeps; exact=False sums in single precision.");
}

}  // namespace

void register_kernels(py::module_& m) {
    m.def("kernel_level", &kernel_level, "The instruction set in use.");
    m.def("kernel_levels", &kernel_levels,
          "Instruction sets this build and processor can run, slowest first.");
    m.def("use_kernels", &use_kernels, py::arg("level"), "Switches the instruction set, for tests.");
    m.def("serial_threshold", &serial_threshold, "Multiplications below which one thread does all the work.");
    m.def("use_serial_threshold", &use_serial_threshold, py::arg("work"), "Switches it, for tests.");
    m.def("use_last_task_first", &use_last_task_first, py::arg("last_first"),
          "Switches the order in which tasks are taken, for tests.");
    m.def("largest_team", &largest_team,
          "Threads of the largest team since the last reset; 1 if none opened.");
    m.def("reset_largest_team", &reset_largest_team);
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
    bind<double>(m, "MaskedOperatorFloat64");
    bind<float>(m, "MaskedOperatorFloat32");
}

}  // namespace pathrelu
