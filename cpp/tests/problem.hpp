#pragma once
#include <algorithm>
#include <numeric>
#include <random>
#include <utility>
#include <vector>

#include <pathrelu/arrangements.hpp>

namespace pathrelu {

template <class T>
std::vector<T> normal(std::mt19937_64& random, Index size) {
    std::normal_distribution<double> draw;
    std::vector<T> out(size);
    for (T& value : out) value = static_cast<T>(draw(random));
    return out;
}

inline std::vector<std::int8_t> random_signs(std::mt19937_64& random, Index size) {
    std::vector<std::int8_t> out(size);
    for (auto& sign : out) sign = random() % 2 ? 1 : -1;
    return out;
}

/// Value of a unit by the definition: a leaf has its own, others add their children's signed positive parts.
inline double unit_value(const TreeShape& shape, const std::int8_t* signs, const double* leaves, Index unit) {
    const Index layer = shape.layer_of(unit);
    if (layer == 0) return leaves[unit];
    const Index children = shape.width()[layer - 1];
    const Index first = shape.layer_begin(layer - 1) + (unit - shape.layer_begin(layer)) * children;
    double value = 0;
    for (Index c = first; c < first + children; ++c)
        value += signs[c] * std::max(0.0, unit_value(shape, signs, leaves, c));
    return value;
}

/// Rows and trees drawn from the standard normal distribution, and the arrangements of those trees.
template <class T>
struct Problem {
    Index n, d, groups;
    TreeShape shape;
    std::vector<T> X;
    std::vector<double> W;
    std::vector<std::int8_t> signs;
    Arrangements arrangements;

    Problem(Index n, Index d, Index groups, std::vector<Index> width, unsigned seed)
        : n(n), d(d), groups(groups), shape(std::move(width)) {
        std::mt19937_64 random(seed);
        X = normal<T>(random, n * d);
        W = normal<double>(random, groups * shape.paths() * d);
        signs = random_signs(random, groups * shape.edges());
        arrangements = arrange(1);
    }

    Rows<T> rows() const { return {X.data(), n, d}; }

    Arrangements arrange(int threads) const {
        return arrangements_from_trees<T>(rows(), {W.data(), groups, shape.paths() * d},
                                          {signs.data(), groups, shape.edges()}, shape, threads);
    }

    void leaf_values(Index group, Index row, double* out) const {
        const double* w = W.data() + group * shape.paths() * d;
        for (Index path = 0; path < shape.paths(); ++path, w += d)
            out[path] = std::inner_product(w, w + d, X.data() + row * d, 0.0);
    }

    bool mask(Index group, Index path, Index row) const {
        std::vector<std::uint64_t> bits(arrangements.words());
        arrangements.path_mask(group, path, bits.data());
        return bits[row / 64] >> (row % 64) & 1;
    }
};

}  // namespace pathrelu
