#include "search/slide.hpp"

#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>

#include "search/variables.hpp"

namespace pathrelu {
namespace {

/// Slides stop when the evaluations between two thinnings gain less than this share of the objective.
constexpr double kSlideGain = 2e-4;
/// Pairs that L-BFGS keeps, and numbers in them from which it keeps fewer: 64 MB.
constexpr std::size_t kMemory = 12, kLeastMemory = 4, kMostKept = 8000000;
constexpr Index kThinEvery = 50;                // evaluations after which trees are dropped and merged
constexpr double kThinned = 0.9;                // share of the trees left that is worth a new start of L-BFGS
constexpr double kNegligible = 1e-3;            // trees below this share of the largest norm are dropped
constexpr double kFirstStep = 0.1;              // of the norm of the trees
constexpr double kArmijo = 1e-4, kWolfe = 0.9;  // as usual (Nocedal & Wright 2006, section 3.1)
constexpr int kMostTrials = 25;                 // of one line search
constexpr double kFlat = 1e-14;                 // cosine of a step and a change of slope that says nothing

/// The directions of L-BFGS.
class Memory {
  public:
    bool empty() const { return pairs_.empty(); }
    void clear() { pairs_.clear(); }

    Vector direction(const Vector& gradient) const {
        Vector d = -gradient;
        std::vector<double> a(pairs_.size());
        for (std::size_t m = pairs_.size(); m-- > 0;) {
            a[m] = pairs_[m].rho * pairs_[m].s.dot(d);
            d -= a[m] * pairs_[m].y;
        }
        if (!empty()) d *= 1 / (pairs_.back().rho * pairs_.back().y.squaredNorm());
        for (std::size_t m = 0; m < pairs_.size(); ++m)
            d += (a[m] - pairs_[m].rho * pairs_[m].y.dot(d)) * pairs_[m].s;
        return d;
    }

    void add(Vector step, Vector change) {
        const double curvature = step.dot(change);
        if (!(curvature > kFlat * step.norm() * change.norm())) return;
        pairs_.push_back({std::move(step), std::move(change), 1 / curvature});
        const std::size_t numbers = 2 * static_cast<std::size_t>(pairs_.back().s.size());
        if (pairs_.size() > std::clamp(kMostKept / numbers, kLeastMemory, kMemory)) pairs_.pop_front();
    }

