#pragma once
#include <cstdint>
#include <vector>

#include <pathrelu/arrangements.hpp>
#include <pathrelu/pass_rows.hpp>

#include "search/polish.hpp"
#include "search/trees.hpp"
#include "support/random.hpp"

namespace pathrelu {

/// Where slides and ascents start from: the same trees for the same seed.
template <class X>
class Starts {
  public:
    /// With `shared`, trees feed all outputs in random directions; else each feeds one of them. The problem
    /// must outlive the object.
    Starts(const SearchProblem<X>& problem, PassRows<X> rows, std::uint64_t seed)
        : problem_(problem),
          rows_(rows),
          shape_(problem.shape),
          C_(problem.outputs()),
          shared_(problem.shared),
          seed_(seed) {}

    /// Trees in every direction, from which a slide starts: many, so that it ends near a good optimum. Their
    /// norms sum to `norm` for each output. By default as many as the work on them allows.
    Trees cloud(Index number, double norm, Index count = 0) const;

    /// Every tree as several around it, the closer the later the round: their patterns differ across the
    /// facets near by, and a slide brings together again what does not pay.
    Trees split(const Trees& trees, Index round) const;

    /// Starts of ascents, `count` for each sign of an output: random ones, and trees in use, turned around or
    /// moved across facets.
    Trees of_ascents(const Trees& current, Index round, Index count) const;

    Trees none() const { return {shape_.paths() * rows_.cols, shape_.edges(), C_}; }
    /// Outputs whose trees are looked for apart.
    Index kinds() const { return shared_ ? 1 : C_; }

  private:
    void random_leaves(Random& random, Index kind, double* leaves) const;
    void random_direction(Random& random, Index output, Index number, double* direction) const;
    void turn_signs(Trees& trees) const;

    const SearchProblem<X>& problem_;
    PassRows<X> rows_;
    const TreeShape& shape_;
    Index C_;
    bool shared_;
    std::uint64_t seed_;
};

}  // namespace pathrelu
