#include "solver/newton.hpp"

#include <cmath>

namespace pathrelu {
namespace {

constexpr double kArmijo = 1e-4;     ///< share of the fall that the slope promises which a step must bring
constexpr double kRounding = 1e-14;  ///< relative size of differences of objectives that rounding explains
constexpr int kHalvings = 4;  ///< of a Newton step: if a sixteenth of it brings nothing, facets bend it
constexpr double kJustBeyond = 1 + 1e-12;  ///< over the length at which a block vanishes, for it to vanish
/// A step of the proximal point method is exact enough when the gap of its subproblem is this share of the
/// fall that it brings, or of the gap to be reached.
constexpr double kInexact = 0.1, kInexactTarget = 0.05;
constexpr double kShortest = 1e-3;  ///< share of a step, in searches along it, below which it is given up
/// What a step may be cut to at once: the parabola may lie.
constexpr double kMostCut = 0.1, kLeastCut = 0.6;

}  // namespace

template <class X>
double Newton<X>::work_at(const WorkingSet<X>& work, const Point& point) const {
    std::vector<Index> groups;
    return systems_.least_work(active_blocks(space_, work, point.Z, 1, groups));
}

template <class X>
double Newton<X>::descend(const WorkingSet<X>& work, Point& point, double step) {
    const ProximalModel model = model_at(point, step);
    const Support<X> on(space_, work, point.Z, step);
    const Index A = on.size(), dim = space_.dim;
    if (A == 0) return 0;
    Matrix gradient = -on.correlate(model.loss.theta);
    for (Index a = 0; a < A; ++a) gradient.col(a) += space_.program.alpha * on.active[a].direction;
    on.to_tangent(gradient);
    const Matrix x = systems_.solve(on, model, -gradient);
    const double slope = gradient.cwiseProduct(x).sum();
    if (!(slope < 0)) return 0;
    // Along directions in which the curvature vanishes the step is long and the objective linear until a
    // block reaches zero; that length is tried when halving fails.
    double first_zero = kInfinity;
    for (const ActiveBlock& block : on.active) {
        const double rate = -block.direction.dot(x.col(&block - on.active.data()));
        if (rate > 0) first_zero = std::min(first_zero, block.norm / rate);
    }
    std::vector<double> lengths;
    for (int halvings = 0; halvings <= kHalvings; ++halvings) lengths.push_back(std::ldexp(1.0, -halvings));
    if (first_zero < 1) lengths.push_back(first_zero * kJustBeyond);
    Point trial = point;
    Matrix moved(dim, A);
    for (const double t : lengths) {
        space_.for_blocks(A, [&](Index a, double* z, double*) {
            const ActiveBlock& block = on.active[a];
            Map(z, dim) = block.norm * block.direction + t * x.col(a);
            if (Map(z, dim).dot(block.direction) <= 0) {
                moved.col(a).setZero();
            } else if (space_.has_cones()) {
                space_.project_as_prox(space_.global_block(work.groups, block.index), z, moved.col(a).data());
            } else {
                moved.col(a) = Map(z, dim);
            }
            Map(trial.Z.data() + block.index * dim, dim) = moved.col(a);
        });
        on.predict(moved, trial.f);
        space_.evaluate(trial);
        const double fall = point.objective() - trial.objective();
        if (fall > 0 && fall >= -kArmijo * t * slope) {
            std::swap(point, trial);
            return fall;
        }
    }
    return 0;
}

/// A dual point of the proximal subproblem with the primal point that belongs to it.
template <class X>
struct Newton<X>::DualTrial {
    std::vector<double> theta;
    std::vector<double> Z, f;  // prox(start + step B^T theta) and its predictions
    double value = 0;          // dual objective of the subproblem
    double proximal = 0;       // penalty and proximal term of Z
};

/// Fills what follows from trial.theta.
template <class X>
void Newton<X>::evaluate(const WorkingSet<X>& work, const ProximalModel& model, DualTrial& trial) {
    const Index dim = space_.dim, outputs = space_.n * space_.C;
    const Index blocks = static_cast<Index>(model.start.Z.size()) / dim;
    std::vector<double> G(space_.layers * work.op.n_paths() * space_.d), value(blocks), proximal(blocks);
    space_.adjoint(work, trial.theta.data(), G.data());
    trial.Z.resize(model.start.Z.size());
    trial.f.resize(outputs);
    space_.for_blocks(blocks, [&](Index b, double* z, double*) {
        const ConstMap start(model.start.Z.data() + b * dim, dim), g(G.data() + b / space_.S * dim, dim);
        Map(z, dim) = start + model.step * space_.sigma(b) * g;
        double* out = trial.Z.data() + b * dim;
        const double norm = space_.prox(space_.global_block(work.groups, b), z, model.step, out);
        const ConstMap moved(out, dim);
        proximal[b] = space_.program.alpha * norm + (moved - start).squaredNorm() / (2 * model.step);
        value[b] = proximal[b] - space_.sigma(b) * g.dot(moved);
    });
    space_.forward(work, trial.Z.data(), trial.f.data());
    trial.value = model.start.smooth;
    trial.proximal = 0;
    const std::vector<double>& h = model.loss.h;
    for (Index i = 0; i < outputs; ++i) {
        const double v = model.loss.theta[i] - trial.theta[i];
        trial.value += trial.theta[i] * model.start.f[i] - (h[i] > 0 ? v * v / (2 * h[i]) : 0.0);
    }
    for (Index b = 0; b < blocks; ++b) {
        trial.value += value[b];
        trial.proximal += proximal[b];
    }
}

template <class X>
typename Newton<X>::ProximalStep Newton<X>::proximal_point(const WorkingSet<X>& work, Point& point,
                                                           double step, double target) {
    const ProximalModel model = model_at(point, step);
    const Index outputs = space_.n * space_.C;
    DualTrial now, next;
    now.theta = model.loss.theta;
    evaluate(work, model, now);
    std::vector<double> e(outputs), He;
    int newton_steps = 0;
    for (; newton_steps < kNewton && space_.any_steps_left(); ++newton_steps) {
        space_.watch.poll();
        ++space_.n_iter;
        // The subproblem's primal objective at now.Z.
        for (Index i = 0; i < outputs; ++i) e[i] = now.f[i] - point.f[i];
        He = e;
        model.loss.apply_curvature(He);
        double primal = point.smooth + now.proximal;
        for (Index i = 0; i < outputs; ++i) primal += e[i] * (0.5 * He[i] - model.loss.theta[i]);
        const double fall = point.objective() - primal;
        if (primal - now.value <= std::max(kInexact * fall, kInexactTarget * target)) break;

        // q = H r for the dual gradient r = f(theta) - B Z, modulo constants where the intercept is free.
        std::vector<double> q(outputs);
        for (Index i = 0; i < outputs; ++i) q[i] = model.loss.theta[i] - now.theta[i] - He[i];
        // (H^-1 + step B M B^T)^-1 H^-1 q by Woodbury's identity.
        std::vector<double> delta(q), Hx;
        const Support<X> on(space_, work, now.Z, step);
        if (on.size() > 0) {
            on.predict(systems_.solve(on, model, on.correlate(q)), Hx);
            model.loss.apply_curvature(Hx);
            for (Index i = 0; i < outputs; ++i) delta[i] -= Hx[i];
        }
        double slope = 0;
        for (Index i = 0; i < outputs; ++i)
            if (model.loss.h[i] > 0) slope += delta[i] * (q[i] / model.loss.h[i]);
        bool accepted = false;
        for (double t = 1; t > kShortest;) {
            next.theta.resize(outputs);
            for (Index i = 0; i < outputs; ++i) next.theta[i] = now.theta[i] + t * delta[i];
            evaluate(work, model, next);
            const double rise = next.value - now.value;
            accepted = rise >= kArmijo * t * slope - kRounding * std::abs(now.value);
            if (accepted) break;
            // Maximum of the parabola through both values with this slope.
            t *= std::clamp(0.5 * t * slope / (t * slope - rise), kMostCut, kLeastCut);
        }
        if (!accepted) break;
        std::swap(now, next);
    }

    Point trial;
    for (double t = 1; t > kShortest; t /= 2) {
        trial.Z = point.Z;
        trial.f = point.f;
        for (std::size_t k = 0; k < trial.Z.size(); ++k)
            trial.Z[k] = t == 1 ? now.Z[k] : point.Z[k] + t * (now.Z[k] - point.Z[k]);
        for (std::size_t i = 0; i < trial.f.size(); ++i) trial.f[i] += t * (now.f[i] - point.f[i]);
        space_.evaluate(trial);
        if (trial.objective() < point.objective()) {
            std::swap(point, trial);
            return {newton_steps, true, std::move(now.theta)};
        }
    }
    return {newton_steps, false, std::move(now.theta)};
}

template class Newton<float>;
template class Newton<double>;

}  // namespace pathrelu
