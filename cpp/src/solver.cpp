#include <pathrelu/cones.hpp>
#include <pathrelu/error.hpp>
#include <pathrelu/losses.hpp>
#include <pathrelu/operators.hpp>
#include <pathrelu/solver.hpp>

#include <Eigen/Dense>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <optional>

#include "kernels/table.hpp"

namespace pathrelu {
namespace {

using Vector = Eigen::VectorXd;
using Matrix = Eigen::MatrixXd;
using ConstMap = Eigen::Map<const Vector>;
using Map = Eigen::Map<Vector>;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
/// Relative size of differences of objectives that rounding alone explains.
constexpr double kRounding = 1e-14;
constexpr int kFirstFista = 20;  ///< steps that find the support of a new working set
constexpr int kFista = 6;        ///< steps between Newton steps, which find what has changed in it
constexpr int kNewton = 10;      ///< Newton steps in a row, while they pay
constexpr Index kDenseNewton = 256;  ///< unknowns up to which the Newton system is formed and factorised
constexpr Index kConjugateGradients = 150;
constexpr Index kGramRows = 256;  ///< rows of the reduced matrix held at a time

class Clock {
  public:
    double seconds() const {
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    }

  private:
    std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

/// Some groups of the program with the operator over them. Block (c, k, s) stands for the program's
/// block (c, groups[k], s).
template <class X>
struct Working {
    std::vector<Index> groups;
    MaskedOperator<X> op;
};

/// A feasible point of a working set, with its predictions.
struct Point {
    std::vector<double> Z;  ///< (C, k, signs, dim)
    std::vector<double> f;  ///< (n, C), without the intercept
    double smooth = 0;
    double penalty = 0;
    double objective() const { return smooth + penalty; }
};

template <class X>
class Solver {
  public:
    Solver(const Program<X>& program, const SolveOptions& options, const Observer& observer)
        : program_(program),
          options_(options),
          observer_(observer),
          n_(program.rows.rows),
          d_(program.rows.cols),
          C_(program.outputs()),
          S_(program.signs()),
          dim_(program.dim()),
          loss_(make_loss(program.loss, program.y, program.w, options.threads)),
          full_(program.rows, program.arrangements, options.threads),
          intercept_(C_, 0.0),
          shifted_(n_ * C_) {
        require(program.rows.rows == program.y.rows, "y has ", program.y.rows, " rows; X has ", program.rows.rows);
        require(program.groups() > 0, "arrangements is empty; expected at least one group");
        if (program.relu) {
            cones_.emplace(program.rows, program.arrangements);
            score_facets_.resize(program.blocks());
            prox_facets_.resize(program.blocks());
        }
    }

    SolveReport run(MatView<double> blocks, VecView<double> intercept);
    double alpha_max();

  private:
    // ---- the program's parts --------------------------------------------------------------------------------
    Index block_index(Index c, Index g, Index s) const { return (c * program_.groups() + g) * S_ + s; }
    double sigma(Index block) const { return block % S_ == 0 ? 1 : -1; }
    Index group_of(Index block) const { return block / S_ % program_.groups(); }

    /// f (n, C) <- sum over the blocks of Z (C, k, signs, dim).
    void forward(const MaskedOperator<X>& op, const double* Z, double* f) const {
        const Index k = op.n_paths() * d_ / dim_;
        std::vector<double> merged, column;
        for (Index c = 0; c < C_; ++c) {
            const double* V = Z + c * k * S_ * dim_;
            if (S_ == 2) {
                merged.resize(k * dim_);
                for (Index g = 0; g < k; ++g)
                    Map(merged.data() + g * dim_, dim_) =
                        ConstMap(V + 2 * g * dim_, dim_) - ConstMap(V + (2 * g + 1) * dim_, dim_);
                V = merged.data();
            }
            column.resize(n_);
            op.forward(V, C_ == 1 ? f : column.data());
            if (C_ > 1)
                for (Index i = 0; i < n_; ++i) f[i * C_ + c] = column[i];
        }
    }

