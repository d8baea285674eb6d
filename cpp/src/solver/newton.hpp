#pragma once
#include <vector>

#include "solver/newton_system.hpp"

namespace pathrelu {

constexpr int kNewton = 20;  ///< Newton steps in a row, and of one step of the proximal point method

/// Newton steps on the objective, and on the dual of its proximal point method.
template <class X>
class Newton {
  public:
    explicit Newton(Workspace<X>& space) : space_(space), systems_(space) {}

    /// One Newton step on the support and the facets of `point`, which the last proximal step has left there:
    /// on them the objective is smooth. `step` is that of the ridge. The result is projected back on the
    /// cones. Returns by how much the objective fell; 0 leaves the point as it was.
    double descend(const WorkingSet<X>& work, Point& point, double step);

    struct ProximalStep {
        int newton_steps;
        bool fell;  ///< whether the objective did
        /// Dual point of the subproblem, which is close to feasible: its scores exceed alpha by at most
        /// |Z - start| / step.
        std::vector<double> theta;
    };
    /// One step of the proximal point method: minimises the quadratic model of the loss plus penalty plus
    /// |Z - start|^2 / (2 step) over the working set by semismooth Newton on the dual (Li, Sun & Toh 2018),
    /// whose primal points stay in the cones; as exactly as a solve up to a gap of `target` has to know.
    ProximalStep proximal_point(const WorkingSet<X>& work, Point& point, double step, double target);

    /// Multiplications of a Newton step at this point.
    double work_at(const WorkingSet<X>& work, const Point& point) const;

  private:
    struct DualTrial;
    void evaluate(const WorkingSet<X>& work, const ProximalModel& model, DualTrial& trial);
    ProximalModel model_at(const Point& point, double step) {
        return {point, step, space_.smooth.model_at(point.f.data())};
    }

    Workspace<X>& space_;
    NewtonSystems<X> systems_;
};

}  // namespace pathrelu
