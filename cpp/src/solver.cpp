#include <pathrelu/cones.hpp>
#include <pathrelu/error.hpp>
#include <pathrelu/losses.hpp>
#include <pathrelu/operators.hpp>
#include <pathrelu/solver.hpp>

#include <Eigen/Dense>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <limits>
#include <optional>

#include "kernels/table.hpp"
#include "parallel.hpp"

namespace pathrelu {
namespace {

using Vector = Eigen::VectorXd;
using Matrix = Eigen::MatrixXd;
using ConstMap = Eigen::Map<const Vector>;
using Map = Eigen::Map<Vector>;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
/// Relative size of differences of objectives that rounding alone explains.
constexpr double kRounding = 1e-14;
constexpr double kFlat = 1e-13;   ///< eigenvalue of a matrix of unit diagonal that counts as zero
constexpr double kNoise = 1e-24;  ///< share of the loss of predictions of 0 that is rounding, squared
constexpr double kLongestStep = 1e250;
constexpr double kLost = 1e-12;     ///< the same for a loss at a point reached by extrapolation
constexpr double kLostFast = 1e-6;  ///< and in single precision
constexpr int kFista = 20;          ///< accelerated proximal steps between two looks at the gap
/// Single precision serves those steps as long as the gap is above this share of the objective.
constexpr double kFastGap = 1e-3;
constexpr double kWideGap = 30;      ///< gap over the tolerance up to which every score is exact
constexpr double kRidgeReach = 1e8;  ///< step of the plain Newton step: a ridge against rounding only
constexpr int kNewton = 20;          ///< Newton steps in a row, and of one step of the proximal point method
constexpr double kNewtonResidual = 1e-2;  ///< of the Newton system where it is solved iteratively
/// Work of the iterative solution of a Newton system over that of one product with all active blocks, in
/// multiplications; a factorised system is worth `kFactorWorth` times that, for its steps are exact.
constexpr double kIterativeWork = 100;
constexpr double kFactorWorth = 4;
constexpr double kProjectionWork = 5;  ///< accelerated step with projections over one without
constexpr Index kSmall = 600;          ///< unknowns up to which the system is factorised in them in any case
constexpr int kRefinements = 5;        ///< of a solution that was factorised in the rows
constexpr Index kMostFactored = 4096;  ///< unknowns of a system that is factorised: 128 MiB
constexpr Index kConjugateGradients = 150;
constexpr Index kGramRows = 256;  ///< rows of the reduced matrix held at a time
/// Kinks of a loss are rounded off by this share of the spread of the targets, at first, at each step that
/// does not narrow the gap, and in the end; the next step comes when the rounded program's gap is `kShiftGap`
/// of the program's own.
constexpr double kSmoothing = 0.1, kSmoothingDecay = 0.25, kLeastSmoothing = 1e-9, kShiftGap = 0.1;
constexpr int kMostShifts = 20;     ///< in a row that narrow nothing
constexpr double kLastWork = 0.3;   ///< seconds for a gap after a stop
constexpr double kUnitNorm = 1e-6;  ///< what the norm of a direction may differ from 1 by

double largest(const std::vector<double>& values) {
    return values.empty() ? 0 : *std::max_element(values.begin(), values.end());
}

class Clock {
  public:
    double seconds() const {
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    }

  private:
    std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

/// Some groups of the program with the operator over them. Block (c, k, s) stands for the program's
/// block (c, groups[k], s), or block k for its block groups[k] where groups have directions.
template <class X>
struct Working {
    std::vector<Index> groups;
    MaskedOperator<X> op;
};

/// A feasible point of a working set, with its predictions.
struct Point {
    std::vector<double> Z;  ///< (layers, k, signs, dim)
    std::vector<double> f;  ///< (n, C), without the intercept
    double smooth = 0;
    double penalty = 0;
    double objective() const { return smooth + penalty; }
};

/// Where the next accelerated step starts, and its weight; a weight of 1 stands for the point itself.
struct Momentum {
    std::vector<double> Z, f;
    double t = 1;
};

/// The quadratic model of the loss around the point of a proximal step, and the point itself.
struct Model {
    const Point& start;
    std::vector<double> theta;  ///< dual point at the start, (n, C)
    std::vector<double> h;      ///< curvature, (n, C)
    std::vector<double> h_sum;  ///< per output, if the intercept is free
    double step;                ///< of the proximal term |Z - start|^2 / (2 step)
    Matrix inverse_sum;         ///< (C, C) inverse of the sum of the rows' Hessians, if they are coupled
};

template <class X>
class Solver {
    using Sums = typename MaskedOperator<X>::Sums;

  public:
    Solver(const Program<X>& program, const SolveOptions& options, const Observer& observer)
        : program_(program),
          options_(options),
          observer_(observer),
          n_(program.rows.rows),
          d_(program.rows.cols),
          C_(program.outputs()),
          layers_(program.layers()),
          S_(program.signs()),
          dim_(program.dim()),
          stated_(make_loss(program.loss, program.y, program.w, options.threads)),
          smoothing_(make_smoothing(program.loss, program.y, program.w, options.threads)),
          full_(program.rows, program.arrangements, options.threads),
          intercept_(C_, 0.0),
          stated_intercept_(C_, 0.0),
          shifted_(n_ * C_),
          theta_(n_ * C_) {
        if (smoothing_) smoothing_->center(smoothing_share_);
        require(program.rows.rows == program.y.rows, "y has ", program.y.rows, " rows; X has ",
                program.rows.rows);
        if (program.directed()) {
            require_shape("directions", program.directions, program.groups(), C_);
            for (Index g = 0; g < program.groups(); ++g) {
                const double norm = ConstMap(program.directions.row(g), C_).norm();
                require(std::abs(norm - 1) <= kUnitNorm, "direction ", g, " has norm ", norm, "; expected 1");
            }
        }
        const auto ordinary = [](double entry) { return entry == 0 || (entry > 1e-9 && entry < 1e9); };
        double largest_x = 0, largest_y = 0;
        for (Index k = 0; k < program.rows.size(); ++k)
            largest_x = std::max(largest_x, std::abs(static_cast<double>(program.rows.data[k])));
        for (Index k = 0; k < program.y.size(); ++k)
            largest_y = std::max(largest_y, std::abs(program.y.data[k]));
        single_range_ = ordinary(largest_x) && ordinary(largest_y);
        row_norms_.resize(n_);
        for (Index i = 0; i < n_; ++i) {
            double square = 0;
            for (Index j = 0; j < d_; ++j) {
                const double x = static_cast<double>(program.rows(i, j));
                square += x * x;
            }
            row_norms_[i] = std::sqrt(square * static_cast<double>(dim_ / d_));
        }
        if (program.relu) {
            cones_.emplace(program.rows, program.arrangements);
            score_facets_.resize(program.blocks());
            prox_facets_.resize(program.blocks());
        }
    }

    SolveReport run(MatView<double> blocks, VecView<double> intercept);
    double alpha_max();

  private:
    // ---- the program's parts
    // --------------------------------------------------------------------------------
    Index block_index(Index c, Index g, Index s) const { return (c * program_.groups() + g) * S_ + s; }
    double sigma(Index block) const { return block % S_ == 0 ? 1 : -1; }
    Index group_of(Index block) const { return block / S_ % program_.groups(); }

    /// Projection on the cone of the program's block, as by Cones::project. The blocks of both output signs
    /// of a linear group would say the same, so the cone of the second is {0}.
    double project(Index block, const double* z, double stop_norm, Facets& facets, double* v,
                   Index checks = Cones<X>::kAllChecks) const {
        const Index group = group_of(block);
        if (sigma(block) > 0 || !program_.arrangements.is_linear(group))
            return cones_->project(group, z, stop_norm, facets, v, checks);
        std::fill(v, v + dim_, 0.0);
        return 0;
    }

    /// What group `g` feeds of output c.
    double direction(Index g, Index c) const { return program_.directions(g, c); }

    /// f (n, C) <- sum over the blocks of Z (layers, k, signs, dim) of these groups.
    void forward(const std::vector<Index>& groups, const MaskedOperator<X>& op, const double* Z, double* f,
                 Sums sums = Sums::exact) const {
        const Index k = static_cast<Index>(groups.size());
        std::vector<double> merged, column;
        for (Index c = 0; c < C_; ++c) {
            const double* V = Z + c * k * S_ * dim_;
            if (program_.directed()) {
                merged.resize(k * dim_);
                for (Index g = 0; g < k; ++g)
                    Map(merged.data() + g * dim_, dim_) =
                        direction(groups[g], c) * ConstMap(Z + g * dim_, dim_);
                V = merged.data();
            } else if (S_ == 2) {
                merged.resize(k * dim_);
                for (Index g = 0; g < k; ++g)
                    Map(merged.data() + g * dim_, dim_) =
                        ConstMap(V + 2 * g * dim_, dim_) - ConstMap(V + (2 * g + 1) * dim_, dim_);
                V = merged.data();
            }
            column.resize(n_);
            op.forward(V, C_ == 1 ? f : column.data(), sums);
            if (C_ > 1)
                for (Index i = 0; i < n_; ++i) f[i * C_ + c] = column[i];
        }
    }