    /// G (C, k, dim) <- B^T theta for every output.
    void adjoint(const MaskedOperator<X>& op, const double* theta, double* G) const {
        std::vector<double> column(C_ > 1 ? n_ : 0);
        for (Index c = 0; c < C_; ++c) {
            for (Index i = 0; i < static_cast<Index>(column.size()); ++i) column[i] = theta[i * C_ + c];
            op.adjoint(C_ == 1 ? theta : column.data(), G + c * op.n_paths() * d_);
        }
    }

    /// Smooth part at predictions f, minimised over the intercept; fills `shifted_` with f + b.
    double smooth(const double* f) {
        if (options_.fit_intercept) loss_->optimal_intercept(f, intercept_.data());
        for (Index i = 0; i < n_; ++i)
            for (Index c = 0; c < C_; ++c) shifted_[i * C_ + c] = f[i * C_ + c] + intercept_[c];
        return loss_->value(shifted_.data());
    }

    /// theta (n, C) at predictions f; sums to zero where the intercept is free.
    std::vector<double> dual_point(const double* f) {
        smooth(f);
        std::vector<double> theta(n_ * C_);
        loss_->dual_point(shifted_.data(), theta.data());
        return theta;
    }

    double penalty(const std::vector<double>& Z) const {
        double total = 0;
        for (Index b = 0; b < static_cast<Index>(Z.size()) / dim_; ++b)
            total += ConstMap(Z.data() + b * dim_, dim_).norm();
        return program_.alpha * total;
    }

    void evaluate(const MaskedOperator<X>& op, Point& point) {
        point.f.resize(n_ * C_);
        forward(op, point.Z.data(), point.f.data());
        point.smooth = smooth(point.f.data());
        point.penalty = penalty(point.Z);
    }

    /// |proj_K(sigma B^T theta)| of every block of the groups, where it exceeds `floor`; elsewhere a bound <= floor.
    std::vector<double> scores(const std::vector<Index>& groups, const double* G, double floor) {
        const Index k = static_cast<Index>(groups.size());
        std::vector<double> out(C_ * k * S_);
#pragma omp parallel num_threads(options_.threads) if (options_.threads > 1)
        {
            std::vector<double> z(dim_), v(dim_);
#pragma omp for schedule(dynamic)
            for (Index b = 0; b < C_ * k * S_; ++b) {
                const ConstMap g(G + b / S_ * dim_, dim_);
                out[b] = g.norm();
                if (!cones_ || out[b] <= floor) continue;
                Map(z.data(), dim_) = sigma(b) * g;
                const Index global = global_block(groups, b);
                out[b] = cones_->project(group_of(global), z.data(), floor, score_facets_[global], v.data());
            }
        }
        return out;
    }

    Index global_block(const std::vector<Index>& groups, Index b) const {
        const Index k = static_cast<Index>(groups.size());
        return block_index(b / (k * S_), groups[b / S_ % k], b % S_);
    }

    /// Largest dual objective on the ray through theta, given the largest score.
    double dual_value(const std::vector<double>& theta, double largest_score) const {
        const double cap = largest_score > 0 ? program_.alpha / largest_score : kInfinity;
        return loss_->dual_value(theta.data(), loss_->best_scale(theta.data(), cap));
    }

    /// out <- prox of step * (alpha |.| + indicator of the cone) at z, for the program's block `global`.
    void prox(Index global, const double* z, double step, double* out) {
        const double threshold = step * program_.alpha;
        double norm;
        if (cones_) {
            norm = cones_->project(group_of(global), z, threshold, prox_facets_[global], out);
        } else {
            norm = ConstMap(z, dim_).norm();
            std::copy(z, z + dim_, out);
        }
        if (norm <= threshold)
            std::fill(out, out + dim_, 0.0);
        else
            Map(out, dim_) *= 1 - threshold / norm;
    }

