#include <pathrelu/block_sums.hpp>
#include <pathrelu/error.hpp>

#include "search/tree_pass.hpp"

namespace pathrelu {

template <class X>
BlockSums block_sums(Rows<X> rows, MatView<const double> y, VecView<const double> w, const LossSpec& loss,
                     const TreeShape& shape, const StartTrees& from, bool single, int threads) {
    const Index n = rows.rows, C = y.cols, K = from.leaves.rows;
    require(n > 0, "a block has no rows");
    require_shape("y", y, n, C);
    require(w.size == n, "w has ", w.size, " entries; expected ", n);
    Trees trees{shape.paths() * rows.cols, shape.edges(), C};
    require_shape("leaves of the trees", from.leaves, K, K > 0 ? trees.dim : 0);
    require_shape("edge signs of the trees", from.edge_signs, K, K > 0 ? trees.edges : 0);
    require_shape("directions of the trees", from.directions, K, K > 0 ? C : 0);
    require(from.linear.size == K, "linear of the trees has ", from.linear.size, " entries; expected ", K);
    require(from.intercept.size == C, "intercept of the trees has ", from.intercept.size,
            " entries; expected ", C);
    for (Index k = 0; k < K; ++k)
        trees.add(from.leaves.row(k), from.edge_signs.row(k), from.directions.row(k), from.linear[k] != 0);
    const auto of = make_loss(loss, y, w, threads);
    of->check_targets(y);
    TreePass<X> pass(rows, shape, w, C, threads);
    PassSums sums;
    if (single)
        pass.template descend<float>(trees, trees.omega.data(), from.intercept.data, *of, sums);
    else
        pass.template descend<double>(trees, trees.omega.data(), from.intercept.data, *of, sums);
    // Means over the rows of the block, which have no meaning beyond it.
    const auto rows_of_mean = static_cast<double>(n);
    for (double& value : sums.S) value *= rows_of_mean;
    for (double& value : sums.G) value *= rows_of_mean;
    return {sums.loss * rows_of_mean, std::move(sums.S), std::move(sums.G)};
}

template BlockSums block_sums<float>(Rows<float>, MatView<const double>, VecView<const double>,
                                     const LossSpec&, const TreeShape&, const StartTrees&, bool, int);
template BlockSums block_sums<double>(Rows<double>, MatView<const double>, VecView<const double>,
                                      const LossSpec&, const TreeShape&, const StartTrees&, bool, int);

}  // namespace pathrelu
