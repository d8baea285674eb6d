#include <Eigen/Dense>
#include <optional>

#include "kernels/table.hpp"
#include "solver/newton_system.hpp"

namespace pathrelu {
namespace {

constexpr Index kMostIterations = 150;
/// Work of a solution over that of one product with all active blocks, in multiplications: two products and
/// the preconditioner an iteration, and some tens of iterations.
constexpr double kIterativeWork = 100;

/// Conjugate gradients, preconditioned by density * mean curvature * X^T X of each path in its eigenvectors.
template <class X>
class ConjugateGradients final : public NewtonSystem<X> {
  public:
    explicit ConjugateGradients(Workspace<X>& space) : space_(space) {}

    double work(const std::vector<ActiveBlock>& active) const override {
        return kIterativeWork * static_cast<double>(space_.n) * static_cast<double>(active.size()) *
               static_cast<double>(space_.dim);
    }

    bool solve(const Support<X>& on, const ProximalModel& model, const Matrix& rhs, Matrix& x) override {
        const Matrix inverse = inverse_eigenvalues(on, model);
        const auto precondition = [&](const Matrix& r) {
            const Matrix& vectors = row_moments().eigenvectors();
            Matrix z(space_.dim, on.size());
            for (Index p = 0; p < space_.dim; p += space_.d) {
                const Matrix t = vectors.transpose() * r.middleRows(p, space_.d);
                z.middleRows(p, space_.d) = vectors * t.cwiseProduct(inverse.middleRows(p, space_.d));
            }
            on.to_tangent(z);
            return z;
        };
        const Matrix zero = Matrix::Zero(space_.dim, on.size());
        x = zero;
        Matrix r = rhs;
        on.to_tangent(r);
        Matrix z = precondition(r), p = z;
        double rz = r.cwiseProduct(z).sum();
        const double enough = kNewtonResidual * r.norm();
        for (Index iteration = 0; iteration < kMostIterations && r.norm() > enough; ++iteration) {
            space_.watch.poll();
            const Matrix Hp = -newton_residual(on, model, space_.program.alpha, zero, p);
            const double length = rz / p.cwiseProduct(Hp).sum();
            x += length * p;
            r -= length * Hp;
            z = precondition(r);
            const double rz_next = r.cwiseProduct(z).sum();
            p = z + rz_next / rz * p;
            rz = rz_next;
        }
        return true;
    }

  private:
    /// Of the preconditioner, in the eigenvectors of X^T X, (dim, blocks).
    Matrix inverse_eigenvalues(const Support<X>& on, const ProximalModel& model) {
        const auto& moments = row_moments();
        const double mean_h =
            ConstMap(model.loss.h.data(), space_.n * space_.C).sum() / static_cast<double>(space_.C);
        Matrix inverse(space_.dim, on.size());
        for (Index a = 0; a < on.size(); ++a)
            for (Index p = 0; p < space_.dim / space_.d; ++p) {
                const ActiveBlock& block = on.active[a];
                const double weight = mean_h * on.op().density(on.path(block, p));
                inverse.col(a).segment(p * space_.d, space_.d) =
                    (weight * moments.eigenvalues().array().max(0.0) + space_.program.alpha / block.norm +
                     1 / model.step)
                        .inverse();
            }
        return inverse;
    }

    /// Eigendecomposition of X^T X / n.
    const Eigen::SelfAdjointEigenSolver<Matrix>& row_moments() {
        if (moments_) return *moments_;
        const Index n = space_.n, d = space_.d;
        const auto& rows = space_.program.rows;
        std::vector<double> sums(d * d, 0.0), wide;
        for (Index i = 0; i < n; i += kGramRows) {
            const Index count = std::min(kGramRows, n - i);
            wide.assign(rows.row(i), rows.row(i) + count * d);
            kernels().add_gram(wide.data(), count, d, sums.data(),
                               threads_for(count * d * d / 2, space_.options.threads));
        }
        moments_.emplace(Eigen::Map<const Matrix>(sums.data(), d, d) / static_cast<double>(n));
        return *moments_;
    }

    Workspace<X>& space_;
    std::optional<Eigen::SelfAdjointEigenSolver<Matrix>> moments_;
};

}  // namespace

template <class X>
std::unique_ptr<NewtonSystem<X>> conjugate_gradients(Workspace<X>& space) {
    return std::make_unique<ConjugateGradients<X>>(space);
}

template std::unique_ptr<NewtonSystem<float>> conjugate_gradients(Workspace<float>&);
template std::unique_ptr<NewtonSystem<double>> conjugate_gradients(Workspace<double>&);

}  // namespace pathrelu
