#include <pathrelu/error.hpp>
#include <pathrelu/network.hpp>

#include <algorithm>
#include <atomic>
#include <cfenv>
#include <cmath>
#include <limits>
#include <optional>
#include <type_traits>
#include <vector>

#include "kernels/table.hpp"
#include "parallel.hpp"

namespace pathrelu {
namespace {

void check(const NetworkView& net, Index d) {
    const Index K = net.signs.rows, leaves = K * net.shape.paths();
    require_size("center", net.center, d);
    require_size("scale", net.scale, d);
    require_shape("W", net.W, leaves, d);
    require_size("bias", net.bias, leaves);
    if (net.gates.rows > 0) {
        require_shape("gates", net.gates, leaves, d);
        require_size("gate_bias", net.gate_bias, leaves);
    }
    for (Index j = 0; j < d; ++j)
        require(std::isfinite(1 / net.scale[j]), "scale has the value ", net.scale[j],
                "; expected at least 1e-308");
    require_shape("signs", net.signs, K, net.shape.edges());
    require_shape("output_weights", net.output_weights, K, net.intercept.size);
    if (net.skip.rows > 0) {
        require_shape("skip", net.skip, net.intercept.size, d);
        require_size("skip_bias", net.skip_bias, net.intercept.size);
    }
}

Index count_of(const MatView<const double>& values) {
    return values.size();
}
Index count_of(const VecView<const double>& values) {
    return values.size;
}

template <class X, class View>
std::vector<X> narrowed(const View& values) {
    return std::vector<X>(values.data, values.data + count_of(values));
}

/// Whether a number is beyond those of X; infinite ones are not.
template <class X>
bool is_beyond(double value) {
    return std::abs(value) > std::numeric_limits<X>::max() && std::isfinite(value);
}

template <class X, class View>
bool any_beyond(const View& values) {
    return std::any_of(values.data, values.data + count_of(values), is_beyond<X>);
}

/// Whether floating-point operations of this thread have overflowed since it was made; leaves no trace.
class Overflow {
  public:
    Overflow() {
        std::fegetexceptflag(&before_, FE_OVERFLOW);
        std::feclearexcept(FE_OVERFLOW);
    }
    ~Overflow() { std::fesetexceptflag(&before_, FE_OVERFLOW); }
    Overflow(const Overflow&) = delete;
    Overflow& operator=(const Overflow&) = delete;

    bool happened() const { return std::fetestexcept(FE_OVERFLOW) != 0; }

  private:
    std::fexcept_t before_;
};

/// The numbers of a network in the precision of the rows.
template <class X>
struct Weights {
    explicit Weights(const NetworkView& net)
        : W(narrowed<X>(net.W)),
          bias(narrowed<X>(net.bias)),
          skip(narrowed<X>(net.skip)),
          skip_bias(narrowed<X>(net.skip_bias)),
          intercept(narrowed<X>(net.intercept)),
          inverse(net.scale.size),
          fit(std::is_same_v<X, double> ||
              !(any_beyond<X>(net.W) || any_beyond<X>(net.bias) || any_beyond<X>(net.skip) ||
                any_beyond<X>(net.skip_bias) || any_beyond<X>(net.intercept) ||
                any_beyond<X>(net.output_weights))) {
        for (Index j = 0; j < net.scale.size; ++j) inverse[j] = 1 / net.scale[j];
        const MatView<const double>& A = net.output_weights;
        for (Index k = 0; k < A.rows; ++k) {
            for (Index c = 0; c < A.cols; ++c)
                if (A(k, c) != 0) {
                    output_.push_back(c);
                    weight_.push_back(static_cast<X>(A(k, c)));
                }
            first_.push_back(edges());
        }
    }

    Index edges() const { return static_cast<Index>(output_.size()); }
    OutputEdges<X> output_edges() const { return {first_.data(), output_.data(), weight_.data()}; }

    std::vector<X> W, bias, skip, skip_bias, intercept;
    std::vector<double> inverse;
    bool fit;  ///< whether all are within the numbers of X

  private:
    std::vector<Index> first_{0}, output_;
    std::vector<X> weight_;
};

/// Outputs of a network on as many rows as the kernels take at once, with the memory for them.
template <class X>
class Block {
  public:
    Block(const NetworkView& net, const Weights<X>& weights)
        : net_(net),
          weights_(weights),
          size_(kernel_.rows),
          d_(net.center.size),
          f_(size_ * net.intercept.size) {
        const bool gated = net.gates.rows > 0;
        const Index units = net.shape.units();
        const Index scratch = gated ? kernel_.gated_scratch(units, net.shape.paths()) : size_ * units;
        z_.resize(size_ * d_);
        scratch_.resize(scratch);
        if (gated) {
            wide_.resize(size_ * d_);
            gates_.resize(scratch);
        }
    }

    Index size() const { return size_; }

    /// Output c of row r of those that `run` was given.
    X operator()(Index r, Index c) const { return f_[c * size_ + r]; }

