#include <pathrelu/error.hpp>
#include <pathrelu/operators.hpp>

#include <algorithm>
#include <bitset>
#include <numeric>

#include "kernels/table.hpp"
#include "parallel.hpp"
#include "support/row_blocks.hpp"

namespace pathrelu {
namespace {

std::vector<Index> all_groups(const Arrangements& a) {
    std::vector<Index> groups(a.size());
    std::iota(groups.begin(), groups.end(), Index{0});
    return groups;
}

}  // namespace

template <class X>
MaskedOperator<X>::MaskedOperator(Rows<X> rows, const Arrangements& arrangements, int threads)
    : MaskedOperator(rows, arrangements, all_groups(arrangements), threads) {}

template <class X>
MaskedOperator<X>::MaskedOperator(Rows<X> rows, const Arrangements& arrangements,
                                  const std::vector<Index>& groups, int threads)
    : rows_(rows), threads_(threads) {
    require(rows.rows == arrangements.n_rows, "X has ", rows.rows, " rows; the arrangements were made for ",
            arrangements.n_rows);
    const Index n = rows.rows, paths = arrangements.shape.paths();
    const Index P = static_cast<Index>(groups.size()) * paths, blocks = (n + 31) / 32;
    sign_.resize(P);
    density_.resize(P);
    by_rows_.resize(blocks * P);
    by_paths_.resize((P + 31) / 32 * n);
    std::vector<std::uint64_t> mask(arrangements.words());
    for (Index p = 0; p < P; ++p) {
        const Index g = groups[p / paths];
        arrangements.path_mask(g, p % paths, mask.data());
        sign_[p] = static_cast<std::int8_t>(arrangements.path_sign(g, p % paths));
        Index ones = 0;
        for (const std::uint64_t word : mask) ones += static_cast<Index>(std::bitset<64>(word).count());
        density_[p] = static_cast<double>(ones) / static_cast<double>(n);
        for (Index b = 0; b < blocks; ++b)
            by_rows_[b * P + p] = static_cast<std::uint32_t>(mask[b / 2] >> (b % 2 * 32));
    }
    const int team = threads_for(n * P / 8, threads);
    in_team(team, blocks, [&](Tasks& tasks) {
        for (Index b; tasks.take(b);) {
            const Index count = std::min<Index>(32, n - b * 32);
            for (Index c = 0; c * 32 < P; ++c) {
                // Transpose of a 32 x 32 bit block in five rounds of swaps (Warren, Hacker's Delight, 7-3).
                std::uint32_t a[32] = {};
                for (Index q = 0; q < std::min<Index>(32, P - c * 32); ++q)
                    a[q] = by_rows_[b * P + c * 32 + q];
                for (std::uint32_t j = 16, m = 0x0000ffffu; j != 0; j >>= 1, m ^= m << j)
                    for (std::uint32_t k = 0; k < 32; k = (k + j + 1) & ~j) {
                        const std::uint32_t t = (a[k] >> j ^ a[k + j]) & m;
                        a[k + j] ^= t;
                        a[k] ^= t << j;
                    }
                for (Index i = 0; i < count; ++i) by_paths_[c * n + b * 32 + i] = a[i];
            }
        }
    });
}

template <class X>
template <class T>
void MaskedOperator<X>::forward_in(const double* V, double* out) const {
    const Index d = dim();
    if (n_paths() == 0) return std::fill(out, out + n_rows(), 0.0);
    std::vector<T> signed_weights(n_paths() * d);
    for (Index p = 0; p < n_paths(); ++p)
        for (Index j = 0; j < d; ++j) signed_weights[p * d + j] = static_cast<T>(sign_[p] * V[p * d + j]);
    const MaskWords masks{by_rows_.data(), by_paths_.data(), n_rows(), n_paths()};
    kernels().masked<X, T>().forward(rows_.data, d, masks, signed_weights.data(), out,
                                     threads_for(n_rows() * n_paths() * d, threads_));
}

template <class X>
template <class T>
void MaskedOperator<X>::adjoint_in(const double* r, double* out) const {
    const Index d = dim();
    if (n_paths() == 0) return;
    const std::vector<T> residual(r, r + n_rows());
    const MaskWords masks{by_rows_.data(), by_paths_.data(), n_rows(), n_paths()};
    kernels().masked<X, T>().adjoint(rows_.data, d, masks, residual.data(), out,
                                     threads_for(n_rows() * n_paths() * d, threads_));
    for (Index p = 0; p < n_paths(); ++p)
        if (sign_[p] < 0)
            for (Index j = 0; j < d; ++j) out[p * d + j] = -out[p * d + j];
}

template <class X>
template <class T>
void MaskedOperator<X>::forward_directed(const double* V, MatView<const double> omega, double* f) const {
    const Index n = n_rows(), d = dim(), P = n_paths(), G = omega.rows, C = omega.cols;
    std::fill(f, f + n * C, 0.0);
    if (P == 0) return;
    const PassKernels<T>& kernel = kernels().passes<T>();
    const std::vector<T> weights(V, V + P * d);
    std::vector<T> turned(C * G);
    for (Index g = 0; g < G; ++g)
        for (Index c = 0; c < C; ++c) turned[c * G + g] = static_cast<T>(omega(g, c));
    in_team(threads_for(n * P * d, threads_), (n + kPassRows - 1) / kPassRows, [&](Tasks& tasks) {
        std::vector<T> x(d * kPassRows), pre(P * kPassRows), h(G * kPassRows), out(C * kPassRows);
        for (Index tile; tasks.take(tile);) {
            const Index begin = tile * kPassRows, count = std::min(kPassRows, n - begin);
            for (Index i = 0; i < count; ++i)
                for (Index j = 0; j < d; ++j) x[j * kPassRows + i] = static_cast<T>(rows_(begin + i, j));
            kernel.product(weights.data(), P, d, x.data(), pre.data());
            kernel.add_masked(by_rows_.data() + begin / 32 * P, (count + 31) / 32, P, sign_.data(), P / G,
                              pre.data(), h.data());
            kernel.product(turned.data(), C, G, h.data(), out.data());
            for (Index i = 0; i < count; ++i)
                for (Index c = 0; c < C; ++c)
                    f[(begin + i) * C + c] = static_cast<double>(out[c * kPassRows + i]);
        }
    });
}

template <class X>
template <class T>
void MaskedOperator<X>::adjoint_directed(const double* theta, MatView<const double> omega,
                                         double* out) const {
    const Index n = n_rows(), d = dim(), P = n_paths(), G = omega.rows, C = omega.cols;
    std::fill(out, out + P * d, 0.0);
    if (P == 0) return;
    const PassKernels<T>& kernel = kernels().passes<T>();
    const std::vector<T> turned(omega.data, omega.data + omega.size());
    const Index block = rows_of_block(n, P * d), blocks = (n + block - 1) / block;
    std::vector<std::vector<double>> partial(blocks);
    in_team(threads_for(n * P * d, threads_), blocks, [&](Tasks& tasks) {
        const Index padded = kernel.padded(d);
        std::vector<T> side(C * kPassRows), r(G * kPassRows), pulled(P * kPassRows), x(padded * kPassRows);
        for (Index task; tasks.take(task);) {
            partial[task].assign(P * d, 0.0);
            const Index end = std::min((task + 1) * block, n);
            for (Index begin = task * block; begin < end; begin += kPassRows) {
                const Index count = std::min(kPassRows, end - begin);
                std::fill(side.begin(), side.end(), T(0));
                for (Index i = 0; i < count; ++i)
                    for (Index c = 0; c < C; ++c)
                        side[c * kPassRows + i] = static_cast<T>(theta[(begin + i) * C + c]);
                kernel.product(turned.data(), G, C, side.data(), r.data());
                kernel.spread_masked(by_rows_.data() + begin / 32 * P, (count + 31) / 32, P, sign_.data(),
                                     P / G, r.data(), pulled.data());
                for (Index i = 0; i < count; ++i)
                    for (Index j = 0; j < d; ++j) x[i * padded + j] = static_cast<T>(rows_(begin + i, j));
                kernel.contract(pulled.data(), P, x.data(), d, partial[task].data());
            }
        }
    });
    for (const std::vector<double>& sums : partial)
        for (Index k = 0; k < P * d; ++k) out[k] += sums[k];
}

template <class X>
void MaskedOperator<X>::forward(const double* V, MatView<const double> omega, double* f, Sums sums) const {
    sums == Sums::fast ? forward_directed<float>(V, omega, f) : forward_directed<double>(V, omega, f);
}

template <class X>
void MaskedOperator<X>::adjoint(const double* theta, MatView<const double> omega, double* out,
                                Sums sums) const {
    sums == Sums::fast ? adjoint_directed<float>(theta, omega, out)
                       : adjoint_directed<double>(theta, omega, out);
}

template <class X>
void MaskedOperator<X>::forward(const double* V, double* out, Sums sums) const {
    sums == Sums::fast ? forward_in<float>(V, out) : forward_in<double>(V, out);
}

template <class X>
void MaskedOperator<X>::adjoint(const double* r, double* out, Sums sums) const {
    sums == Sums::fast ? adjoint_in<float>(r, out) : adjoint_in<double>(r, out);
}

template class MaskedOperator<float>;
template class MaskedOperator<double>;

}  // namespace pathrelu
