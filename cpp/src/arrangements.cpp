#include <pathrelu/arrangements.hpp>
#include <pathrelu/error.hpp>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <unordered_map>

#include "parallel.hpp"
#include "trees.hpp"

namespace pathrelu {

TreeShape::TreeShape(std::vector<Index> width) : width_(std::move(width)) {
    constexpr Index kMostLeaves = Index{1} << 20;
    const Index layers = static_cast<Index>(width_.size()) + 1;
    leaves_below_.assign(layers, 1);
    for (Index l = 1; l < layers; ++l) {
        require(width_[l - 1] >= 1, "width has the entry ", width_[l - 1],
                "; every entry must be at least 1");
        leaves_below_[l] = leaves_below_[l - 1] * width_[l - 1];
        require(leaves_below_[l] <= kMostLeaves, "width gives a tree of more than ", kMostLeaves, " leaves");
    }
    layer_begin_.assign(layers + 1, 0);
    for (Index l = 0; l < layers; ++l)
        layer_begin_[l + 1] = layer_begin_[l] + leaves_below_[layers - 1] / leaves_below_[l];
}

Index TreeShape::layer_of(Index unit) const {
    Index l = 0;
    while (unit >= layer_begin_[l + 1]) ++l;
    return l;
}

void Arrangements::path_mask(Index group, Index path, std::uint64_t* out) const {
    std::fill(out, out + words(), ~std::uint64_t{0});
    for (Index l = 0; l < shape.layers(); ++l) {
        const std::uint64_t* bits = pattern(group, shape.layer_begin(l) + path / shape.leaves_below(l));
        for (Index w = 0; w < words(); ++w) out[w] &= bits[w];
    }
}

int Arrangements::path_sign(Index group, Index path) const {
    int sign = 1;
    for (Index l = 0; l + 1 < shape.layers(); ++l)
        sign *= this->sign(group)[shape.layer_begin(l) + path / shape.leaves_below(l)];
    return sign;
}

Arrangements Arrangements::select(const std::vector<Index>& groups) const {
    Arrangements out{shape, n_rows, {}, {}};
    const Index pattern_size = shape.units() * words();
    if (!linear.empty()) out.linear.reserve(groups.size());
    out.signs.reserve(groups.size() * shape.edges());
    out.patterns.reserve(groups.size() * pattern_size);
    for (const Index g : groups) {
        require(g >= 0 && g < size(), "group index ", g, " is outside 0 .. ", size() - 1);
        out.signs.insert(out.signs.end(), sign(g), sign(g) + shape.edges());
        out.patterns.insert(out.patterns.end(), pattern(g, 0), pattern(g, 0) + pattern_size);
        if (!linear.empty()) out.linear.push_back(is_linear(g));
    }
    return out;
}

bool Arrangements::same_group(Index group, const Arrangements& other, Index other_group) const {
    return is_linear(group) == other.is_linear(other_group) &&
           std::equal(pattern(group, 0), pattern(group + 1, 0), other.pattern(other_group, 0)) &&
           std::equal(sign(group), sign(group + 1), other.sign(other_group));
}

void Arrangements::append(const Arrangements& other) {
    require(shape == other.shape && n_rows == other.n_rows,
            "arrangements differ in depth, width or number of rows; only alike ones can be joined");
    if (!other.linear.empty()) {
        linear.resize(size(), 0);
        linear.insert(linear.end(), other.linear.begin(), other.linear.end());
    }
    signs.insert(signs.end(), other.signs.begin(), other.signs.end());
    patterns.insert(patterns.end(), other.patterns.begin(), other.patterns.end());
}

void Arrangements::append_linear() {
    linear.resize(size(), 0);
    linear.push_back(1);
    signs.insert(signs.end(), shape.edges(), 1);
    std::vector<std::uint64_t> on(words(), ~std::uint64_t{0});
    if (n_rows % 64 != 0) on.back() >>= 64 - n_rows % 64;
    for (Index l = 0; l < shape.layers(); ++l)
        for (Index u = 0; u < shape.layer_size(l); ++u)  // the first unit of each layer is on the first path
            if (u == 0)
                patterns.insert(patterns.end(), on.begin(), on.end());
            else
                patterns.insert(patterns.end(), words(), 0);
}

std::vector<Index> Arrangements::distinct() const {
    const Index pattern_size = shape.units() * words(), edges = shape.edges();
    std::vector<std::uint64_t> mask(words());
    std::unordered_multimap<std::uint64_t, Index> seen;
    std::vector<Index> kept;
    for (Index g = 0; g < size(); ++g) {
        bool zero = true;
        for (Index p = 0; p < shape.paths() && zero; ++p) {
            path_mask(g, p, mask.data());
            zero = std::all_of(mask.begin(), mask.end(), [](std::uint64_t w) { return w == 0; });
        }
        if (zero) continue;
        std::uint64_t hash = 0x9e3779b97f4a7c15u;
        const auto mix = [&hash](std::uint64_t value) {
            hash = (hash ^ value) * 0xbf58476d1ce4e5b9u;
            hash ^= hash >> 29;
        };
        for (Index k = 0; k < pattern_size; ++k) mix(pattern(g, 0)[k]);
        for (Index e = 0; e < edges; ++e) mix(static_cast<std::uint64_t>(sign(g)[e] + 2));
        mix(is_linear(g));
        const auto [begin, end] = seen.equal_range(hash);
        const bool duplicate =
            std::any_of(begin, end, [&](const auto& entry) { return same_group(g, *this, entry.second); });
        if (duplicate) continue;
        seen.emplace(hash, g);
        kept.push_back(g);
    }
    return kept;
}

template <class X>
Arrangements arrangements_from_trees(Rows<X> rows, MatView<const double> W, MatView<const std::int8_t> signs,
                                     const TreeShape& shape, int threads) {
    const Index P = W.rows, paths = shape.paths(), units = shape.units();
    require(rows.rows >= 1 && rows.cols >= 1, "X has shape (", rows.rows, ", ", rows.cols,
            "); expected at least one row and one column");
    require_shape("W", W, P, paths * rows.cols);
    require_shape("signs", signs, P, shape.edges());
    for (Index k = 0; k < signs.size(); ++k)
        require(signs.data[k] == 1 || signs.data[k] == -1, "signs has the entry ", int{signs.data[k]},
                "; expected +1 or -1");
    Arrangements out{shape, rows.rows, {signs.data, signs.data + signs.size()}, {}};
    const Index words = out.words();
    out.patterns.assign(P * units * words, 0);

    // Groups of one task: their leaves fill a few panels of the product.
    const Index per_task = std::max<Index>(1, 64 / paths);
    const Index tasks = (P + per_task - 1) / per_task;
    const int team = threads_for(rows.size() * P * paths, threads);
    in_team(team, tasks, [&](Tasks& shared) {
        LeafProduct<double> product;
        std::vector<double> tile(kTileRows * rows.cols);
        std::vector<double> value(units);
        for (Index task; shared.take(task);) {
            const Index g0 = task * per_task, count = std::min(per_task, P - g0);
            product.set_weights(W.row(g0), count * paths, rows.cols, rows.cols);
            for (Index i0 = 0; i0 < rows.rows; i0 += kTileRows) {
                const Index tile_rows = std::min(kTileRows, rows.rows - i0);
                std::copy(rows.row(i0), rows.row(i0) + tile_rows * rows.cols, tile.begin());
                product.run(tile.data(), tile_rows);
                for (Index g = 0; g < count; ++g) {
                    const std::int8_t* s = out.sign(g0 + g);
                    for (Index i = 0; i < tile_rows; ++i) {
                        tree_values(shape, s, product.row(i) + g * paths, value.data());
                        std::uint64_t* bits = out.patterns.data() + (g0 + g) * units * words + (i0 + i) / 64;
                        for (Index u = 0; u < units; ++u)
                            bits[u * words] |= static_cast<std::uint64_t>(value[u] > 0) << ((i0 + i) % 64);
                    }
                }
            }
        }
    });
    return out;
}

Arrangements arrangements_from_patterns(MatView<const std::uint8_t> bits, MatView<const std::int8_t> signs,
                                        const TreeShape& shape) {
    require_shape("signs", signs, signs.rows, shape.edges());
    require(bits.rows == signs.rows * shape.units(), "patterns has ", bits.rows, " rows; expected ",
            signs.rows * shape.units(), " (groups times units)");
    Arrangements out{shape, bits.cols, {signs.data, signs.data + signs.size()}, {}};
    const Index words = out.words();
    out.patterns.assign(bits.rows * words, 0);
    for (Index k = 0; k < bits.rows; ++k)
        for (Index i = 0; i < bits.cols; ++i)
            out.patterns[k * words + i / 64] |= static_cast<std::uint64_t>(bits(k, i) != 0) << (i % 64);
    return out;
}

template Arrangements arrangements_from_trees<float>(Rows<float>, MatView<const double>,
                                                     MatView<const std::int8_t>, const TreeShape&, int);
template Arrangements arrangements_from_trees<double>(Rows<double>, MatView<const double>,
                                                      MatView<const std::int8_t>, const TreeShape&, int);

}  // namespace pathrelu
