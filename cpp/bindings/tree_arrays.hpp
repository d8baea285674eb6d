#pragma once
#include <pathrelu/search.hpp>

#include "numpy.hpp"

namespace pathrelu {

/// Leaves (K, paths * d), edge signs (K, edges), directions (K, C) and whether without gates (K) of trees,
/// and an intercept (C) or none.
using TreeArrays =
    std::tuple<Array<double>, Array<std::int8_t>, Array<double>, Array<std::uint8_t>, Array<double>>;

inline StartTrees view_of(const TreeArrays& trees) {
    const auto& [leaves, edge_signs, directions, linear, intercept] = trees;
    return {matrix(leaves, "leaves of the trees"), matrix(edge_signs, "edge signs of the trees"),
            matrix(directions, "directions of the trees"), vector(linear, "linear of the trees"),
            vector(intercept, "intercept of the trees")};
}

}  // namespace pathrelu
