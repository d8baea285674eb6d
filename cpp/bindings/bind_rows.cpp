#include <pathrelu/block_dual.hpp>

#include "tree_arrays.hpp"

namespace pathrelu {
namespace {

py::tuple dual_of_block(const ProblemArrays& problem, std::vector<Index> width, const TreeArrays& trees,
                        const Array<double>& imbalance, bool adjoint, Index one_in, Index n_nearest) {
    require(problem.relu, "sums of blocks are of relu networks");
    const auto y = matrix(problem.y, "y");
    const auto w = vector(problem.w, "w");
    const auto all = vector(imbalance, "imbalance");
    const TreeShape shape(std::move(width));
    const StartTrees from = view_of(trees);
    const BlockDual sums = on_rows(problem.X, [&](const auto& rows) {
        const WithoutGil nogil;
        return block_dual(rows, y, w, problem.loss, shape, from, {all, adjoint, one_in, n_nearest});
    });
    const Index K = from.leaves.rows;
    const Index m = K + y.cols;
    const auto size = static_cast<Index>(sums.imbalance.size());
    return py::make_tuple(sums.loss, sums.size, copy_of(sums.S, std::vector<Index>{K + 1, y.cols}),
                          copy_of(sums.G, std::vector<Index>{adjoint ? K : 0, from.leaves.cols}),
                          copy_of(sums.H, std::vector<Index>{one_in > 0 ? m : 0, m}),
                          copy_of(sums.imbalance, std::vector<Index>{size}),
                          copy_of(sums.nearest, std::vector<Index>{K, n_nearest}));
}

double dual_value_of_block(const ProblemArrays& problem, std::vector<Index> width, const TreeArrays& trees,
                           const Array<double>& imbalance, double s) {
    require(problem.relu, "sums of blocks are of relu networks");
    const auto y = matrix(problem.y, "y");
    const auto w = vector(problem.w, "w");
    const auto all = vector(imbalance, "imbalance");
    const TreeShape shape(std::move(width));
    const StartTrees from = view_of(trees);
    return on_rows(problem.X, [&](const auto& rows) {
        const WithoutGil nogil;
        return block_dual_value(rows, y, w, problem.loss, shape, from, all, s);
    });
}

template <class X>
Array<double> scores_of_cones(const Array<X>& table, std::vector<Index> width, const TreeArrays& trees,
                              const std::optional<Array<std::int8_t>>& monotone, const Array<double>& z,
                              bool both_signs, double floor, int threads) {
    const StartTrees from = view_of(trees);
    const TreeShape shape(std::move(width));
    require(table.ndim() == 3 && table.shape(0) == from.leaves.rows,
            "rows of cones must have the shape (trees, rows, columns)");
    const Rows<X> rows{table.data(), table.shape(0) * table.shape(1), table.shape(2)};
    const auto of = matrix(z, "z");
    const auto directions = monotone ? vector(*monotone, "monotone") : VecView<const std::int8_t>{};
    std::vector<double> scores;
    {
        const WithoutGil nogil;
        scores = cone_scores(rows, shape, from, directions, of, both_signs, floor, threads);
    }
    return copy_of(scores, std::vector<Index>{from.leaves.rows});
}

template <class X>
void bind(py::module_& m) {
    m.def("cone_scores", &scores_of_cones<X>, py::arg("X").noconvert(), py::arg("width"), py::arg("trees"),
          py::arg("monotone"), py::arg("z").noconvert(), py::arg("both_signs"), py::arg("floor"),
          py::arg("threads"),
          "Bounds on the norms (K) of projections of z (K, paths * d) on the cones of trees on rows "
          "(K, m, d), above `floor`.");
}

}  // namespace

void register_rows(py::module_& m) {
    m.def(
        "block_dual", &dual_of_block, py::arg("problem"), py::arg("width"), py::arg("trees"),
        py::arg("imbalance").noconvert(), py::arg("adjoint"), py::arg("one_in"), py::arg("n_nearest"),
        "(loss, size, S (K + 1, C), G (K, paths * d), H (K + C, K + C), imbalance, nearest (K, n_nearest)): "
        "sums over the rows of a block at the dual point of trees, balanced where the imbalance of all rows "
        "is not empty; G without rows unless `adjoint`, and H where `one_in` is 0.");
    m.def("block_dual_value", &dual_value_of_block, py::arg("problem"), py::arg("width"), py::arg("trees"),
          py::arg("imbalance").noconvert(), py::arg("s"),
          "The dual objective at s times that point, summed over the rows.");
    bind<double>(m);
    bind<float>(m);
}

}  // namespace pathrelu
