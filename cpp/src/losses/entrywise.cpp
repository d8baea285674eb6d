#include <pathrelu/error.hpp>

#include <cmath>
#include <numeric>

#include "losses/row_loss.hpp"
#include "losses/table.hpp"

namespace pathrelu {
namespace {

/// How far rounding may take a slope out of the conjugate's domain.
constexpr double kOutside = 1e-12;

/// Conjugate of a loss whose slopes u lie in [low, high], with the term mu u^2 / 2 that rounds its kinks off.
double box_conjugate(double u, double y, double low, double high, double mu) {
    const double slack = kOutside * (high - low);
    return u >= low - slack && u <= high + slack ? u * (0.5 * mu * u + y) : kUnbounded;
}

/// (f - y)^2 / 2.
struct SquaredError {
    explicit SquaredError(double) {}
    double value(double f, double y) const { return 0.5 * (f - y) * (f - y); }
    double slope(double f, double y) const { return f - y; }
    double curvature(double, double) const { return 1; }
    double smoothness() const { return 1; }
    double lipschitz() const { return kUnbounded; }
    double conjugate(double u, double y) const { return u * (0.5 * u + y); }
    static constexpr Targets kTargets = Targets::real;
    static constexpr double kMu = 1;
    double low() const { return -kUnbounded; }
    double high() const { return kUnbounded; }
};

/// Quadratic, (f - y)^2 / 2, up to |f - y| = threshold, then linear.
struct Huber {
    double threshold;

    explicit Huber(double threshold) : threshold(threshold) {}
    double value(double f, double y) const {
        const double r = std::abs(f - y);
        return r <= threshold ? 0.5 * r * r : threshold * (r - 0.5 * threshold);
    }
    double slope(double f, double y) const { return std::clamp(f - y, -threshold, threshold); }
    double curvature(double f, double y) const { return std::abs(f - y) <= threshold ? 1 : 0; }
    double smoothness() const { return 1; }
    double lipschitz() const { return threshold; }
    double conjugate(double u, double y) const { return box_conjugate(u, y, -threshold, threshold, 1); }
    static constexpr Targets kTargets = Targets::real;
    static constexpr double kMu = 1;
    double low() const { return -threshold; }
    double high() const { return threshold; }
};

/// max(low (f - y), high (f - y)) for low < 0 < high, where mu = 0; else with the kink rounded off:
/// max over u in [low, high] of u (f - y) - mu u^2 / 2.
struct Pinball {
    double steepest_down, steepest_up, mu = 0;

    double value(double f, double y) const {
        const double u = slope(f, y);
        return u * (f - y) - 0.5 * mu * u * u;
    }
    double slope(double f, double y) const {
        if (mu > 0) return std::clamp((f - y) / mu, steepest_down, steepest_up);
        return f > y ? steepest_up : f < y ? steepest_down : 0;
    }
    double curvature(double f, double y) const {
        const double u = (f - y) / mu;
        return mu > 0 && u >= steepest_down && u <= steepest_up ? 1 / mu : 0;
    }
    double smoothness() const { return mu > 0 ? 1 / mu : kUnbounded; }
    double lipschitz() const { return std::max(-steepest_down, steepest_up); }
    double conjugate(double u, double y) const { return box_conjugate(u, y, steepest_down, steepest_up, mu); }
    static constexpr Targets kTargets = Targets::real;
    double low() const { return steepest_down; }
    double high() const { return steepest_up; }
};

/// |f - y|.
struct AbsoluteError : Pinball {
    explicit AbsoluteError(double) : Pinball{-1, 1} {}
};

/// level (y - f) below the target, (1 - level) (f - y) above: its minimiser is the quantile of that level
/// (Koenker & Bassett 1978).
struct Quantile : Pinball {
    explicit Quantile(double level) : Pinball{-level, 1 - level} {}
};

/// max(0, 1 - y f)^2 / 2 for y = -1 or +1.
struct SquaredHinge {
    explicit SquaredHinge(double) {}
    double value(double f, double y) const { return 0.5 * slack(f, y) * slack(f, y); }
    double slope(double f, double y) const { return -y * slack(f, y); }
    double curvature(double f, double y) const { return slack(f, y) > 0 ? 1 : 0; }
    double smoothness() const { return 1; }
    double lipschitz() const { return kUnbounded; }
    /// That of the squared error where -y u >= 0, infinite elsewhere but for rounding.
    double conjugate(double u, double y) const { return y * u <= kOutside ? u * (0.5 * u + y) : kUnbounded; }
    static constexpr Targets kTargets = Targets::signs;
    static constexpr double kMu = 1;
    double low() const { return -kUnbounded; }
    double high() const { return kUnbounded; }

