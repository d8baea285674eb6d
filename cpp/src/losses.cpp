#include <pathrelu/error.hpp>
#include <pathrelu/losses.hpp>

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "parallel.hpp"

namespace pathrelu {
namespace {

/// Rows whose terms are summed together; the partial sums are then added in order.
constexpr Index kBlock = 2048;

struct SquaredError {
    static double value(double f, double y) { return 0.5 * (f - y) * (f - y); }
    static double slope(double f, double y) { return f - y; }
    static double curvature(double, double) { return 1; }
    static double smoothness() { return 1; }
    static double conjugate(double u, double y) { return u * (0.5 * u + y); }
    static bool defined(double) { return true; }
    static const char* targets() { return "finite numbers"; }
    static constexpr double kLargestSlope = std::numeric_limits<double>::infinity();
};

/// Quadratic up to |f - y| = 1, then linear.
struct Huber {
    static double value(double f, double y) {
        const double r = std::abs(f - y);
        return r <= 1 ? 0.5 * r * r : r - 0.5;
    }
    static double slope(double f, double y) { return std::clamp(f - y, -1.0, 1.0); }
    static double curvature(double f, double y) { return std::abs(f - y) <= 1 ? 1 : 0; }
    static double smoothness() { return 1; }
    /// That of the squared error for slopes up to 1, infinite beyond but for rounding.
    static double conjugate(double u, double y) {
        return std::abs(u) <= 1 + 1e-12 ? SquaredError::conjugate(u, y)
                                        : std::numeric_limits<double>::infinity();
    }
    static bool defined(double) { return true; }
    static const char* targets() { return "finite numbers"; }
    static constexpr double kLargestSlope = 1;
};

/// max(0, 1 - y f)^2 / 2 for y = -1 or +1.
struct SquaredHinge {
    static double value(double f, double y) { return 0.5 * slack(f, y) * slack(f, y); }
    static double slope(double f, double y) { return -y * slack(f, y); }
    static double curvature(double f, double y) { return slack(f, y) > 0 ? 1 : 0; }
    static double smoothness() { return 1; }
    /// That of the squared error where -y u >= 0, infinite elsewhere but for rounding.
    static double conjugate(double u, double y) {
        return y * u <= 1e-12 ? SquaredError::conjugate(u, y) : std::numeric_limits<double>::infinity();
    }
    static bool defined(double y) { return y == 1 || y == -1; }
    static const char* targets() { return "-1 or +1"; }
    static constexpr double kLargestSlope = std::numeric_limits<double>::infinity();

  private:
    static double slack(double f, double y) { return std::max(0.0, 1 - y * f); }
};

struct LogLoss {
    static double value(double f, double y) {
        const double m = -y * f;
        return m > 0 ? m + std::log1p(std::exp(-m)) : std::log1p(std::exp(m));
    }
    static double slope(double f, double y) { return -y * sigmoid(-y * f); }
    static double curvature(double f, double y) {
        const double p = sigmoid(-y * f);
        return p * (1 - p);
    }
    static double smoothness() { return 0.25; }
    /// With q = -y u: q log q + (1 - q) log(1 - q) in [0, 1], infinite outside but for rounding.
    static double conjugate(double u, double y) {
        const double q = -y * u;
        if (q < -1e-12 || q > 1 + 1e-12) return std::numeric_limits<double>::infinity();
        return entropy(q) + entropy(1 - q);
    }
    static bool defined(double y) { return y == 1 || y == -1; }
    static const char* targets() { return "-1 or +1"; }

  private:
    static double sigmoid(double m) {
        const double e = std::exp(-std::abs(m));
        return m >= 0 ? 1 / (1 + e) : e / (1 + e);
    }
    static double entropy(double q) { return q > 0 ? q * std::log(q) : 0; }
};

/// A loss that is a sum over the rows of f (n, C), in fixed blocks of rows.
class RowLoss : public Loss {
  protected:
    RowLoss(MatView<const double> y, VecView<const double> w, int threads)
        : y_(y), w_(w), threads_(threads_for(20 * y.size(), threads)) {}

    double n() const { return static_cast<double>(y_.rows); }

    /// visit(block, begin, end) for every block of rows.
    template <class Visit>
    void each_block(Visit visit) const {
        in_team(threads_, [&] {
#pragma omp for schedule(static)
            for (Index block = 0; block < blocks(); ++block)
                visit(block, block * kBlock, std::min((block + 1) * kBlock, y_.rows));
        });
    }

