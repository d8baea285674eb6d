#pragma once
#include <vector>

#include <pathrelu/losses.hpp>
#include <pathrelu/types.hpp>

namespace pathrelu {

struct RelaxationOptions {
    Index max_steps = 30;
    double tol = 1e-3;    ///< stop when the bound is within this share of what the relaxation attains
    Index max_nodes = 0;  ///< of a tree of half-spaces below the relaxation, looked into at most
    double floor = 0;     ///< bounds up to it need not be lower
    int threads = 1;
};

/// What the semidefinite relaxation tells of  max over |u| <= 1 of sigma sum_i theta_i (z_i . u)_+ , for
/// sigma = +1 and then sigma = -1.
struct RelaxedCorrelation {
    double bound = 0;            ///< nothing is above it, rounding included; infinite if stopped too early
    std::vector<double> values;  ///< (2) what the relaxed points attain
    double reached = 0;          ///< what some unit correlates, where there was a tree
    Index n_nodes = 0;
    std::vector<double> points;   ///< (k, n) relaxed outputs (z_i . u)_+ of leaves: the cuts of the dual
    std::vector<double> units;    ///< (k, r) the means u, of length up to 1
    std::vector<double> moments;  ///< (2, r + r^2): where a look for a theta nearby may start
};

/// Bounds it without arrangements, in O(n r^2 + r^3) time a step.
///
/// With U in place of u u^T, and t_i for |z_i . u|:  t_i <= (z_i U z_i / tau_i + tau_i) / 2  for any
/// tau_i > 0, where theta_i > 0, and  t_i >= z_i U z_i / |z_i|,  t_i >= s_i z_i . u  for any |s_i| <= 1,
/// where theta_i < 0. What is left is the maximum of  c . u + u M u  over the ball, which an
/// eigendecomposition of M (r, r) tells. The multipliers tau, s and the shares of the two lower bounds come
/// from Frank-Wolfe steps for (u, U); the bound is computed from them alone, whatever the steps have come to.
///
/// A tree cuts the ball in two by half-spaces where (u, U) is spread most. In a leaf, products of its
/// half-spaces are further constraints, with multipliers of their own; rows that have one sign in it are
/// linear, and the lengths |z_i| of the others are the largest |z_i . u| in one of the half-spaces.
///
/// `start` is empty, or the moments of an earlier look at as many columns.
RelaxedCorrelation relaxed_correlation(MatView<const double> rows, VecView<const double> theta,
                                       const RelaxationOptions& options, VecView<const double> start = {},
                                       const Poll& poll = {});

struct ColumnSolution {
    double objective = 0;
    std::vector<double> coefficients;  ///< (K)
    std::vector<double> theta;         ///< (n, C) dual point, summing to zero where there is an intercept
};

/// min over c >= 0 (and intercepts b) of  loss(sum_k c_k t_k w_k^T + b) + alpha sum_k c_k  for columns t
/// (K, n) in directions w (K, C), by projected Newton steps from `start` (K). A loss with kinks is smoothed.
ColumnSolution solve_columns(MatView<const double> columns, MatView<const double> directions,
                             MatView<const double> y, VecView<const double> w, const LossSpec& loss,
                             double alpha, bool fit_intercept, VecView<const double> start,
                             const Poll& poll = {});

}  // namespace pathrelu