  private:
    static double slack(double f, double y) { return std::max(0.0, 1 - y * f); }
};

double entropy(double q) {
    return q > 0 ? q * std::log(q) : 0;
}

/// log(1 + exp(-y f)) for y = -1 or +1.
struct LogLoss {
    explicit LogLoss(double) {}
    double value(double f, double y) const {
        const double m = -y * f;
        return m > 0 ? m + std::log1p(std::exp(-m)) : std::log1p(std::exp(m));
    }
    double slope(double f, double y) const { return -y * sigmoid(-y * f); }
    double curvature(double f, double y) const {
        const double p = sigmoid(-y * f);
        return p * (1 - p);
    }
    double smoothness() const { return 0.25; }
    double lipschitz() const { return 1; }
    /// With q = -y u: q log q + (1 - q) log(1 - q) in [0, 1], infinite outside but for rounding.
    double conjugate(double u, double y) const {
        const double q = -y * u;
        if (q < -kOutside || q > 1 + kOutside) return kUnbounded;
        return entropy(q) + (q > 0 && q < 1 ? (1 - q) * std::log1p(-q) : 0);
    }
    static constexpr Targets kTargets = Targets::signs;

  private:
    static double sigmoid(double m) {
        const double e = std::exp(-std::abs(m));
        return m >= 0 ? 1 / (1 + e) : e / (1 + e);
    }
};

/// Half the deviance of counts y of mean exp(f): exp(f) - y + y (log y - f).
struct Poisson {
    explicit Poisson(double) {}
    double value(double f, double y) const { return std::exp(f) - y * f + entropy(y) - y; }
    double slope(double f, double y) const { return std::exp(f) - y; }
    double curvature(double f, double) const { return std::exp(f); }
    double smoothness() const { return kUnbounded; }
    double lipschitz() const { return kUnbounded; }
    /// With q = u + y: q log q - q - (y log y - y) for q >= 0, infinite elsewhere but for rounding.
    double conjugate(double u, double y) const {
        const double q = u + y;
        return q < -kOutside * (1 + y) ? kUnbounded : entropy(q) - entropy(y) - u;
    }
    static constexpr Targets kTargets = Targets::nonnegative;
};

/// Half the deviance of amounts y > 0 of mean exp(f): y exp(-f) - 1 - (log y - f).
struct Gamma {
    explicit Gamma(double) {}
    double value(double f, double y) const {
        const double excess = std::log(y) - f;
        return std::expm1(excess) - excess;
    }
    double slope(double f, double y) const { return -std::expm1(std::log(y) - f); }
    double curvature(double f, double y) const { return std::exp(std::log(y) - f); }
    double smoothness() const { return kUnbounded; }
    double lipschitz() const { return kUnbounded; }
    /// With q = 1 - u: q (log q - log y - 1) + log y + 1 for q >= 0, infinite elsewhere but for rounding.
    double conjugate(double u, double y) const {
        const double q = 1 - u;
        return q < -kOutside ? kUnbounded : entropy(q) + u * (1 + std::log(y));
    }
    static constexpr Targets kTargets = Targets::positive;
};

bool takes(Targets targets, double y) {
    if (targets == Targets::signs) return y == 1 || y == -1;
    if (targets == Targets::nonnegative) return y >= 0;
    if (targets == Targets::positive) return y > 0;
    return true;
}

const char* in_words(Targets targets) {
    if (targets == Targets::signs) return "-1 or +1";
    if (targets == Targets::nonnegative) return "numbers of at least 0";
    return "numbers above 0";
}

/// A loss that is a sum over the entries of f (n, C), by one L for each of the C outputs.
template <class L>
class EntrywiseLoss final : public RowLoss {
    static constexpr bool kPinball = std::is_base_of_v<Pinball, L> || std::is_same_v<Pinball, L>;

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

    void curvature(const double* f, double* h) const override {
        each([&](Index i, Index c, Index k) { h[k] = w_[i] / n() * of_[c].curvature(f[k], y_.data[k]); });
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
        if constexpr (std::is_same_v<L, Poisson>)  // at the targets themselves
            return std::max(sum([&](Index i, Index, Index k) { return w_[i] * y_.data[k]; }),
                            std::numeric_limits<double>::min());
        if constexpr (std::is_same_v<L, Gamma>) return 1;
        return smoothness();
    }

    double dual_value(const double* theta, double s) const override {
        const auto term = [&](Index i, Index c, Index k) {
            return w_[i] > 0 ? -w_[i] * of_[c].conjugate(-n() * s * theta[k] / w_[i], y_.data[k]) : 0.0;
        };
        const auto size = [&](Index i, Index c, Index k) { return std::abs(term(i, c, k)); };
        return Sum{sum(term), sum(size)}.least();
    }

