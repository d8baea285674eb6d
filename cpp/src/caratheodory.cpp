#include <pathrelu/caratheodory.hpp>
#include <pathrelu/error.hpp>

#include <Eigen/QR>
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace pathrelu {
namespace {

using Vector = Eigen::VectorXd;
using Matrix = Eigen::MatrixXd;
using Indices = std::vector<Index>;
using PivotedQR = Eigen::ColPivHouseholderQR<Matrix>;

/// A slope below this share of the null vectors' length is one of rounding.
constexpr double kFlat = 1e-12;
/// Share of the cost that sums of rounded numbers may add to it.
constexpr double kCostRounding = 1e-13;

PivotedQR factored(const Matrix& A) {
    PivotedQR qr(A);
    qr.setThreshold(static_cast<double>(std::max(A.rows(), A.cols())) *
                    std::numeric_limits<double>::epsilon());
    return qr;
}

/// Orthonormal null vectors (m, m - rank) of A (n, m).
Matrix null_vectors(const Matrix& A) {
    const PivotedQR qr = factored(A);
    const Index m = A.cols(), rank = qr.rank();
    if (rank == m) return Matrix(m, 0);
    Matrix basis(m, m - rank);
    basis.bottomRows(m - rank).setIdentity();
    basis.topRows(rank) = -qr.matrixR()
                               .topLeftCorner(rank, rank)
                               .triangularView<Eigen::Upper>()
                               .solve(qr.matrixR().topRightCorner(rank, m - rank));
    const Eigen::HouseholderQR<Matrix> orthonormal(qr.colsPermutation() * basis);
    return orthonormal.householderQ() * Matrix::Identity(m, m - rank);
}

/// Amounts of at most rank(A) columns with the same A amount and no larger sum.
void reduce(const Matrix& A, Vector& amount) {
    Matrix null = null_vectors(A);
    while (null.cols() > 0) {
        // Along the projection of the sum's slope or, if the sum is the same everywhere, any null vector.
        const Vector slope = null.colwise().sum();
        const double steepest = slope.norm();
        Vector z = null.col(0) * std::copysign(1, slope[0]);
        if (steepest > kFlat) z = null * (slope / steepest);
        Index j = -1;
        double reach = std::numeric_limits<double>::infinity();
        for (Index k = 0; k < z.size(); ++k)
            if (z[k] > 0 && amount[k] / z[k] < reach) {
                reach = amount[k] / z[k];
                j = k;
            }
        amount = (amount - reach * z).cwiseMax(0);
        amount[j] = 0;
        // A reflection leaves one column of the null vectors with an entry at j; without it, they stay there.
        Vector normal = null.row(j).transpose();
        normal[0] += std::copysign(normal.norm(), normal[0]);
        const Matrix reflected = null - (null * normal) * (2 / normal.squaredNorm() * normal.transpose());
        null = reflected.rightCols(null.cols() - 1);
        null.row(j).setZero();
    }
}

}  // namespace

std::vector<double> fewest_columns(MatView<const double> F, VecView<const double> costs) {
    const Index n = F.rows, K = F.cols;
    require_size("costs", costs, K);
    for (Index k = 0; k < F.size(); ++k)
        require(std::isfinite(F.data[k]), "F has the value ", F.data[k], "; expected finite values");
    for (Index k = 0; k < K; ++k)
        require(costs[k] > 0 && std::isfinite(costs[k]), "cost ", k, " is ", costs[k],
                "; expected a positive number");
    const Eigen::Map<const Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>> columns(
        F.data, n, K);
    const auto per_cost = [&](const Indices& of) {
        Matrix A(n, of.size());
        for (std::size_t k = 0; k < of.size(); ++k) A.col(k) = columns.col(of[k]) / costs[of[k]];
        return A;
    };
    // In units of cost the sum of the amounts never rises, so none can grow beyond what there was.
    std::vector<double> amount(K);
    for (Index k = 0; k < K; ++k) amount[k] = columns.col(k).isZero(0) ? 0 : costs[k];
    const double most_cost = (1 + kCostRounding) * std::accumulate(amount.begin(), amount.end(), 0.0);
    Indices kept;
    bool moved = false;
    const auto reduce_kept = [&] {
        Vector pool(kept.size());
        for (std::size_t k = 0; k < kept.size(); ++k) pool[k] = amount[kept[k]];
        reduce(per_cost(kept), pool);
        Indices left;
        for (std::size_t k = 0; k < kept.size(); ++k) {
            amount[kept[k]] = pool[k];
            if (pool[k] > 0) left.push_back(kept[k]);
        }
        const bool fewer = left.size() < kept.size();
        kept = std::move(left);
        return fewer;
    };
    for (Index begin = 0; begin < K; begin += n) {
        for (Index k = begin; k < std::min(begin + n, K); ++k)
            if (amount[k] > 0) kept.push_back(k);
        // Again: a column that goes by a null vector with a tiny entry there can leave dependent ones.
        while (!kept.empty() && reduce_kept()) moved = true;
    }
    if (moved && !kept.empty()) {  // take back what rounding has moved, where that is what it does
        const Matrix A = per_cost(kept);
        Vector left(kept.size());
        for (std::size_t k = 0; k < kept.size(); ++k) left[k] = amount[kept[k]];
        const Vector sum = columns.rowwise().sum(), lost = sum - A * left;
        const Vector corrected = (left + factored(A).solve(lost)).cwiseMax(0);
        if ((sum - A * corrected).norm() < lost.norm() && corrected.sum() <= most_cost)
            for (std::size_t k = 0; k < kept.size(); ++k) amount[kept[k]] = corrected[k];
    }
    for (Index k = 0; k < K; ++k) amount[k] /= costs[k];
    return amount;
}

}  // namespace pathrelu
