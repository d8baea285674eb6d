#pragma once
#include <cstdint>
#include <vector>

#include <pathrelu/types.hpp>

namespace pathrelu {

/// Shape of a tree with width (m_1, ..., m_{L-2}): one root, every unit of hidden layer l + 1 has m_l
/// children.
///
/// Units are numbered layer by layer: the leaves 0 .. paths - 1 first, the root last; children of one unit
/// are consecutive. Edge u joins unit u to its parent, so there is one fewer edge than units. The leaves
/// below a unit are consecutive too, and a leaf stands for its path.
class TreeShape {
  public:
    /// Throws std::invalid_argument for a width below 1 or a tree of more than 2^20 leaves.
    explicit TreeShape(std::vector<Index> width = {});

    Index depth() const { return static_cast<Index>(width_.size()) + 2; }
    const std::vector<Index>& width() const { return width_; }
    Index layers() const { return static_cast<Index>(width_.size()) + 1; }  ///< of units, leaves to root
    Index paths() const { return layer_begin_[1]; }
    Index units() const { return layer_begin_.back(); }
    Index edges() const { return units() - 1; }
    Index layer_begin(Index layer) const { return layer_begin_[layer]; }
    Index layer_size(Index layer) const { return layer_begin_[layer + 1] - layer_begin_[layer]; }
    Index layer_of(Index unit) const;
    Index leaves_below(Index layer) const { return leaves_below_[layer]; }
    bool operator==(const TreeShape& other) const { return width_ == other.width_; }

  private:
    std::vector<Index> width_;
    std::vector<Index> layer_begin_;   // layers + 1 entries
    std::vector<Index> leaves_below_;  // of one unit of the layer
};

/// Bit-packed on/off patterns of every unit of P trees on n rows, with the signs of the inner edges.
///
/// A *linear* group is a sub-network x . v without gates: a skip connection. Its first path is on everywhere,
/// the others nowhere, and nothing constrains its weights.
struct Arrangements {
    TreeShape shape;
    Index n_rows = 0;
    std::vector<std::int8_t> signs;         ///< (P, edges), each +1 or -1
    std::vector<std::uint64_t> patterns;    ///< (P, units, words()); bits past n_rows are zero
    std::vector<std::uint8_t> linear = {};  ///< 1 for the groups that are linear; past its end none is

    Index words() const { return (n_rows + 63) / 64; }
    Index size() const {
        return words() == 0 ? 0 : static_cast<Index>(patterns.size()) / (shape.units() * words());
    }
    const std::uint64_t* pattern(Index group, Index unit) const {
        return patterns.data() + (group * shape.units() + unit) * words();
    }
    const std::int8_t* sign(Index group) const { return signs.data() + group * shape.edges(); }
    bool is_linear(Index group) const {
        return group < static_cast<Index>(linear.size()) && linear[group] != 0;
    }
    /// Whether two groups, of arrangements that are alike in shape and rows, are the same.
    bool same_group(Index group, const Arrangements& other, Index other_group) const;

    /// Mask of one path: the product of the patterns of its units. out (words()).
    void path_mask(Index group, Index path, std::uint64_t* out) const;
    /// Sign of one path: the product of the signs of its edges.
    int path_sign(Index group, Index path) const;

    Arrangements select(const std::vector<Index>& groups) const;
    void append(const Arrangements& other);
    void append_linear();

    /// First occurrences of the groups that differ in some pattern or sign and have a path with a mask that
    /// is not zero everywhere; in order. Compares exactly (hashes only sort candidates).
    std::vector<Index> distinct() const;
};

/// Patterns of P trees with leaf weights W (P, paths * d) and edge signs (P, edges): a unit is on where its
/// pre-activation is > 0. Sums in double in a fixed order, so equal rows have equal bits. Nothing is dropped.
template <class X>
Arrangements arrangements_from_trees(Rows<X> rows, MatView<const double> W, MatView<const std::int8_t> signs,
                                     const TreeShape& shape, int threads);

/// Patterns as given: bits (P * units, n) of 0 and 1.
Arrangements arrangements_from_patterns(MatView<const std::uint8_t> bits, MatView<const std::int8_t> signs,
                                        const TreeShape& shape);

}  // namespace pathrelu