    /// The side whose entries weigh more, those above zero or those below, is scaled down to the other. Every
    /// conjugate is finite between 0 and where it is finite.
    void balance(double* theta) const override {
        for (Index c = 0; c < y_.cols; ++c) {
            double above = 0, below = 0;
            for (Index i = 0; i < y_.rows; ++i) {
                const double t = theta[i * y_.cols + c];
                (t > 0 ? above : below) += std::abs(t);
            }
            const double least = std::min(above, below);
            for (Index i = 0; i < y_.rows; ++i) {
                double& t = theta[i * y_.cols + c];
                const double side = t > 0 ? above : below;
                if (side > least) t *= least / side;
            }
        }
    }

    /// Where the conjugate is u y + mu u^2 / 2 on its domain the dual is a concave quadratic in s, kept in
    /// the domain. Elsewhere its domain is convex and holds 0 and theta: s = 1 is safe, more is not.
    double best_scale(const double* theta, double cap) const override {
        if constexpr (std::is_same_v<L, LogLoss> || std::is_same_v<L, Poisson> || std::is_same_v<L, Gamma>) {
            return std::min(1.0, cap);
        } else {
            const auto slope = [&](Index i, Index k) { return w_[i] > 0 ? -n() * theta[k] / w_[i] : 0.0; };
            const double linear =
                -sum([&](Index i, Index, Index k) { return w_[i] * slope(i, k) * y_.data[k]; });
            const double quadratic = sum(
                [&](Index i, Index c, Index k) { return mu(of_[c]) * w_[i] * slope(i, k) * slope(i, k); });
            for (Index i = 0; i < y_.rows; ++i)
                for (Index c = 0; c < y_.cols; ++c) {
                    const double u = slope(i, i * y_.cols + c);
                    if (u > 0) cap = std::min(cap, of_[c].high() / u);
                    if (u < 0) cap = std::min(cap, of_[c].low() / u);
                }
            if (quadratic > 0) return std::clamp(linear / quadratic, 0.0, cap);
            if (linear > 0 && cap < kUnbounded) return cap;
            return linear < 0 ? 0.0 : std::min(1.0, cap);
        }
    }

    void optimal_intercept(const double* f, double* b) const override {
        for (Index c = 0; c < y_.cols; ++c) b[c] = root(f, c, b[c]);
    }

    LossPointer smoothed(double share, MatView<const double> y) const override {
        if constexpr (kPinball) {
            std::vector<Pinball> rounded(of_.begin(), of_.end());
            for (Index c = 0; c < y_.cols; ++c) rounded[c].mu = share * spread(c);
            return std::make_unique<EntrywiseLoss<Pinball>>(std::move(rounded), y, w_, threads_);
        } else {
            return nullptr;
        }
    }

    void shift_targets(const double* f, const Loss& next, MatView<const double> original,
                       double* y) const override {
        if constexpr (std::is_same_v<L, Pinball>) {
            const auto& other = static_cast<const EntrywiseLoss<Pinball>&>(next);
            each([&](Index, Index c, Index k) {
                y[k] = original.data[k] - other.of_[c].mu * of_[c].slope(f[k], y_.data[k]);
            });
        }
    }

  private:
    static double mu(const L& one) {
        if constexpr (kPinball)
            return one.mu;
        else
            return L::kMu;
    }

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

    /// Mean |y - b| of the best constant b of output c; 1 if there is none.
    double spread(Index c) const {
        const std::vector<double> zero(y_.size(), 0.0);
        const double b = root(zero.data(), c, 0);
        double total = 0;
        for (Index i = 0; i < y_.rows; ++i) total += w_[i] * std::abs(y_(i, c) - b);
        return total > 0 ? total / n() : 1;
    }

    /// The b with sum_i w_i loss'(f_i + b) = 0 in column c.
    double root(const double* f, Index c, double b) const {
        if constexpr (std::is_same_v<L, SquaredError>) return mean_residual(f, c);
        if constexpr (std::is_same_v<L, Poisson> || std::is_same_v<L, Gamma>) return log_ratio(f, c);
        if constexpr (kPinball)
            if (!(of_[c].mu > 0)) return quantile_of_residuals(f, c);
        return newton_root(f, c, b);
    }

