#include <pathrelu/linear_algebra.hpp>

#include <utility>

#include "numpy.hpp"

namespace pathrelu {
namespace {

template <class Work>
auto without_gil(Work work) {
    const WithoutGil nogil;
    return work();
}

/// Vectors of d entries, one after the other, as the rows of an array.
Array<double> rows_of(const std::vector<double>& values, Index d) {
    return copy_of(values, std::vector<Index>{d == 0 ? 0 : static_cast<Index>(values.size()) / d, d});
}

Array<double> vector_of(const std::vector<double>& values) {
    return copy_of(values, std::vector<Index>{static_cast<Index>(values.size())});
}

}  // namespace

void register_linear_algebra(py::module_& m) {
    m.def(
        "product",
        [](const Array<double>& a, const Array<double>& b) {
            const auto left = matrix(a, "a"), right = matrix(b, "b");
            require_shape("b", right, left.cols, right.cols);
            Array<double> out({left.rows, right.cols});
            const MatView<double> result{out.mutable_data(), left.rows, right.cols};
            without_gil([&] { product(left, right, result); });
            return out;
        },
        py::arg("a").noconvert(), py::arg("b").noconvert(), "a b, (n, m).");
    m.def(
        "triangular_factor",
        [](const Array<double>& a) {
            const auto rows = matrix(a, "a");
            return rows_of(without_gil([&] { return triangular_factor(rows); }), rows.cols);
        },
        py::arg("a").noconvert(), "R (min(n, d), d) of a = Q R.");
    m.def(
        "singular_values",
        [](const Array<double>& a) {
            const auto rows = matrix(a, "a");
            const auto found = without_gil([&] { return singular_values(rows); });
            return py::make_tuple(vector_of(found.values), rows_of(found.vectors, rows.cols));
        },
        py::arg("a").noconvert(), "Singular values, largest first, and right singular vectors as rows.");
    m.def(
        "eigenvalues",
        [](const Array<double>& a) {
            const auto rows = matrix(a, "a");
            const auto found = without_gil([&] { return eigenvalues(rows); });
            return py::make_tuple(vector_of(found.values), rows_of(found.vectors, rows.cols));
        },
        py::arg("a").noconvert(), "Eigenvalues of a symmetric matrix, smallest first, and vectors as rows.");
}

}  // namespace pathrelu
