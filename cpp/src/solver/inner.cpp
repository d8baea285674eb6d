#include "solver/inner.hpp"

#include <cmath>

namespace pathrelu {
namespace {

constexpr int kFista = 20;  ///< accelerated steps between two looks at the gap, which costs about one
/// Single precision serves those steps as long as the gap is above this share of the objective: ten thousand
/// times its rounding, of which sums of rows keep the most part.
constexpr double kFastGap = 1e-3;
/// Looks of accelerated steps on the way to a target above `kLax` that may narrow the gap to no less than
/// this: Newton steps bend at too many facets that far out.
constexpr double kSlow = 0.98;
constexpr int kMostSlow = 5;
constexpr double kProjectionWork = 5;  ///< accelerated step with projections over one without

/// Ridge of the plain Newton step, as a proximal step in typical ones: against rounding only.
constexpr double kRidgeReach = 1e8;
constexpr double kLongestStep = 1e250;  ///< whose square is finite in quotients with norms
/// A Newton step that brings less than this share of the target is the last in a row.
constexpr double kWorthwhile = 0.1;
/// Share of the gap that Newton steps in a row must have closed: else they bend at new facets or run along
/// flat directions.
constexpr double kClosed = 0.5;

/// A step of the proximal point method narrows the gap to this and takes so many Newton systems; with cones,
/// whose facets change, to that, with all its Newton steps and two projections of every block for each.
constexpr double kNarrowing = 0.1, kConeNarrowing = 0.5;
constexpr double kSystems = 5;

/// Factors of the proximal point method's step: where the objective did not fall, where the subproblem took
/// all its Newton steps, and where it took few; and the bounds of the step.
constexpr double kTooLong = 1.0 / 8, kLong = 1.0 / 4, kShort = 4;
constexpr int kFewSteps = kNewton / 3;
constexpr double kLeastReach = 1e-3, kMostReach = 1e3;

/// Rounds in a row that leave the objective where it is, up to its last digit, before rounding has the last
/// word: each tries another step.
constexpr int kMostStill = 3;
constexpr double kLastDigit = 1e-16;

}  // namespace

/// The best dual point of a working set.
template <class X>
class InnerSolver<X>::Bound {
  public:
    Bound(Workspace<X>& space, const WorkingSet<X>& work)
        : space_(space), work_(work), G_(space.layers * work.op.n_paths() * space.d) {}

    void raise(const Point& point, std::vector<double> from) {
        std::vector<double> theta = space_.smooth.feasible(std::move(from));
        space_.adjoint(work_, theta.data(), G_.data());
        const std::vector<double> score = space_.scores(work_.groups, G_.data(), space_.program.alpha);
        const double dual = space_.dual_value(space_.smooth.loss(), theta, largest(score));
        if (dual > dual_ || theta_.empty()) {
            dual_ = dual;
            theta_ = std::move(theta);
        }
        gap_ = point.objective() - dual_;
    }
    /// By the dual point that belongs to it.
    void raise(const Point& point) { raise(point, space_.smooth.dual_point(point.f.data())); }

    double gap() const { return gap_; }
    const std::vector<double>& theta() const { return theta_; }

  private:
    Workspace<X>& space_;
    const WorkingSet<X>& work_;
    std::vector<double> G_, theta_;
    double dual_ = -kInfinity, gap_ = kInfinity;
};

template <class X>
std::vector<double> InnerSolver<X>::solve(const WorkingSet<X>& work, Point& point, double target, bool near,
                                          bool lax) {
    Bound bound(space_, work);
    if (!(near && newton_pays_) && accelerate(work, point, target, lax, bound)) {
        newton_pays_ = false;
        return bound.theta();
    }
    newton_pays_ = true;
    for (int still = 0; still <= kMostStill && space_.any_steps_left();) {
        const double before = point.objective();
        newton_steps(work, point, target);
        if (!(before - point.objective() > kClosed * bound.gap())) {
            auto step = newton_.proximal_point(work, point, reach_ * typical_step(point), target);
            bound.raise(point, std::move(step.theta));
            if (bound.gap() <= target) break;
            adapt_reach(step);
            if (!step.fell) fista_.run(work, point, kFista);
        }
        bound.raise(point);
        if (bound.gap() <= target) break;
        still = before - point.objective() <= kLastDigit * point.objective() ? still + 1 : 0;
    }
    return bound.theta();
}

/// Accelerated steps, as long as they narrow the gap at least as fast as Newton steps of the same cost.
/// Whether they reached the target.
template <class X>
bool InnerSolver<X>::accelerate(const WorkingSet<X>& work, Point& point, double target, bool lax,
                                Bound& bound) {
    Momentum momentum;
    int slow = 0;
    for (double gap_before = kInfinity; space_.any_steps_left(); gap_before = bound.gap()) {
        const double reference = bound.gap() < kInfinity ? bound.gap() : target;
        const bool fast = space_.single_range() && reference > kFastGap * point.objective();
        fista_.run(work, point, kFista, momentum, fast ? Fista<X>::Sums::fast : Fista<X>::Sums::exact);
        bound.raise(point);
        if (bound.gap() <= target) return true;
        const bool patient = lax && slow < kMostSlow;
        slow += bound.gap() > kSlow * gap_before;
        if (!patient && bound.gap() > least_narrowing(work, point) * gap_before) return false;
    }
    return false;
}

template <class X>
void InnerSolver<X>::newton_steps(const WorkingSet<X>& work, Point& point, double target) {
    for (int k = 0; k < kNewton && space_.any_steps_left(); ++k) {
        ++space_.n_iter;
        const double fall = newton_.descend(work, point, kRidgeReach * typical_step(point));
        if (!(fall > kWorthwhile * target)) return;
        fista_.run(work, point, 1);  // puts the facets back under the point and corrects the support
    }
}

template <class X>
void InnerSolver<X>::adapt_reach(const typename Newton<X>::ProximalStep& step) {
    if (!step.fell) {
        reach_ = std::max(kLeastReach, reach_ * kTooLong);
    } else if (step.newton_steps == kNewton) {
        reach_ = std::max(kLeastReach, reach_ * kLong);
    } else if (step.newton_steps < kFewSteps) {
        reach_ = std::min(kMostReach, reach_ * kShort);
    }
}

/// The factor by which kFista accelerated steps must narrow the gap to be worth their time.
template <class X>
double InnerSolver<X>::least_narrowing(const WorkingSet<X>& work, const Point& point) const {
    const double products =
        static_cast<double>(space_.n * space_.layers * static_cast<Index>(work.groups.size()) * space_.dim);
    const double system = newton_.work_at(work, point);
    if (!space_.has_cones()) return std::pow(kNarrowing, kFista * products / (kSystems * system));
    return std::pow(kConeNarrowing, kFista * products * kProjectionWork /
                                        (kNewton * (system + 2 * kProjectionWork * products)));
}

/// The proximal step that shrinks a block of the typical size by half.
template <class X>
double InnerSolver<X>::typical_step(const Point& point) const {
    Index n_active = 0;
    for (std::size_t k = 0; k < point.Z.size(); k += space_.dim)
        n_active += ConstMap(point.Z.data() + k, space_.dim).squaredNorm() > 0;
    if (!(point.penalty > 0)) return 1;
    const double alpha = space_.program.alpha;
    return std::min(kLongestStep, point.penalty / alpha / alpha / static_cast<double>(n_active));
}

template class InnerSolver<float>;
template class InnerSolver<double>;

}  // namespace pathrelu
