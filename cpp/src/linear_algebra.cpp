#include <pathrelu/error.hpp>
#include <pathrelu/linear_algebra.hpp>

#include <Eigen/Dense>

namespace pathrelu {
namespace {

using Matrix = Eigen::MatrixXd;
using Vector = Eigen::VectorXd;
using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

Eigen::Map<const RowMajor> mapped(MatView<const double> a) {
    return {a.data, a.rows, a.cols};
}

std::vector<double> stored(const Vector& v) {
    return {v.data(), v.data() + v.size()};
}

/// The columns of a column-major matrix, one after the other.
std::vector<double> columns(const Matrix& m) {
    return {m.data(), m.data() + m.size()};
}

Matrix upper(MatView<const double> a) {
    const Eigen::HouseholderQR<Matrix> qr(mapped(a));
    return qr.matrixQR().topRows(std::min(a.rows, a.cols)).triangularView<Eigen::Upper>();
}

}  // namespace

void product(MatView<const double> a, MatView<const double> b, MatView<double> out) {
    require_shape("b", b, a.cols, b.cols);
    require_shape("out", out, a.rows, b.cols);
    Eigen::Map<RowMajor>(out.data, out.rows, out.cols).noalias() = mapped(a) * mapped(b);
}

std::vector<double> triangular_factor(MatView<const double> a) {
    return columns(upper(a).transpose());
}

SingularValues singular_values(MatView<const double> a) {
    // A tall matrix has the singular values and right vectors of its triangular factor.
    const Matrix factor = a.rows > a.cols ? upper(a) : Matrix(mapped(a));
    const Eigen::BDCSVD<Matrix> svd(factor, Eigen::ComputeThinV);
    return {stored(svd.singularValues()), columns(svd.matrixV())};
}

Eigenvalues eigenvalues(MatView<const double> a) {
    require_shape("a", a, a.cols, a.cols);
    const Eigen::SelfAdjointEigenSolver<Matrix> found((Matrix(mapped(a))));
    return {stored(found.eigenvalues()), columns(found.eigenvectors())};
}

}  // namespace pathrelu
