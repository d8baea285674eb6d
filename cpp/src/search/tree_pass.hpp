#pragma once
#include <functional>
#include <vector>

#include <pathrelu/arrangements.hpp>
#include <pathrelu/losses.hpp>
#include <pathrelu/pass_rows.hpp>

#include "search/trees.hpp"

namespace pathrelu {

/// Sums over all rows x_i with the dual point theta (n, C), of h_k = tree(V_k) with output weights a_k.
struct PassSums {
    double loss = 0;              ///< mean loss of the outputs
    std::vector<double> S;        ///< (K, C): sum_i h_k(x_i) theta_i, and in row K sum_i theta_i
    std::vector<double> G;        ///< (K, dim): gradient of sum_i h_k(x_i) theta_i^T a_k in V_k
    std::vector<double> squares;  ///< (K): sum_i w_i h_k(x_i)^2
};

/// Trees on all rows, in one pass over tiles of them that stay in a cache: outputs, their loss, its slopes
/// and the gradient. Sums run over fixed blocks of rows, so they do not depend on the number of threads.
/// T is the precision inside a tile; sums of tiles are double.
template <class X>
class TreePass {
  public:
    /// Over the rows in this order, which those of the loss and the weights have already; as they are if it
    /// is empty.
    TreePass(PassRows<X> rows, const TreeShape& shape, VecView<const double> w, Index outputs, int threads,
             VecView<const Index> order = {});

    /// Loss of f = sum_k h_k a_k + intercept and its derivatives, with theta the dual point there: that in
    /// a_k is -S_k, in V_k -G_k, in the intercept that of row K. A (K, C), intercept (C).
    template <class T>
    void descend(const Trees& trees, const double* A, const double* intercept, const Loss& loss,
                 PassSums& out) {
        descend_on<T>(trees, A, intercept, loss, 0, n_, out);
    }
    /// What the rows first .. last - 1 have in it; first is a multiple of kPassRows.
    template <class T>
    void descend_on(const Trees& trees, const double* A, const double* intercept, const Loss& loss,
                    Index first, Index last, PassSums& out);
    /// The sums at theta (count, C) that dual(begin, count, f, h, theta) leaves at outputs f (count, C)
    /// without an intercept, of the trees h (K, kPassRows); it returns what is summed up as the loss. Without
    /// `adjoint` G is left out.
    using Dual = std::function<double(Index, Index, const double*, const double*, double*)>;
    /// `leaves`, if there is one, sees the pre-activations (K * paths, kPassRows) of the leaves first.
    using Leaves = std::function<void(Index, Index, const double*)>;
    void sums_at(const Trees& trees, const double* A, bool adjoint, PassSums& out, const Dual& dual,
                 const Leaves& leaves = {});
    /// The sums at a theta (n, C) that is given.
    void correlate(const Trees& trees, const double* A, const double* theta, PassSums& out);
    /// f (n, C) <- sum_k h_k a_k.
    void outputs(const Trees& trees, const double* A, double* f);

  private:
    template <class T>
    struct Tile;
    /// What is made of each tile: outputs, besides S, or besides S and G.
    enum class Wanted { outputs, products, all };
    template <class T, class Visit>
    void each_tile(const Trees& trees, const double* A, Wanted wanted, Index first, Index last, PassSums& out,
                   Visit visit, const std::function<void(Index, Index, const T*)>& leaves = {});
    Index place(Index i) const { return order_.size == 0 ? i : order_[i]; }
    const X* row(Index i) const { return rows_.dense().row(place(i)); }
    ConstMap offset() const { return {rows_.sparse().offset.data, d_}; }
    template <class T>
    const std::vector<T>& packed();
    template <class T>
    void sparse_product(const T* W, Index units, const T* constant, Index begin, Index count, T* out) const;
    template <class T>
    void sparse_contract(const T* slope, Index units, Index begin, Index count, double* totals,
                         double* out) const;

    PassRows<X> rows_;
    VecView<const Index> order_;
    const TreeShape& shape_;
    VecView<const double> w_;
    Index n_, d_, C_, paths_, dim_;
    int threads_;
    std::vector<float> packed_f_;  // tiles (d, kPassRows)
    std::vector<double> packed_d_;
};

}  // namespace pathrelu