    /// The second mean, of what the first leaves, makes that of equal residuals exact.
    double mean_residual(const double* f, Index c) const {
        double b = 0;
        for (int pass = 0; pass < 2; ++pass) {
            double total = 0, weight = 0;
            for (Index i = 0; i < y_.rows; ++i) {
                total += w_[i] * (y_(i, c) - f[i * y_.cols + c] - b);
                weight += w_[i];
            }
            b += total / weight;
        }
        return b;
    }

    /// Poisson: log of sum w y over sum w exp(f). Gamma: log of sum w y exp(-f) over sum w.
    double log_ratio(const double* f, Index c) const {
        const bool poisson = std::is_same_v<L, Poisson>;
        const auto exponent = [&](Index i) { return (poisson ? 1 : -1) * f[i * y_.cols + c]; };
        double top = -kUnbounded;
        for (Index i = 0; i < y_.rows; ++i)
            if (w_[i] > 0) top = std::max(top, exponent(i));
        double plain = 0, shifted = 0;
        for (Index i = 0; i < y_.rows; ++i) {
            plain += w_[i] * (poisson ? y_(i, c) : 1);
            shifted += w_[i] * (poisson ? 1 : y_(i, c)) * std::exp(exponent(i) - top);
        }
        const double log_shifted = std::log(shifted) + top;
        return poisson ? std::log(plain) - log_shifted : log_shifted - std::log(plain);
    }

    /// The least residual y - f whose share of the weights at or below it is that of the loss's level.
    double quantile_of_residuals(const double* f, Index c) const {
        std::vector<Index> order(y_.rows);
        std::iota(order.begin(), order.end(), Index{0});
        const auto residual = [&](Index i) { return y_(i, c) - f[i * y_.cols + c]; };
        std::sort(order.begin(), order.end(), [&](Index i, Index j) {
            return residual(i) != residual(j) ? residual(i) < residual(j) : i < j;
        });
        double weight = 0, below = 0;
        for (Index i = 0; i < y_.rows; ++i) weight += w_[i];
        const double level = -of_[c].low() / (of_[c].high() - of_[c].low());
        for (const Index i : order) {
            below += w_[i];
            if (below >= level * weight) return residual(i);
        }
        return residual(order.back());
    }

    /// Newton steps inside a bracket that shrinks.
    double newton_root(const double* f, Index c, double b) const {
        double low = -kUnbounded, high = kUnbounded;
        for (int step = 0; step < 100; ++step) {
            double slope = 0, curvature = 0, size = 0;
            for (Index i = 0; i < y_.rows; ++i) {
                const Index k = i * y_.cols + c;
                const double s = w_[i] * of_[c].slope(f[k] + b, y_.data[k]);
                slope += s;
                size += std::abs(s);
                curvature += w_[i] * of_[c].curvature(f[k] + b, y_.data[k]);
            }
            if (std::abs(slope) <= 1e-16 * size) return b;
            (slope > 0 ? high : low) = b;
            const double reach = 10 * (1 + std::abs(b));
            const double step_length = curvature > 0 ? std::min(std::abs(slope) / curvature, reach) : reach;
            double next = slope > 0 ? b - step_length : b + step_length;
            if (next == b) return b;
            if (!(next > low && next < high)) next = 0.5 * (low + high);
            b = next;
        }
        return b;
    }

    std::vector<L> of_;
};

constexpr double kHuber = 1, kMedian = 0.5;  // defaults of parameters

template <class L>
LossPointer make(const LossSpec& spec, MatView<const double> y, VecView<const double> w, int threads) {
    std::vector<L> of;
    const double otherwise = std::is_same_v<L, Quantile> ? kMedian : kHuber;
    for (Index c = 0; c < y.cols; ++c)
        of.emplace_back(spec.parameters.empty() ? otherwise : spec.parameters[c]);
    return std::make_unique<EntrywiseLoss<L>>(std::move(of), y, w, threads);
}

template <class L>
LossEntry without_parameter(const char* name, bool log_link = false) {
    constexpr bool kinked = std::is_base_of_v<Pinball, L>;
    return {{name, "", 0, kUnbounded, false, L::kTargets, kinked, log_link}, make<L>};
}

}  // namespace

std::vector<LossEntry> entrywise_losses() {
    return {
        without_parameter<SquaredError>("squared_error"),
        without_parameter<AbsoluteError>("absolute_error"),
        {{"quantile", "quantile", kMedian, 1, false, Targets::real, true, false}, make<Quantile>},
        {{"huber", "threshold", kHuber, kUnbounded, true, Targets::real, false, false}, make<Huber>},
        without_parameter<Poisson>("poisson", true),
        without_parameter<Gamma>("gamma", true),
        without_parameter<LogLoss>("log_loss"),
        without_parameter<SquaredHinge>("squared_hinge"),
    };
}

}  // namespace pathrelu
