#include <pathrelu/error.hpp>
#include <pathrelu/network.hpp>

#include <algorithm>
#include <atomic>
#include <vector>

#include "kernels/table.hpp"
#include "parallel.hpp"

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

template <class X>
std::vector<X> narrowed(const double* values, Index count) {
    return std::vector<X>(values, values + count);
}

}  // namespace

template <class X>
bool predict(Rows<X> rows, const NetworkView& net, MatView<X> out, int threads) {
    const Index n = rows.rows, d = rows.cols, K = net.coef.size, C = net.intercept.size;
    check(net, d);
    require_shape("out", out, n, C);
    const bool gated = net.gates.rows > 0;
    const TreeShape& shape = net.shape;
    const TreeKernels<X>& kernel = kernels().tree<X>();
    const std::vector<X> W = narrowed<X>(net.W.data, net.W.size());
    const std::vector<X> bias = narrowed<X>(net.bias.data, net.bias.size);
    const std::vector<X> coef = narrowed<X>(net.coef.data, K);
    const std::vector<X> skip = narrowed<X>(net.skip.data, net.skip.size());
    const std::vector<X> skip_bias = narrowed<X>(net.skip_bias.data, net.skip_bias.size);
    std::vector<double> inverse(d);
    for (Index j = 0; j < d; ++j) inverse[j] = 1 / net.scale[j];
    const Index rows_of_task = 32 * kernel.rows;
    const int team = threads_for(rows.size() * (K * shape.paths() + C), threads);
    std::atomic<bool> finite{true};
    in_team(team, (n + rows_of_task - 1) / rows_of_task, [&](Tasks& tasks) {
        const Index size =
            gated ? kernel.gated_scratch(shape.units(), shape.paths()) : kernel.rows * shape.units();
        std::vector<X> z(kernel.rows * d), f(kernel.rows * C), scratch(size);
        std::vector<double> wide(gated ? kernel.rows * d : 0), gates(gated ? size : 0);
        const auto run = [&](Index i0) {
            const Index count = std::min(kernel.rows, n - i0);
            if (!kernel.scale(rows.row(i0), d, count, net.center.data, inverse.data(), z.data()))
                finite.store(false, std::memory_order_relaxed);
            for (Index c = 0; c < C; ++c)
                std::fill_n(f.begin() + c * kernel.rows, kernel.rows, static_cast<X>(net.intercept[c]));
            if (!skip.empty()) kernel.add_linear(z.data(), d, skip.data(), skip_bias.data(), C, f.data());
            if (gated) {
                // Gates see what training saw: the scaled row in the rows' precision.
                const Index part = kernel.rows_of_gates;
                for (Index r = 0; r < kernel.rows; r += part)
                    for (Index j = 0; j < d; ++j)
                        std::copy_n(z.data() + j * kernel.rows + r, part, wide.data() + r * d + j * part);
                kernel.add_gated(shape.width().data(), shape.layers(), shape.paths(), z.data(), wide.data(),
                                 d, W.data(), bias.data(), net.gates.data, net.gate_bias.data, K,
                                 net.signs.data, coef.data(), net.output.data, scratch.data(), gates.data(),
                                 f.data());
            } else {
                kernel.add(shape.width().data(), shape.layers(), shape.paths(), z.data(), d, W.data(),
                           bias.data(), K, net.signs.data, coef.data(), net.output.data, scratch.data(),
                           f.data());
            }
            for (Index i = 0; i < count; ++i)
                for (Index c = 0; c < C; ++c) out(i0 + i, c) = f[c * kernel.rows + i];
        };
        for (Index task; tasks.take(task);) {
            const Index begin = task * rows_of_task, end = std::min(n, begin + rows_of_task);
            for (Index i0 = begin; i0 < end; i0 += kernel.rows) run(i0);
        }
    });
    return finite;
}

template bool predict<float>(Rows<float>, const NetworkView&, MatView<float>, int);
template bool predict<double>(Rows<double>, const NetworkView&, MatView<double>, int);

}  // namespace pathrelu
