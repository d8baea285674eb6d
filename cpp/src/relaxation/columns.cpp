#include <pathrelu/error.hpp>
#include <pathrelu/relaxation.hpp>

#include <Eigen/Dense>

namespace pathrelu {
namespace {

using Matrix = Eigen::MatrixXd;
using Vector = Eigen::VectorXd;

constexpr int kNewtonSteps = 50, kHalvings = 40;
/// Share of the objective that the slopes promise, below which a program is solved: its theta is a step.
constexpr double kAccuracy = 1e-9;
constexpr double kArmijo = 1e-4;
/// Share of Newton's step below which the curvature at a point says little of that around it.
constexpr double kShort = 0.1;
/// Share of the mean diagonal of the Hessian added to it: columns may be alike.
constexpr double kRidge = 1e-10;
/// Spreads of targets over which kinks are rounded off, and how often the rounded loss is moved.
constexpr double kShare = 0.02;
constexpr int kCenters = 6;

/// The program for one smooth loss. Unknowns: K coefficients, at least 0, and C intercepts if there are.
class Program {
  public:
    Program(MatView<const double> columns, MatView<const double> directions, Index n, double alpha,
            bool fit_intercept)
        : n_(n), C_(directions.cols), K_(columns.rows), alpha_(alpha), size_(K_ + (fit_intercept ? C_ : 0)) {
        G_ = Matrix::Zero(n * C_, size_);
        for (Index k = 0; k < K_; ++k)
            for (Index i = 0; i < n; ++i)
                for (Index c = 0; c < C_; ++c) G_(i * C_ + c, k) = columns(k, i) * directions(k, c);
        for (Index c = K_; c < size_; ++c)
            for (Index i = 0; i < n; ++i) G_(i * C_ + c - K_, c) = 1;
    }

    Index size() const { return size_; }
    Vector outputs(const Vector& z) const { return G_ * z; }
    double objective(const Loss& loss, const Vector& z, const Vector& f) const {
        return loss.value(f.data()) + alpha_ * z.head(K_).sum();
    }

    void solve(const Loss& loss, Vector& z, const Poll& poll) const {
        State at{z, outputs(z), 0};
        at.value = objective(loss, at.z, at.f);
        bool floored = false;
        for (int step = 0; step < kNewtonSteps; ++step) {
            if (poll) poll();
            double length = 0;
            Outcome outcome = newton(loss, at, floored, length);
            if (outcome == Outcome::stuck && !floored) outcome = newton(loss, at, true, length);
            if (outcome != Outcome::moved) break;
            floored = length < kShort;
        }
        z = at.z;
    }

  private:
    struct State {
        Vector z, f;
        double value;
    };
    enum class Outcome { moved, solved, stuck };

    /// A step from `at`, whose length, as a share of Newton's, it tells; with curvatures that are `floored`,
    /// or without.
    Outcome newton(const Loss& loss, State& at, bool floored, double& length) const {
        Vector theta(n_ * C_);
        loss.dual_point(at.f.data(), theta.data());
        Vector gradient = -G_.transpose() * theta;
        gradient.head(K_).array() += alpha_;
        std::vector<Index> free;
        for (Index k = 0; k < size_; ++k)
            if (k >= K_ || at.z[k] > 0 || gradient[k] < 0) free.push_back(k);
        if (free.empty()) return Outcome::solved;
        const auto m = static_cast<Index>(free.size());
        const Matrix H = hessian(loss, at.f, free, floored ? floor(loss, at.f, theta) : Vector());
        Vector g(m), move = Vector::Zero(size_);
        for (Index k = 0; k < m; ++k) g[k] = gradient[free[k]];
        const Vector step = H.ldlt().solve(g);
        const double promised = g.dot(step);
        if (!std::isfinite(promised)) return Outcome::stuck;
        if (promised <= kAccuracy * std::abs(at.value)) return Outcome::solved;
        for (Index k = 0; k < m; ++k) move[free[k]] = step[k];
        length = 1;
        for (int k = 0; k < kHalvings; ++k, length *= 0.5) {
            Vector next = at.z - length * move;
            next.head(K_) = next.head(K_).cwiseMax(0.0);
            const Vector outcome = outputs(next);
            const double reached = objective(loss, next, outcome);
            if (!(reached <= at.value - kArmijo * gradient.dot(at.z - next)) || !(reached < at.value))
                continue;
            const bool moved = at.value - reached > kAccuracy * std::abs(at.value);
            at = {std::move(next), outcome, reached};
            return moved ? Outcome::moved : Outcome::stuck;
        }
        return Outcome::stuck;
    }

