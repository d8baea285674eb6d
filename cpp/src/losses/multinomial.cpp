#include <pathrelu/error.hpp>

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <limits>

#include "losses/row_loss.hpp"
#include "losses/table.hpp"

namespace pathrelu {
namespace {

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
        each_block([&](Index, Index begin, Index end) {
            probabilities(end - begin, f + begin * C(), theta + begin * C());
            for (Index i = begin, k = begin * C(); i < end; ++i)
                for (Index c = 0; c < C(); ++c, ++k) theta[k] = w_[i] / n() * (y_.data[k] - theta[k]);
        });
    }

    double value_and_dual_point(Index begin, Index count, const double* f, double* theta) const override {
        double total = 0;
        for (Index i = begin; i < begin + count; ++i, f += C(), theta += C()) {
            const double* y = y_.row(i);
            const Index own = std::find(y, y + C(), 1) - y;
            const double top = *std::max_element(f, f + C());
            double others = 0;
            for (Index c = 0; c < C(); ++c) {
                theta[c] = std::exp(f[c] - top);
                if (c != own) others += theta[c];
            }
            // As in row_value, with the class's own output taken off.
            const double sum = theta[own] + others;
            total += w_[i] * (top > f[own] ? top - f[own] + std::log(sum) : std::log1p(others));
            for (Index c = 0; c < C(); ++c) theta[c] = w_[i] / n() * ((c == own) - theta[c] / sum);
        }
        return total;
    }

    using RowLoss::curvature;
    void curvature(Index begin, Index count, const double* f, double* h) const override {
        probabilities(count, f, h);
        for (Index i = begin; i < begin + count; ++i)
            for (Index c = 0; c < C(); ++c, ++h) *h *= w_[i] / n();
    }

    bool coupled() const override { return true; }

    double smoothness() const override { return 0.5; }
    double lipschitz() const override { return std::sqrt(2.0); }

    /// The conjugate at u is sum_c p_c log p_c for probabilities p = u + y, infinite for other p but for
    /// rounding.
    double dual_value(const double* theta, double s) const override {
        const double value = -sum([&](Index i) {
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
        return Sum{value, std::abs(value)}.least();  // no term is below zero
    }

    /// The weight of the rows of each class, and how much of it the probabilities y - n theta / w leave out.
    std::vector<double> imbalance(const double* theta) const override {
        std::vector<double> weights(2 * C(), 0.0);
        for (Index i = 0, k = 0; i < y_.rows; ++i)
            for (Index c = 0; c < C(); ++c, ++k) {
                weights[c] += w_[i] * y_.data[k];
                weights[C() + c] += n() * theta[k];
            }
        return weights;
    }

    using RowLoss::balance;
    /// Mixes the probabilities of all rows with the same ones, of as small a share as can make each class
    /// weigh what its rows do. Mixtures of probabilities are in the domain of the dual.
    void balance(Index begin, Index count, double* theta,
                 const std::vector<double>& imbalance) const override {
        const double *own = imbalance.data(), *left_out = own + C();
        double share = 0, total = 0;
        for (Index c = 0; c < C(); ++c) {
            total += own[c];
            if (left_out[c] < 0) share = std::max(share, left_out[c] / (left_out[c] - own[c]));
        }
        if (share == 0) return;
        std::vector<double> mixed(C());
        for (Index c = 0; c < C(); ++c)
            mixed[c] = std::max(0.0, share * own[c] + (1 - share) * left_out[c]) / total;
        for (Index i = begin; i < begin + count; ++i, theta += C())
            for (Index c = 0; c < C(); ++c)
                theta[c] = (1 - share) * theta[c] + w_[i] / n() * (share * y_(i, c) - mixed[c]);
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

    /// p (count, C) <- softmax of the rows of f.
    void probabilities(Index count, const double* f, double* p) const {
        for (Index i = 0; i < count; ++i, f += C(), p += C()) {
            const double top = *std::max_element(f, f + C());
            double total = 0;
            for (Index c = 0; c < C(); ++c) total += p[c] = std::exp(f[c] - top);
            for (Index c = 0; c < C(); ++c) p[c] /= total;
        }
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
        // The ridge makes the matrix regular, for a shift of all classes is in the kernel of the Hessian; it
        // keeps the step within reach, and vanishes with the gradient.
        const double scale = now.hessian.trace();
        Matrix system = now.hessian.selfadjointView<Eigen::Lower>();
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

LossPointer multinomial(const LossSpec&, MatView<const double> y, VecView<const double> w, int threads) {
    return std::make_unique<Multinomial>(y, w, threads);
}

}  // namespace

std::vector<LossEntry> multinomial_losses() {
    return {{{"multinomial", {"", 0, kUnbounded, false}, Targets::one_hot, false, false}, multinomial}};
}

}  // namespace pathrelu