    /// G (layers, k, dim) <- B^T theta for every output, or B_g^T theta omega_g for the directions.
    void adjoint(const std::vector<Index>& groups, const MaskedOperator<X>& op, const double* theta,
                 double* G, Sums sums = Sums::exact) const {
        const Index k = static_cast<Index>(groups.size()), size = k * dim_;
        std::vector<double> column(C_ > 1 ? n_ : 0), of_output(program_.directed() ? size : 0);
        if (program_.directed()) std::fill(G, G + size, 0.0);
        for (Index c = 0; c < C_; ++c) {
            for (Index i = 0; i < static_cast<Index>(column.size()); ++i) column[i] = theta[i * C_ + c];
            op.adjoint(C_ == 1 ? theta : column.data(), program_.directed() ? of_output.data() : G + c * size,
                       sums);
            for (Index g = 0; g < static_cast<Index>(of_output.size()) / dim_; ++g)
                Map(G + g * dim_, dim_) +=
                    direction(groups[g], c) * ConstMap(of_output.data() + g * dim_, dim_);
        }
    }

    /// What the steps descend on: the program's loss, with its kinks rounded off.
    const Loss& loss() const { return smoothing_ ? smoothing_->loss() : *stated_; }

    /// Minimises the smooth part at predictions f over the intercept; fills `shifted_` with f + b.
    void shift_outputs(const double* f) {
        if (options_.fit_intercept) loss().optimal_intercept(f, intercept_.data());
        for (Index i = 0; i < n_; ++i)
            for (Index c = 0; c < C_; ++c) shifted_[i * C_ + c] = f[i * C_ + c] + intercept_[c];
    }

    /// Smooth part at predictions f.
    double smooth(const double* f) {
        shift_outputs(f);
        return loss().value(shifted_.data());
    }

    /// The program's own smooth part at predictions f, which has the kinks that `smooth` rounds off; fills
    /// `stated_intercept_`.
    double stated_smooth(const double* f) {
        if (!smoothing_) {
            const double value = smooth(f);
            stated_intercept_ = intercept_;
            return value;
        }
        shift_outputs(f);
        stated_intercept_ = intercept_;
        if (options_.fit_intercept) stated_->optimal_intercept(f, stated_intercept_.data());
        std::vector<double> outputs(f, f + n_ * C_);
        for (Index i = 0; i < n_; ++i)
            for (Index c = 0; c < C_; ++c) outputs[i * C_ + c] += stated_intercept_[c];
        return stated_->value(outputs.data());
    }

    /// The next smooth loss, of finer kinks where this one did not narrow the gap.
    void round_off_next(const Point& point, bool narrowed) {
        shift_outputs(point.f.data());
        if (!narrowed && smoothing_share_ > kLeastSmoothing) smoothing_share_ *= kSmoothingDecay;
        smoothing_->center(smoothing_share_, shifted_.data());
        lipschitz_ = 0;
        ++n_iter_;
    }

    /// theta (n, C) at predictions f; sums to zero where the intercept is free.
    std::vector<double> dual_point(const double* f) {
        shift_outputs(f);
        std::vector<double> theta(n_ * C_);
        loss().dual_point(shifted_.data(), theta.data());
        return theta;
    }

    double penalty(const std::vector<double>& Z) const {
        double total = 0;
        for (Index b = 0; b < static_cast<Index>(Z.size()) / dim_; ++b)
            total += ConstMap(Z.data() + b * dim_, dim_).norm();
        return program_.alpha * total;
    }

    void evaluate(const Working<X>& work, Point& point, Sums sums = Sums::exact) {
        point.f.resize(n_ * C_);
        forward(work.groups, work.op, point.Z.data(), point.f.data(), sums);
        point.smooth = smooth(point.f.data());
        point.penalty = penalty(point.Z);
    }

    /// |proj_K(sigma B^T theta)| of every block of the groups, where it exceeds `floor`; elsewhere a bound <=
    /// floor. With few `checks` of all rows to a projection, upper bounds.
    std::vector<double> scores(const std::vector<Index>& groups, const double* G, double floor,
                               Index checks = Cones<X>::kAllChecks) {
        const Index k = static_cast<Index>(groups.size());
        std::vector<double> out(layers_ * k * S_);
        for_blocks(layers_ * k * S_, [&](Index b, double* z, double* v) {
            const ConstMap g(G + b / S_ * dim_, dim_);
            out[b] = g.norm();
            // Once stopped there is not much time; without a projection this is a bound too.
            if (!cones_ || out[b] <= floor || (stopped_ && clock_.seconds() > last_poll_ + kLastWork)) return;
            Map(z, dim_) = sigma(b) * g;
            const Index global = global_block(groups, b);
            out[b] = project(global, z, floor, score_facets_[global], v, checks);
        });
        return out;
    }

    Index global_block(const std::vector<Index>& groups, Index b) const {
        const Index k = static_cast<Index>(groups.size());
        return block_index(b / (k * S_), groups[b / S_ % k], b % S_);
    }

    /// A dual point that gives a bound: it sums to zero where the intercept is free.
    std::vector<double> feasible(std::vector<double> theta) const {
        if (options_.fit_intercept) loss().balance(theta.data());
        return theta;
    }

    /// Largest dual objective on the ray through theta, given the largest score. Terms that nearly cancel
    /// leave a score the rounding of their sum.
    double dual_value(const Loss& loss, const std::vector<double>& theta, double largest_score) const {
        double size = 0;
        for (Index i = 0; i < n_; ++i)
            for (Index c = 0; c < C_; ++c) size += std::abs(theta[i * C_ + c]) * row_norms_[i];
        const double score = largest_score + std::numeric_limits<double>::epsilon() * size;
        const double cap = score > 0 ? program_.alpha / score : kInfinity;
        return loss.dual_value(theta.data(), loss.best_scale(theta.data(), cap));
    }

    /// out <- prox of step * (alpha |.| + indicator of the cone) at z, for the program's block `global`; its
    /// norm.
    double prox(Index global, const double* z, double step, double* out) {
        const double threshold = step * program_.alpha;
        double norm;
        if (cones_) {
            norm = project(global, z, threshold, prox_facets_[global], out);
        } else {
            norm = ConstMap(z, dim_).norm();
            std::copy(z, z + dim_, out);
        }
        // A projection that rounding spoilt is the origin, whatever the bound on its norm.
        if (norm <= threshold || ConstMap(out, dim_).squaredNorm() == 0) {
            std::fill(out, out + dim_, 0.0);
            return 0;
        }
        Map(out, dim_) *= 1 - threshold / norm;
        return norm - threshold;
    }

    /// Projects the blocks that violate their cones by more than the rounding of their own entries: a start
    /// from elsewhere, or a proximal map of a much longer point. Whether there were any.
    bool put_on_cones(MatView<double> blocks) {
        if (!cones_) return false;
        std::atomic<bool> moved{false};
        for_blocks(blocks.rows, [&](Index b, double*, double* v) {
            double* block = blocks.row(b);
            if (ConstMap(block, dim_).squaredNorm() == 0) return;
            Facets facets;
            project(b, block, 0, facets, v);
            if (std::equal(v, v + dim_, block)) return;
            std::copy(v, v + dim_, block);
            moved = true;
        });
        return moved;
    }

    /// Blocks outside their cones <- 0: quicker than a projection.
    void keep_feasible(MatView<double> blocks) const {
        for (Index b = 0; b < blocks.rows; ++b)
            if (!cones_->contains(group_of(b), blocks.row(b))) Map(blocks.row(b), dim_).setZero();
    }

    /// body(b, z, v) for every block in parallel, with scratch z, v (dim). The calling thread polls between
    /// its blocks, since a sweep of projections can take long.
    template <class Body>
    void for_blocks(Index blocks, Body body) {
        const int team = threads_for(blocks * dim_ * (cones_ ? n_ : 1), options_.threads);
        in_team(team, blocks, [&](Tasks& tasks) {
            std::vector<double> z(dim_), v(dim_);
            for (Index b; tasks.take(b);) {
                body(b, z.data(), v.data());
                if (on_calling_thread()) poll();
            }
        });
    }