    /// The curvatures that a parabola of the mean loss with these slopes has: losses that are linear far from
    /// their targets have none there.
    Vector floor(const Loss& loss, const Vector& f, const Vector& theta) const {
        const double mean = std::abs(loss.value(f.data())) / static_cast<double>(n_) + 1e-300;
        return (theta.array().square() / (2 * mean)).matrix();
    }

    /// With curvatures not below `floor`, if there is one.
    Matrix hessian(const Loss& loss, const Vector& f, const std::vector<Index>& free,
                   const Vector& floor) const {
        const auto m = static_cast<Index>(free.size());
        Vector h(n_ * C_);
        loss.curvature(f.data(), h.data());
        h = h.cwiseMax(0.0);
        if (floor.size() > 0 && !loss.coupled()) h = h.cwiseMax(floor);
        Matrix E(n_ * C_, m);
        for (Index k = 0; k < m; ++k) E.col(k) = G_.col(free[k]).cwiseProduct(h.cwiseSqrt());
        Matrix H = Matrix::Zero(m, m);
        H.selfadjointView<Eigen::Lower>().rankUpdate(E.transpose());
        if (loss.coupled()) {
            Matrix coupling(n_, m);
            for (Index i = 0; i < n_; ++i) {
                const double sum = h.segment(i * C_, C_).sum();
                for (Index k = 0; k < m; ++k)
                    coupling(i, k) =
                        sum > 0
                            ? h.segment(i * C_, C_).dot(G_.col(free[k]).segment(i * C_, C_)) / std::sqrt(sum)
                            : 0.0;
            }
            H.selfadjointView<Eigen::Lower>().rankUpdate(coupling.transpose(), -1.0);
        }
        const double ridge = kRidge * H.trace() / static_cast<double>(std::max<Index>(m, 1)) + 1e-300;
        H.diagonal().array() += ridge;
        H.triangularView<Eigen::StrictlyUpper>() = H.transpose();
        return H;
    }

    Index n_, C_, K_;
    double alpha_;
    Index size_;
    Matrix G_;  // (n C, size)
};

}  // namespace

ColumnSolution solve_columns(MatView<const double> columns, MatView<const double> directions,
                             MatView<const double> y, VecView<const double> w, const LossSpec& spec,
                             double alpha, bool fit_intercept, VecView<const double> start,
                             const Poll& poll) {
    require_shape("columns", columns, columns.rows, y.rows);
    require_shape("directions", directions, columns.rows, y.cols);
    require_size("start", start, columns.rows);
    const Program program(columns, directions, y.rows, alpha, fit_intercept);
    Vector z = Vector::Zero(program.size());
    z.head(columns.rows) = Eigen::Map<const Vector>(start.data, start.size);
    const auto loss = make_loss(spec, y, w, 1);
    const auto smoothing = make_smoothing(spec, y, w, 1);
    if (fit_intercept) {
        std::vector<double> b(y.cols, 0.0);
        const Vector f = program.outputs(z);
        loss->optimal_intercept(f.data(), b.data());
        for (Index c = 0; c < y.cols; ++c) z[columns.rows + c] = b[c];
    }
    if (smoothing) smoothing->center(kShare);
    runs_to_its_end([&] {
        for (int k = 0; k < (smoothing ? kCenters : 1); ++k) {
            if (k > 0) smoothing->center(kShare, program.outputs(z).data());
            program.solve(smoothing ? smoothing->loss() : *loss, z, poll);
        }
    });
    ColumnSolution out;
    const Vector f = program.outputs(z);
    out.objective = program.objective(*loss, z, f);
    out.coefficients.assign(z.data(), z.data() + columns.rows);
    out.theta.resize(y.size());
    const Loss& used = smoothing ? smoothing->loss() : *loss;
    used.dual_point(f.data(), out.theta.data());
    if (fit_intercept) used.balance(out.theta.data());
    return out;
}

}  // namespace pathrelu