    /// (1/n) times the sum of term(i) over all rows.
    template <class Term>
    double sum(Term term) const {
        std::vector<double> partial(blocks());
        each_block([&](Index block, Index begin, Index end) {
            double total = 0;
            for (Index i = begin; i < end; ++i) total += term(i);
            partial[block] = total;
        });
        double total = 0;
        for (const double p : partial) total += p;
        return total / n();
    }

    Index blocks() const { return (y_.rows + kBlock - 1) / kBlock; }

    MatView<const double> y_;
    VecView<const double> w_;
    int threads_;
};

/// A loss that is a sum over the entries of f (n, C).
template <class L>
class EntrywiseLoss final : public RowLoss {
  public:
    EntrywiseLoss(MatView<const double> y, VecView<const double> w, int threads) : RowLoss(y, w, threads) {}

    void check_targets(MatView<const double> y) const override {
        for (Index k = 0; k < y.size(); ++k)
            require(L::defined(y.data[k]), "y has the entry ", y.data[k], "; this loss expects ",
                    L::targets());
    }

    double value(const double* f) const override {
        return sum([&](Index i, Index k) { return w_[i] * L::value(f[k], y_.data[k]); });
    }

    void dual_point(const double* f, double* theta) const override {
        each([&](Index i, Index k) { theta[k] = -w_[i] / n() * L::slope(f[k], y_.data[k]); });
    }

    void curvature(const double* f, double* h) const override {
        each([&](Index i, Index k) { h[k] = w_[i] / n() * L::curvature(f[k], y_.data[k]); });
    }

    double smoothness() const override { return L::smoothness(); }

    double dual_value(const double* theta, double s) const override {
        return -sum([&](Index i, Index k) {
            return w_[i] > 0 ? w_[i] * L::conjugate(-n() * s * theta[k] / w_[i], y_.data[k]) : 0.0;
        });
    }

    double best_scale(const double* theta, double cap) const override;

    void optimal_intercept(const double* f, double* b) const override {
        for (Index c = 0; c < y_.cols; ++c) b[c] = root(f, c, b[c]);
    }

  private:
    template <class Visit>
    void each(Visit visit) const {
        each_block([&](Index, Index begin, Index end) {
            for (Index i = begin; i < end; ++i)
                for (Index c = 0; c < y_.cols; ++c) visit(i, i * y_.cols + c);
        });
    }

    /// (1/n) times the sum of term(i, k) over all entries.
    template <class Term>
    double sum(Term term) const {
        return RowLoss::sum([&](Index i) {
            double total = 0;
            for (Index c = 0; c < y_.cols; ++c) total += term(i, i * y_.cols + c);
            return total;
        });
    }

