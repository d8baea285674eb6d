#pragma once
#include <algorithm>
#include <vector>

#include <pathrelu/arrangements.hpp>

#include "kernels/table.hpp"

namespace pathrelu {

/// Rows of one tile of a product: a multiple of the kernel's six rows, small enough for the first-level
/// cache.
constexpr Index kTileRows = 96;

/// Products of row tiles with a fixed set of weight vectors.
template <class T>
class LeafProduct {
  public:
    /// Weights W (m, k), rows `stride` apart.
    void set_weights(const T* W, Index m, Index k, Index stride) {
        const auto& dense = kernels().dense<T>();
        m_ = m;
        k_ = k;
        packed_.resize(dense.packed_size(m, k));
        dense.pack(W, m, k, stride, packed_.data());
        ldc_ = (m + kPad - 1) / kPad * kPad;
        out_.resize(kTileRows * ldc_);
    }
    /// tile (rows <= kTileRows, k) times the weights; read through `row`.
    void run(const T* tile, Index rows) {
        kernels().dense<T>().multiply(tile, rows, k_, k_, packed_.data(), m_, out_.data(), ldc_);
    }
    const T* row(Index i) const { return out_.data() + i * ldc_; }

  private:
    std::vector<T> packed_, out_;
    Index m_ = 0, k_ = 0, ldc_ = 0;
};

/// value (units) <- pre-activations of every unit of one tree on one row, from those of its leaves.
template <class T>
void tree_values(const TreeShape& shape, const std::int8_t* sign, const T* leaves, T* value) {
    std::copy(leaves, leaves + shape.paths(), value);
    for (Index l = 1; l < shape.layers(); ++l) {
        const Index children = shape.width()[l - 1];
        Index c = shape.layer_begin(l - 1);
        for (Index u = shape.layer_begin(l); u < shape.layer_begin(l + 1); ++u) {
            T sum = 0;
            for (Index k = 0; k < children; ++k, ++c)
                sum += static_cast<T>(sign[c]) * std::max(value[c], T(0));
            value[u] = sum;
        }
    }
}

/// Visits the paths of one tree that are on everywhere, given the pre-activations of all units: on(path,
/// sign).
template <class T, class Visit>
void visit_paths(const TreeShape& shape, const std::int8_t* sign, const T* value, Visit on) {
    for (Index p = 0; p < shape.paths(); ++p) {
        bool mask = value[shape.units() - 1] > 0;
        int s = 1;
        for (Index l = 0; l + 1 < shape.layers() && mask; ++l) {
            const Index u = shape.layer_begin(l) + p / shape.leaves_below(l);
            mask = value[u] > 0;
            s *= sign[u];
        }
        if (mask) on(p, s);
    }
}

}  // namespace pathrelu
