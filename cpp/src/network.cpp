#include <pathrelu/error.hpp>
#include <pathrelu/network.hpp>

#include <atomic>

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

/// Rows one thread takes at a time.
constexpr Index kTaskRows = 16 * kTileRows;
/// Leaves whose packed weights one pass over a task's rows uses.
constexpr Index kPassLeaves = 512;

template <class X>
std::vector<X> narrowed(const double* values, Index count) {
    return std::vector<X>(values, values + count);
}

/// ReLU trees: blocks of rows side by side.
template <class X>
bool predict_trees(Rows<X> rows, const NetworkView& net, MatView<X> out, int threads) {
    const Index n = rows.rows, d = rows.cols, K = net.coef.size, C = net.intercept.size;
    const TreeShape& shape = net.shape;
    const TreeKernels<X>& kernel = kernels().tree<X>();
    const std::vector<X> W = narrowed<X>(net.W.data, net.W.size());
    const std::vector<X> bias = narrowed<X>(net.bias.data, net.bias.size);
    const std::vector<X> coef = narrowed<X>(net.coef.data, K);
    const std::vector<X> skip = narrowed<X>(net.skip.data, net.skip.size());
    const std::vector<X> skip_bias = narrowed<X>(net.skip_bias.data, net.skip_bias.size);
    std::vector<double> inverse(d);
    for (Index j = 0; j < d; ++j) inverse[j] = 1 / net.scale[j];
    const Index blocks = (n + kernel.rows - 1) / kernel.rows;
    const int team = threads_for(rows.size() * (K * shape.paths() + C), threads);
    std::atomic<bool> finite{true};
#pragma omp parallel num_threads(team) if (team > 1)
    {
        std::vector<X> z(kernel.rows * d), f(kernel.rows * C), scratch(kernel.rows * shape.units());
#pragma omp for schedule(dynamic, 32)
        for (Index block = 0; block < blocks; ++block) {
            const Index i0 = block * kernel.rows, count = std::min(kernel.rows, n - i0);
            if (!kernel.scale(rows.row(i0), d, count, net.center.data, inverse.data(), z.data()))
                finite.store(false, std::memory_order_relaxed);
            for (Index c = 0; c < C; ++c)
                std::fill_n(f.begin() + c * kernel.rows, kernel.rows, static_cast<X>(net.intercept[c]));
            if (!skip.empty()) kernel.add_linear(z.data(), d, skip.data(), skip_bias.data(), C, f.data());
            kernel.add(shape.width().data(), shape.layers(), shape.paths(), z.data(), d, W.data(),
                       bias.data(), K, net.signs.data, coef.data(), net.output.data, scratch.data(),
                       f.data());
            for (Index i = 0; i < count; ++i)
                for (Index c = 0; c < C; ++c) out(i0 + i, c) = f[c * kernel.rows + i];
        }
    }
    return finite;
}

/// Gated trees. What is without gates, the intercept and the skip connection, comes first.
template <class X>
bool predict_gated(Rows<X> rows, const NetworkView& net, MatView<X> out, int threads) {
    const Index n = rows.rows, d = rows.cols, K = net.coef.size;
    const TreeShape& shape = net.shape;
    const Index paths = shape.paths();
    const int team = threads_for(rows.size() * K * paths, threads);
    const Index per_pass = std::max<Index>(1, kPassLeaves / paths);
    NetworkView linear = net;
    linear.W.rows = linear.bias.size = linear.signs.rows = linear.coef.size = linear.output.size = 0;
    const bool finite = predict_trees(rows, linear, out, threads);
    for (Index k0 = 0; k0 < K; k0 += per_pass) {
        const Index count = std::min(per_pass, K - k0);
#pragma omp parallel num_threads(team) if (team > 1)
        {
            Leaves<X> leaves(net.W, net.bias, k0 * paths, count * paths);
            Leaves<double> gates(net.gates, net.gate_bias, k0 * paths, count * paths);
            std::vector<X> tile(kTileRows * d);
            std::vector<double> wide(kTileRows * d), gate_value(shape.units());
#pragma omp for schedule(dynamic)
            for (Index task = 0; task < (n + kTaskRows - 1) / kTaskRows; ++task) {
                for (Index i0 = task * kTaskRows; i0 < std::min(n, (task + 1) * kTaskRows); i0 += kTileRows) {
                    const Index tile_rows = std::min(kTileRows, n - i0);
                    scale_rows(rows, net, i0, tile_rows, tile.data());
                    leaves.run(tile.data(), tile_rows);
                    // Gates see what training saw: the scaled row in the rows' precision.
                    std::copy_n(tile.begin(), tile_rows * d, wide.begin());
                    gates.run(wide.data(), tile_rows);
                    for (Index i = 0; i < tile_rows; ++i) {
                        const X* h = leaves.at(i);
                        const double* g = gates.at(i);
                        for (Index k = 0; k < count; ++k) {
                            const std::int8_t* sign = net.signs.row(k0 + k);
                            tree_values(shape, sign, g + k * paths, gate_value.data());
                            out(i0 + i, net.output[k0 + k]) +=
                                static_cast<X>(net.coef[k0 + k]) *
                                gated_value(shape, sign, gate_value.data(), h + k * paths);
                        }
                    }
                }
            }
        }
    }
    return finite;
}

}  // namespace

template <class X>
bool predict(Rows<X> rows, const NetworkView& net, MatView<X> out, int threads) {
    check(net, rows.cols);
    require_shape("out", out, rows.rows, net.intercept.size);
    return net.gates.rows > 0 ? predict_gated(rows, net, out, threads)
                              : predict_trees(rows, net, out, threads);
}

template bool predict<float>(Rows<float>, const NetworkView&, MatView<float>, int);
template bool predict<double>(Rows<double>, const NetworkView&, MatView<double>, int);

}  // namespace pathrelu
