#pragma once
#include <vector>

#include <pathrelu/arrangements.hpp>
#include <pathrelu/losses.hpp>
#include <pathrelu/search.hpp>

namespace pathrelu {

/// What one block of rows adds to the objective of a slide and its derivatives: sums over its rows, not
/// means.
struct BlockSums {
    double loss = 0;        ///< sum_i w_i loss(f_i, y_i)
    std::vector<double> S;  ///< (K + 1, C): less the derivative of the loss in a_k, and in the intercept
    std::vector<double> G;  ///< (K, paths * d): less that in the leaves
};

/// The outputs are f = sum_k tree(V_k) a_k + intercept, with the leaves V_k, edge signs and intercept of
/// `trees`, whose directions are the a_k, of any length. In single precision inside tiles if `single`. w (n)
/// are weights as they are.
template <class X>
BlockSums block_sums(Rows<X> rows, MatView<const double> y, VecView<const double> w, const LossSpec& loss,
                     const TreeShape& shape, const StartTrees& trees, bool single, int threads);

}  // namespace pathrelu
