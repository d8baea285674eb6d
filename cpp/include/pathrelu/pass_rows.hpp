#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>

#include <pathrelu/types.hpp>

namespace pathrelu {

/// Rows by their nonzeros (CSR), less the same vector: row i is the sum of values[e] e_columns[e] over
/// e = begin[i] .. begin[i + 1] - 1, minus `offset`. So columns are centered, and a column of ones is one
/// without nonzeros, of offset -1.
template <class X>
struct SparseRows {
    VecView<const std::int64_t> begin;    ///< (n + 1)
    VecView<const std::int32_t> columns;  ///< (nonzeros)
    VecView<const X> values;              ///< (nonzeros)
    VecView<const double> offset;         ///< (d)
};

/// Rows that trees pass over: dense ones, or sparse ones less a vector.
template <class X>
class PassRows {
  public:
    PassRows(Rows<X> dense)
        : rows(dense.rows), cols(dense.cols), dense_(dense) {}  // NOLINT: one of its kinds
    explicit PassRows(const SparseRows<X>& sparse)
        : rows(sparse.begin.size - 1),
          cols(sparse.offset.size),
          dense_{nullptr, rows, cols},
          sparse_(sparse),
          is_sparse_(true) {
        for (const double c : sparse.offset) offset_square_ += c * c;
    }

    Index rows, cols;

    bool is_sparse() const { return is_sparse_; }
    /// Without data if the rows are sparse.
    Rows<X> dense() const { return dense_; }
    const SparseRows<X>& sparse() const { return sparse_; }

    /// out (d) <- out + factor x_i.
    void add_row(Index i, double factor, double* out) const {
        if (!is_sparse_) {
            for (Index j = 0; j < cols; ++j) out[j] += factor * static_cast<double>(dense_(i, j));
            return;
        }
        for (Index j = 0; j < cols; ++j) out[j] -= factor * sparse_.offset[j];
        each_nonzero(i, [&](Index j, X value) { out[j] += factor * static_cast<double>(value); });
    }
    /// |x_i|.
    double length(Index i) const {
        double square = offset_square_;
        if (is_sparse_)
            each_nonzero(i, [&](Index j, X value) {
                const double c = sparse_.offset[j], x = static_cast<double>(value) - c;
                square += x * x - c * c;
            });
        else
            for (Index j = 0; j < cols; ++j)
                square += static_cast<double>(dense_(i, j)) * static_cast<double>(dense_(i, j));
        return std::sqrt(std::max(square, 0.0));
    }
    /// visit(j, value) for each nonzero of row i, without the offset.
    template <class Visit>
    void each_nonzero(Index i, Visit visit) const {
        for (std::int64_t e = sparse_.begin[i]; e < sparse_.begin[i + 1]; ++e)
            visit(static_cast<Index>(sparse_.columns[e]), sparse_.values[e]);
    }

  private:
    Rows<X> dense_;
    SparseRows<X> sparse_{};
    bool is_sparse_ = false;
    double offset_square_ = 0;
};

}  // namespace pathrelu
