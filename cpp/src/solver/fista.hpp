#pragma once
#include <vector>

#include "solver/workspace.hpp"

namespace pathrelu {

/// Where the next accelerated step starts, and its weight; a weight of 1 stands for the point itself.
struct Momentum {
    std::vector<double> Z, f;
    double t = 1;
};

/// Accelerated proximal steps with backtracking and restart (Beck & Teboulle 2009, O'Donoghue & Candes 2015).
template <class X>
class Fista {
  public:
    using Sums = typename Workspace<X>::Sums;

    explicit Fista(Workspace<X>& space) : space_(space), theta_(space.n * space.C) {}

    /// `momentum` carries over to the next call while nothing else moves the point. Sums are `sums` inside,
    /// exact for the result, which is never above the start.
    void run(const WorkingSet<X>& work, Point& point, int steps, Momentum& momentum, Sums sums);
    /// From a standstill, in exact sums.
    void run(const WorkingSet<X>& work, Point& point, int steps) {
        Momentum momentum;
        run(work, point, steps, momentum, Sums::exact);
    }
    /// For another loss or more groups: steps are measured anew.
    void forget_curvature() { lipschitz_ = 0; }

  private:
    double first_lipschitz(const WorkingSet<X>& work) const;
    void proximal_step(const WorkingSet<X>& work, const Momentum& from, double value, Point& next, Sums sums);

    Workspace<X>& space_;
    double lipschitz_ = 0;  // of the smooth part's gradient where the last steps were; 0 if not known
    std::vector<double> theta_, G_;  // of the last step
};

}  // namespace pathrelu
