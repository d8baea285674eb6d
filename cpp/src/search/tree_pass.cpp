#include "search/tree_pass.hpp"

#include <algorithm>

#include "kernels/table.hpp"
#include "parallel.hpp"
#include "support/row_blocks.hpp"

namespace pathrelu {

template <class X>
TreePass<X>::TreePass(PassRows<X> rows, const TreeShape& shape, VecView<const double> w, Index outputs,
                      int threads, VecView<const Index> order)
    : rows_(rows),
      order_(order),
      shape_(shape),
      w_(w),
      n_(rows.rows),
      d_(rows.cols),
      C_(outputs),
      paths_(shape.paths()),
      dim_(shape.paths() * rows.cols),
      threads_(threads) {}

template <class X>
template <class T>
const std::vector<T>& TreePass<X>::packed() {
    std::vector<T>* tiles;
    if constexpr (std::is_same_v<T, float>)
        tiles = &packed_f_;
    else
        tiles = &packed_d_;
    if (tiles->empty() && !rows_.is_sparse()) {
        tiles->assign((n_ + kPassRows - 1) / kPassRows * kPassRows * d_, T(0));
        for (Index i = 0; i < n_; ++i) {
            T* tile = tiles->data() + i / kPassRows * kPassRows * d_ + i % kPassRows;
            const X* x = row(i);
            for (Index j = 0; j < d_; ++j) tile[j * kPassRows] = static_cast<T>(x[j]);
        }
    }
    return *tiles;
}

/// out (units, kPassRows) <- the constants (units), and the products of W (units, d) with the nonzeros of
/// `count` rows.
template <class X>
template <class T>
void TreePass<X>::sparse_product(const T* W, Index units, const T* constant, Index begin, Index count,
                                 T* out) const {
    for (Index u = 0; u < units; ++u, W += d_, out += kPassRows) {
        std::fill_n(out, kPassRows, constant[u]);
        for (Index i = 0; i < count; ++i) {
            T sum = 0;
            rows_.each_nonzero(place(begin + i),
                               [&](Index j, X value) { sum += W[j] * static_cast<T>(value); });
            out[i] += sum;
        }
    }
}

/// out (units, d) and totals (units) <- with what the rows have in the sums over i of slope_ui x_i, without
/// the offset, and of slope_ui.
template <class X>
template <class T>
void TreePass<X>::sparse_contract(const T* slope, Index units, Index begin, Index count, double* totals,
                                  double* out) const {
    for (Index u = 0; u < units; ++u, slope += kPassRows, out += d_)
        for (Index i = 0; i < count; ++i) {
            const auto factor = static_cast<double>(slope[i]);
            if (factor == 0) continue;
            totals[u] += factor;
            rows_.each_nonzero(place(begin + i),
                               [&](Index j, X value) { out[j] += factor * static_cast<double>(value); });
        }
}

/// One thread's scratch for a tile.
template <class X>
template <class T>
struct TreePass<X>::Tile {
    std::vector<T> slope, root, inner, f, theta, rows, side;
    std::vector<double> outputs, duals, totals;
};

/// visit(begin, count, tile, sums) for every tile of the rows first .. last - 1, which has the trees' outputs
/// in tile.f (C, kPassRows) and tile.root; where sums are wanted it leaves tile.duals (count, C), of which
/// they are made then. The first row begins a tile.
template <class X>
template <class T, class Visit>
void TreePass<X>::each_tile(const Trees& trees, const double* A, Wanted wanted, Index first, Index last,
                            PassSums& out, Visit visit,
                            const std::function<void(Index, Index, const T*)>& leaves) {
    const bool backward = wanted != Wanted::outputs, adjoint = wanted == Wanted::all;
    const PassKernels<T>& kernel = kernels().passes<T>();
    const Index K = trees.size(), inner = shape_.units() - paths_;
    const std::vector<T>& tiles = packed<T>();
    const std::vector<T> W(trees.V.begin(), trees.V.end()), a(A, A + K * C_);
    std::vector<T> transposed(C_ * K);
    for (Index k = 0; k < K; ++k)
        for (Index c = 0; c < C_; ++c) transposed[c * K + k] = a[k * C_ + c];
    const bool sparse = rows_.is_sparse();
    const Index units = K * paths_;
    std::vector<T> constants(sparse ? units : 0);  // what the offset has in the products of a row
    for (std::size_t u = 0; u < constants.size(); ++u)
        constants[u] = -static_cast<T>(ConstMap(trees.V.data() + u * d_, d_).dot(offset()));

    const Index block = rows_of_block(last - first, K * dim_);
    const Index blocks = (last - first + block - 1) / block;
    std::vector<PassSums> partial(blocks);
    const Index padded_outputs = kernel.padded(C_), padded_columns = kernel.padded(d_);
    in_team(threads_for(2 * (last - first) * K * dim_, threads_), blocks, [&](Tasks& tasks) {
        Tile<T> tile;
        tile.slope.resize(K * paths_ * kPassRows);
        tile.root.resize(K * kPassRows);
        tile.inner.resize(inner * kPassRows);
        tile.f.resize(C_ * kPassRows);
        tile.outputs.resize(C_ * kPassRows);
        tile.duals.resize(C_ * kPassRows);
        if (backward) {
            tile.theta.resize(C_ * kPassRows);
            tile.side.resize(std::max(K, padded_outputs) * kPassRows);
            if (!sparse) tile.rows.resize(padded_columns * kPassRows);
        }
        for (Index task, next = 0; tasks.take(task); ++next) {
            if (threads_ == 1) task = next;  // for what visits add up beside the sums
            PassSums& sums = partial[task];
            if (backward) {
                sums.S.assign((K + 1) * C_, 0.0);
                sums.G.assign(adjoint ? K * dim_ : 0, 0.0);
                sums.squares.assign(K, 0.0);
                if (sparse) tile.totals.assign(units, 0.0);
            }
            const Index end = std::min(first + (task + 1) * block, last);
            for (Index begin = first + task * block; begin < end; begin += kPassRows) {
                const Index count = std::min(kPassRows, end - begin);
                if (sparse)
                    sparse_product(W.data(), units, constants.data(), begin, count, tile.slope.data());
                else
                    kernel.product(W.data(), units, d_, tiles.data() + begin * d_, tile.slope.data());
                if (leaves) leaves(begin, count, tile.slope.data());
                kernel.slopes(shape_.width().data(), shape_.layers(), paths_, K, trees.signs.data(),
                              trees.linear.data(), tile.inner.data(), tile.slope.data(), tile.root.data());
                kernel.product(transposed.data(), C_, K, tile.root.data(), tile.f.data());
                for (Index i = 0; i < count; ++i)
                    for (Index c = 0; c < C_; ++c)
                        tile.outputs[i * C_ + c] = static_cast<double>(tile.f[c * kPassRows + i]);
                sums.loss += visit(begin, count, tile, sums);
                if (!backward) continue;
                // Rows past the last one have no part in any sum.
                std::fill(tile.duals.begin() + count * C_, tile.duals.end(), 0.0);
                std::fill(tile.side.begin(), tile.side.end(), T(0));
                for (Index i = 0; i < count; ++i)
                    for (Index c = 0; c < C_; ++c) {
                        const double dual = tile.duals[i * C_ + c];
                        sums.S[K * C_ + c] += dual;
                        tile.side[i * padded_outputs + c] = static_cast<T>(dual);
                    }
                kernel.contract(tile.root.data(), K, tile.side.data(), C_, sums.S.data());
                if (!adjoint) continue;
                for (Index i = 0; i < kPassRows; ++i)
                    for (Index c = 0; c < C_; ++c)
                        tile.theta[c * kPassRows + i] = static_cast<T>(tile.duals[i * C_ + c]);
                kernel.product(a.data(), K, C_, tile.theta.data(), tile.side.data());
                kernel.weigh(tile.side.data(), K, paths_, tile.slope.data());
                if (sparse) {
                    sparse_contract(tile.slope.data(), units, begin, count, tile.totals.data(),
                                    sums.G.data());
                    continue;
                }
                for (Index i = 0; i < count; ++i) {
                    const X* own = row(begin + i);
                    for (Index j = 0; j < d_; ++j) tile.rows[i * padded_columns + j] = static_cast<T>(own[j]);
                }
                kernel.contract(tile.slope.data(), units, tile.rows.data(), d_, sums.G.data());
            }
            if (adjoint && sparse)
                for (Index u = 0; u < units; ++u)
                    Map(sums.G.data() + u * d_, d_) -= tile.totals[u] * offset();
        }
    });
    if (blocks == 1) {
        out = std::move(partial[0]);
        return;
    }
    out.loss = 0;
    out.S.assign((K + 1) * C_, 0.0);
    out.G.assign(adjoint ? K * dim_ : 0, 0.0);
    out.squares.assign(K, 0.0);
    for (const PassSums& sums : partial) {
        out.loss += sums.loss;
        for (std::size_t k = 0; k < sums.S.size(); ++k) out.S[k] += sums.S[k];
        for (std::size_t k = 0; k < sums.G.size(); ++k) out.G[k] += sums.G[k];
        for (std::size_t k = 0; k < sums.squares.size(); ++k) out.squares[k] += sums.squares[k];
    }
}

template <class X>
template <class T>
void TreePass<X>::descend_on(const Trees& trees, const double* A, const double* intercept, const Loss& loss,
                             Index first, Index last, PassSums& out) {
    each_tile<T>(trees, A, Wanted::all, first, last, out,
                 [&](Index begin, Index count, Tile<T>& tile, PassSums&) {
                     for (Index i = 0; i < count; ++i)
                         for (Index c = 0; c < C_; ++c) tile.outputs[i * C_ + c] += intercept[c];
                     return loss.value_and_dual_point(begin, count, tile.outputs.data(), tile.duals.data());
                 });
    out.loss /= static_cast<double>(n_);
}

template <class X>
void TreePass<X>::sums_at(const Trees& trees, const double* A, bool adjoint, PassSums& out, const Dual& dual,
                          const Leaves& leaves) {
    each_tile<double>(
        trees, A, adjoint ? Wanted::all : Wanted::products, 0, n_, out,
        [&](Index begin, Index count, Tile<double>& tile, PassSums&) {
            return dual(begin, count, tile.outputs.data(), tile.root.data(), tile.duals.data());
        },
        leaves);
}

template <class X>
void TreePass<X>::correlate(const Trees& trees, const double* A, const double* theta, PassSums& out) {
    each_tile<double>(trees, A, Wanted::all, 0, n_, out,
                      [&](Index begin, Index count, Tile<double>& tile, PassSums& sums) {
                          std::copy_n(theta + begin * C_, count * C_, tile.duals.data());
                          for (Index k = 0; k < trees.size(); ++k)
                              for (Index i = 0; i < count; ++i) {
                                  const double h = tile.root[k * kPassRows + i];
                                  sums.squares[k] += w_[begin + i] * h * h;
                              }
                          return 0.0;
                      });
}

template <class X>
void TreePass<X>::outputs(const Trees& trees, const double* A, double* f) {
    PassSums none;
    each_tile<double>(trees, A, Wanted::outputs, 0, n_, none,
                      [&](Index begin, Index count, Tile<double>& tile, PassSums&) {
                          std::copy_n(tile.outputs.data(), count * C_, f + begin * C_);
                          return 0.0;
                      });
}

template class TreePass<float>;
template class TreePass<double>;
template void TreePass<float>::descend_on<float>(const Trees&, const double*, const double*, const Loss&,
                                                 Index, Index, PassSums&);
template void TreePass<float>::descend_on<double>(const Trees&, const double*, const double*, const Loss&,
                                                  Index, Index, PassSums&);
template void TreePass<double>::descend_on<float>(const Trees&, const double*, const double*, const Loss&,
                                                  Index, Index, PassSums&);
template void TreePass<double>::descend_on<double>(const Trees&, const double*, const double*, const Loss&,
                                                   Index, Index, PassSums&);

}  // namespace pathrelu
