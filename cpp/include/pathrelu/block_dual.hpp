#pragma once
#include <vector>

#include <pathrelu/arrangements.hpp>
#include <pathrelu/losses.hpp>
#include <pathrelu/search.hpp>

namespace pathrelu {

/// What a block of rows has in the dual of the program over the patterns and directions of trees: sums over
/// its rows, not means.
///
/// The outputs are f = sum_k tree(V_k) omega_k + intercept, the dual point theta_i = -w_i loss'(f_i), of the
/// loss with its kinks rounded off and, given the imbalance of all rows, balanced.
struct BlockDual {
    double loss = 0;        ///< sum_i w_i loss(f_i, y_i), kinks and all
    double size = 0;        ///< what sums of theta_i x_i are rounded by, over epsilon
    std::vector<double> S;  ///< (K + 1, C): sum_i tree(V_k)(x_i) theta_i, and in row K sum_i theta_i
    std::vector<double> G;  ///< (K, paths * d): the adjoint of theta omega_k, if it was asked for
    std::vector<double> H;  ///< (K + C, K + C): Hessian of the loss in factors of trees and intercepts
    std::vector<double> imbalance;  ///< see Loss::imbalance
    /// (K, n_nearest): rows of weight where some leaf of a tree is nearest to where it switches, in units of
    /// its weights and the row; -1 where there are no more.
    std::vector<Index> nearest;
};

struct BlockDualOptions {
    VecView<const double> imbalance = {};  ///< of all rows; without it theta is as it is
    bool adjoint = false;                  ///< whether G is wanted
    Index one_in = 0;                      ///< H is estimated from one of so many rows; 0 for no H
    Index n_nearest = 0;
};

template <class X>
BlockDual block_dual(PassRows<X> rows, MatView<const double> y, VecView<const double> w, const LossSpec& loss,
                     const TreeShape& shape, const StartTrees& trees, const BlockDualOptions& options);

/// The dual objective of the rows at s * theta: a sum, less what rounding can have added to it.
template <class X>
double block_dual_value(PassRows<X> rows, MatView<const double> y, VecView<const double> w,
                        const LossSpec& loss, const TreeShape& shape, const StartTrees& trees,
                        VecView<const double> imbalance, double s);

/// Bounds on |proj_K(z_k)| (K), where that exceeds `floor`, for the cones of the patterns of trees: the cones
/// of some of the rows (K, m, d), which hold those of all. z (K, paths * d); with `both_signs` the largest of
/// z_k and -z_k. Rows of zeros say nothing, and those whose patterns rounding decides are left
/// out. `monotone` is as of a program.
template <class X>
std::vector<double> cone_scores(Rows<X> rows, const TreeShape& shape, const StartTrees& trees,
                                VecView<const std::int8_t> monotone, MatView<const double> z, bool both_signs,
                                double floor, int threads);

}  // namespace pathrelu
