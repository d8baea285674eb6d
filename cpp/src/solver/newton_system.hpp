#pragma once
#include <memory>
#include <vector>

#include "solver/workspace.hpp"

namespace pathrelu {

/// A block that is not zero, with what the proximal map's derivative needs.
struct ActiveBlock {
    Index index;  // in the working set
    Index slot;   // (layer, group) in the operator over the support
    Index layer;
    double sigma;
    double norm;
    double root;           // sqrt of the map's shrinkage
    const Facets* facets;  // null for a block that is free
    Vector direction;

    Index n_facets() const { return facets ? facets->size() : 0; }
    /// x <- its part along the block's facets.
    template <class Column>
    void to_tangent(Column&& x) const {
        if (n_facets() == 0) return;
        const Eigen::Map<const Matrix> Q(facets->Q.data(), direction.size(), n_facets());
        const Vector normal_part = Q.transpose() * x;
        x -= Q * normal_part;
    }
    /// Orthonormal basis of the directions along the block's facets.
    Matrix tangent_basis() const;
};

/// The blocks of Z that are not zero, with the derivative of the proximal map of this step there, and their
/// `groups`.
template <class X>
std::vector<ActiveBlock> active_blocks(const Workspace<X>& space, const WorkingSet<X>& work,
                                       const std::vector<double>& Z, double step, std::vector<Index>& groups);

/// These blocks and the operator over their groups.
template <class X>
class Support {
  public:
    Support(const Workspace<X>& space, const WorkingSet<X>& work, const std::vector<double>& Z, double step);

    std::vector<ActiveBlock> active;

    Index size() const { return static_cast<Index>(active.size()); }
    /// Path p of the block in the operator over the support.
    Index path(const ActiveBlock& block, Index p) const {
        const Index paths = space_.dim / space_.d;
        return block.slot % static_cast<Index>(work_.groups.size()) * paths + p;
    }
    const MaskedOperator<X>& op() const { return work_.op; }

    /// f (n, C) <- predictions of the columns of D.
    void predict(const Matrix& D, std::vector<double>& f) const;
    /// sigma_a B_a^T r for every block, (dim, blocks).
    Matrix correlate(const std::vector<double>& r) const;
    /// x <- its parts along the facets of each block.
    void to_tangent(Matrix& x) const;

  private:
    const Workspace<X>& space_;
    WorkingSet<X> work_;
};

/// The loss around the point of a proximal step, and that point.
struct ProximalModel {
    const Point& start;
    double step;  ///< of the proximal term |Z - start|^2 / (2 step)
    LossModel loss;
};

/// The linear system of a Newton step on the tangent spaces of the facets,
///
///   (M^-1 / step + B^T H B) x = rhs,     M^-1 / step = I / step + (alpha / |z|) (I - u u^T),
///
/// M the derivative of the proximal map: the curvature of the penalty with a ridge. One way to solve it.
template <class X>
class NewtonSystem {
  public:
    virtual ~NewtonSystem() = default;
    /// Multiplications it takes; infinite where this way is closed.
    virtual double work(const std::vector<ActiveBlock>& active) const = 0;
    /// False if rounding spoils the solution.
    virtual bool solve(const Support<X>& on, const ProximalModel& model, const Matrix& rhs, Matrix& x) = 0;
};

/// rhs - (M^-1 / step + B^T H B) x on the tangent spaces.
template <class X>
Matrix newton_residual(const Support<X>& on, const ProximalModel& model, double alpha, const Matrix& rhs,
                       const Matrix& x);

constexpr double kNewtonResidual = 1e-2;  ///< of a system that is solved iteratively: a few digits a step do
constexpr Index kMostFactored = 4096;     ///< unknowns of a system that is factorised: 128 MiB
constexpr Index kGramRows = 256;          ///< rows of a matrix held at a time: they stay in the cache

/// With the matrix formed, in bases of the tangent spaces.
template <class X>
std::unique_ptr<NewtonSystem<X>> primal_system(Workspace<X>& space);
/// With the matrix over the rows formed, by Woodbury's identity.
template <class X>
std::unique_ptr<NewtonSystem<X>> row_system(Workspace<X>& space);
/// By conjugate gradients.
template <class X>
std::unique_ptr<NewtonSystem<X>> conjugate_gradients(Workspace<X>& space);

/// Solves the system where it is cheapest.
template <class X>
class NewtonSystems {
  public:
    explicit NewtonSystems(Workspace<X>& space)
        : primal_(primal_system(space)), rows_(row_system(space)), iterative_(conjugate_gradients(space)) {}

    double least_work(const std::vector<ActiveBlock>& active) const;
    Matrix solve(const Support<X>& on, const ProximalModel& model, const Matrix& rhs);

  private:
    std::unique_ptr<NewtonSystem<X>> primal_, rows_, iterative_;
};

}  // namespace pathrelu
