#pragma once
#include <pathrelu/cones.hpp>
#include <pathrelu/operators.hpp>
#include <pathrelu/solver.hpp>

#include <algorithm>
#include <optional>
#include <vector>

#include "parallel.hpp"
#include "solver/smooth_part.hpp"
#include "support/stopwatch.hpp"

namespace pathrelu {

/// Some groups of the program with the operator over them. Block (c, k, s) stands for the program's
/// block (c, groups[k], s), or block k for its block groups[k] where groups have directions.
template <class X>
struct WorkingSet {
    std::vector<Index> groups;
    MaskedOperator<X> op;
};

/// A feasible point of a working set, with its predictions.
struct Point {
    std::vector<double> Z;          ///< (layers, k, signs, dim)
    std::vector<double> f;          ///< (n, C), without the intercept
    std::vector<double> intercept;  ///< (C), with which the smooth part was evaluated
    double smooth = 0;
    double penalty = 0;
    double objective() const { return smooth + penalty; }
};

/// A program with what all parts of its solver share: the smooth part, the cones, products, proximal maps and
/// scores of its blocks, the steps made and the time.
template <class X>
class Workspace {
  public:
    using Sums = typename MaskedOperator<X>::Sums;

    Workspace(const Program<X>& program, const SolveOptions& options, const Observer& observer);

    const Program<X>& program;
    const SolveOptions& options;
    const Index n, d, C, layers, S, dim;
    SmoothPart smooth;
    Stopwatch watch;
    Index n_iter = 0;  ///< proximal and Newton steps made

    bool any_steps_left() const { return n_iter < options.max_iter; }
    bool has_cones() const { return cones_.has_value(); }
    /// Whether products of the data stay far inside the range of single precision.
    bool single_range() const { return single_range_; }
    const Facets& prox_facets(Index block) const { return prox_facets_[block]; }

    Index block_index(Index c, Index g, Index s) const { return (c * program.groups() + g) * S + s; }
    double sigma(Index block) const { return block % S == 0 ? 1 : -1; }
    /// Of the one output that the block's sub-network feeds.
    double output_sign(Index block) const;
    Index group_of(Index block) const { return block / S % program.groups(); }
    /// Of block b of these groups.
    Index global_block(const std::vector<Index>& groups, Index b) const {
        const Index k = static_cast<Index>(groups.size());
        return block_index(b / (k * S), groups[b / S % k], b % S);
    }
    Index blocks_of(const std::vector<Index>& groups) const {
        return layers * static_cast<Index>(groups.size()) * S;
    }
    WorkingSet<X> working_set(std::vector<Index> groups) const {
        MaskedOperator<X> op(program.rows, program.arrangements, groups, options.threads);
        return {std::move(groups), std::move(op)};
    }

    /// f (n, C) <- sum over the blocks of Z (layers, k, signs, dim) of these groups.
    void forward(const WorkingSet<X>& work, const double* Z, double* f, Sums sums = Sums::exact) const;
    /// f (n, C) <- the same of V (layers, k, dim), in which both signs are merged.
    void forward_merged(const WorkingSet<X>& work, const double* V, double* f, Sums sums = Sums::exact) const;
    /// G (layers, k, dim) <- B^T theta for every output, or B_g^T theta omega_g for the directions.
    void adjoint(const WorkingSet<X>& work, const double* theta, double* G, Sums sums = Sums::exact) const;

    /// alpha times the sum of the blocks' norms.
    double penalty(const std::vector<double>& Z) const;
    /// Fills what follows from point.Z and point.f.
    void evaluate(Point& point);
    /// Fills what follows from point.Z.
    void evaluate(const WorkingSet<X>& work, Point& point, Sums sums = Sums::exact);

    /// |proj_K(sigma B^T theta)| of every block of the groups, where it exceeds `floor`; elsewhere a bound <=
    /// floor. With few `checks` of all rows to a projection, upper bounds.
    std::vector<double> scores(const std::vector<Index>& groups, const double* G, double floor,
                               Index checks = Cones<X>::kAllChecks);
    /// Largest dual objective on the ray through theta, given the largest score.
    double dual_value(const Loss& loss, const std::vector<double>& theta, double largest_score) const;

    /// out <- prox of step * (alpha |.| + indicator of the cone) at z, for the program's block `global`; its
    /// norm.
    double prox(Index global, const double* z, double step, double* out);
    /// out <- projection of z on the cone of that block, from the facets of its last proximal map.
    void project_as_prox(Index global, const double* z, double* out) {
        project(global, z, 0, prox_facets_[global], out);
    }
    /// Projects the blocks that violate their cones by more than the rounding of their own entries: a start
    /// from elsewhere, or a proximal map of a much longer point. Whether there were any.
    bool put_on_cones(MatView<double> blocks);
    /// Blocks outside their cones <- 0: quicker than a projection.
    void keep_feasible(MatView<double> blocks) const;

    /// body(b, z, v) for every block in parallel, with scratch z, v (dim). The calling thread polls between
    /// its blocks, since a sweep of projections can take long.
    template <class Body>
    void for_blocks(Index blocks, Body body) {
        const int team = threads_for(blocks * dim * (cones_ ? n : 1), options.threads);
        in_team(team, blocks, [&](Tasks& tasks) {
            std::vector<double> z(dim), v(dim);
            for (Index b; tasks.take(b);) {
                body(b, z.data(), v.data());
                if (on_calling_thread()) watch.poll();
            }
        });
    }

  private:
    std::vector<double> directions(const WorkingSet<X>& work) const;
    double project(Index block, const double* z, double stop_norm, Facets& facets, double* v,
                   Index checks = Cones<X>::kAllChecks) const;

    std::optional<Cones<X>> cones_;
    std::vector<Facets> score_facets_, prox_facets_;
    std::vector<double> row_norms_;  // sqrt(paths) |x_i|
    bool single_range_;
};

inline double largest(const std::vector<double>& values) {
    return values.empty() ? 0 : *std::max_element(values.begin(), values.end());
}

}  // namespace pathrelu
