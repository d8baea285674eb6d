#pragma once
#include <pathrelu/error.hpp>

#include <cmath>
#include <type_traits>
#include <utility>
#include <vector>

#include "losses/row_loss.hpp"
#include "losses/table.hpp"

namespace pathrelu {

/// How far rounding may take a slope out of the conjugate's domain.
constexpr double kOutside = 1e-12;

/// Predictions, targets and weights of one output, an entry of each for every row.
struct Column {
    const double *predictions, *targets, *weights;
    Index rows, stride;

    double f(Index i) const { return predictions[i * stride]; }
    double y(Index i) const { return targets[i * stride]; }
    double w(Index i) const { return weights[i]; }
};

/// The b with sum_i w_i loss'(f_i + b) = 0, by Newton steps inside a bracket that shrinks.
template <class L>
double newton_shift(const L& loss, const Column& at, double b) {
    constexpr int kSteps = 100;          // more than bisection needs for every bit
    constexpr double kReach = 10;        // a step's length over 1 + |b|, where the curvature says little
    constexpr double kBalanced = 1e-16;  // share of their sizes up to which slopes sum to zero
    double low = -kUnbounded, high = kUnbounded;
    for (int step = 0; step < kSteps; ++step) {
        double slope = 0, curvature = 0, size = 0;
        for (Index i = 0; i < at.rows; ++i) {
            const double s = at.w(i) * loss.slope(at.f(i) + b, at.y(i));
            slope += s;
            size += std::abs(s);
            curvature += at.w(i) * loss.curvature(at.f(i) + b, at.y(i));
        }
        if (std::abs(slope) <= kBalanced * size) return b;
        (slope > 0 ? high : low) = b;
        const double reach = kReach * (1 + std::abs(b));
        const double step_length = curvature > 0 ? std::min(std::abs(slope) / curvature, reach) : reach;
        double next = slope > 0 ? b - step_length : b + step_length;
        if (next == b) return b;
        if (!(next > low && next < high)) next = 0.5 * (low + high);
        b = next;
    }
    return b;
}

/// What a loss is asked, and the answers of one that knows no better. It derives from this, is made of its
/// parameter, and says besides:
///
///   kName, kTargets; value(f, y), slope(f, y), curvature(f, y) in f; conjugate(u, y);
///   smoothness(), lipschitz(): bounds on its curvature and on the size of its slope.
template <class L>
struct EntryLoss {
    static constexpr LossParameter kParameter = {"", 0, kUnbounded, false};
    static constexpr bool kKinked = false;   ///< then `rounded(mu)` is the loss with its kinks rounded off
    static constexpr bool kLogLink = false;  ///< predictions are logarithms of means

    /// Curvature where predictions are the targets, whose mean is given.
    double typical_curvature(double) const { return self().smoothness(); }
    /// The b that minimises the loss of f + b, looked for from `b` on.
    double optimal_shift(const Column& at, double b) const { return newton_shift(self(), at, b); }

  private:
    const L& self() const { return static_cast<const L&>(*this); }
};

/// A loss whose conjugate is  u y + mu u^2 / 2  for slopes u in [low, high]: its dual is a concave quadratic.
struct QuadraticConjugate {
    double low = -kUnbounded, high = kUnbounded, mu = 1;

    double conjugate(double u, double y) const {
        const double slack = kOutside * (high - low);
        return u >= low - slack && u <= high + slack ? u * (0.5 * mu * u + y) : kUnbounded;
    }
    double lipschitz() const { return std::max(-low, high); }
};

/// A loss that is a sum over the entries of f (n, C), by one L for each of the C outputs.
template <class L>
class EntrywiseLoss final : public RowLoss {
  public:
    EntrywiseLoss(std::vector<L> of, MatView<const double> y, VecView<const double> w, int threads)
        : RowLoss(y, w, threads), of_(std::move(of)) {}

    void check_targets(MatView<const double> y) const override {
        for (Index k = 0; k < y.size(); ++k)
            require(takes(L::kTargets, y.data[k]), "y has the entry ", y.data[k], " in row ", k / y.cols,
                    "; this loss expects ", in_words(L::kTargets));
    }

    double value(const double* f) const override {
        return sum([&](Index i, Index c, Index k) { return w_[i] * of_[c].value(f[k], y_.data[k]); });
    }

    void dual_point(const double* f, double* theta) const override {
        each([&](Index i, Index c, Index k) { theta[k] = -w_[i] / n() * of_[c].slope(f[k], y_.data[k]); });
    }

