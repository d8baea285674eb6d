#include <pathrelu/block_sums.hpp>

#include "numpy.hpp"

namespace pathrelu {
namespace {

using TreeArrays =
    std::tuple<Array<double>, Array<std::int8_t>, Array<double>, Array<std::uint8_t>, Array<double>>;

py::tuple sums_of_block(const ProblemArrays& problem, std::vector<Index> width, const TreeArrays& trees,
                        bool single, int threads) {
    require(problem.relu, "sums of blocks are of relu networks");
    const auto y = matrix(problem.y, "y");
    const auto w = vector(problem.w, "w");
    const TreeShape shape(std::move(width));
    const auto& [leaves, edge_signs, directions, linear, intercept] = trees;
    const StartTrees from{matrix(leaves, "leaves of the trees"),
                          matrix(edge_signs, "edge signs of the trees"),
                          matrix(directions, "directions of the trees"),
                          vector(linear, "linear of the trees"), vector(intercept, "intercept of the trees")};
    const BlockSums sums = std::visit(
        [&](const auto& X) {
            const auto rows = matrix(X, "X");
            const WithoutGil nogil;
            return block_sums(rows, y, w, problem.loss, shape, from, single, threads);
        },
        problem.X);
    const Index K = from.leaves.rows;
    return py::make_tuple(sums.loss, copy_of(sums.S, std::vector<Index>{K + 1, y.cols}),
                          copy_of(sums.G, std::vector<Index>{K, from.leaves.cols}));
}

}  // namespace

void register_rows(py::module_& m) {
    m.def(
        "block_sums", &sums_of_block, py::arg("problem"), py::arg("width"), py::arg("trees"),
        py::arg("single"), py::arg("threads"),
        "(loss, S (K + 1, C), G (K, paths * d)) of trees whose directions are output weights: sums over the "
        "rows of a block.");
}

}  // namespace pathrelu
