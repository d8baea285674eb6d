#pragma once
#include <cstdint>
#include <vector>

#include <pathrelu/arrangements.hpp>

namespace pathrelu {

/// Signs of leaf weights that make outputs monotone in columns: +1 if they must not fall there, -1 if they
/// must not rise, 0 for columns that are free.
///
/// The slope of a tree in column j is the sum, over the paths that are on, of output sign * path sign *
/// weight, so it has the sign wanted wherever each of these terms has. That is sufficient, and convex.
class Monotone {
  public:
    explicit Monotone(VecView<const std::int8_t> directions = {}) : directions_(directions) {
        for (const std::int8_t direction : directions) any_ |= direction != 0;
    }

    bool any() const { return any_; }

    /// visit(place, sign) for every constrained weight of a tree's leaves (paths, d); of a linear one those
    /// of its first leaf.
    template <class Visit>
    void each(const TreeShape& shape, const std::int8_t* edge_signs, double output_sign, bool linear,
              Visit visit) const {
        if (!any_) return;
        for (Index p = 0; p < (linear ? 1 : shape.paths()); ++p) {
            int sign = output_sign < 0 ? -1 : 1;
            for (Index l = 0; l + 1 < shape.layers() && !linear; ++l)
                sign *= edge_signs[shape.layer_begin(l) + p / shape.leaves_below(l)];
            for (Index j = 0; j < directions_.size; ++j)
                if (directions_[j] != 0) visit(p * directions_.size + j, sign * directions_[j]);
        }
    }

    /// The nearest such leaves.
    void clip(const TreeShape& shape, const std::int8_t* edge_signs, double output_sign, bool linear,
              double* leaves) const {
        each(shape, edge_signs, output_sign, linear, [&](Index place, int sign) {
            if (sign * leaves[place] < 0) leaves[place] = 0;
        });
    }

    /// Leaves <- those of gates that no constrained column switches: where gates jump nothing is monotone.
    void clear(Index paths, double* leaves) const {
        for (Index k = 0; any_ && k < paths * directions_.size; ++k)
            if (directions_[k % directions_.size] != 0) leaves[k] = 0;
    }

  private:
    VecView<const std::int8_t> directions_;
    bool any_ = false;
};

}  // namespace pathrelu
