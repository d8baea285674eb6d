#include <Eigen/Dense>
#include <cmath>

#include "kernels/table.hpp"
#include "solver/newton_system.hpp"

namespace pathrelu {
namespace {

/// Unknowns up to which a system is factorised in them in any case.
constexpr Index kSmall = 600;
/// Refinements of a solution, each of which leaves less than half of the residual or is the last.
constexpr int kRefinements = 5;
constexpr double kRefined = 0.5;
/// Columns a multiple of this apart share the lines of a first-level cache.
constexpr Index kCacheStride = 256;

/// With the matrix over the rows of positive curvature formed, by Woodbury's identity:
///
///   x = W (rhs - B^T q),  (I + E E^T) H^{-1/2} q = H^{1/2} (B W rhs + b),  E = H^{1/2} B W^{1/2},
///
/// W = (M^-1 / step)^-1 on the tangent spaces, b the intercept's step, which makes q sum to zero. A group's
/// share of B W B^T is its mask's pattern on X X^T, up to few rank-one terms:
/// W = c (I - Q Q^T - u u^T) + step u u^T.
template <class X>
class RowSystem final : public NewtonSystem<X> {
  public:
    explicit RowSystem(Workspace<X>& space) : space_(space) {}

    double work(const std::vector<ActiveBlock>& active) const override {
        if (space_.C > 1 || space_.program.directed()) return kInfinity;
        const double n = static_cast<double>(space_.n);
        double unknowns = 0, rank = 0;
        for (const ActiveBlock& a : active) {
            const Index facets = a.n_facets();
            unknowns += static_cast<double>(space_.dim - facets);
            rank += 1 + static_cast<double>(std::min(facets, space_.dim - facets));
        }
        if (space_.n > kMostFactored || unknowns <= kSmall) return kInfinity;
        const double squares =
            static_cast<double>(space_.d) +
            static_cast<double>(active.size()) * static_cast<double>(space_.dim / space_.d) + rank;
        return n * n * (squares / 2 + n / 6);
    }

    bool solve(const Support<X>& on, const ProximalModel& model, const Matrix& rhs, Matrix& x) override {
        return take_rows(model.loss) && factorise(on, model) && refine(on, model, rhs, x);
    }

  private:
    /// c I, or nothing, plus and minus the squares of vectors (dim, some): one block's W.
    struct Weight {
        double c;
        bool whole = true;
        Matrix plus, minus;
    };

    static double weight(const ActiveBlock& a, double alpha, double step) {
        return 1 / (1 / step + alpha / a.norm);
    }
    Weight weight_of(const ActiveBlock& block, double step) const;
    bool take_rows(const LossModel& loss);
    bool factorise(const Support<X>& on, const ProximalModel& model);
    void add_images(const ActiveBlock& block, const Support<X>& on, const Weight& weight, double* masks,
                    double* added, double* removed) const;
    void apply_weight(const Support<X>& on, double step, Matrix& v) const;
    Matrix solve_once(const Support<X>& on, double step, const Matrix& target);
    bool refine(const Support<X>& on, const ProximalModel& model, const Matrix& rhs, Matrix& x);

