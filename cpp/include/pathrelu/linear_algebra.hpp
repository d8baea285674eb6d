#pragma once
#include <vector>

#include <pathrelu/types.hpp>

namespace pathrelu {

/// Dense products and decompositions on one thread. Every sum has one order, whatever BLAS there is: what
/// decides a fit or a certificate is computed here and not by NumPy.

/// out (n, m) <- a (n, k) b (k, m).
void product(MatView<const double> a, MatView<const double> b, MatView<double> out);

/// R (min(n, d), d) of a = Q R for a (n, d), row-major: upper triangular, and R^T R = a^T a.
std::vector<double> triangular_factor(MatView<const double> a);

struct SingularValues {
    std::vector<double> values;  ///< (min(n, d)), largest first
    std::vector<double>
        vectors;  ///< right singular vectors as rows (min(n, d), d), or (d, d) if all are wanted
};

/// Of a (n, d); with `all`, the vectors are a basis of the whole space.
SingularValues singular_values(MatView<const double> a, bool all);

struct Eigenvalues {
    std::vector<double> values;   ///< (d), smallest first
    std::vector<double> vectors;  ///< as rows (d, d)
};

/// Of the symmetric a (d, d), whose lower triangle is read.
Eigenvalues eigenvalues(MatView<const double> a);

/// The shortest x (d) of least |a x - b| for a (n, d).
std::vector<double> least_squares(MatView<const double> a, VecView<const double> b);

}  // namespace pathrelu