    double value_and_dual_point(Index begin, Index count, const double* f, double* theta) const override {
        double total = 0;
        for (Index i = 0; i < count; ++i) {
            const double w = w_[begin + i];
            for (Index c = 0; c < y_.cols; ++c, ++f, ++theta) {
                const double y = y_(begin + i, c);
                total += w * of_[c].value(*f, y);
                *theta = -w / n() * of_[c].slope(*f, y);
            }
        }
        return total;
    }

    using RowLoss::curvature;
    void curvature(Index begin, Index count, const double* f, double* h) const override {
        for (Index i = begin; i < begin + count; ++i)
            for (Index c = 0; c < y_.cols; ++c, ++f, ++h) *h = w_[i] / n() * of_[c].curvature(*f, y_(i, c));
    }

    double smoothness() const override {
        return largest([](const L& one) { return one.smoothness(); });
    }

    double lipschitz() const override {
        // Of a row: the outputs' slopes are the entries of one gradient.
        double square = 0;
        for (const L& one : of_) square += one.lipschitz() * one.lipschitz();
        return std::sqrt(square);
    }

    double typical_curvature() const override {
        const double mean = sum([&](Index i, Index, Index k) { return w_[i] * y_.data[k]; });
        return largest([&](const L& one) { return one.typical_curvature(mean); });
    }

    double dual_value(const double* theta, double s) const override {
        const auto term = [&](Index i, Index c, Index k) {
            return w_[i] > 0 ? -w_[i] * of_[c].conjugate(-n() * s * theta[k] / w_[i], y_.data[k]) : 0.0;
        };
        const auto size = [&](Index i, Index c, Index k) { return std::abs(term(i, c, k)); };
        return Sum{sum(term), sum(size)}.least();
    }

    /// Of each column the sums of the entries above zero and of those below.
    std::vector<double> imbalance(const double* theta) const override {
        std::vector<double> sides(2 * y_.cols, 0.0);
        for (Index k = 0; k < y_.size(); ++k)
            sides[2 * (k % y_.cols) + (theta[k] > 0 ? 0 : 1)] += n() * std::abs(theta[k]);
        return sides;
    }

    using RowLoss::balance;
    /// The side whose entries weigh more, those above zero or those below, is scaled down to the other. Every
    /// conjugate is finite between 0 and where it is finite.
    void balance(Index, Index count, double* theta, const std::vector<double>& imbalance) const override {
        for (Index k = 0; k < count * y_.cols; ++k) {
            const double* sides = imbalance.data() + 2 * (k % y_.cols);
            const double side = sides[theta[k] > 0 ? 0 : 1], least = std::min(sides[0], sides[1]);
            if (side > least) theta[k] *= least / side;
        }
    }

    /// Of a quadratic dual the maximum, kept in the domain. Elsewhere the domain of the dual is convex and
    /// holds 0 and theta: s = 1 is safe, more is not.
    double best_scale(const double* theta, double cap) const override {
        if constexpr (std::is_base_of_v<QuadraticConjugate, L>) {
            const auto slope = [&](Index i, Index k) { return w_[i] > 0 ? -n() * theta[k] / w_[i] : 0.0; };
            const double linear =
                -sum([&](Index i, Index, Index k) { return w_[i] * slope(i, k) * y_.data[k]; });
            const double quadratic =
                sum([&](Index i, Index c, Index k) { return of_[c].mu * w_[i] * slope(i, k) * slope(i, k); });
            for (Index i = 0; i < y_.rows; ++i)
                for (Index c = 0; c < y_.cols; ++c) {
                    const double u = slope(i, i * y_.cols + c);
                    if (u > 0) cap = std::min(cap, of_[c].high / u);
                    if (u < 0) cap = std::min(cap, of_[c].low / u);
                }
            if (quadratic > 0) return std::clamp(linear / quadratic, 0.0, cap);
            if (linear > 0 && cap < kUnbounded) return cap;
            return linear < 0 ? 0.0 : std::min(1.0, cap);
        } else {
            return std::min(1.0, cap);
        }
    }

    void optimal_intercept(const double* f, double* b) const override {
        for (Index c = 0; c < y_.cols; ++c) b[c] = of_[c].optimal_shift(column(f, c), b[c]);
    }

  private:
    Column column(const double* f, Index c) const { return {f + c, y_.data + c, w_.data, y_.rows, y_.cols}; }

