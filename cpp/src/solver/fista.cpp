#include "solver/fista.hpp"

#include <cmath>

namespace pathrelu {
namespace {

/// Share of a loss, at a point reached by extrapolation, that rounding alone explains: in exact sums and in
/// single precision.
constexpr double kLost = 1e-12, kLostFast = 1e-6;
/// A step that the quadratic model does not bound is halved; one that it does lets the next be a little
/// longer: six failures in a hundred steps leave its length as it is.
constexpr double kShorter = 2, kLonger = 0.95;
constexpr int kPowerSteps = 6;  ///< leave the norm within a factor of two, which backtracking makes up for
constexpr double kNoCurvature = 1e-300;

}  // namespace

/// Largest eigenvalue of the smooth part's Hessian over the working set, from below: a few power iterations.
template <class X>
double Fista<X>::first_lipschitz(const WorkingSet<X>& work) const {
    const Index n = space_.n, size = work.op.n_paths() * space_.d;
    Vector v(size), g(size);
    // Any start that is not orthogonal to the first eigenvector: positive, and unlike any data.
    for (Index k = 0; k < size; ++k) v[k] = 1 + 0.5 * std::sin(static_cast<double>(k + 1));
    std::vector<double> f(n);
    double value = 0;
    for (int step = 0; step < kPowerSteps; ++step) {
        v /= v.norm();
        work.op.forward(v.data(), f.data());
        for (Index i = 0; i < n; ++i) f[i] *= space_.program.w[i];
        work.op.adjoint(f.data(), g.data());
        value = g.norm();
        if (!(value > 0)) return kNoCurvature;
        v = g;
    }
    return space_.smooth.loss().typical_curvature() * value / static_cast<double>(n);
}

/// next <- the proximal step from `from`, where the smooth part has the value and `theta_` is the dual point,
/// as long as the quadratic model bounds the smooth part.
template <class X>
void Fista<X>::proximal_step(const WorkingSet<X>& work, const Momentum& from, double value, Point& next,
                             Sums sums) {
    const Index dim = space_.dim, blocks = static_cast<Index>(next.Z.size()) / dim;
    std::vector<double> linear(blocks), square(blocks);
    G_.resize(space_.layers * work.op.n_paths() * space_.d);
    space_.adjoint(work, theta_.data(), G_.data(), sums);
    for (;;) {
        space_.for_blocks(blocks, [&](Index b, double* z, double*) {
            const ConstMap y(from.Z.data() + b * dim, dim), g(G_.data() + b / space_.S * dim, dim);
            Map(z, dim) = y + space_.sigma(b) / lipschitz_ * g;
            space_.prox(space_.global_block(work.groups, b), z, 1 / lipschitz_, next.Z.data() + b * dim);
            const ConstMap moved(next.Z.data() + b * dim, dim);
            linear[b] = -space_.sigma(b) * g.dot(moved - y);
            square[b] = (moved - y).squaredNorm();
        });
        space_.evaluate(work, next, sums);
        double model = value, quadratic = 0;
        for (Index b = 0; b < blocks; ++b) {
            model += linear[b];
            quadratic += lipschitz_ / 2 * square[b];
        }
        // Where the model's curvature is lost in the rounding of the loss there is nothing to compare.
        const double lost = (sums == Sums::fast ? kLostFast : kLost) * std::abs(value);
        if (!(next.smooth > model + quadratic) || quadratic <= lost) return;
        lipschitz_ *= kShorter;
        space_.watch.poll();
    }
}

template <class X>
void Fista<X>::run(const WorkingSet<X>& work, Point& point, int steps, Momentum& momentum, Sums sums) {
    std::vector<double>&Y = momentum.Z, &fY = momentum.f;
    double& t = momentum.t;
    if (t == 1) {
        Y = point.Z;
        fY = point.f;
    }
    Point next, start;
    next.Z.resize(point.Z.size());
    if (sums == Sums::fast) start = point;
    if (!(lipschitz_ > 0)) lipschitz_ = first_lipschitz(work);
    for (int step = 0; step < steps && space_.any_steps_left(); ++step) {
        space_.watch.poll();
        ++space_.n_iter;
        const double value = space_.smooth.value_and_dual_point(fY.data(), theta_.data());
        proximal_step(work, momentum, value, next, sums);
        lipschitz_ *= kLonger;
        // Momentum overshot: a plain step from the best point.
        if (next.objective() > point.objective() && t > 1) {
            Y = point.Z;
            fY = point.f;
            t = 1;
            continue;
        }
        const ConstMap y(Y.data(), Y.size()), z(next.Z.data(), Y.size()), old(point.Z.data(), Y.size());
        if ((y - z).dot(z - old) > 0) t = 1;
        const double t_next = (1 + std::sqrt(1 + 4 * t * t)) / 2, beta = (t - 1) / t_next;
        for (std::size_t k = 0; k < Y.size(); ++k) Y[k] = next.Z[k] + beta * (next.Z[k] - point.Z[k]);
        for (std::size_t k = 0; k < fY.size(); ++k) fY[k] = next.f[k] + beta * (next.f[k] - point.f[k]);
        t = t_next;
        std::swap(point, next);
        next.Z.resize(point.Z.size());
    }
    if (sums == Sums::exact) return;
    space_.evaluate(work, point);
    if (!(point.objective() <= start.objective())) {
        std::swap(point, start);
        t = 1;
    }
}

template class Fista<float>;
template class Fista<double>;

}  // namespace pathrelu