    // ---- inner solver
    // ---------------------------------------------------------------------------------------
    void fista(const Working<X>& work, Point& point, int steps, Momentum& momentum, Sums sums);
    void fista(const Working<X>& work, Point& point, int steps) {
        Momentum momentum;
        fista(work, point, steps, momentum, Sums::exact);
    }
    struct Active;
    struct Support;
    struct DualTrial;
    std::vector<Active> active_blocks(const Working<X>& work, const std::vector<double>& Z, double step,
                                      std::vector<Index>& groups) const;
    Support support(const Working<X>& work, const std::vector<double>& Z, double step) const;
    void predict(const Support& support, const Matrix& D, std::vector<double>& f) const;
    Matrix correlate(const Support& support, const std::vector<double>& r) const;
    template <class Column>
    void to_tangent(const Active& block, Column&& x) const {
        if (!block.facets || block.facets->size() == 0) return;
        const Eigen::Map<const Matrix> Q(block.facets->Q.data(), dim_, block.facets->size());
        const Vector normal_part = Q.transpose() * x;
        x -= Q * normal_part;
    }
    /// Orthonormal basis of the directions along the block's facets.
    Matrix tangent_basis(const Active& block) const {
        const Index facets = block.facets ? block.facets->size() : 0;
        Matrix N = Matrix::Identity(dim_, dim_);
        if (facets == 0) return N;
        const Eigen::Map<const Matrix> Q(block.facets->Q.data(), dim_, facets);
        return (Eigen::HouseholderQR<Matrix>(Q).householderQ() * N).rightCols(dim_ - facets);
    }
    Model model_at(const Point& point, double step);
    Matrix inverse_of_sum(const std::vector<double>& h) const;
    void apply_curvature(const Model& model, std::vector<double>& q) const;
    void apply_coupled_curvature(const Model& model, std::vector<double>& q) const;
    struct NewtonWork {
        double primal, dual, iterative;
        double least() const { return std::min({primal, dual, iterative}); }
    };
    NewtonWork newton_work(const std::vector<Active>& active) const;
    Matrix solve_newton_system(const Support& support, const Model& model, const Matrix& rhs);
    bool solve_factored(const Support& support, const Model& model, const Matrix& rhs, Matrix& x);
    bool solve_factored_dual(const Support& support, const Model& model, const Matrix& rhs, Matrix& x);
    Matrix solve_by_conjugate_gradients(const Support& support, const Model& model, const Matrix& rhs);
    Matrix residual_of_newton_system(const Support& support, const Model& model, const Matrix& rhs,
                                     const Matrix& x) const;
    double newton(const Working<X>& work, Point& point, double step);
    void evaluate_dual(const Working<X>& work, const Model& model, DualTrial& trial);
    int proximal_point(const Working<X>& work, Point& point, double step, double target,
                       std::vector<double>& theta);
    std::vector<double> solve_working_set(const Working<X>& work, Point& point, double target, bool near);
    double first_lipschitz(const Working<X>& work);
    double typical_step(const Point& point) const;
    double least_narrowing(const Working<X>& work, const Point& point) const;
    void poll() {
        if (observer_.poll && !stopped_ && clock_.seconds() - last_poll_ > 0.05) {
            last_poll_ = clock_.seconds();
            observer_.poll();
        }
    }
    /// Runs body(), which may be left by `Stop`: then there is no more polling, and the answer is false.
    template <class Body>
    bool until_stop(Body body) {
        if (runs_to_its_end(body)) return true;
        stopped_ = true;
        last_poll_ = clock_.seconds();
        return false;
    }
    /// Eigendecomposition of X^T X / n, for the preconditioner.
    const Eigen::SelfAdjointEigenSolver<Matrix>& row_moments();

