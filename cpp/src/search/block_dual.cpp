#include <pathrelu/block_dual.hpp>
#include <pathrelu/cones.hpp>
#include <pathrelu/error.hpp>

#include <algorithm>
#include <cmath>

#include "kernels/table.hpp"
#include "parallel.hpp"
#include "search/slider.hpp"
#include "solver/smooth_part.hpp"

namespace pathrelu {
namespace {

/// Share of the spread of targets by which kinks are rounded off: a bound is then some percent of the
/// objective too low, and rows enough have a curvature for Newton steps.
constexpr double kShare = 0.1;
/// Pre-activations up to this times |x| |v| may have another sign where they are summed in another order.
constexpr double kUndecided = 1e-12;

template <class X>
double length_of(const X* x, Index d) {
    double square = 0;
    for (Index j = 0; j < d; ++j) square += static_cast<double>(x[j]) * static_cast<double>(x[j]);
    return std::sqrt(square);
}

/// The rows of a block with their trees and losses.
template <class X>
class Block {
  public:
    Block(PassRows<X> rows, MatView<const double> y, VecView<const double> w, const LossSpec& spec,
          const TreeShape& shape, const StartTrees& from, VecView<const double> imbalance)
        : rows_(rows),
          n_(rows.rows),
          C_(y.cols),
          trees_(trees_of(from, shape, true)),
          intercept_(from.intercept),
          smooth_(spec, y, w, false, 1),
          imbalance_(imbalance.begin(), imbalance.end()),
          pass_(rows, shape, w, y.cols, 1),
          w_(w) {
        require(n_ > 0 && n_ == y.rows, "a block has ", n_, " rows and ", y.rows, " targets");
        require(intercept_.size == C_, "intercept of the trees has ", intercept_.size, " entries; expected ",
                C_);
        smooth_.round_off(kShare);
    }

    BlockDual sums(const BlockDualOptions& options);
    double dual_value(double s);

  private:
    Index size() const { return trees_.size() + C_; }
    double dual_point(Index begin, Index count, const double* outputs, double* theta);
    void add_hessian(Index begin, Index count, const double* f, const double* h, std::vector<double>& H);
    void keep_nearest(Index begin, Index count, const double* leaves, Index most);