    /// The b with sum_i w_i loss'(f_i + b) = 0 in column c: Newton steps inside a bracket that shrinks.
    double root(const double* f, Index c, double b) const {
        double low = -std::numeric_limits<double>::infinity(), high = -low;
        for (int step = 0; step < 100; ++step) {
            double slope = 0, curvature = 0, size = 0;
            for (Index i = 0; i < y_.rows; ++i) {
                const Index k = i * y_.cols + c;
                const double s = w_[i] * L::slope(f[k] + b, y_.data[k]);
                slope += s;
                size += std::abs(s);
                curvature += w_[i] * L::curvature(f[k] + b, y_.data[k]);
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
};

/// Losses whose conjugate is u y + u^2 / 2 on its domain: the dual is a concave quadratic in s, kept in the
/// domain.
template <class L>
double EntrywiseLoss<L>::best_scale(const double* theta, double cap) const {
    const auto slope = [&](Index i, Index k) { return w_[i] > 0 ? -n() * theta[k] / w_[i] : 0.0; };
    const double linear = -sum([&](Index i, Index k) { return w_[i] * slope(i, k) * y_.data[k]; });
    const double quadratic = sum([&](Index i, Index k) { return w_[i] * slope(i, k) * slope(i, k); });
    double steepest = 0;
    for (Index i = 0; i < y_.rows; ++i)
        for (Index c = 0; c < y_.cols; ++c)
            steepest = std::max(steepest, std::abs(slope(i, i * y_.cols + c)));
    if (steepest > 0) cap = std::min(cap, L::kLargestSlope / steepest);
    return quadratic > 0 ? std::clamp(linear / quadratic, 0.0, cap) : std::min(1.0, cap);
}

/// The dual is defined on a convex set that holds 0 and theta: s = 1 is safe, more is not.
template <>
double EntrywiseLoss<LogLoss>::best_scale(const double*, double cap) const {
    return std::min(1.0, cap);
}

/// The minimiser is the weighted mean residual, whatever the start.
template <>
double EntrywiseLoss<SquaredError>::root(const double* f, Index c, double) const {
    double total = 0, weight = 0;
    for (Index i = 0; i < y_.rows; ++i) {
        total += w_[i] * (y_(i, c) - f[i * y_.cols + c]);
        weight += w_[i];
    }
    return total / weight;
}

/// log sum_c exp(f_c) - f_y for y that is one in the column of the row's class and zero elsewhere.
class Multinomial final : public RowLoss {
  public:
    Multinomial(MatView<const double> y, VecView<const double> w, int threads) : RowLoss(y, w, threads) {}

    void check_targets(MatView<const double> y) const override {
        require(y.cols > 1, "y has one column; this loss expects one for each class");
        for (Index i = 0; i < y.rows; ++i) {
            Index ones = 0;
            for (Index c = 0; c < y.cols; ++c) {
                require(y(i, c) == 0 || y(i, c) == 1, "y has the entry ", y(i, c),
                        "; this loss expects 0 or 1");
                ones += y(i, c) == 1;
            }
            require(ones == 1, "y has ", ones, " ones in row ", i, "; this loss expects one");
        }
    }

    double value(const double* f) const override {
        return sum([&](Index i) { return w_[i] * row_value(i, f + i * C()); });
    }

    void dual_point(const double* f, double* theta) const override {
        probabilities(f, theta);
        each_row([&](Index i, Index k) { theta[k] = w_[i] / n() * (y_.data[k] - theta[k]); });
    }

    void curvature(const double* f, double* h) const override {
        probabilities(f, h);
        each_row([&](Index i, Index k) { h[k] *= w_[i] / n(); });
    }

    bool coupled() const override { return true; }

    double smoothness() const override { return 0.5; }

    /// The conjugate at u is sum_c p_c log p_c for probabilities p = u + y, infinite for other p but for
    /// rounding.
    double dual_value(const double* theta, double s) const override {
        return -sum([&](Index i) {
            if (!(w_[i] > 0)) return 0.0;
            double entropy = 0, total = 0, least = 0;
            for (Index c = 0; c < C(); ++c) {
                const double p = y_(i, c) - n() * s * theta[i * C() + c] / w_[i];
                total += p;
                least = std::min(least, p);
                if (p > 0) entropy += p * std::log(p);
            }
            const bool inside = least >= -1e-12 && std::abs(total - 1) <= 1e-12 * static_cast<double>(C());
            return inside ? w_[i] * entropy : std::numeric_limits<double>::infinity();
        });
    }

    /// As for the logistic loss: s = 1 is safe, more is not.
    double best_scale(const double*, double cap) const override { return std::min(1.0, cap); }

    void optimal_intercept(const double* f, double* b) const override;

  private:
    using Vector = Eigen::VectorXd;
    using Matrix = Eigen::MatrixXd;

    /// The loss of f + b with its derivatives in b, and the size of the terms that make up the gradient.
    struct Shifted {
        Vector b, gradient;
        Matrix hessian;
        double value = 0, size = 0;
    };

    Index C() const { return y_.cols; }

    template <class Visit>
    void each_row(Visit visit) const {
        each_block([&](Index, Index begin, Index end) {
            for (Index i = begin; i < end; ++i)
                for (Index c = 0; c < C(); ++c) visit(i, i * C() + c);
        });
    }

    /// With the class's own output taken off, so that small losses keep their digits.
    double row_value(Index i, const double* f) const {
        double own = 0, top = -std::numeric_limits<double>::infinity();
        for (Index c = 0; c < C(); ++c)
            if (y_(i, c) == 1) own = f[c];
        for (Index c = 0; c < C(); ++c) top = std::max(top, f[c] - own);
        // log(exp(-top) + sum of the others'); the largest of all terms is one.
        double others = 0;
        for (Index c = 0; c < C(); ++c)
            if (y_(i, c) != 1) others += std::exp(f[c] - own - top);
        return top > 0 ? top + std::log(std::exp(-top) + others) : std::log1p(others);
    }

    /// p <- softmax of the rows of f.
    void probabilities(const double* f, double* p) const {
        each_block([&](Index, Index begin, Index end) {
            for (Index i = begin; i < end; ++i) {
                const double* row = f + i * C();
                double* out = p + i * C();
                const double top = *std::max_element(row, row + C());
                double total = 0;
                for (Index c = 0; c < C(); ++c) total += out[c] = std::exp(row[c] - top);
                for (Index c = 0; c < C(); ++c) out[c] /= total;
            }
        });
    }

    Shifted shifted(const double* f, Vector b) const;
};

Multinomial::Shifted Multinomial::shifted(const double* f, Vector b) const {
    std::vector<Shifted> partial(blocks());
    each_block([&](Index block, Index begin, Index end) {
        Shifted& part = partial[block];
        part.gradient = Vector::Zero(C());
        part.hessian = Matrix::Zero(C(), C());
        Vector row(C()), p(C());
        for (Index i = begin; i < end; ++i) {
            const Eigen::Map<const Vector> y(y_.row(i), C());
            row = Eigen::Map<const Vector>(f + i * C(), C()) + b;
            part.value += w_[i] * row_value(i, row.data());
            p = (row.array() - row.maxCoeff()).exp();
            p /= p.sum();
            part.hessian.selfadjointView<Eigen::Lower>().rankUpdate(p, -w_[i]);
            part.hessian.diagonal() += w_[i] * p;
            part.gradient += w_[i] * (p - y);
            part.size += w_[i] * (p - y).cwiseAbs().sum();
        }
    });
    Shifted total{std::move(b), Vector::Zero(C()), Matrix::Zero(C(), C())};
    for (const Shifted& part : partial) {
        total.value += part.value;
        total.size += part.size;
        total.gradient += part.gradient;
        total.hessian += part.hessian;
    }
    return total;
}

/// Newton steps, shortened until neither the loss nor the slope along them says that they are too long. The
/// same shift of all classes changes nothing: the shifts sum to zero. The start may belong to outputs far
/// from these; where it leaves every row certain of its class, and the Hessian zero, the ridge makes the step
/// one down the gradient.
void Multinomial::optimal_intercept(const double* f, double* intercept) const {
    Eigen::Map<Vector> out(intercept, C());
    Shifted now = shifted(f, out.array() - out.mean());
    if (now.value > n() * std::log(static_cast<double>(C()))) {
        Shifted unshifted = shifted(f, Vector::Zero(C()));
        if (unshifted.value < now.value) now = std::move(unshifted);
    }
    for (int step = 0; step < 100; ++step) {
        const double left = now.gradient.cwiseAbs().sum();
        if (left <= 1e-16 * now.size) break;
        const double reach = 10 * (1 + now.b.cwiseAbs().maxCoeff());
        // The term of ones makes the matrix regular. The ridge keeps the step within reach, and vanishes with
        // the gradient.
        const double scale = now.hessian.trace();
        Matrix system = now.hessian.selfadjointView<Eigen::Lower>();
        system.array() += scale / static_cast<double>(C());
        system.diagonal().array() +=
            std::max({1e-15 * scale, now.gradient.norm() / reach, std::numeric_limits<double>::min()});
        Vector d = -system.ldlt().solve(now.gradient);
        d.array() -= d.mean();
        const double slope = now.gradient.dot(d);
        if (!(slope < 0)) break;
        bool moved = false;
        for (double t = 1; t > 1e-10 && !moved; t *= 0.5) {
            const Vector b = now.b + t * d;
            if (b == now.b) break;
            Shifted next = shifted(f, b);
            if (next.gradient.dot(d) > -0.5 * slope || next.value > now.value * (1 + 1e-14)) continue;
            // What rounding leaves of the gradient does not shrink.
            if (left <= 1e-12 * now.size && next.gradient.cwiseAbs().sum() >= 0.5 * left) break;
            now = std::move(next);
            moved = true;
        }
        if (!moved) break;
    }
    out = now.b;
}

}  // namespace

std::unique_ptr<Loss> make_loss(const std::string& name, MatView<const double> y, VecView<const double> w,
                                int threads) {
    require_size("w", w, y.rows);
    std::unique_ptr<Loss> loss;
    if (name == "squared_error") loss = std::make_unique<EntrywiseLoss<SquaredError>>(y, w, threads);
    if (name == "log_loss") loss = std::make_unique<EntrywiseLoss<LogLoss>>(y, w, threads);
    if (name == "huber") loss = std::make_unique<EntrywiseLoss<Huber>>(y, w, threads);
    if (name == "squared_hinge") loss = std::make_unique<EntrywiseLoss<SquaredHinge>>(y, w, threads);
    if (name == "multinomial") loss = std::make_unique<Multinomial>(y, w, threads);
    require(loss != nullptr, "loss is '", name,
            "'; expected 'squared_error', 'log_loss', 'huber', 'squared_hinge' or 'multinomial'");
    loss->check_targets(y);
    return loss;
}

}  // namespace pathrelu
