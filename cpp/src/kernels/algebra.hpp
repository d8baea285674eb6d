#pragma once
#include <Eigen/Cholesky>
#include <Eigen/Core>

#include "kernels/simd.hpp"
#include "kernels/table.hpp"
#include "parallel.hpp"

namespace pathrelu {
namespace PATHRELU_ISA {
namespace {

Index find_below(const double* pre, const double* inverse_norm, const std::uint64_t* bits, Index n,
                 double threshold, Index* rows, double* values) {
    Index found = 0;
    double depth[kPad];
    for (Index i0 = 0; i0 < n; i0 += kPad) {
        const std::uint64_t word = bits[i0 / 64] >> (i0 % 64);
        int any = 0;
        for (Index k = 0; k < kPad; ++k) {
            const double side = (word >> k & 1u) != 0 ? 1.0 : -1.0;
            depth[k] = side * pre[i0 + k] * inverse_norm[i0 + k];
            any |= depth[k] < -threshold;
        }
        if (!any) continue;
        for (Index k = 0; k < least(kPad, n - i0); ++k)
            if (depth[k] < -threshold) {
                rows[found] = i0 + k;
                values[found++] = depth[k];
            }
    }
    return found;
}

// Small dense algebra of the Newton step.

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic>;
using RowMatrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// Columns of one task: fixed, so that the bits do not depend on the number of threads.
constexpr Index kGramColumns = 128;

void add_gram(const double* a, Index rows, Index m, double* h, int threads) {
    const Eigen::Map<const RowMatrix> A(a, rows, m);
    Eigen::Map<Matrix> H(h, m, m);
    in_team(threads, (m + kGramColumns - 1) / kGramColumns, [&](Tasks& tasks) {
        for (Index task; tasks.take(task);) {
            const Index c = task * kGramColumns, count = least(kGramColumns, m - c);
            H.block(c, c, m - c, count).noalias() += A.rightCols(m - c).transpose() * A.middleCols(c, count);
        }
    });
}

void masked_gram(const double* x, Index d, const double* masks, Index k, const double* plus, Index p,
                 const double* minus, Index q, Index m, double* h, int threads) {
    using Rows = Eigen::Map<const RowMatrix>;
    const Rows X(x, d, m), M(masks, k, m), P(plus, p, m), N(minus, q, m);
    Eigen::Map<Matrix> H(h, m, m);
    in_team(threads, (m + kGramColumns - 1) / kGramColumns, [&](Tasks& tasks) {
        Matrix part;
        for (Index task; tasks.take(task);) {
            const Index c = task * kGramColumns, count = least(kGramColumns, m - c), rest = m - c;
            auto block = H.block(c, c, rest, count);
            block.noalias() = X.rightCols(rest).transpose() * X.middleCols(c, count);
            part.noalias() = M.rightCols(rest).transpose() * M.middleCols(c, count);
            block.array() *= part.array();
            block.noalias() += P.rightCols(rest).transpose() * P.middleCols(c, count);
            block.noalias() -= N.rightCols(rest).transpose() * N.middleCols(c, count);
        }
    });
}

bool cholesky(double* h, Index m, double ridge) {
    Eigen::Map<Matrix> H(h, m, m);
    H.diagonal().array() += ridge;
    return Eigen::LLT<Eigen::Ref<Matrix>, Eigen::Lower>(H).info() == Eigen::Success;
}

void cholesky_solve(const double* h, Index m, double* b, Index count) {
    const Eigen::Map<const Matrix> L(h, m, m);
    Eigen::Map<Matrix> x(b, m, count);
    L.triangularView<Eigen::Lower>().solveInPlace(x);
    L.triangularView<Eigen::Lower>().adjoint().solveInPlace(x);
}

}  // namespace
}  // namespace PATHRELU_ISA
}  // namespace pathrelu
