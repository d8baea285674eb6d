#include <pathrelu/error.hpp>
#include <pathrelu/network.hpp>

#include <optional>

#include "parallel.hpp"
#include "trees.hpp"

namespace pathrelu {
namespace {

void check(const NetworkView& net, Index d) {
    const Index K = net.coef.size, leaves = K * net.shape.paths();
    require_size("center", net.center, d);
    require_size("scale", net.scale, d);
    require_shape("W", net.W, leaves, d);
    require_size("bias", net.bias, leaves);
    if (net.gates.rows > 0) {
        require_shape("gates", net.gates, leaves, d);
        require_size("gate_bias", net.gate_bias, leaves);
    }
    require_shape("signs", net.signs, K, net.shape.edges());
    require_size("output", net.output, K);
    if (net.skip.rows > 0) {
        require_shape("skip", net.skip, net.intercept.size, d);
        require_size("skip_bias", net.skip_bias, net.intercept.size);
    }
    for (Index k = 0; k < K; ++k)
        require(net.output[k] >= 0 && net.output[k] < net.intercept.size, "output has the entry ",
                net.output[k], "; expected 0 .. ", net.intercept.size - 1);
}

/// Leaf weights of some trees in precision T, with their products on a tile of rows.
template <class T>
class Leaves {
  public:
    Leaves(MatView<const double> W, VecView<const double> bias, Index first, Index count)
        : bias_(bias.data + first, bias.data + first + count), values_(count) {
        const std::vector<T> weights(W.row(first), W.row(first) + count * W.cols);
        product_.set_weights(weights.data(), count, W.cols, W.cols);
    }
    void run(const T* tile, Index rows) { product_.run(tile, rows); }
    const T* at(Index i) {
        const T* h = product_.row(i);
        for (std::size_t p = 0; p < values_.size(); ++p) values_[p] = h[p] + bias_[p];
        return values_.data();
    }

  private:
    LeafProduct<T> product_;
    std::vector<T> bias_, values_;
};

/// tile (count, d) <- (x - center) / scale for rows i0 .. i0 + count - 1, in their precision.
template <class X>
void scale_rows(Rows<X> rows, const NetworkView& net, Index i0, Index count, X* tile) {
    for (Index i = 0; i < count; ++i)
        for (Index j = 0; j < rows.cols; ++j)
            tile[i * rows.cols + j] =
                static_cast<X>((static_cast<double>(rows(i0 + i, j)) - net.center[j]) / net.scale[j]);
}

/// out <- what the network is without its trees.
template <class X>
void predict_linear(Rows<X> rows, const NetworkView& net, MatView<X> out, int threads) {
    const Index n = rows.rows, C = net.intercept.size;
    for (Index i = 0; i < n; ++i)
        for (Index c = 0; c < C; ++c) out(i, c) = static_cast<X>(net.intercept[c]);
    if (net.skip.rows == 0) return;
    const int team = threads_for(rows.size() * C, threads);
#pragma omp parallel num_threads(team) if (team > 1)
    {
        Leaves<X> skip(net.skip, net.skip_bias, 0, C);
        std::vector<X> tile(kTileRows * rows.cols);
#pragma omp for schedule(static)
        for (Index t = 0; t < (n + kTileRows - 1) / kTileRows; ++t) {
            const Index i0 = t * kTileRows, count = std::min(kTileRows, n - i0);
            scale_rows(rows, net, i0, count, tile.data());
            skip.run(tile.data(), count);
            for (Index i = 0; i < count; ++i) {
                const X* h = skip.at(i);
                for (Index c = 0; c < C; ++c) out(i0 + i, c) += h[c];
            }
        }
    }
}

/// Rows one thread takes at a time.
constexpr Index kTaskRows = 16 * kTileRows;
/// Leaves whose packed weights one pass over a task's rows uses.
constexpr Index kPassLeaves = 512;

}  // namespace

template <class X>
void predict(Rows<X> rows, const NetworkView& net, MatView<X> out, int threads) {
    const Index n = rows.rows, d = rows.cols, K = net.coef.size, C = net.intercept.size;
    check(net, d);
    require_shape("out", out, n, C);
    const TreeShape& shape = net.shape;
    const Index paths = shape.paths(), units = shape.units();
    const bool gated = net.gates.rows > 0;
    const int team = threads_for(rows.size() * K * paths, threads);
    const Index per_pass = std::max<Index>(1, kPassLeaves / paths);
    predict_linear(rows, net, out, threads);
    for (Index k0 = 0; k0 < K; k0 += per_pass) {
        const Index count = std::min(per_pass, K - k0);
#pragma omp parallel num_threads(team) if (team > 1)
        {
            Leaves<X> leaves(net.W, net.bias, k0 * paths, count * paths);
            std::optional<Leaves<double>> gates;
            if (gated) gates.emplace(net.gates, net.gate_bias, k0 * paths, count * paths);
            std::vector<X> tile(kTileRows * d), value(units);
            std::vector<double> wide(gated ? kTileRows * d : 0), gate_value(units);
#pragma omp for schedule(dynamic)
            for (Index task = 0; task < (n + kTaskRows - 1) / kTaskRows; ++task) {
                for (Index i0 = task * kTaskRows; i0 < std::min(n, (task + 1) * kTaskRows); i0 += kTileRows) {
                    const Index tile_rows = std::min(kTileRows, n - i0);
                    scale_rows(rows, net, i0, tile_rows, tile.data());
                    leaves.run(tile.data(), tile_rows);
                    if (gated) {  // gates see what training saw: the scaled row in the rows' precision
                        std::copy_n(tile.begin(), tile_rows * d, wide.begin());
                        gates->run(wide.data(), tile_rows);
                    }
                    for (Index i = 0; i < tile_rows; ++i) {
                        const X* h = leaves.at(i);
                        const double* g = gated ? gates->at(i) : nullptr;
                        for (Index k = 0; k < count; ++k) {
                            const std::int8_t* sign = net.signs.row(k0 + k);
                            X root;
                            if (gated) {
                                tree_values(shape, sign, g + k * paths, gate_value.data());
                                root = gated_value(shape, sign, gate_value.data(), h + k * paths);
                            } else {
                                tree_values(shape, sign, h + k * paths, value.data());
                                root = std::max(value[units - 1], X(0));
                            }
                            out(i0 + i, net.output[k0 + k]) += static_cast<X>(net.coef[k0 + k]) * root;
                        }
                    }
                }
            }
        }
    }
}

template void predict<float>(Rows<float>, const NetworkView&, MatView<float>, int);
template void predict<double>(Rows<double>, const NetworkView&, MatView<double>, int);

}  // namespace pathrelu