    template <class Of>
    double largest(Of of) const {
        double most = 0;
        for (const L& one : of_) most = std::max(most, of(one));
        return most;
    }

    template <class Visit>
    void each(Visit visit) const {
        each_block([&](Index, Index begin, Index end) {
            for (Index i = begin; i < end; ++i)
                for (Index c = 0; c < y_.cols; ++c) visit(i, c, i * y_.cols + c);
        });
    }

    /// (1/n) times the sum of term(i, c, k) over all entries.
    template <class Term>
    double sum(Term term) const {
        return RowLoss::sum([&](Index i) {
            double total = 0;
            for (Index c = 0; c < y_.cols; ++c) total += term(i, c, i * y_.cols + c);
            return total;
        });
    }

    std::vector<L> of_;
};

/// A loss with kinks, rounded off by mu u^2 / 2 in the conjugate, mu a share of the spread of each output.
template <class L>
class RoundedKinks final : public Smoothing {
    using Rounded = decltype(std::declval<const L&>().rounded(0));

  public:
    RoundedKinks(std::vector<L> of, MatView<const double> y, VecView<const double> w, int threads)
        : of_(std::move(of)), y_(y), w_(w), threads_(threads), targets_(y.data, y.data + y.size()) {
        const std::vector<double> zero(y.size(), 0.0);
        for (Index c = 0; c < y.cols; ++c) {
            const double b = of_[c].optimal_shift({zero.data(), y.data + c, w.data, y.rows, y.cols}, 0);
            double total = 0;
            for (Index i = 0; i < y.rows; ++i) total += w[i] * std::abs(y(i, c) - b);
            spread_.push_back(total > 0 ? total / static_cast<double>(y.rows) : 1);
        }
    }

    const Loss& loss() const override { return *loss_; }

    void center(double share) override {
        std::copy(y_.data, y_.data + y_.size(), targets_.begin());
        take(rounded(share));
    }

    void center(double share, const double* f) override {
        std::vector<Rounded> next = rounded(share);
        for (Index i = 0, k = 0; i < y_.rows; ++i)
            for (Index c = 0; c < y_.cols; ++c, ++k)
                targets_[k] = y_.data[k] - next[c].mu * rounded_[c].slope(f[k], targets_[k]);
        take(std::move(next));
    }

  private:
    std::vector<Rounded> rounded(double share) const {
        std::vector<Rounded> out;
        for (std::size_t c = 0; c < of_.size(); ++c) out.push_back(of_[c].rounded(share * spread_[c]));
        return out;
    }
    void take(std::vector<Rounded> next) {
        rounded_ = std::move(next);
        loss_ = std::make_unique<EntrywiseLoss<Rounded>>(
            rounded_, MatView<const double>{targets_.data(), y_.rows, y_.cols}, w_, threads_);
    }

    std::vector<L> of_;
    MatView<const double> y_;
    VecView<const double> w_;
    int threads_;
    std::vector<double> targets_;  // that the rounded loss reads
    std::vector<double> spread_;   // mean |y - b| of each output's best constant b; 1 where it is 0
    std::vector<Rounded> rounded_;
    std::unique_ptr<EntrywiseLoss<Rounded>> loss_;
};

/// One L for each output, of its own parameter.
template <class L>
std::vector<L> of_outputs(const LossSpec& spec, Index outputs) {
    std::vector<L> of;
    for (Index c = 0; c < outputs; ++c)
        of.emplace_back(spec.parameters.empty() ? L::kParameter.default_value : spec.parameters[c]);
    return of;
}

/// The line of a loss in the table.
template <class L>
LossEntry entry() {
    const auto make = [](const LossSpec& spec, MatView<const double> y, VecView<const double> w,
                         int threads) -> LossPointer {
        return std::make_unique<EntrywiseLoss<L>>(of_outputs<L>(spec, y.cols), y, w, threads);
    };
    SmoothingPointer (*smooth)(const LossSpec&, MatView<const double>, VecView<const double>, int) = nullptr;
    if constexpr (L::kKinked)
        smooth = [](const LossSpec& spec, MatView<const double> y, VecView<const double> w,
                    int threads) -> SmoothingPointer {
            return std::make_unique<RoundedKinks<L>>(of_outputs<L>(spec, y.cols), y, w, threads);
        };
    return {{L::kName, L::kParameter, L::kTargets, L::kKinked, L::kLogLink}, make, smooth};
}

}  // namespace pathrelu
