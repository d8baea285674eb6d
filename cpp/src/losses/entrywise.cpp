#include "losses/entrywise.hpp"

#include <numeric>

namespace pathrelu {
namespace {

/// (f - y)^2 / 2.
struct SquaredError : EntryLoss<SquaredError>, QuadraticConjugate {
    static constexpr const char* kName = "squared_error";
    static constexpr Targets kTargets = Targets::real;

    explicit SquaredError(double) {}
    double value(double f, double y) const { return 0.5 * (f - y) * (f - y); }
    double slope(double f, double y) const { return f - y; }
    double curvature(double, double) const { return 1; }
    double smoothness() const { return 1; }

    /// The mean residual. The second mean, of what the first leaves, makes that of equal residuals exact.
    double optimal_shift(const Column& at, double) const {
        double b = 0;
        for (int pass = 0; pass < 2; ++pass) {
            double total = 0, weight = 0;
            for (Index i = 0; i < at.rows; ++i) {
                total += at.w(i) * (at.y(i) - at.f(i) - b);
                weight += at.w(i);
            }
            b += total / weight;
        }
        return b;
    }
};

/// Quadratic, (f - y)^2 / 2, up to |f - y| = threshold, then linear.
struct Huber : EntryLoss<Huber>, QuadraticConjugate {
    static constexpr const char* kName = "huber";
    static constexpr Targets kTargets = Targets::real;
    static constexpr LossParameter kParameter = {"threshold", 1, kUnbounded, true};

    explicit Huber(double threshold) : QuadraticConjugate{-threshold, threshold} {}
    double value(double f, double y) const {
        const double r = std::abs(f - y), threshold = high;
        return r <= threshold ? 0.5 * r * r : threshold * (r - 0.5 * threshold);
    }
    double slope(double f, double y) const { return std::clamp(f - y, low, high); }
    double curvature(double f, double y) const { return std::abs(f - y) <= high ? 1 : 0; }
    double smoothness() const { return 1; }
};

/// max(low (f - y), high (f - y)) for low < 0 < high, where mu = 0; else with the kink rounded off:
/// max over u in [low, high] of u (f - y) - mu u^2 / 2.
struct Pinball : EntryLoss<Pinball>, QuadraticConjugate {
    static constexpr Targets kTargets = Targets::real;
    static constexpr bool kKinked = true;

    Pinball(double low, double high) : QuadraticConjugate{low, high, 0} {}
    Pinball rounded(double by) const {
        Pinball smooth = *this;
        smooth.mu = by;
        return smooth;
    }
    double value(double f, double y) const {
        const double u = slope(f, y);
        return u * (f - y) - 0.5 * mu * u * u;
    }
    double slope(double f, double y) const {
        if (mu > 0) return std::clamp((f - y) / mu, low, high);
        return f > y ? high : f < y ? low : 0;
    }
    double curvature(double f, double y) const {
        const double u = (f - y) / mu;
        return mu > 0 && u >= low && u <= high ? 1 / mu : 0;
    }
    double smoothness() const { return mu > 0 ? 1 / mu : kUnbounded; }

    /// With the kink the least residual y - f whose share of the weights at or below it is the loss's level.
    double optimal_shift(const Column& at, double b) const {
        if (mu > 0) return newton_shift(*this, at, b);
        std::vector<Index> order(at.rows);
        std::iota(order.begin(), order.end(), Index{0});
        const auto residual = [&](Index i) { return at.y(i) - at.f(i); };
        std::sort(order.begin(), order.end(), [&](Index i, Index j) {
            return residual(i) != residual(j) ? residual(i) < residual(j) : i < j;
        });
        double weight = 0, below = 0;
        for (Index i = 0; i < at.rows; ++i) weight += at.w(i);
        const double level = -low / (high - low);
        for (const Index i : order) {
            below += at.w(i);
            if (below >= level * weight) return residual(i);
        }
        return residual(order.back());
    }
};

/// |f - y|.
struct AbsoluteError : Pinball {
    static constexpr const char* kName = "absolute_error";

    explicit AbsoluteError(double) : Pinball{-1, 1} {}
};

/// level (y - f) below the target, (1 - level) (f - y) above: its minimiser is the quantile of that level
/// (Koenker & Bassett 1978).
struct Quantile : Pinball {
    static constexpr const char* kName = "quantile";
    static constexpr LossParameter kParameter = {"quantile", 0.5, 1, false};

    explicit Quantile(double level) : Pinball{-level, 1 - level} {}
};

/// max(0, 1 - y f)^2 / 2 for y = -1 or +1.
struct SquaredHinge : EntryLoss<SquaredHinge>, QuadraticConjugate {
    static constexpr const char* kName = "squared_hinge";
    static constexpr Targets kTargets = Targets::signs;