  private:
    struct Pair {
        Vector s, y;
        double rho;
    };
    std::deque<Pair> pairs_;
};

/// `values` without those of variables at zero that `direction` would give the wrong sign.
Vector held(const std::vector<std::int8_t>& signs, const Vector& x, const Vector& direction, Vector values) {
    for (std::size_t k = 0; k < signs.size(); ++k)
        if (x[k] == 0 && signs[k] * direction[k] < 0) values[k] = 0;
    return values;
}

}  // namespace

Trees thinned(const Trees& trees, double alike, double negligible_norm) {
    const Index K = trees.size();
    std::vector<double> norm(K);
    std::vector<Index> order;
    for (Index k = 0; k < K; ++k) norm[k] = trees.weights(k).norm();
    double floor = negligible_norm;
    for (const double value : norm) floor = std::max(floor, kNegligible * value);
    for (Index k = 0; k < K; ++k)
        if (norm[k] > floor) order.push_back(k);
    std::sort(order.begin(), order.end(),
              [&](Index a, Index b) { return norm[a] != norm[b] ? norm[a] > norm[b] : a < b; });
    Trees out{trees.dim, trees.edges, trees.outputs};
    std::vector<Index> kept;
    std::vector<double> sum_of_norms, outputs;  // (kept, C) sums of |V| omega
    for (const Index k : order) {
        const auto coincides = [&](Index other) {
            return trees.same_kind(other, k) && trees.direction(other).dot(trees.direction(k)) > alike &&
                   trees.weights(other).dot(trees.weights(k)) > alike * norm[other] * norm[k];
        };
        const auto found = std::find_if(kept.begin(), kept.end(), coincides);
        const Index into = found - kept.begin();
        if (found == kept.end()) {
            kept.push_back(k);
            out.add(trees, k);
            sum_of_norms.push_back(0);
            outputs.resize(outputs.size() + trees.outputs, 0.0);
        } else {
            out.weights(into) += trees.weights(k);
        }
        sum_of_norms[into] += norm[k];
        Map(outputs.data() + into * trees.outputs, trees.outputs) += norm[k] * trees.direction(k);
    }
    for (Index k = 0; k < out.size(); ++k) {
        const ConstMap sum(outputs.data() + k * trees.outputs, trees.outputs);
        const double length = sum.norm();
        if (length == sum_of_norms[k]) continue;
        out.direction(k) = sum / length;
        out.weights(k) *= length / sum_of_norms[k];
    }
    return out;
}

template <class X>
void slide(const SlideProblem<X>& problem, Trees& trees, std::vector<double>& intercept, double alike,
           Index max_evaluations) {
    Trees u = trees;
    PassSums sums;
    std::vector<double> a;
    Variables variables(trees, intercept, problem.free_directions, problem.fit_intercept,
                        problem.intercept_unit);
    Index evaluations = 0;
    const auto value_at = [&](const Vector& at, Vector& gradient) {
        ++evaluations;
        variables.factors(at, u, a);
        if (problem.single)
            problem.pass.template descend<float>(u, a.data(), intercept.data(), problem.loss, sums);
        else
            problem.pass.template descend<double>(u, a.data(), intercept.data(), problem.loss, sums);
        return sums.loss + variables.penalty(at, sums, problem.alpha, gradient);
    };
    Memory memory;
    Vector x, gradient, trial, trial_gradient;
    std::vector<std::int8_t> signs;  // that variables must have, or 0; none if all are free
    double objective = 0;
    const auto restart = [&] {
        x = variables.pack();
        signs = variables.signs(problem.shape, problem.monotone);
        clip(signs, x.data());
        u = trees;
        memory.clear();
        objective = value_at(x, gradient);
    };
    restart();
    Index thin_at = kThinEvery;
    double before = std::numeric_limits<double>::infinity();
    while (evaluations < max_evaluations && !problem.stopped()) {
        if (evaluations >= thin_at) {
            if (before - objective < kSlideGain * objective) break;
            before = objective;
            thin_at = evaluations + kThinEvery;
            variables.unpack(x);
            Trees fewer = thinned(trees, alike, problem.negligible_norm);
            if (static_cast<double>(fewer.size()) < kThinned * static_cast<double>(trees.size())) {
                trees = std::move(fewer);
                restart();
            }
        }
        Vector direction = memory.direction(signs.empty() ? gradient : held(signs, x, -gradient, gradient));
        if (!signs.empty()) direction = held(signs, x, direction, held(signs, x, -gradient, direction));
        const double slope = direction.dot(gradient);
        double t = 1, low = 0, high = 0, reached = objective;
        if (memory.empty()) t = kFirstStep * x.head(variables.trees_size()).norm() / direction.norm();
        bool accepted = false;
        for (int k = 0; k < kMostTrials && slope < 0 && !problem.stopped(); ++k) {
            trial = x + t * direction;
            clip(signs, trial.data());
            reached = value_at(trial, trial_gradient);
            const double promised = signs.empty() ? t * slope : gradient.dot(trial - x);
            if (!(reached <= objective + kArmijo * promised)) {
                high = t;
            } else {
                accepted = true;
                const Vector along = held(signs, trial, direction, direction);
                if (trial_gradient.dot(along) >= kWolfe * slope) break;
                low = t;
            }
            t = high > 0 ? 0.5 * (low + high) : 2 * t;
        }
        if (!accepted || !(reached < objective)) {
            if (memory.empty()) break;
            memory.clear();
            continue;
        }
        Vector change = trial_gradient - gradient;
        for (std::size_t k = 0; k < signs.size(); ++k)
            if (signs[k] != 0 && x[k] == 0 && trial[k] == 0) change[k] = 0;
        memory.add(trial - x, std::move(change));
        objective = reached;
        std::swap(x, trial);
        std::swap(gradient, trial_gradient);
    }
    variables.unpack(x);
    trees = thinned(trees, alike, problem.negligible_norm);
}

template void slide<float>(const SlideProblem<float>&, Trees&, std::vector<double>&, double, Index);
template void slide<double>(const SlideProblem<double>&, Trees&, std::vector<double>&, double, Index);

}  // namespace pathrelu