    Workspace<X>& space_;
    // Of the last system; kept for their memory.
    std::vector<Index> on_;                 // rows of positive curvature
    std::vector<double> root_h_;            // their roots of it
    Index size_ = 0;                        // of the system: on_.size() to whole panels, the rest trivial
    std::vector<double> packed_, columns_;  // H^{1/2} X for products, and by columns
    std::vector<double> masks_, added_, removed_, system_;
    std::vector<double> ones_;  // the system's answer to a unit intercept
    double sum_ones_ = 0;
};

/// The rows that the system is over; false if there is none.
template <class X>
bool RowSystem<X>::take_rows(const LossModel& loss) {
    on_.clear();
    root_h_.clear();
    for (Index i = 0; i < space_.n; ++i)
        if (loss.h[i] > 0) {
            on_.push_back(i);
            root_h_.push_back(std::sqrt(loss.h[i]));
        }
    if (on_.empty()) return false;
    size_ = (static_cast<Index>(on_.size()) + kPad - 1) / kPad * kPad;
    if (size_ % kCacheStride == 0) size_ += kPad;
    const Index d = space_.d;
    std::vector<double> scaled(size_ * d, 0.0);
    columns_.assign(d * size_, 0.0);
    for (Index k = 0; k < static_cast<Index>(on_.size()); ++k)
        for (Index j = 0; j < d; ++j)
            scaled[k * d + j] = columns_[j * size_ + k] =
                root_h_[k] * static_cast<double>(space_.program.rows(on_[k], j));
    const auto& dense = kernels().dense<double>();
    packed_.resize(dense.packed_size(size_, d));
    dense.pack(scaled.data(), size_, d, d, packed_.data());
    return true;
}

/// With the fewer of the facets' normals and of the directions along them.
template <class X>
typename RowSystem<X>::Weight RowSystem<X>::weight_of(const ActiveBlock& block, double step) const {
    const Index dim = space_.dim, facets = block.n_facets();
    Weight out;
    out.c = weight(block, space_.program.alpha, step);
    out.plus = std::sqrt(step - out.c) * block.direction;
    if (2 * facets <= dim) {
        if (facets > 0)
            out.minus = std::sqrt(out.c) * Eigen::Map<const Matrix>(block.facets->Q.data(), dim, facets);
    } else {
        out.whole = false;
        out.plus.conservativeResize(dim, 1 + dim - facets);
        out.plus.rightCols(dim - facets) = std::sqrt(out.c) * block.tangent_basis();
    }
    return out;
}

/// Rows of E for one block: of its c I the masks alone, of each vector v of the squares H^{1/2} B v.
template <class X>
void RowSystem<X>::add_images(const ActiveBlock& block, const Support<X>& on, const Weight& weight,
                              double* masks, double* added, double* removed) const {
    const Index d = space_.d, dim = space_.dim, N = size_;
    std::vector<double> product(std::max(weight.plus.cols(), weight.minus.cols()) * N);
    Vector mask = Vector::Zero(N);
    const auto add = [&](const Matrix& vectors, Index p, double* out) {
        kernels().dense<double>().multiply(vectors.data() + p * d, vectors.cols(), d, dim, packed_.data(), N,
                                           product.data(), N);
        for (Index r = 0; r < vectors.cols(); ++r)
            Map(out + r * N, N) += ConstMap(product.data() + r * N, N).cwiseProduct(mask);
    };
    for (Index p = 0; p < dim / d; ++p) {
        const Index path = on.path(block, p);
        const double sign = on.op().sign(path);
        for (std::size_t k = 0; k < on_.size(); ++k) mask[k] = on.op().mask(path, on_[k]) ? sign : 0;
        if (weight.whole) Map(masks + p * N, N) = std::sqrt(weight.c) * mask;
        add(weight.plus, p, added);
        if (weight.minus.cols() > 0) add(weight.minus, p, removed);
    }
}

/// Forms I + E E^T and factorises it; false if rounding leaves it indefinite.
template <class X>
bool RowSystem<X>::factorise(const Support<X>& on, const ProximalModel& model) {
    const Index A = on.size(), paths = space_.dim / space_.d, N = size_;
    std::vector<Weight> weights;
    std::vector<Index> plus_at{0}, minus_at{0};
    for (const ActiveBlock& block : on.active) {
        weights.push_back(weight_of(block, model.step));
        plus_at.push_back(plus_at.back() + weights.back().plus.cols());
        minus_at.push_back(minus_at.back() + weights.back().minus.cols());
    }
    masks_.assign(A * paths * N, 0.0);
    added_.assign(plus_at[A] * N, 0.0);
    removed_.assign(minus_at[A] * N, 0.0);
    const int threads = space_.options.threads;
    in_team(threads_for((plus_at[A] + minus_at[A]) * space_.dim * N, threads), A, [&](Tasks& tasks) {
        for (Index a; tasks.take(a);)
            add_images(on.active[a], on, weights[a], masks_.data() + a * paths * N,
                       added_.data() + plus_at[a] * N, removed_.data() + minus_at[a] * N);
    });
    space_.watch.poll();
    system_.resize(N * N);
    const Index squares = A * paths + plus_at[A] + minus_at[A] + space_.d;
    kernels().masked_gram(columns_.data(), space_.d, masks_.data(), A * paths, added_.data(), plus_at[A],
                          removed_.data(), minus_at[A], N, system_.data(),
                          threads_for(N * N * squares / 2, threads));
    space_.watch.poll();
    if (!kernels().cholesky(system_.data(), N, 1)) return false;
    ones_.assign(N, 0.0);
    sum_ones_ = 0;
    if (model.loss.fit_intercept) {
        std::copy(root_h_.begin(), root_h_.end(), ones_.begin());
        kernels().cholesky_solve(system_.data(), N, ones_.data(), 1);
        for (std::size_t k = 0; k < on_.size(); ++k) sum_ones_ += root_h_[k] * ones_[k];
    }
    return true;
}

/// v <- W v.
template <class X>
void RowSystem<X>::apply_weight(const Support<X>& on, double step, Matrix& v) const {
    for (Index a = 0; a < on.size(); ++a) {
        const ActiveBlock& block = on.active[a];
        block.to_tangent(v.col(a));
        const double c = weight(block, space_.program.alpha, step), along = block.direction.dot(v.col(a));
        v.col(a) = c * v.col(a) + (step - c) * along * block.direction;
    }
}

template <class X>
Matrix RowSystem<X>::solve_once(const Support<X>& on, double step, const Matrix& target) {
    Matrix v = target;
    apply_weight(on, step, v);
    std::vector<double> f, right(size_, 0.0);
    on.predict(v, f);
    for (std::size_t k = 0; k < on_.size(); ++k) right[k] = root_h_[k] * f[on_[k]];
    kernels().cholesky_solve(system_.data(), size_, right.data(), 1);
    double sum = 0;
    for (std::size_t k = 0; k < on_.size(); ++k) sum += root_h_[k] * right[k];
    const double shift = space_.options.fit_intercept ? sum / sum_ones_ : 0;
    std::vector<double> q(space_.n, 0.0);
    for (std::size_t k = 0; k < on_.size(); ++k) q[on_[k]] = root_h_[k] * (right[k] - shift * ones_[k]);
    Matrix pulled = on.correlate(q);
    apply_weight(on, step, pulled);
    return v - pulled;
}

/// The differences in `solve_once` cancel where the step is long; refinement restores the digits or shows
/// their loss.
template <class X>
bool RowSystem<X>::refine(const Support<X>& on, const ProximalModel& model, const Matrix& rhs, Matrix& x) {
    x = Matrix::Zero(space_.dim, on.size());
    Matrix residual = rhs;
    on.to_tangent(residual);
    const double size = residual.norm();
    double left = size;
    for (int round = 0; round < kRefinements && left > kNewtonResidual * kNewtonResidual * size; ++round) {
        const Matrix better = x + solve_once(on, model.step, residual);
        const Matrix error = newton_residual(on, model, space_.program.alpha, rhs, better);
        if (!(error.norm() < kRefined * left)) break;
        x = better;
        residual = error;
        left = residual.norm();
    }
    return left <= kNewtonResidual * size;
}

}  // namespace

template <class X>
std::unique_ptr<NewtonSystem<X>> row_system(Workspace<X>& space) {
    return std::make_unique<RowSystem<X>>(space);
}

template std::unique_ptr<NewtonSystem<float>> row_system(Workspace<float>&);
template std::unique_ptr<NewtonSystem<double>> row_system(Workspace<double>&);

}  // namespace pathrelu