    const Program<X>& program_;
    const SolveOptions& options_;
    const Observer& observer_;
    Index n_, d_, C_, layers_, S_, dim_;
    std::unique_ptr<Loss> stated_;          // the program's own
    std::unique_ptr<Smoothing> smoothing_;  // of its kinks, if it has any
    double smoothing_share_ = kSmoothing;
    MaskedOperator<X> full_;
    std::optional<Cones<X>> cones_;
    std::vector<Facets> score_facets_, prox_facets_;
    std::vector<double> row_norms_;  // sqrt(paths) |x_i|
    std::vector<double> intercept_, stated_intercept_, shifted_, theta_;
    std::vector<double> masks_, added_, removed_, system_;  // of the factorised Newton system, to be reused
    std::optional<Eigen::SelfAdjointEigenSolver<Matrix>> row_moments_;
    bool single_range_;  // whether products of the data stay far inside the range of single precision
    double lipschitz_ = 0;
    bool newton_pays_ = true;  // at the start, and where it ended the last working set
    double reach_ = 1;  // step of the proximal point method, in units that shrink a typical block by half
    Index n_iter_ = 0;
    Clock clock_;
    double last_poll_ = -1;
    bool stopped_ = false;
};

template <class X>
const Eigen::SelfAdjointEigenSolver<Matrix>& Solver<X>::row_moments() {
    if (!row_moments_) {
        std::vector<double> moments(d_ * d_, 0.0), wide;
        for (Index i = 0; i < n_; i += kGramRows) {
            const Index count = std::min(kGramRows, n_ - i);
            wide.assign(program_.rows.row(i), program_.rows.row(i) + count * d_);
            kernels().add_gram(wide.data(), count, d_, moments.data(),
                               threads_for(count * d_ * d_ / 2, options_.threads));
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
    return loss().typical_curvature() * value / static_cast<double>(n_);
}

/// Accelerated proximal steps with backtracking and restart; `momentum` carries over to the next call while
/// nothing else moves the point. Sums are `sums` inside, exact for the result, which is never above the
/// start.
template <class X>
void Solver<X>::fista(const Working<X>& work, Point& point, int steps, Momentum& momentum, Sums sums) {
    const Index blocks = static_cast<Index>(point.Z.size()) / dim_;
    std::vector<double>&Y = momentum.Z, &fY = momentum.f, G(layers_ * work.op.n_paths() * d_);
    double& t = momentum.t;
    if (t == 1) {
        Y = point.Z;
        fY = point.f;
    }
    Point next, start;
    next.Z.resize(point.Z.size());
    if (sums == Sums::fast) start = point;
    if (!(lipschitz_ > 0)) lipschitz_ = first_lipschitz(work);
    for (int step = 0; step < steps && n_iter_ < options_.max_iter; ++step) {
        poll();
        ++n_iter_;
        const double smooth_y = smooth(fY.data());
        loss().dual_point(shifted_.data(), theta_.data());
        adjoint(work.groups, work.op, theta_.data(), G.data(), sums);
        for (;;) {
            std::vector<double> linear(blocks), square(blocks);
            for_blocks(blocks, [&](Index b, double* z, double*) {
                const ConstMap y(Y.data() + b * dim_, dim_), g(G.data() + b / S_ * dim_, dim_);
                Map(z, dim_) = y + sigma(b) / lipschitz_ * g;
                prox(global_block(work.groups, b), z, 1 / lipschitz_, next.Z.data() + b * dim_);
                const ConstMap moved(next.Z.data() + b * dim_, dim_);
                linear[b] = -sigma(b) * g.dot(moved - y);
                square[b] = (moved - y).squaredNorm();
            });
            evaluate(work, next, sums);
            double model = smooth_y, quadratic = 0;
            for (Index b = 0; b < blocks; ++b) {
                model += linear[b];
                quadratic += lipschitz_ / 2 * square[b];
            }
            // Where the model's curvature is lost in the rounding of the loss there is nothing to compare.
            const double lost = (sums == Sums::fast ? kLostFast : kLost) * std::abs(smooth_y);
            if (!(next.smooth > model + quadratic) || quadratic <= lost) break;
            lipschitz_ *= 2;
            poll();
        }
        lipschitz_ *= 0.95;
        if (next.objective() > point.objective() &&
            t > 1) {  // momentum overshot: plain step from the best point
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
    evaluate(work, point);
    if (!(point.objective() <= start.objective())) {
        std::swap(point, start);
        t = 1;
    }
}

/// A nonzero block with what the proximal map's derivative needs.
template <class X>
struct Solver<X>::Active {
    Index index;  // in the working set
    Index slot;   // (layer, group) in the operator over the support
    Index layer;
    double sigma;
    double norm;
    double root;  // sqrt of the map's shrinkage
    const Facets* facets;
    Vector direction;
};

template <class X>
struct Solver<X>::Support {
    std::vector<Active> active;
    std::vector<Index> groups;
    MaskedOperator<X> op;
};

/// A dual point of the proximal subproblem with the primal point that belongs to it.
template <class X>
struct Solver<X>::DualTrial {
    std::vector<double> theta;
    std::vector<double> Z, f;  // prox(start + step B^T theta) and its predictions
    double value = 0;          // dual objective of the subproblem
    double proximal = 0;       // penalty and proximal term of Z
};

/// Fills what follows from trial.theta.
template <class X>
void Solver<X>::evaluate_dual(const Working<X>& work, const Model& model, DualTrial& trial) {
    const Index blocks = static_cast<Index>(model.start.Z.size()) / dim_;
    std::vector<double> G(layers_ * work.op.n_paths() * d_), value(blocks), proximal(blocks);
    adjoint(work.groups, work.op, trial.theta.data(), G.data());
    trial.Z.resize(model.start.Z.size());
    trial.f.resize(n_ * C_);
    for_blocks(blocks, [&](Index b, double* z, double*) {
        const ConstMap start(model.start.Z.data() + b * dim_, dim_), g(G.data() + b / S_ * dim_, dim_);
        Map(z, dim_) = start + model.step * sigma(b) * g;
        const double norm = prox(global_block(work.groups, b), z, model.step, trial.Z.data() + b * dim_);
        const ConstMap moved(trial.Z.data() + b * dim_, dim_);
        proximal[b] = program_.alpha * norm + (moved - start).squaredNorm() / (2 * model.step);
        value[b] = proximal[b] - sigma(b) * g.dot(moved);
    });
    forward(work.groups, work.op, trial.Z.data(), trial.f.data());
    trial.value = model.start.smooth;
    trial.proximal = 0;
    for (Index i = 0; i < n_ * C_; ++i) {
        const double v = model.theta[i] - trial.theta[i];
        trial.value += trial.theta[i] * model.start.f[i] - (model.h[i] > 0 ? v * v / (2 * model.h[i]) : 0.0);
    }
    for (Index b = 0; b < blocks; ++b) {
        trial.value += value[b];
        trial.proximal += proximal[b];
    }
}

/// q <- h * (q - mean_h(q)): the model's Hessian with the intercept minimised out.
template <class X>
void Solver<X>::apply_curvature(const Model& model, std::vector<double>& q) const {
    if (loss().coupled()) return apply_coupled_curvature(model, q);
    for (Index c = 0; c < C_; ++c) {
        double mean = 0;
        if (options_.fit_intercept && model.h_sum[c] > 0) {
            for (Index i = 0; i < n_; ++i) mean += model.h[i * C_ + c] * q[i * C_ + c];
            mean /= model.h_sum[c];
        }
        for (Index i = 0; i < n_; ++i) q[i * C_ + c] = model.h[i * C_ + c] * (q[i * C_ + c] - mean);
    }
}

/// The same where the outputs of a row are coupled: q_i <- H_i (q_i - shift), H_i = diag(h_i) - h_i h_i^T /
/// sum(h_i), with the shift for which they sum to zero.
template <class X>
void Solver<X>::apply_coupled_curvature(const Model& model, std::vector<double>& q) const {
    const auto apply = [&](const Vector& shift) {
        Vector sum = Vector::Zero(C_);
        for (Index i = 0; i < n_; ++i) {
            const ConstMap h(model.h.data() + i * C_, C_);
            Map row(q.data() + i * C_, C_);
            const double total = h.sum();
            row -= shift;
            if (total > 0) row.array() -= h.dot(row) / total;
            sum += h.cwiseProduct(row);
        }
        return sum;
    };
    const Vector sum = apply(Vector::Zero(C_));
    if (options_.fit_intercept) apply(model.inverse_sum * sum);
    Map(q.data(), n_ * C_).array() *= ConstMap(model.h.data(), n_ * C_).array();
}

/// A generalised inverse of the sum of the rows' coupled Hessians, which is singular: the same shift of all
/// outputs changes nothing.
template <class X>
Matrix Solver<X>::inverse_of_sum(const std::vector<double>& h) const {
    Matrix sum = Matrix::Zero(C_, C_);
    for (Index i = 0; i < n_; ++i) {
        const ConstMap row(h.data() + i * C_, C_);
        const double total = row.sum();
        if (!(total > 0)) continue;
        sum.diagonal() += row;
        sum.template selfadjointView<Eigen::Lower>().rankUpdate(row, -1 / total);
    }
    const Vector scale = sum.diagonal().unaryExpr([](double s) { return s > 0 ? 1 / std::sqrt(s) : 0.0; });
    const Eigen::SelfAdjointEigenSolver<Matrix> scaled(scale.asDiagonal() * sum * scale.asDiagonal());
    const Vector inverse = scaled.eigenvalues().unaryExpr([](double e) { return e > kFlat ? 1 / e : 0.0; });
    const Matrix root = scale.asDiagonal() * scaled.eigenvectors();
    return root * inverse.asDiagonal() * root.transpose();
}

/// The blocks of Z that are not zero, with the derivative of the proximal map there, and their `groups`.
template <class X>
std::vector<typename Solver<X>::Active> Solver<X>::active_blocks(const Working<X>& work,
                                                                 const std::vector<double>& Z, double step,
                                                                 std::vector<Index>& groups) const {
    const Index k = static_cast<Index>(work.groups.size());
    std::vector<Active> active;
    std::vector<Index> slot_of_group(k, -1);
    groups.clear();
    for (Index b = 0; b < layers_ * k * S_; ++b) {
        const ConstMap z(Z.data() + b * dim_, dim_);
        const double norm = z.norm();
        if (norm == 0) continue;
        const Index local = b / S_ % k;
        if (slot_of_group[local] < 0) {
            slot_of_group[local] = static_cast<Index>(groups.size());
            groups.push_back(work.groups[local]);
        }
        active.push_back({b, slot_of_group[local], b / (k * S_), sigma(b), norm,
                          std::sqrt(norm / (norm + step * program_.alpha)),
                          cones_ ? &prox_facets_[global_block(work.groups, b)] : nullptr, z / norm});
    }
    for (Active& a : active) a.slot += a.layer * static_cast<Index>(groups.size());
    return active;
}

/// These blocks and the operator over their groups.
template <class X>
typename Solver<X>::Support Solver<X>::support(const Working<X>& work, const std::vector<double>& Z,
                                               double step) const {
    std::vector<Index> groups;
    std::vector<Active> active = active_blocks(work, Z, step, groups);
    return {std::move(active), groups,
            MaskedOperator<X>(program_.rows, program_.arrangements, groups, options_.threads)};
}

/// f (n, C) <- predictions of the columns of D on the support.
template <class X>
void Solver<X>::predict(const Support& support, const Matrix& D, std::vector<double>& f) const {
    std::vector<double> V(layers_ * support.op.n_paths() * d_ * S_, 0.0);
    for (std::size_t a = 0; a < support.active.size(); ++a)
        Map(V.data() + support.active[a].slot * S_ * dim_, dim_) += support.active[a].sigma * D.col(a);
    f.resize(n_ * C_);
    forward(support.groups, support.op, V.data(), f.data());
}

/// sigma_a B_a^T r for every block of the support, (dim, blocks).
template <class X>
Matrix Solver<X>::correlate(const Support& support, const std::vector<double>& r) const {
    std::vector<double> G(layers_ * support.op.n_paths() * d_);
    adjoint(support.groups, support.op, r.data(), G.data());
    Matrix out(dim_, static_cast<Index>(support.active.size()));
    for (std::size_t a = 0; a < support.active.size(); ++a)
        out.col(a) = support.active[a].sigma * ConstMap(G.data() + support.active[a].slot * dim_, dim_);
    return out;
}

/// x <- (M^-1 / step + B^T H B)^-1 rhs on the tangent spaces of the facets, M the derivative of the proximal
/// map: M^-1 / step = I / step + (alpha / |z|) (I - u u^T), the curvature of the penalty with a ridge. Solved
/// where it is cheapest: factorised in the unknowns, or in the rows, or iteratively.
template <class X>
Matrix Solver<X>::solve_newton_system(const Support& support, const Model& model, const Matrix& rhs) {
    const NewtonWork work = newton_work(support.active);
    Matrix x;
    if (work.primal < kFactorWorth * work.iterative && work.primal <= work.dual &&
        solve_factored(support, model, rhs, x))
        return x;
    if (work.dual < kFactorWorth * work.iterative && solve_factored_dual(support, model, rhs, x)) return x;
    return solve_by_conjugate_gradients(support, model, rhs);
}

/// Multiplications of the ways to solve a Newton system; infinite where a way is closed.
template <class X>
typename Solver<X>::NewtonWork Solver<X>::newton_work(const std::vector<Active>& active) const {
    const double n = static_cast<double>(n_), blocks = static_cast<double>(active.size());
    double unknowns = 0, rank = 0;
    for (const Active& a : active) {
        const Index facets = a.facets ? a.facets->size() : 0;
        unknowns += static_cast<double>(dim_ - facets);
        rank += 1 + static_cast<double>(std::min(facets, dim_ - facets));
    }
    NewtonWork work{kInfinity, kInfinity, kIterativeWork * n * blocks * static_cast<double>(dim_)};
    if (C_ > 1 || program_.directed()) return work;
    if (unknowns <= kMostFactored) work.primal = unknowns * unknowns * (n / 2 + unknowns / 6);
    const double squares = static_cast<double>(d_) + blocks * static_cast<double>(dim_ / d_) + rank;
    if (n_ <= kMostFactored && unknowns > kSmall) work.dual = n * n * (squares / 2 + n / 6);
    return work;
}

/// With the matrix over the rows of positive curvature formed, by Woodbury's identity:
///   x = W (rhs - B^T q),  (I + E E^T) H^{-1/2} q = H^{1/2} (B W rhs + b),  E = H^{1/2} B W^{1/2},
/// W = (M^-1 / step)^-1 on the tangent spaces, b the intercept's step, which makes q sum to zero. A group's
/// share of B W B^T is its mask's pattern on X X^T, up to few rank-one terms.
template <class X>
bool Solver<X>::solve_factored_dual(const Support& support, const Model& model, const Matrix& rhs,
                                    Matrix& x) {
    const std::vector<Active>& active = support.active;
    const Index A = static_cast<Index>(active.size()), paths = dim_ / d_;
    const Index slots = support.op.n_paths() / paths;
    std::vector<Index> on;
    std::vector<double> root_h;
    for (Index i = 0; i < n_; ++i)
        if (model.h[i] > 0) {
            on.push_back(i);
            root_h.push_back(std::sqrt(model.h[i]));
        }
    if (on.empty()) return false;
    Index N = (static_cast<Index>(on.size()) + kPad - 1) / kPad * kPad;
    if (N % 256 == 0) N += kPad;  // columns a power of two apart would share cache lines
    // H^{1/2} X by rows and by columns; to whole panels, so that the system has N - on.size() trivial rows.
    std::vector<double> scaled(N * d_, 0.0), columns(d_ * N, 0.0);
    for (Index k = 0; k < static_cast<Index>(on.size()); ++k)
        for (Index j = 0; j < d_; ++j)
            scaled[k * d_ + j] = columns[j * N + k] =
                root_h[k] * static_cast<double>(program_.rows(on[k], j));
    const auto& dense = kernels().dense<double>();
    std::vector<double> packed(dense.packed_size(N, d_));
    dense.pack(scaled.data(), N, d_, d_, packed.data());

    // W = c (I - Q Q^T - u u^T) + step u u^T as c I, if it is `whole`, plus and minus squares of vectors.
    const auto weight = [&](const Active& a) { return 1 / (1 / model.step + program_.alpha / a.norm); };
    std::vector<Matrix> plus(A), minus(A);
    std::vector<Index> plus_at(A + 1, 0), minus_at(A + 1, 0);
    std::vector<char> whole(A, 1);
    for (Index a = 0; a < A; ++a) {
        const Index facets = active[a].facets ? active[a].facets->size() : 0;
        const double c = weight(active[a]);
        plus[a] = std::sqrt(model.step - c) * active[a].direction;
        if (2 * facets <= dim_) {
            if (facets > 0)
                minus[a] = std::sqrt(c) * Eigen::Map<const Matrix>(active[a].facets->Q.data(), dim_, facets);
        } else {
            whole[a] = 0;
            plus[a].conservativeResize(dim_, 1 + dim_ - facets);
            plus[a].rightCols(dim_ - facets) = std::sqrt(c) * tangent_basis(active[a]);
        }
        plus_at[a + 1] = plus_at[a] + plus[a].cols();
        minus_at[a + 1] = minus_at[a] + minus[a].cols();
    }
    masks_.assign(A * paths * N, 0.0);
    added_.assign(plus_at[A] * N, 0.0);
    removed_.assign(minus_at[A] * N, 0.0);
    const int team = threads_for((plus_at[A] + minus_at[A]) * dim_ * N, options_.threads);
    in_team(team, A, [&](Tasks& tasks) {
        for (Index a; tasks.take(a);) {
            const double root = std::sqrt(weight(active[a]));
            std::vector<double> product(std::max(plus[a].cols(), minus[a].cols()) * N);
            Vector mask = Vector::Zero(N);
            const auto add_images = [&](const Matrix& vectors, Index path, double* out) {
                dense.multiply(vectors.data() + path * d_, vectors.cols(), d_, dim_, packed.data(), N,
                               product.data(), N);
                for (Index r = 0; r < vectors.cols(); ++r)
                    Map(out + r * N, N) += ConstMap(product.data() + r * N, N).cwiseProduct(mask);
            };
            for (Index p = 0; p < paths; ++p) {
                const Index path = active[a].slot % slots * paths + p;
                const double sign = support.op.sign(path);
                for (std::size_t k = 0; k < on.size(); ++k) mask[k] = support.op.mask(path, on[k]) ? sign : 0;
                if (whole[a]) Map(masks_.data() + (a * paths + p) * N, N) = root * mask;
                add_images(plus[a], p, added_.data() + plus_at[a] * N);
                if (minus[a].cols() > 0) add_images(minus[a], p, removed_.data() + minus_at[a] * N);
            }
        }
    });
    poll();
    system_.resize(N * N);
    kernels().masked_gram(
        columns.data(), d_, masks_.data(), A * paths, added_.data(), plus_at[A], removed_.data(), minus_at[A],
        N, system_.data(),
        threads_for(N * N * (A * paths + plus_at[A] + minus_at[A] + d_) / 2, options_.threads));
    poll();
    const auto apply_weight = [&](Matrix& v) {
        for (Index a = 0; a < A; ++a) {
            to_tangent(active[a], v.col(a));
            const double c = weight(active[a]), along = active[a].direction.dot(v.col(a));
            v.col(a) = c * v.col(a) + (model.step - c) * along * active[a].direction;
        }
    };
    if (!kernels().cholesky(system_.data(), N, 1)) return false;
    std::vector<double> ones(N, 0.0), right(N), f;  // ones: the system's answer to a unit intercept
    double sum_ones = 0;
    if (options_.fit_intercept) {
        std::copy(root_h.begin(), root_h.end(), ones.begin());
        kernels().cholesky_solve(system_.data(), N, ones.data(), 1);
        for (std::size_t k = 0; k < on.size(); ++k) sum_ones += root_h[k] * ones[k];
    }
    const auto solve_once = [&](const Matrix& target) {
        Matrix v = target;
        apply_weight(v);
        predict(support, v, f);
        std::fill(right.begin(), right.end(), 0.0);
        for (std::size_t k = 0; k < on.size(); ++k) right[k] = root_h[k] * f[on[k]];
        kernels().cholesky_solve(system_.data(), N, right.data(), 1);
        double sum = 0;
        for (std::size_t k = 0; k < on.size(); ++k) sum += root_h[k] * right[k];
        const double shift = options_.fit_intercept ? sum / sum_ones : 0;
        std::vector<double> q(n_, 0.0);
        for (std::size_t k = 0; k < on.size(); ++k) q[on[k]] = root_h[k] * (right[k] - shift * ones[k]);
        Matrix pulled = correlate(support, q);
        apply_weight(pulled);
        return Matrix(v - pulled);
    };
    // The differences above cancel where the step is long; refinement restores the digits or shows their
    // loss.
    x = Matrix::Zero(dim_, A);
    Matrix residual = rhs;
    for (Index a = 0; a < A; ++a) to_tangent(active[a], residual.col(a));
    const double size = residual.norm();
    double left = size;
    for (int round = 0; round < kRefinements && left > kNewtonResidual * kNewtonResidual * size; ++round) {
        const Matrix better = x + solve_once(residual);
        const Matrix error = residual_of_newton_system(support, model, rhs, better);
        if (!(error.norm() < 0.5 * left)) break;
        x = better;
        residual = error;
        left = residual.norm();
    }
    return left <= kNewtonResidual * size;
}

/// rhs - (M^-1 / step + B^T H B) x on the tangent spaces.
template <class X>
Matrix Solver<X>::residual_of_newton_system(const Support& support, const Model& model, const Matrix& rhs,
                                            const Matrix& x) const {
    std::vector<double> t;
    predict(support, x, t);
    apply_curvature(model, t);
    Matrix residual = rhs - correlate(support, t) - x / model.step;
    for (std::size_t a = 0; a < support.active.size(); ++a) {
        const Active& block = support.active[a];
        const auto u = block.direction;
        residual.col(a) -= program_.alpha / block.norm * (x.col(a) - u * u.dot(x.col(a)));
        to_tangent(block, residual.col(a));
    }
    return residual;
}

/// With the matrix formed, in bases of the tangent spaces; false if rounding leaves it indefinite.
template <class X>
bool Solver<X>::solve_factored(const Support& support, const Model& model, const Matrix& rhs, Matrix& x) {
    using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
    const std::vector<Active>& active = support.active;
    const Index A = static_cast<Index>(active.size()), paths = dim_ / d_;
    const Index slots = support.op.n_paths() / paths;
    // S_a = N_a (root I + (1 - root) u u^T) for an orthonormal basis N_a of the tangent space.
    std::vector<Matrix> basis(A);
    std::vector<Index> offset(A + 1, 0);
    const int team = threads_for(A * dim_ * dim_ * kGramRows, options_.threads);
    in_team(team, A, [&](Tasks& tasks) {
        for (Index a; tasks.take(a);) {
            const Matrix N = tangent_basis(active[a]);
            const Vector u = N.transpose() * active[a].direction;
            basis[a] = active[a].root * N + (1 - active[a].root) * active[a].direction * u.transpose();
        }
    });
    for (Index a = 0; a < A; ++a) offset[a + 1] = offset[a] + basis[a].cols();
    const Index m = offset[A];
    std::vector<double> H(m * m, 0.0), buffer(kGramRows * m);
    Vector weighted = Vector::Zero(m);  // E^T h
    for (Index i0 = 0; i0 < n_; i0 += kGramRows) {
        poll();
        const Index count = std::min(kGramRows, n_ - i0);
        Matrix rows(count, d_);
        for (Index i = 0; i < count; ++i)
            for (Index j = 0; j < d_; ++j) rows(i, j) = static_cast<double>(program_.rows(i0 + i, j));
        Eigen::Map<RowMajor> E(buffer.data(), count, m);
        in_team(team, A, [&](Tasks& tasks) {
            for (Index a; tasks.take(a);) {
                auto columns = E.middleCols(offset[a], basis[a].cols());
                columns.setZero();
                for (Index p = 0; p < paths; ++p) {
                    const Index path = active[a].slot % slots * paths + p;
                    const Matrix product = rows * basis[a].middleRows(p * d_, d_);
                    const double sign = active[a].sigma * support.op.sign(path);
                    for (Index i = 0; i < count; ++i)
                        if (support.op.mask(path, i0 + i)) columns.row(i) += sign * product.row(i);
                }
            }
        });
        const ConstMap h(model.h.data() + i0, count);
        weighted.noalias() += E.transpose() * h;
        E.array().colwise() *= h.array().sqrt();
        kernels().add_gram(buffer.data(), count, m, H.data(),
                           threads_for(count * m * m / 2, options_.threads));
    }
    Eigen::Map<Matrix> gram(H.data(), m, m);
    if (options_.fit_intercept && model.h_sum[0] > 0)
        gram.triangularView<Eigen::Lower>() -= weighted * weighted.transpose() / model.h_sum[0];
    Vector y(m);
    for (Index a = 0; a < A; ++a) y.segment(offset[a], basis[a].cols()) = basis[a].transpose() * rhs.col(a);
    if (!kernels().cholesky(H.data(), m, 1 / model.step)) return false;
    kernels().cholesky_solve(H.data(), m, y.data(), 1);
    if (!y.allFinite()) return false;
    x.resize(dim_, A);
    for (Index a = 0; a < A; ++a) x.col(a) = basis[a] * y.segment(offset[a], basis[a].cols());
    return true;
}

/// By conjugate gradients, preconditioned by density * mean curvature * X^T X of each path in its
/// eigenvectors.
template <class X>
Matrix Solver<X>::solve_by_conjugate_gradients(const Support& support, const Model& model,
                                               const Matrix& rhs) {
    const std::vector<Active>& active = support.active;
    const Index A = static_cast<Index>(active.size()), paths = dim_ / d_;
    const Index slots = support.op.n_paths() / paths;
    const auto& moments = row_moments();
    const double mean_h = ConstMap(model.h.data(), n_ * C_).sum() / static_cast<double>(C_);
    const auto tangent = [&](Matrix x) {
        for (Index a = 0; a < A; ++a) to_tangent(active[a], x.col(a));
        return x;
    };
    Matrix inverse(dim_, A);  // of the preconditioner, in the eigenvectors
    for (Index a = 0; a < A; ++a)
        for (Index p = 0; p < paths; ++p) {
            const double weight = mean_h * support.op.density(active[a].slot % slots * paths + p);
            inverse.col(a).segment(p * d_, d_) = (weight * moments.eigenvalues().array().max(0.0) +
                                                  program_.alpha / active[a].norm + 1 / model.step)
                                                     .inverse();
        }
    const auto precondition = [&](const Matrix& r) {
        Matrix z(dim_, A);
        for (Index p = 0; p < dim_; p += d_) {
            const Matrix t = moments.eigenvectors().transpose() * r.middleRows(p, d_);
            z.middleRows(p, d_) = moments.eigenvectors() * t.cwiseProduct(inverse.middleRows(p, d_));
        }
        return tangent(std::move(z));
    };
    const Matrix zero = Matrix::Zero(dim_, A);
    Matrix x = zero, r = tangent(rhs), z = precondition(r), p = z;
    double rz = r.cwiseProduct(z).sum();
    const double enough = kNewtonResidual * r.norm();
    for (Index iteration = 0; iteration < kConjugateGradients && r.norm() > enough; ++iteration) {
        poll();
        const Matrix Hp = -residual_of_newton_system(support, model, zero, p);
        const double length = rz / p.cwiseProduct(Hp).sum();
        x += length * p;
        r -= length * Hp;
        z = precondition(r);
        const double rz_next = r.cwiseProduct(z).sum();
        p = z + rz_next / rz * p;
        rz = rz_next;
    }
    return x;
}

template <class X>
Model Solver<X>::model_at(const Point& point, double step) {
    Model model{
        point, dual_point(point.f.data()), std::vector<double>(n_ * C_), std::vector<double>(C_, 0.0), step,
        {}};
    loss().curvature(shifted_.data(), model.h.data());
    for (Index i = 0; i < n_; ++i)
        for (Index c = 0; c < C_; ++c) model.h_sum[c] += model.h[i * C_ + c];
    if (options_.fit_intercept && loss().coupled()) model.inverse_sum = inverse_of_sum(model.h);
    return model;
}

/// One Newton step on the support and the facets of `point`, which the last proximal step has left there: on
/// them the objective is smooth. The step is projected back on the cones. Returns by how much the objective
/// fell; 0 leaves the point as it was.
template <class X>
double Solver<X>::newton(const Working<X>& work, Point& point, double step) {
    const Model model = model_at(point, step);
    const Support on = support(work, point.Z, step);
    const Index A = static_cast<Index>(on.active.size());
    if (A == 0) return 0;
    Matrix gradient = -correlate(on, model.theta);
    for (Index a = 0; a < A; ++a) {
        gradient.col(a) += program_.alpha * on.active[a].direction;
        to_tangent(on.active[a], gradient.col(a));
    }
    const Matrix x = solve_newton_system(on, model, -gradient);
    const double slope = gradient.cwiseProduct(x).sum();
    if (!(slope < 0)) return 0;
    // Along directions in which the curvature vanishes the step is long and the objective linear until a
    // block reaches zero; that length is tried when halving fails.
    double first_zero = kInfinity;
    for (Index a = 0; a < A; ++a) {
        const double rate = -on.active[a].direction.dot(x.col(a));
        if (rate > 0) first_zero = std::min(first_zero, on.active[a].norm / rate);
    }
    std::vector<double> lengths{1, 0.5, 0.25, 0.125, 1.0 / 16};
    if (first_zero < 1) lengths.push_back(first_zero * (1 + 1e-12));
    Point trial = point;
    Matrix moved(dim_, A);
    for (const double t : lengths) {
        for_blocks(A, [&](Index a, double* z, double*) {
            const Active& block = on.active[a];
            Map(z, dim_) = block.norm * block.direction + t * x.col(a);
            if (Map(z, dim_).dot(block.direction) <= 0) {
                moved.col(a).setZero();
            } else if (cones_) {
                const Index global = global_block(work.groups, block.index);
                project(global, z, 0, prox_facets_[global], moved.col(a).data());
            } else {
                moved.col(a) = Map(z, dim_);
            }
            Map(trial.Z.data() + block.index * dim_, dim_) = moved.col(a);
        });
        predict(on, moved, trial.f);
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

/// One step of the proximal point method: minimises the quadratic model of the loss plus penalty plus
/// |Z - start|^2 / (2 step) over the working set by semismooth Newton on the dual (Li, Sun & Toh 2018), whose
/// primal points stay in the cones. Returns the number of Newton steps, negative if the objective did not
/// fall; `theta` gets the subproblem's dual point, which is close to feasible: its scores exceed alpha by at
/// most |Z - start| / step.
template <class X>
int Solver<X>::proximal_point(const Working<X>& work, Point& point, double step, double target,
                              std::vector<double>& theta) {
    const Model model = model_at(point, step);
    DualTrial now, next;
    now.theta = model.theta;
    evaluate_dual(work, model, now);
    std::vector<double> e(n_ * C_), He;
    int newton_steps = 0;
    for (; newton_steps < kNewton && n_iter_ < options_.max_iter; ++newton_steps) {
        poll();
        ++n_iter_;
        // The subproblem's primal objective at now.Z.
        for (Index i = 0; i < n_ * C_; ++i) e[i] = now.f[i] - point.f[i];
        He = e;
        apply_curvature(model, He);
        double primal = point.smooth + now.proximal;
        for (Index i = 0; i < n_ * C_; ++i) primal += e[i] * (0.5 * He[i] - model.theta[i]);
        const double fall = point.objective() - primal;
        if (primal - now.value <= std::max(0.1 * fall, 0.05 * target)) break;

        // q = H r for the dual gradient r = f(theta) - B Z, modulo constants where the intercept is free.
        std::vector<double> q(n_ * C_);
        for (Index i = 0; i < n_ * C_; ++i) q[i] = model.theta[i] - now.theta[i] - He[i];
        // (H^-1 + step B M B^T)^-1 H^-1 q by Woodbury's identity.
        std::vector<double> delta(q), Hx;
        const Support on = support(work, now.Z, step);
        if (!on.active.empty()) {
            predict(on, solve_newton_system(on, model, correlate(on, q)), Hx);
            apply_curvature(model, Hx);
            for (Index i = 0; i < n_ * C_; ++i) delta[i] -= Hx[i];
        }
        double slope = 0;
        for (Index i = 0; i < n_ * C_; ++i)
            if (model.h[i] > 0) slope += delta[i] * (q[i] / model.h[i]);
        bool accepted = false;
        for (double t = 1; t > 1e-3;) {
            next.theta.resize(n_ * C_);
            for (Index i = 0; i < n_ * C_; ++i) next.theta[i] = now.theta[i] + t * delta[i];
            evaluate_dual(work, model, next);
            const double rise = next.value - now.value;
            accepted = rise >= 1e-4 * t * slope - kRounding * std::abs(now.value);
            if (accepted) break;
            // Maximum of the parabola through both values with this slope.
            t *= std::clamp(0.5 * t * slope / (t * slope - rise), 0.1, 0.6);
        }
        if (!accepted) break;
        std::swap(now, next);
    }

    theta = std::move(now.theta);
    Point trial;
    for (double t = 1; t > 1e-3; t /= 2) {
        trial.Z = point.Z;
        trial.f = point.f;
        for (std::size_t k = 0; k < trial.Z.size(); ++k)
            trial.Z[k] = t == 1 ? now.Z[k] : point.Z[k] + t * (now.Z[k] - point.Z[k]);
        for (std::size_t i = 0; i < trial.f.size(); ++i) trial.f[i] += t * (now.f[i] - point.f[i]);
        trial.smooth = smooth(trial.f.data());
        trial.penalty = penalty(trial.Z);
        if (trial.objective() < point.objective()) {
            std::swap(point, trial);
            return newton_steps;
        }
    }
    return -1;
}

/// Solves over the working set to a gap of `target` there; returns the dual point that showed it, or the
/// best. Starts with Newton steps if the point is `near` the optimum.
template <class X>
std::vector<double> Solver<X>::solve_working_set(const Working<X>& work, Point& point, double target,
                                                 bool near) {
    evaluate(work, point);
    std::vector<double> G(layers_ * work.op.n_paths() * d_), best_theta;
    double best_dual = -kInfinity, gap = kInfinity;
    const auto try_dual = [&](std::vector<double> point_theta) {
        std::vector<double> theta = feasible(std::move(point_theta));
        adjoint(work.groups, work.op, theta.data(), G.data());
        const std::vector<double> score = scores(work.groups, G.data(), program_.alpha);
        const double dual = dual_value(loss(), theta, largest(score));
        if (dual > best_dual || best_theta.empty()) {
            best_dual = dual;
            best_theta = std::move(theta);
        }
        gap = point.objective() - best_dual;
    };
    Momentum momentum;
    // Accelerated steps, as long as they narrow the gap at least as fast as Newton steps of the same cost.
    for (double gap_before = kInfinity; !near && n_iter_ < options_.max_iter;) {
        const double reference = gap < kInfinity ? gap : target;
        const bool fast = single_range_ && reference > kFastGap * point.objective();
        fista(work, point, kFista, momentum, fast ? Sums::fast : Sums::exact);
        try_dual(dual_point(point.f.data()));
        if (gap <= target) {
            newton_pays_ = false;
            return best_theta;
        }
        if (gap > least_narrowing(work, point) * gap_before) break;
        gap_before = gap;
    }
    newton_pays_ = true;
    int still = 0;
    while (n_iter_ < options_.max_iter) {
        const double before = point.objective();
        for (int k = 0; k < kNewton && n_iter_ < options_.max_iter; ++k) {
            ++n_iter_;
            if (!(newton(work, point, kRidgeReach * typical_step(point)) > 0.1 * target)) break;
            fista(work, point, 1);  // puts the facets back under the point and corrects the support
        }
        // Newton steps that bend at new facets or run along flat directions bring little.
        if (!(before - point.objective() > 0.5 * gap)) {
            std::vector<double> theta;
            const int newton_steps = proximal_point(work, point, reach_ * typical_step(point), target, theta);
            try_dual(std::move(theta));
            if (gap <= target) break;
            if (newton_steps < 0) {
                reach_ = std::max(1e-3, reach_ / 8);
                fista(work, point, kFista);
            } else if (newton_steps == kNewton) {
                reach_ = std::max(1e-3, reach_ / 4);
            } else if (newton_steps < kNewton / 3) {
                reach_ = std::min(1e3, reach_ * 4);
            }
        }
        try_dual(dual_point(point.f.data()));
        if (gap <= target) break;
        still = before - point.objective() <= 1e-16 * point.objective() ? still + 1 : 0;
        if (still > 3) break;
    }
    return best_theta;
}

/// The factor by which kFista accelerated steps must narrow the gap to be worth their time. A step of the
/// proximal point method narrows it about tenfold and takes some five Newton systems; with cones, whose
/// facets change, about twofold, with all its Newton steps and two projections of every block for each.
template <class X>
double Solver<X>::least_narrowing(const Working<X>& work, const Point& point) const {
    const double products = static_cast<double>(n_ * C_ * static_cast<Index>(work.groups.size()) * dim_);
    const double steps = kFista * products * (cones_ ? kProjectionWork : 1);
    std::vector<Index> groups;
    const NewtonWork newton = newton_work(active_blocks(work, point.Z, 1, groups));
    if (cones_) return std::pow(0.5, steps / (kNewton * (newton.least() + 2 * kProjectionWork * products)));
    return std::pow(0.1, steps / (5 * newton.least()));
}

/// The proximal step that shrinks a block of the typical size by half.
template <class X>
double Solver<X>::typical_step(const Point& point) const {
    Index n_active = 0;
    for (std::size_t k = 0; k < point.Z.size(); k += dim_)
        n_active += ConstMap(point.Z.data() + k, dim_).squaredNorm() > 0;
    return point.penalty > 0 ? std::min(kLongestStep, point.penalty / program_.alpha / program_.alpha /
                                                          static_cast<double>(n_active))
                             : 1;
}

template <class X>
SolveReport Solver<X>::run(MatView<double> blocks, VecView<double> intercept) {
    require(options_.tol > 0 && options_.max_iter >= 0 && options_.threads > 0,
            "tol and threads must be positive, and max_iter not below zero");
    require(program_.alpha > 0 && program_.alpha < kInfinity, "alpha is ", program_.alpha,
            "; expected a positive finite number");
    require_shape("blocks", blocks, program_.blocks(), dim_);
    require_size("intercept", intercept, C_);
    std::copy(intercept.begin(), intercept.end(), intercept_.begin());
    const Index P = program_.groups();

    SolveReport report;
    report.objective_at_zero = stated_smooth(std::vector<double>(n_ * C_, 0.0).data());
    // A constant network that fits up to rounding is as good as one that fits.
    report.rounding = kNoise * stated_->value(std::vector<double>(n_ * C_, 0.0).data());
    const double tolerance = options_.tol * std::max({report.objective_at_zero, report.rounding,
                                                      std::numeric_limits<double>::min()});

    if (!until_stop([&] { put_on_cones(blocks); })) keep_feasible(blocks);
    std::vector<Index> all(P);
    for (Index g = 0; g < P; ++g) all[g] = g;
    std::vector<double> G(layers_ * P * dim_), theta;
    double best_dual = -kInfinity, rounded_dual = -kInfinity, rounded_before = kInfinity;
    double gap_at_shift = kInfinity;
    struct {
        double objective = kInfinity;
        std::vector<double> blocks, intercept;
        Index n_active = 0;
    } best;  // of the program's own objective, which the rounded program's need not lower
    Working<X> work{{}, MaskedOperator<X>(program_.rows, program_.arrangements, {}, options_.threads)};
    Point point;
    point.f.assign(n_ * C_, 0.0);
    double rounded_gap = kInfinity, rounded_tolerance = tolerance;
    int stalled = 0;
    Index groups_before = 0;
    std::vector<char> used(P, 0);
    const auto take_up_used = [&] {
        work.groups.clear();
        for (Index g = 0; g < P; ++g)
            if (used[g]) work.groups.push_back(g);
        work.op = MaskedOperator<X>(program_.rows, program_.arrangements, work.groups, options_.threads);
        point.Z.clear();
        for (Index b = 0; b < layers_ * static_cast<Index>(work.groups.size()) * S_; ++b) {
            const double* z = blocks.row(global_block(work.groups, b));
            point.Z.insert(point.Z.end(), z, z + dim_);
        }
    };
    for (;;) {
        until_stop([&] { poll(); });
        std::fill(used.begin(), used.end(), 0);
        for (Index b = 0; b < blocks.rows; ++b)
            if (Map(blocks.row(b), dim_).squaredNorm() > 0) used[group_of(b)] = 1;
        if (report.history.empty()) {
            take_up_used();
            evaluate(work, point);
            if (point.penalty > 0 && !(stated_smooth(point.f.data()) + point.penalty <
                                       report.objective_at_zero)) {  // no use as a start
                std::fill(blocks.data, blocks.data + blocks.size(), 0.0);
                std::fill(used.begin(), used.end(), 0);
                take_up_used();
                evaluate(work, point);
            }
        }

        if (theta.empty()) theta = feasible(dual_point(point.f.data()));
        adjoint(all, full_, theta.data(), G.data());
        // While the gap is wide, bounds on the scores do.
        const bool wide =
            report.history.empty() ? point.penalty == 0 : rounded_gap > kWideGap * rounded_tolerance;
        std::vector<double> score;
        const auto bounds = [&] { score = scores(all, G.data(), program_.alpha, 1); };
        if (wide && !until_stop(bounds)) bounds();
        if (!stopped_ && (!wide || largest(score) < 2 * program_.alpha))
            until_stop([&] { score = scores(all, G.data(), program_.alpha); });
        if (stopped_ && score.empty()) bounds();
        const double rounded = point.objective();
        rounded_dual = std::max(rounded_dual, dual_value(loss(), theta, largest(score)));
        best_dual = std::max(best_dual, dual_value(*stated_, theta, largest(score)));
        const double gap_before = report.gap;
        report.n_iter = n_iter_;
        const double stated = stated_smooth(point.f.data()) + point.penalty;
        if (!smoothing_ || !(stated >= best.objective)) {
            best.objective = stated;
            best.intercept = stated_intercept_;
            best.n_active = 0;
            for (Index b = 0; b < blocks.rows; ++b)
                best.n_active += Map(blocks.row(b), dim_).squaredNorm() > 0;
            if (smoothing_) best.blocks.assign(blocks.data, blocks.data + blocks.size());
        }
        report.objective = best.objective;
        report.n_active = best.n_active;
        report.dual_objective = best_dual;
        report.gap = report.objective - best_dual;
        if (report.gap < 0) report.gap = 0;  // rounding; not a number stays one
        report.seconds = clock_.seconds();
        report.round = static_cast<Index>(report.history.size());
        report.n_groups = static_cast<Index>(work.groups.size());
        report.target_gap = tolerance;
        report.converged = report.gap <= tolerance;
        const double fallen = rounded_before - rounded;
        rounded_before = rounded;
        report.history.push_back(report);
        if (observer_.record) until_stop([&] { observer_.record(report); });
        if (report.converged || n_iter_ >= options_.max_iter || stopped_) break;
        rounded_tolerance = smoothing_ ? std::max(0.3 * tolerance, kShiftGap * report.gap) : tolerance;
        rounded_gap = smoothing_ ? std::max(rounded - rounded_dual, 0.0) : report.gap;
        const bool shifts = smoothing_ && rounded_gap <= rounded_tolerance;
        // Rounding has the last word: nothing moves and no group is left to add.
        const bool moving = (fallen > 1e-15 * rounded && !shifts) || report.gap < 0.9 * gap_before;
        stalled = moving ? 0 : stalled + 1;
        if (stalled >= (smoothing_ ? kMostShifts : 5)) break;
        if (shifts) {
            round_off_next(point, report.gap < 0.5 * gap_at_shift);
            gap_at_shift = report.gap;
            rounded_dual = -kInfinity;
            rounded_before = kInfinity;
            theta.clear();
            evaluate(work, point);
            continue;
        }

        // Next working set: the groups in use and the best of the others, at least doubling what is in use.
        std::vector<std::pair<double, Index>> violators;
        Index n_used = 0;
        for (Index g = 0; g < P; ++g) {
            n_used += used[g];
            double best = 0;
            for (Index c = 0; c < layers_; ++c)
                for (Index s = 0; s < S_; ++s) best = std::max(best, score[block_index(c, g, s)]);
            if (!used[g] && best > program_.alpha) violators.emplace_back(-best, g);
        }
        std::sort(violators.begin(), violators.end());
        const std::size_t most = static_cast<std::size_t>(std::max<Index>(20, n_used));
        if (violators.size() > most) violators.resize(most);
        for (const auto& violator : violators) used[violator.second] = 1;
        take_up_used();
        const Index count = static_cast<Index>(work.groups.size());
        const bool grown = count > groups_before;
        if (grown) lipschitz_ = 0;
        groups_before = count;
        const bool near = newton_pays_ && rounded_gap <= kWideGap * rounded_tolerance;
        // As long as groups come in, with cones to settle in each, a closer solution would not last.
        const double share = cones_ && grown ? 0.5 : 0.1;
        const double target = std::max(0.3 * rounded_tolerance, share * rounded_gap);
        if (!until_stop([&] { theta = solve_working_set(work, point, target, near); })) theta.clear();
        const std::vector<double> before(blocks.data, blocks.data + blocks.size());
        for (Index b = 0; b < layers_ * count * S_; ++b)
            std::copy(point.Z.data() + b * dim_, point.Z.data() + (b + 1) * dim_,
                      blocks.row(global_block(work.groups, b)));
        const auto take_up = [&] {
            take_up_used();
            evaluate(work, point);
        };
        // Without a poll once stopped, and on few blocks, which were on their cones up to rounding.
        bool moved = stopped_;
        if (!until_stop([&] { moved |= put_on_cones(blocks); })) moved |= put_on_cones(blocks);
        if (moved) take_up();
        // Numbers may be so large that rounding undoes the descent.
        if (!(point.objective() <= rounded * (1 + kLost))) {
            std::copy(before.begin(), before.end(), blocks.data);
            take_up();
        }
    }
    report.stopped = stopped_ && !report.converged;
    if (smoothing_) std::copy(best.blocks.begin(), best.blocks.end(), blocks.data);
    std::copy(best.intercept.begin(), best.intercept.end(), intercept.begin());
    return report;
}

template <class X>
double Solver<X>::alpha_max() {
    if (smoothing_) smoothing_->center(kLeastSmoothing);
    const std::vector<double> theta = dual_point(std::vector<double>(n_ * C_, 0.0).data());
    std::vector<double> G(layers_ * program_.groups() * dim_);
    std::vector<Index> all(program_.groups());
    for (Index g = 0; g < program_.groups(); ++g) all[g] = g;
    adjoint(all, full_, theta.data(), G.data());
    const std::vector<double> score = scores(all, G.data(), 0);
    return largest(score);
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

template SolveReport solve<float>(const Program<float>&, const SolveOptions&, MatView<double>,
                                  VecView<double>, const Observer&);
template SolveReport solve<double>(const Program<double>&, const SolveOptions&, MatView<double>,
                                   VecView<double>, const Observer&);
template double alpha_max<float>(const Program<float>&, bool, int);
template double alpha_max<double>(const Program<double>&, bool, int);

}  // namespace pathrelu
