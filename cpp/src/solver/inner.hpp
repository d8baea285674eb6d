#pragma once
#include <vector>

#include "solver/fista.hpp"
#include "solver/newton.hpp"

namespace pathrelu {

/// Share of the objective above which a gap to reach is lax: accelerated steps alone are the cheapest way
/// there.
constexpr double kLax = 1e-4;

/// Solves over working sets: accelerated proximal steps as long as they pay, then Newton steps on the support
/// and the facets they found, and the proximal point method where those stall.
template <class X>
class InnerSolver {
  public:
    explicit InnerSolver(Workspace<X>& space) : space_(space), fista_(space), newton_(space) {}

    /// Moves the point, which is evaluated, to a gap of `target` on the working set; returns the dual point
    /// that showed it, or the best. If the point is `near` the optimum, and Newton steps have paid, they come
    /// first; for a `lax` tolerance accelerated steps go on longer.
    std::vector<double> solve(const WorkingSet<X>& work, Point& point, double target, bool near, bool lax);

    /// For another loss or more groups.
    void forget_curvature() { fista_.forget_curvature(); }

  private:
    class Bound;
    bool accelerate(const WorkingSet<X>& work, Point& point, double target, bool lax, Bound& bound);
    void newton_steps(const WorkingSet<X>& work, Point& point, double target);
    double least_narrowing(const WorkingSet<X>& work, const Point& point) const;
    double typical_step(const Point& point) const;
    void adapt_reach(const typename Newton<X>::ProximalStep& step);

    Workspace<X>& space_;
    Fista<X> fista_;
    Newton<X> newton_;
    bool newton_pays_ = true;  // at the start, and where it ended the last working set
    double reach_ = 1;  // step of the proximal point method, in units that shrink a typical block by half
};

}  // namespace pathrelu
