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
    std::vector<double> values;   ///< (min(n, d)), largest first
    std::vector<double> vectors;  ///< right singular vectors as rows (min(n, d), d)
};

/// Of a (n, d).
SingularValues singular_values(MatView<const double> a);

struct Eigenvalues {
    std::vector<double> values;   ///< (d), smallest first
    std::vector<double> vectors;  ///< as rows (d, d)
};

/// Of the symmetric a (d, d), whose lower triangle is read.
Eigenvalues eigenvalues(MatView<const double> a);

}  // namespace pathrelu