    /// Computes outputs of `count` rows, up to `size()`. False if an entry is not finite.
    bool run(const X* rows, Index count) {
        const TreeShape& shape = net_.shape;
        const bool finite =
            kernel_.scale(rows, d_, count, net_.center.data, weights_.inverse.data(), z_.data());
        const Index C = net_.intercept.size, K = net_.signs.rows;
        for (Index c = 0; c < C; ++c) std::fill_n(f_.begin() + c * size_, size_, weights_.intercept[c]);
        if (!weights_.skip.empty())
            kernel_.add_linear(z_.data(), d_, weights_.skip.data(), weights_.skip_bias.data(), C, f_.data());
        if (net_.gates.rows > 0) {
            // Gates see what training saw: the scaled row in the rows' precision.
            const Index part = kernel_.rows_of_gates;
            for (Index r = 0; r < size_; r += part)
                for (Index j = 0; j < d_; ++j)
                    std::copy_n(z_.data() + j * size_ + r, part, wide_.data() + r * d_ + j * part);
            kernel_.add_gated(shape.width().data(), shape.layers(), shape.paths(), z_.data(), wide_.data(),
                              d_, weights_.W.data(), weights_.bias.data(), net_.gates.data,
                              net_.gate_bias.data, K, net_.signs.data, weights_.output_edges(),
                              scratch_.data(), gates_.data(), f_.data());
        } else {
            kernel_.add(shape.width().data(), shape.layers(), shape.paths(), z_.data(), d_, weights_.W.data(),
                        weights_.bias.data(), K, net_.signs.data, weights_.output_edges(), scratch_.data(),
                        f_.data());
        }
        return finite;
    }

    /// The outputs of one finite row, in all places of the block. False if they or numbers on the way to them
    /// are beyond those of X.
    bool run_alone(const X* row) {
        copies_.resize(size_ * d_);
        for (Index r = 0; r < size_; ++r) std::copy_n(row, d_, copies_.begin() + r * d_);
        const Overflow overflow;
        run(copies_.data(), size_);
        return weights_.fit && !overflow.happened();
    }

  private:
    const NetworkView& net_;
    const Weights<X>& weights_;
    const TreeKernels<X>& kernel_ = kernels().tree<X>();
    Index size_, d_;
    std::vector<X> z_, f_, scratch_, copies_;
    std::vector<double> wide_, gates_;
};

/// The first row of those given by any thread; `none` if there are none.
class FirstRow {
  public:
    explicit FirstRow(Index none) : row_(none) {}
    void take(Index i) {
        for (Index known = row_; i < known && !row_.compare_exchange_weak(known, i);) {
        }
    }
    Index row() const { return row_; }

  private:
    std::atomic<Index> row_;
};

}  // namespace

template <class X>
bool predict(Rows<X> rows, const NetworkView& net, MatView<X> out, int threads) {
    const Index n = rows.rows, d = rows.cols, C = net.intercept.size;
    check(net, d);
    require_shape("out", out, n, C);
    const Weights<X> weights(net);
    const Index rows_of_task = 32 * kernels().tree<X>().rows;
    const int team =
        threads_for(rows.size() * (net.signs.rows * net.shape.paths() + C) + n * weights.edges(), threads);
    std::atomic<bool> finite{true};
    FirstRow too_large(n), beyond_double(n);
    in_team(team, (n + rows_of_task - 1) / rows_of_task, [&](Tasks& tasks) {
        Block<X> block(net, weights);
        std::optional<Weights<double>> exact;
        std::optional<Block<double>> wide;
        std::vector<double> row(d);
        /// The outputs of row i in double, if they need it.
        const auto repair = [&](Index i) {
            if (block.run_alone(rows.row(i))) return;
            if (!wide) wide.emplace(net, exact.emplace(net));
            std::copy_n(rows.row(i), d, row.begin());
            if (!wide->run_alone(row.data())) return beyond_double.take(i);
            for (Index c = 0; c < C; ++c) {
                const double value = (*wide)(0, c);
                if (is_beyond<X>(value)) return too_large.take(i);
                out(i, c) = static_cast<X>(value);
            }
        };
        for (Index task; tasks.take(task);) {
            const Index begin = task * rows_of_task, end = std::min(n, begin + rows_of_task);
            const Overflow overflow;
            bool all_finite = true;
            for (Index i0 = begin; i0 < end; i0 += block.size()) {
                const Index count = std::min(block.size(), n - i0);
                all_finite = block.run(rows.row(i0), count) && all_finite;
                for (Index i = 0; i < count; ++i)
                    for (Index c = 0; c < C; ++c) out(i0 + i, c) = block(i, c);
            }
            if (!all_finite)
                finite.store(false, std::memory_order_relaxed);
            else if (overflow.happened() || !weights.fit)
                for (Index i = begin; i < end; ++i) repair(i);
        }
    });
    if (!finite) return false;
    require(beyond_double.row() == n, "row ", beyond_double.row(),
            " of X leads to numbers beyond those of float64; rescale");
    require(too_large.row() == n, "X is float32, and the outputs of row ", too_large.row(),
            " are too large for it; pass float64 rows");
    return true;
}

template bool predict<float>(Rows<float>, const NetworkView&, MatView<float>, int);
template bool predict<double>(Rows<double>, const NetworkView&, MatView<double>, int);

}  // namespace pathrelu