    // ---- inner solver ---------------------------------------------------------------------------------------
    void fista(const Working<X>& work, Point& point, int steps);
    double newton(const Working<X>& work, Point& point);
    void solve_working_set(const Working<X>& work, Point& point, double target);
    double first_lipschitz(const Working<X>& work);
    void poll() {
        if (observer_.poll && clock_.seconds() - last_poll_ > 0.05) {
            last_poll_ = clock_.seconds();
            observer_.poll();
        }
    }
    /// Eigendecomposition of X^T X / n, for the preconditioner.
    const Eigen::SelfAdjointEigenSolver<Matrix>& row_moments();

    struct Active {
        Index block;   // in the working set
        Index global;  // in the program
        Index slot;    // (c, group) in the active operator
        double norm;
        Vector direction;
    };

    const Program<X>& program_;
    const SolveOptions& options_;
    const Observer& observer_;
    Index n_, d_, C_, S_, dim_;
    std::unique_ptr<Loss> loss_;
    MaskedOperator<X> full_;
    std::optional<Cones<X>> cones_;
    std::vector<Facets> score_facets_, prox_facets_;
    std::vector<double> intercept_, shifted_;
    std::optional<Eigen::SelfAdjointEigenSolver<Matrix>> row_moments_;
    double lipschitz_ = 0;
    Index n_iter_ = 0;
    Clock clock_;
    double last_poll_ = 0;
};

template <class X>
const Eigen::SelfAdjointEigenSolver<Matrix>& Solver<X>::row_moments() {
    if (!row_moments_) {
        std::vector<double> moments(d_ * d_, 0.0), wide;
        for (Index i = 0; i < n_; i += kGramRows) {
            const Index count = std::min(kGramRows, n_ - i);
            wide.assign(program_.rows.row(i), program_.rows.row(i) + count * d_);
            kernels().add_gram(wide.data(), count, d_, moments.data(), options_.threads);
        }
        row_moments_.emplace(Eigen::Map<const Matrix>(moments.data(), d_, d_) / static_cast<double>(n_));
    }
    return *row_moments_;
}

/// Largest eigenvalue of the smooth part's Hessian over the working set, from below: a few power iterations.
template <class X>
double Solver<X>::first_lipschitz(const Working<X>& work) {
    const Index size = work.op.n_paths() * d_;
    Vector v(size), g(size);
    for (Index k = 0; k < size; ++k) v[k] = 1 + 0.5 * std::sin(static_cast<double>(k + 1));
    std::vector<double> f(n_);
    double value = 0;
    for (int step = 0; step < 6; ++step) {
        v /= v.norm();
        work.op.forward(v.data(), f.data());
        for (Index i = 0; i < n_; ++i) f[i] *= program_.w[i];
        work.op.adjoint(f.data(), g.data());
        value = g.norm();
        if (!(value > 0)) return 1e-300;
        v = g;
    }
    return loss_->smoothness() * value / static_cast<double>(n_);
}

template <class X>
void Solver<X>::fista(const Working<X>& work, Point& point, int steps) {
    const Index blocks = static_cast<Index>(point.Z.size()) / dim_;
    std::vector<double> Y = point.Z, fY = point.f, G(C_ * work.op.n_paths() * d_);
    Point next;
    next.Z.resize(point.Z.size());
    double t = 1;
    if (!(lipschitz_ > 0)) lipschitz_ = first_lipschitz(work);
    for (int step = 0; step < steps && n_iter_ < options_.max_iter; ++step) {
        poll();
        ++n_iter_;
        const double smooth_y = smooth(fY.data());
        adjoint(work.op, dual_point(fY.data()).data(), G.data());
        for (;;) {
            std::vector<double> linear(blocks), square(blocks);
#pragma omp parallel num_threads(options_.threads) if (options_.threads > 1)
            {
                std::vector<double> z(dim_);
#pragma omp for schedule(dynamic, 4)
                for (Index b = 0; b < blocks; ++b) {
                    const ConstMap y(Y.data() + b * dim_, dim_), g(G.data() + b / S_ * dim_, dim_);
                    Map(z.data(), dim_) = y + sigma(b) / lipschitz_ * g;
                    prox(global_block(work.groups, b), z.data(), 1 / lipschitz_, next.Z.data() + b * dim_);
                    const ConstMap moved(next.Z.data() + b * dim_, dim_);
                    linear[b] = -sigma(b) * g.dot(moved - y);
                    square[b] = (moved - y).squaredNorm();
                }
            }
            evaluate(work.op, next);
            double model = smooth_y + kRounding * std::abs(smooth_y);
            for (Index b = 0; b < blocks; ++b) model += linear[b] + lipschitz_ / 2 * square[b];
            if (next.smooth <= model) break;
            lipschitz_ *= 2;
        }
        lipschitz_ *= 0.95;
        if (next.objective() > point.objective() && t > 1) {  // momentum overshot: plain step from the best point
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
}

/// One Newton step on the support and the facets of `point`, which the last proximal step has left there:
/// on them the objective is smooth. Returns by how much the objective fell; 0 leaves the point as it was.
template <class X>
double Solver<X>::newton(const Working<X>& work, Point& point) {
    const Index k = static_cast<Index>(work.groups.size());
    std::vector<Active> active;
    std::vector<Index> groups, slot_of_group(k, -1);
    for (Index b = 0; b < C_ * k * S_; ++b) {
        const ConstMap z(point.Z.data() + b * dim_, dim_);
        const double norm = z.norm();
        if (norm == 0) continue;
        const Index local = b / S_ % k;
        if (slot_of_group[local] < 0) {
            slot_of_group[local] = static_cast<Index>(groups.size());
            groups.push_back(work.groups[local]);
        }
        active.push_back({b, global_block(work.groups, b), slot_of_group[local], norm, z / norm});
    }
    const Index A = static_cast<Index>(active.size()), slots = static_cast<Index>(groups.size());
    if (A == 0) return 0;
    for (Active& a : active) a.slot += a.block / (k * S_) * slots;
    const MaskedOperator<X> op(program_.rows, program_.arrangements, groups, options_.threads);

    // Curvature of the loss with the intercept minimised out: h * (q - mean_h(q)).
    std::vector<double> h(n_ * C_), h_sum(C_, 0.0);
    const std::vector<double> theta = dual_point(point.f.data());
    loss_->curvature(shifted_.data(), h.data());
    for (Index i = 0; i < n_; ++i)
        for (Index c = 0; c < C_; ++c) h_sum[c] += h[i * C_ + c];

    const auto to_tangent = [&](Index a, auto&& x) {
        if (!cones_) return;
        const Facets& facets = prox_facets_[active[a].global];
        const Eigen::Map<const Matrix> Q(facets.Q.data(), dim_, facets.size());
        const Vector normal_part = Q.transpose() * x;
        x -= Q * normal_part;
    };

    Matrix gradient(dim_, A);
    std::vector<double> G(C_ * slots * dim_);
    adjoint(op, theta.data(), G.data());
    for (Index a = 0; a < A; ++a) {
        gradient.col(a) = program_.alpha * active[a].direction -
                          sigma(active[a].block) * ConstMap(G.data() + active[a].slot * dim_, dim_);
        to_tangent(a, gradient.col(a));
    }
    const double size = gradient.norm();
    if (!(size > 0)) return 0;

    const auto predict = [&](const Matrix& D, std::vector<double>& f) {
        std::vector<double> V(C_ * slots * dim_, 0.0), column(n_);
        for (Index a = 0; a < A; ++a)
            Map(V.data() + active[a].slot * dim_, dim_) += sigma(active[a].block) * D.col(a);
        f.resize(n_ * C_);
        for (Index c = 0; c < C_; ++c) {
            op.forward(V.data() + c * slots * dim_, C_ == 1 ? f.data() : column.data());
            if (C_ > 1)
                for (Index i = 0; i < n_; ++i) f[i * C_ + c] = column[i];
        }
    };

    Matrix step = Matrix::Zero(dim_, A);
    Index unknowns = 0;
    for (const Active& a : active) unknowns += dim_ - (cones_ ? prox_facets_[a.global].size() : 0);
    bool solved = false;
    if (C_ == 1 && unknowns <= kDenseNewton) {
        // Bases N_a of the tangent spaces; columns of the reduced matrix are masked X N_a.
        std::vector<Matrix> basis(A);
        std::vector<Index> offset(A + 1, 0);
        for (Index a = 0; a < A; ++a) {
            basis[a] = Matrix::Identity(dim_, dim_);
            if (cones_ && prox_facets_[active[a].global].size() > 0) {
                const Facets& facets = prox_facets_[active[a].global];
                const Eigen::Map<const Matrix> Q(facets.Q.data(), dim_, facets.size());
                const Eigen::HouseholderQR<Matrix> qr(Q);
                basis[a] = (qr.householderQ() * basis[a]).rightCols(dim_ - facets.size()).eval();
            }
            offset[a + 1] = offset[a] + basis[a].cols();
        }
        const Index m = unknowns, paths = dim_ / d_;
        std::vector<double> H(m * m, 0.0), buffer(kGramRows * m);
        Vector weighted = Vector::Zero(m);  // B^T h
        for (Index i0 = 0; i0 < n_; i0 += kGramRows) {
            const Index count = std::min(kGramRows, n_ - i0);
            Matrix rows(count, d_);
            for (Index i = 0; i < count; ++i)
                for (Index j = 0; j < d_; ++j) rows(i, j) = static_cast<double>(program_.rows(i0 + i, j));
            using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
            Eigen::Map<RowMajor> reduced(buffer.data(), count, m);
#pragma omp parallel for num_threads(options_.threads) if (options_.threads > 1) schedule(static)
            for (Index a = 0; a < A; ++a) {
                auto columns = reduced.middleCols(offset[a], basis[a].cols());
                columns.setZero();
                for (Index p = 0; p < paths; ++p) {
                    const Index path = active[a].slot % slots * paths + p;
                    const Matrix product = rows * basis[a].middleRows(p * d_, d_);
                    const double sign = sigma(active[a].block) * op.sign(path);
                    for (Index i = 0; i < count; ++i)
                        if (op.mask(path, i0 + i)) columns.row(i) += sign * product.row(i);
                }
            }
            const Map root(h.data() + i0, count);
            weighted.noalias() += reduced.transpose() * root;
            reduced.array().colwise() *= root.array().sqrt();
            kernels().add_gram(buffer.data(), count, m, H.data(), options_.threads);
        }
        Eigen::Map<Matrix> hessian(H.data(), m, m);
        if (options_.fit_intercept)
            hessian.triangularView<Eigen::Lower>() -= weighted * weighted.transpose() / h_sum[0];
        Vector rhs(m);
        for (Index a = 0; a < A; ++a) {
            const Index cols = basis[a].cols();
            const Vector u = basis[a].transpose() * active[a].direction;
            hessian.block(offset[a], offset[a], cols, cols) +=
                program_.alpha / active[a].norm * (Matrix::Identity(cols, cols) - u * u.transpose());
            rhs.segment(offset[a], cols) = -basis[a].transpose() * gradient.col(a);
        }
        const double ridge = 1e-13 * hessian.diagonal().maxCoeff();
        solved = kernels().solve_cholesky(H.data(), m, ridge, rhs.data()) && rhs.allFinite();
        if (solved)
            for (Index a = 0; a < A; ++a)
                step.col(a) = basis[a] * rhs.segment(offset[a], basis[a].cols());
    }
    if (!solved) {
        // Conjugate gradients, preconditioned by path density * mean curvature * X^T X + alpha / |v| in the
        // eigenvectors of X^T X.
        const auto& moments = row_moments();
        const double mean_h = ConstMap(h.data(), n_ * C_).sum() / static_cast<double>(C_);
        Matrix scale(dim_, A);
        for (Index a = 0; a < A; ++a)
            for (Index p = 0; p < dim_ / d_; ++p)
                scale.col(a).segment(p * d_, d_) =
                    (0.5 * mean_h * moments.eigenvalues().array().max(0.0) + 0.7 * program_.alpha / active[a].norm)
                        .inverse();
        std::vector<double> q;
        const auto precondition = [&](const Matrix& r) {
            Matrix z(dim_, A);
            for (Index a = 0; a < A; ++a) {
                for (Index p = 0; p < dim_; p += d_)
                    z.col(a).segment(p, d_) =
                        moments.eigenvectors() *
                        (scale.col(a).segment(p, d_).asDiagonal() *
                         (moments.eigenvectors().transpose() * r.col(a).segment(p, d_)));
                to_tangent(a, z.col(a));
            }
            return z;
        };
        const auto hessian = [&](const Matrix& D) {
            predict(D, q);
            for (Index c = 0; c < C_; ++c) {
                double mean = 0;
                if (options_.fit_intercept) {
                    for (Index i = 0; i < n_; ++i) mean += h[i * C_ + c] * q[i * C_ + c];
                    mean /= h_sum[c];
                }
                for (Index i = 0; i < n_; ++i) q[i * C_ + c] = h[i * C_ + c] * (q[i * C_ + c] - mean);
            }
            adjoint(op, q.data(), G.data());
            Matrix out(dim_, A);
            for (Index a = 0; a < A; ++a) {
                const Vector& u = active[a].direction;
                out.col(a) = sigma(active[a].block) * ConstMap(G.data() + active[a].slot * dim_, dim_) +
                             program_.alpha / active[a].norm * (D.col(a) - u * u.dot(D.col(a)));
                to_tangent(a, out.col(a));
            }
            return out;
        };
        Matrix r = -gradient, z = precondition(r), p = z;
        double rz = r.cwiseProduct(z).sum();
        const double enough = std::min(0.1, std::sqrt(size)) * size;
        for (Index iteration = 0; iteration < kConjugateGradients && r.norm() > enough; ++iteration) {
            poll();
            const Matrix Hp = hessian(p);
            const double curvature = p.cwiseProduct(Hp).sum();
            if (!(curvature > 0)) break;
            step += rz / curvature * p;
            r -= rz / curvature * Hp;
            z = precondition(r);
            const double rz_next = r.cwiseProduct(z).sum();
            p = z + rz_next / rz * p;
            rz = rz_next;
        }
    }

    const double slope = gradient.cwiseProduct(step).sum();
    if (!(slope < 0)) return 0;
    // Along directions in which the curvature vanishes the step is long and the objective linear until a block
    // reaches zero; that length is tried when halving fails.
    double first_zero = kInfinity;
    for (Index a = 0; a < A; ++a) {
        const double rate = -active[a].direction.dot(step.col(a));
        if (rate > 0) first_zero = std::min(first_zero, active[a].norm / rate);
    }
    std::vector<double> lengths{1, 0.5, 0.25, 0.125, 1.0 / 16};
    if (first_zero < 1) lengths.push_back(first_zero * (1 + 1e-12));
    Point trial = point;
    for (const double t : lengths) {
        poll();
#pragma omp parallel num_threads(options_.threads) if (options_.threads > 1)
        {
            std::vector<double> z(dim_);
#pragma omp for schedule(dynamic)
            for (Index a = 0; a < A; ++a) {
                Map moved(z.data(), dim_), out(trial.Z.data() + active[a].block * dim_, dim_);
                moved = ConstMap(point.Z.data() + active[a].block * dim_, dim_) + t * step.col(a);
                if (moved.dot(active[a].direction) <= 0)
                    out.setZero();
                else if (cones_)
                    cones_->project(group_of(active[a].global), z.data(), 0, prox_facets_[active[a].global],
                                    out.data());
                else
                    out = moved;
            }
        }
        Matrix moved(dim_, A);
        for (Index a = 0; a < A; ++a) moved.col(a) = ConstMap(trial.Z.data() + active[a].block * dim_, dim_);
        predict(moved, trial.f);
        trial.smooth = smooth(trial.f.data());
        trial.penalty = penalty(trial.Z);
        const double fall = point.objective() - trial.objective();
        if (fall > 0 && fall >= -1e-4 * t * slope) {
            std::swap(point, trial);
            return fall;
        }
    }
    return 0;
}

template <class X>
void Solver<X>::solve_working_set(const Working<X>& work, Point& point, double target) {
    evaluate(work.op, point);
    std::vector<double> G(C_ * work.op.n_paths() * d_);
    double best_dual = -kInfinity, last_objective = kInfinity;
    for (int cycle = 0; n_iter_ < options_.max_iter; ++cycle) {
        fista(work, point, cycle == 0 ? kFirstFista : kFista);
        for (int k = 0; k < kNewton && n_iter_ < options_.max_iter; ++k) {
            ++n_iter_;
            const double fall = newton(work, point);
            if (!(fall > 0.1 * target)) break;
            fista(work, point, 1);  // puts the facets back under the point and corrects the support
        }
        const std::vector<double> theta = dual_point(point.f.data());
        adjoint(work.op, theta.data(), G.data());
        const std::vector<double> score = scores(work.groups, G.data(), program_.alpha);
        best_dual =
            std::max(best_dual, dual_value(theta, *std::max_element(score.begin(), score.end())));
        if (point.objective() - best_dual <= target) return;
        if (last_objective - point.objective() <= 1e-16 * point.objective() && cycle > 3) return;
        last_objective = point.objective();
    }
}

template <class X>
SolveReport Solver<X>::run(MatView<double> blocks, VecView<double> intercept) {
    require(options_.tol > 0 && options_.max_iter > 0 && options_.threads > 0,
            "tol, max_iter and threads must be positive");
    require(program_.alpha > 0 && program_.alpha < kInfinity, "alpha is ", program_.alpha,
            "; expected a positive finite number");
    require_shape("blocks", blocks, program_.blocks(), dim_);
    require_size("intercept", intercept, C_);
    std::copy(intercept.begin(), intercept.end(), intercept_.begin());
    const Index P = program_.groups();

    SolveReport report;
    report.objective_at_zero = smooth(std::vector<double>(n_ * C_, 0.0).data());
    const double tolerance = options_.tol * std::max(report.objective_at_zero, std::numeric_limits<double>::min());

    if (cones_) {  // a start outside its cone is projected
        std::vector<double> v(dim_);
        for (Index b = 0; b < blocks.rows; ++b) {
            const Map z(blocks.row(b), dim_);
            if (z.squaredNorm() == 0) continue;
            cones_->project(group_of(b), blocks.row(b), 0, prox_facets_[b], v.data());
            std::copy(v.begin(), v.end(), blocks.row(b));
        }
    }

    std::vector<Index> all(P);
    for (Index g = 0; g < P; ++g) all[g] = g;
    std::vector<double> G(C_ * P * dim_), objectives;
    double best_dual = -kInfinity;
    Working<X> work{{}, MaskedOperator<X>(program_.rows, program_.arrangements, {}, options_.threads)};
    Point point;
    point.f.assign(n_ * C_, 0.0);
    int stalled = 0;
    Index groups_before = 0;
    for (;;) {
        poll();
        // Groups in use, with the working set's blocks back in their places.
        std::vector<char> used(P, 0);
        for (Index b = 0; b < blocks.rows; ++b)
            if (Map(blocks.row(b), dim_).squaredNorm() > 0) used[group_of(b)] = 1;
        if (report.history.empty()) {
            for (Index g = 0; g < P; ++g)
                if (used[g]) work.groups.push_back(g);
            work.op = MaskedOperator<X>(program_.rows, program_.arrangements, work.groups, options_.threads);
            point.Z.clear();
            for (Index b = 0; b < C_ * static_cast<Index>(work.groups.size()) * S_; ++b) {
                const double* z = blocks.row(global_block(work.groups, b));
                point.Z.insert(point.Z.end(), z, z + dim_);
            }
            evaluate(work.op, point);
        }

        const std::vector<double> theta = dual_point(point.f.data());
        adjoint(full_, theta.data(), G.data());
        const std::vector<double> score = scores(all, G.data(), program_.alpha);
        best_dual = std::max(best_dual, dual_value(theta, *std::max_element(score.begin(), score.end())));
        const double gap_before = report.gap;
        report.n_iter = n_iter_;
        report.objective = point.objective();
        report.dual_objective = best_dual;
        report.gap = std::max(0.0, report.objective - best_dual);
        report.n_active = 0;
        for (Index b = 0; b < blocks.rows; ++b) report.n_active += Map(blocks.row(b), dim_).squaredNorm() > 0;
        report.seconds = clock_.seconds();
        report.converged = report.gap <= tolerance;
        const double fallen = report.history.empty() ? kInfinity : report.history.back().objective - report.objective;
        report.history.push_back(report);
        if (observer_.record) observer_.record(report);
        if (report.converged || n_iter_ >= options_.max_iter) break;
        // Rounding has the last word: nothing moves and no group is left to add.
        const bool moving = fallen > 1e-15 * report.objective || report.gap < 0.9 * gap_before;
        stalled = moving ? 0 : stalled + 1;
        if (stalled >= 5) break;

        // Next working set: the groups in use and the best of the others, at least doubling what is in use.
        std::vector<std::pair<double, Index>> violators;
        Index n_used = 0;
        for (Index g = 0; g < P; ++g) {
            n_used += used[g];
            double best = 0;
            for (Index c = 0; c < C_; ++c)
                for (Index s = 0; s < S_; ++s) best = std::max(best, score[block_index(c, g, s)]);
            if (!used[g] && best > program_.alpha) violators.emplace_back(-best, g);
        }
        std::sort(violators.begin(), violators.end());
        const std::size_t most = static_cast<std::size_t>(std::max<Index>(20, n_used));
        if (violators.size() > most) violators.resize(most);
        for (const auto& violator : violators) used[violator.second] = 1;
        work.groups.clear();
        for (Index g = 0; g < P; ++g)
            if (used[g]) work.groups.push_back(g);
        work.op = MaskedOperator<X>(program_.rows, program_.arrangements, work.groups, options_.threads);
        point.Z.clear();
        const Index count = static_cast<Index>(work.groups.size());
        for (Index b = 0; b < C_ * count * S_; ++b) {
            const double* z = blocks.row(global_block(work.groups, b));
            point.Z.insert(point.Z.end(), z, z + dim_);
        }
        if (count > groups_before) lipschitz_ = 0;
        groups_before = count;
        solve_working_set(work, point, std::max(0.3 * tolerance, 0.1 * report.gap));
        for (Index b = 0; b < C_ * count * S_; ++b)
            std::copy(point.Z.data() + b * dim_, point.Z.data() + (b + 1) * dim_,
                      blocks.row(global_block(work.groups, b)));
    }
    std::copy(intercept_.begin(), intercept_.end(), intercept.begin());
    return report;
}

template <class X>
double Solver<X>::alpha_max() {
    const std::vector<double> theta = dual_point(std::vector<double>(n_ * C_, 0.0).data());
    std::vector<double> G(C_ * program_.groups() * dim_);
    adjoint(full_, theta.data(), G.data());
    std::vector<Index> all(program_.groups());
    for (Index g = 0; g < program_.groups(); ++g) all[g] = g;
    const std::vector<double> score = scores(all, G.data(), 0);
    return *std::max_element(score.begin(), score.end());
}

}  // namespace

template <class X>
SolveReport solve(const Program<X>& program, const SolveOptions& options, MatView<double> blocks,
                  VecView<double> intercept, const Observer& observer) {
    return Solver<X>(program, options, observer).run(blocks, intercept);
}

template <class X>
double alpha_max(const Program<X>& program, bool fit_intercept, int threads) {
    SolveOptions options;
    options.fit_intercept = fit_intercept;
    options.threads = threads;
    return Solver<X>(program, options, {}).alpha_max();
}

template SolveReport solve<float>(const Program<float>&, const SolveOptions&, MatView<double>, VecView<double>,
                                  const Observer&);
template SolveReport solve<double>(const Program<double>&, const SolveOptions&, MatView<double>, VecView<double>,
                                   const Observer&);
template double alpha_max<float>(const Program<float>&, bool, int);
template double alpha_max<double>(const Program<double>&, bool, int);

}  // namespace pathrelu