    PassRows<X> rows_;
    Index n_, C_;
    Trees trees_;
    VecView<const double> intercept_;
    SmoothPart smooth_;
    std::vector<double> imbalance_;
    TreePass<X> pass_;
    VecView<const double> w_;
    std::vector<double> f_;                                       // (count, C), with the intercept
    std::vector<double> h_, factors_, weighted_, sum_, weights_;  // scratch of Hessians
    struct Near {
        double distance = kInfinity;
        Index row = -1;
    };
    std::vector<Near> nearest_;     // (K, most), nearest first
    std::vector<double> distance_;  // of the rows of a tile
};

/// theta (count, C) at outputs of the trees, and the sum of the stated loss.
template <class X>
double Block<X>::dual_point(Index begin, Index count, const double* outputs, double* theta) {
    f_.assign(outputs, outputs + count * C_);
    for (Index k = 0; k < count * C_; ++k) f_[k] += intercept_[k % C_];
    double loss = 0;
    if (smooth_.kinked()) loss = smooth_.stated().value_and_dual_point(begin, count, f_.data(), theta);
    const double smooth = smooth_.loss().value_and_dual_point(begin, count, f_.data(), theta);
    if (!imbalance_.empty()) smooth_.loss().balance(begin, count, theta, imbalance_);
    return smooth_.kinked() ? loss : smooth;
}

/// H += J^T H_i J of the rows of a tile, with J_i = (h_k(x_i) omega_k, 1) for each output.
template <class X>
void Block<X>::add_hessian(Index begin, Index count, const double* f, const double* h,
                           std::vector<double>& H) {
    const PassKernels<double>& kernel = kernels().passes<double>();
    const Index K = trees_.size(), m = size(), padded = kernel.padded(m);
    h_.resize(kPassRows * C_);
    factors_.resize(m * kPassRows);
    weighted_.resize(kPassRows * padded);
    smooth_.loss().curvature(begin, count, f, h_.data());
    const bool coupled = smooth_.loss().coupled();
    if (coupled) sum_.assign(m * kPassRows, 0.0);
    const auto fill = [&](auto left, auto right) {
        std::fill(weighted_.begin(), weighted_.end(), 0.0);
        for (Index k = 0; k < m; ++k)
            for (Index i = 0; i < kPassRows; ++i) {
                factors_[k * kPassRows + i] = i < count ? left(k, i) : 0;
                if (i < count) weighted_[i * padded + k] = right(k, i);
            }
        kernel.contract(factors_.data(), m, weighted_.data(), m, H.data());
    };
    for (Index c = 0; c < C_; ++c) {
        const auto J = [&](Index k, Index i) {
            return k < K ? h[k * kPassRows + i] * trees_.omega[k * C_ + c] : k - K == c ? 1.0 : 0.0;
        };
        if (coupled)
            for (Index k = 0; k < m; ++k)
                for (Index i = 0; i < count; ++i) sum_[k * kPassRows + i] += h_[i * C_ + c] * J(k, i);
        fill(J, [&](Index k, Index i) { return h_[i * C_ + c] * J(k, i); });
    }
    if (!coupled) return;
    weights_.assign(kPassRows, 0.0);
    for (Index i = 0; i < count; ++i)
        for (Index c = 0; c < C_; ++c) weights_[i] += h_[i * C_ + c];
    fill([&](Index k, Index i) { return sum_[k * kPassRows + i]; },
         [&](Index k, Index i) { return weights_[i] > 0 ? -sum_[k * kPassRows + i] / weights_[i] : 0.0; });
}

/// Takes up the rows of a tile where a leaf is nearer to 0 than in those kept; of equal ones the first.
template <class X>
void Block<X>::keep_nearest(Index begin, Index count, const double* leaves, Index most) {
    const Index paths = trees_.dim / rows_.cols;
    std::vector<double> inverse(count);
    for (Index i = 0; i < count; ++i) {
        const double length = rows_.length(begin + i);
        inverse[i] = w_[begin + i] > 0 && length > 0 ? 1 / length : kInfinity;
    }
    distance_.resize(count);
    for (Index k = 0; k < trees_.size(); ++k) {
        if (trees_.linear[k]) continue;
        Near* own = nearest_.data() + k * most;
        std::fill(distance_.begin(), distance_.end(), kInfinity);
        for (Index p = k * paths; p < (k + 1) * paths; ++p)
            for (Index i = 0; i < count; ++i)
                distance_[i] = std::min(distance_[i], std::abs(leaves[p * kPassRows + i]) * inverse[i]);
        for (Index i = 0; i < count; ++i) {
            if (!(distance_[i] < own[most - 1].distance)) continue;
            Index at = most - 1;
            for (; at > 0 && distance_[i] < own[at - 1].distance; --at) own[at] = own[at - 1];
            own[at] = {distance_[i], begin + i};
        }
    }
}

template <class X>
BlockDual Block<X>::sums(const BlockDualOptions& options) {
    std::vector<double> theta(n_ * C_);
    BlockDual out;
    PassSums sums;
    Index used = 0;
    if (options.one_in > 0) out.H.assign(size() * size(), 0.0);
    nearest_.assign(trees_.size() * options.n_nearest, {});
    typename TreePass<X>::Leaves leaves;
    if (options.n_nearest > 0)
        leaves = [&](Index begin, Index count, const double* at) {
            keep_nearest(begin, count, at, options.n_nearest);
        };
    pass_.sums_at(
        trees_, trees_.omega.data(), options.adjoint, sums,
        [&](Index begin, Index count, const double* f, const double* h, double* at) {
            const double value = dual_point(begin, count, f, at);
            std::copy_n(at, count * C_, theta.data() + begin * C_);
            if (options.one_in > 0 && begin / kPassRows % options.one_in == 0) {
                add_hessian(begin, count, f_.data(), h, out.H);
                used += count;
            }
            return value;
        },
        leaves);
    for (const Near& near : nearest_) out.nearest.push_back(near.row);
    const auto n = static_cast<double>(n_);
    out.loss = sums.loss;
    out.S = std::move(sums.S);
    out.G = std::move(sums.G);
    out.imbalance = smooth_.loss().imbalance(theta.data());
    for (double& value : out.S) value *= n;
    for (double& value : out.G) value *= n;
    for (double& value : out.H) value *= n * (n / static_cast<double>(used));
    for (Index i = 0; i < n_; ++i) {
        double slopes = 0;
        for (Index c = 0; c < C_; ++c) slopes += std::abs(theta[i * C_ + c]);
        out.size += n * slopes * rows_.length(i);
    }
    out.size *= std::sqrt(static_cast<double>(trees_.dim / rows_.cols));
    return out;
}

template <class X>
double Block<X>::dual_value(double s) {
    std::vector<double> f(n_ * C_), theta(n_ * C_);
    pass_.outputs(trees_, trees_.omega.data(), f.data());
    dual_point(0, n_, f.data(), theta.data());
    return static_cast<double>(n_) * smooth_.stated().dual_value(theta.data(), s);
}

}  // namespace

template <class X>
BlockDual block_dual(PassRows<X> rows, MatView<const double> y, VecView<const double> w, const LossSpec& loss,
                     const TreeShape& shape, const StartTrees& trees, const BlockDualOptions& options) {
    return Block<X>(rows, y, w, loss, shape, trees, options.imbalance).sums(options);
}

template <class X>
double block_dual_value(PassRows<X> rows, MatView<const double> y, VecView<const double> w,
                        const LossSpec& loss, const TreeShape& shape, const StartTrees& trees,
                        VecView<const double> imbalance, double s) {
    return Block<X>(rows, y, w, loss, shape, trees, imbalance).dual_value(s);
}

/// The rows without those whose patterns may be others where sums are made in another order.
template <class X>
std::vector<X> decided(Rows<X> rows, const TreeShape& shape, const double* leaves,
                       MatView<const std::int8_t> edge_signs) {
    const Index n = rows.rows, d = rows.cols, dim = shape.paths() * d;
    const Arrangements arrangements = arrangements_from_trees(rows, {leaves, 1, dim}, edge_signs, shape, 1);
    std::vector<double> slack(shape.units() * n);
    Cones<X>(rows, arrangements).slack(0, leaves, slack.data());
    const double least = kUndecided * ConstMap(leaves, dim).norm();
    std::vector<X> out(rows.data, rows.data + rows.size());
    for (Index at = 0; at < shape.units() * n; ++at) {
        const Index i = at % n;
        if (slack[at] != 0 && std::abs(slack[at]) <= least * length_of(rows.row(i), d))
            std::fill_n(out.data() + i * d, d, X(0));
    }
    return out;
}

template <class X>
std::vector<double> cone_scores(Rows<X> rows, const TreeShape& shape, const StartTrees& trees,
                                VecView<const std::int8_t> monotone, MatView<const double> z, bool both_signs,
                                double floor, int threads) {
    const Index K = trees.leaves.rows, dim = trees.leaves.cols, edges = shape.edges(),
                C = trees.intercept.size;
    require_shape("z", z, K, dim);
    require(trees.linear.size == K, "linear of the trees has ", trees.linear.size, " entries; expected ", K);
    require(K == 0 || rows.rows % K == 0, "there are ", rows.rows, " rows for ", K, " trees");
    std::vector<double> out(K);
    const Index m = K > 0 ? rows.rows / K : 0;
    in_team(threads_for(dim * rows.rows, threads), K, [&](Tasks& tasks) {
        std::vector<double> v(dim), turned(dim);
        for (Index k; tasks.take(k);) {
            out[k] = ConstMap(z.row(k), dim).norm();
            if (m == 0 || out[k] <= floor) continue;
            const double* leaves = trees.leaves.row(k);
            const MatView<const std::int8_t> signs{trees.edge_signs.data + k * edges, 1, edges};
            const std::vector<X> kept = decided<X>({rows.row(k * m), m, rows.cols}, shape, leaves, signs);
            const Rows<X> own{kept.data(), m, rows.cols};
            Arrangements arrangements = arrangements_from_trees(own, {leaves, 1, dim}, signs, shape, 1);
            arrangements.linear.assign(1, trees.linear[k]);
            const Cones<X> cones(own, arrangements, monotone);
            // Outputs that are monotone are fed one by one, with the sign of the one entry.
            const double side = ConstMap(trees.directions.row(k), C).sum() < 0 ? -1 : 1;
            Facets facets, of_other;
            const Index all = Cones<X>::kAllChecks;
            out[k] = cones.project(0, z.row(k), floor, facets, v.data(), all, side);
            if (!both_signs || trees.linear[k]) continue;
            for (Index j = 0; j < dim; ++j) turned[j] = -z(k, j);
            out[k] = std::max(out[k], cones.project(0, turned.data(), floor, of_other, v.data(), all, -side));
        }
    });
    return out;
}

template BlockDual block_dual<float>(PassRows<float>, MatView<const double>, VecView<const double>,
                                     const LossSpec&, const TreeShape&, const StartTrees&,
                                     const BlockDualOptions&);
template BlockDual block_dual<double>(PassRows<double>, MatView<const double>, VecView<const double>,
                                      const LossSpec&, const TreeShape&, const StartTrees&,
                                      const BlockDualOptions&);
template double block_dual_value<float>(PassRows<float>, MatView<const double>, VecView<const double>,
                                        const LossSpec&, const TreeShape&, const StartTrees&,
                                        VecView<const double>, double);
template double block_dual_value<double>(PassRows<double>, MatView<const double>, VecView<const double>,
                                         const LossSpec&, const TreeShape&, const StartTrees&,
                                         VecView<const double>, double);
template std::vector<double> cone_scores<float>(Rows<float>, const TreeShape&, const StartTrees&,
                                                VecView<const std::int8_t>, MatView<const double>, bool,
                                                double, int);
template std::vector<double> cone_scores<double>(Rows<double>, const TreeShape&, const StartTrees&,
                                                 VecView<const std::int8_t>, MatView<const double>, bool,
                                                 double, int);

}  // namespace pathrelu