    explicit SquaredHinge(double) {}
    double value(double f, double y) const { return 0.5 * slack(f, y) * slack(f, y); }
    double slope(double f, double y) const { return -y * slack(f, y); }
    double curvature(double f, double y) const { return slack(f, y) > 0 ? 1 : 0; }
    double smoothness() const { return 1; }
    /// That of the squared error where -y u >= 0, infinite elsewhere but for rounding: multiples of slopes
    /// stay in this domain.
    double conjugate(double u, double y) const {
        return y * u <= kOutside ? QuadraticConjugate::conjugate(u, y) : kUnbounded;
    }

  private:
    static double slack(double f, double y) { return std::max(0.0, 1 - y * f); }
};

double entropy(double q) {
    return q > 0 ? q * std::log(q) : 0;
}

/// log(1 + exp(-y f)) for y = -1 or +1.
struct LogLoss : EntryLoss<LogLoss> {
    static constexpr const char* kName = "log_loss";
    static constexpr Targets kTargets = Targets::signs;

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

  private:
    static double sigmoid(double m) {
        const double e = std::exp(-std::abs(m));
        return m >= 0 ? 1 / (1 + e) : e / (1 + e);
    }
};

/// log sum_i w_i a_i exp(e_i) over the rows that weigh something, without overflow.
template <class Factor, class Exponent>
double log_sum(const Column& at, Factor factor, Exponent exponent) {
    double top = -kUnbounded, shifted = 0;
    for (Index i = 0; i < at.rows; ++i)
        if (at.w(i) > 0) top = std::max(top, exponent(i));
    for (Index i = 0; i < at.rows; ++i) shifted += at.w(i) * factor(i) * std::exp(exponent(i) - top);
    return std::log(shifted) + top;
}

/// log sum_i w_i a_i.
template <class Factor>
double log_sum(const Column& at, Factor factor) {
    double total = 0;
    for (Index i = 0; i < at.rows; ++i) total += at.w(i) * factor(i);
    return std::log(total);
}

/// Half the deviance of counts y of mean exp(f): exp(f) - y + y (log y - f).
struct Poisson : EntryLoss<Poisson> {
    static constexpr const char* kName = "poisson";
    static constexpr Targets kTargets = Targets::nonnegative;
    static constexpr bool kLogLink = true;

    explicit Poisson(double) {}
    double value(double f, double y) const { return std::exp(f) - y * f + entropy(y) - y; }
    double slope(double f, double y) const { return std::exp(f) - y; }
    double curvature(double f, double) const { return std::exp(f); }
    double smoothness() const { return kUnbounded; }
    double typical_curvature(double mean) const { return std::max(mean, std::numeric_limits<double>::min()); }
    double lipschitz() const { return kUnbounded; }
    /// With q = u + y: q log q - q - (y log y - y) for q >= 0, infinite elsewhere but for rounding.
    double conjugate(double u, double y) const {
        const double q = u + y;
        return q < -kOutside * (1 + y) ? kUnbounded : entropy(q) - entropy(y) - u;
    }
    /// log of sum w y over sum w exp(f).
    double optimal_shift(const Column& at, double) const {
        return log_sum(at, [&](Index i) { return at.y(i); }) -
               log_sum(at, [](Index) { return 1.0; }, [&](Index i) { return at.f(i); });
    }
};

/// Half the deviance of amounts y > 0 of mean exp(f): y exp(-f) - 1 - (log y - f).
struct Gamma : EntryLoss<Gamma> {
    static constexpr const char* kName = "gamma";
    static constexpr Targets kTargets = Targets::positive;
    static constexpr bool kLogLink = true;

    explicit Gamma(double) {}
    double value(double f, double y) const {
        const double excess = std::log(y) - f;
        return std::expm1(excess) - excess;
    }
    double slope(double f, double y) const { return -std::expm1(std::log(y) - f); }
    double curvature(double f, double y) const { return std::exp(std::log(y) - f); }
    double smoothness() const { return kUnbounded; }
    double typical_curvature(double) const { return 1; }
    double lipschitz() const { return kUnbounded; }
    /// With q = 1 - u: q (log q - log y - 1) + log y + 1 for q >= 0, infinite elsewhere but for rounding.
    double conjugate(double u, double y) const {
        const double q = 1 - u;
        return q < -kOutside ? kUnbounded : entropy(q) + u * (1 + std::log(y));
    }
    /// log of sum w y exp(-f) over sum w.
    double optimal_shift(const Column& at, double) const {
        return log_sum(
                   at, [&](Index i) { return at.y(i); }, [&](Index i) { return -at.f(i); }) -
               log_sum(at, [](Index) { return 1.0; });
    }
};

}  // namespace

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

std::vector<LossEntry> entrywise_losses() {
    return {entry<SquaredError>(), entry<AbsoluteError>(), entry<Quantile>(), entry<Huber>(),
            entry<Poisson>(),      entry<Gamma>(),         entry<LogLoss>(),  entry<SquaredHinge>()};
}

}  // namespace pathrelu
