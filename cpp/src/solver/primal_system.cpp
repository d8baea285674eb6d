#include <Eigen/Dense>

#include "kernels/table.hpp"
#include "solver/newton_system.hpp"

namespace pathrelu {
namespace {

using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// In the bases S_a = N_a (root I + (1 - root) u u^T), N_a orthonormal of the tangent space, the proximal
/// part of the system is a multiple of the identity: (I / step + E^T H E) y = S^T rhs, E = B S, x = S y.
template <class X>
class PrimalSystem final : public NewtonSystem<X> {
  public:
    explicit PrimalSystem(Workspace<X>& space) : space_(space) {}

    double work(const std::vector<ActiveBlock>& active) const override {
        if (space_.C > 1 || space_.program.directed()) return kInfinity;
        double unknowns = 0;
        for (const ActiveBlock& a : active) unknowns += static_cast<double>(space_.dim - a.n_facets());
        if (unknowns > kMostFactored) return kInfinity;
        return unknowns * unknowns * (static_cast<double>(space_.n) / 2 + unknowns / 6);
    }

    bool solve(const Support<X>& on, const ProximalModel& model, const Matrix& rhs, Matrix& x) override {
        make_bases(on);
        const Index m = offset_.back();
        std::vector<double> H(m * m, 0.0);
        add_hessian(on, model.loss, H.data());
        Vector y(m);
        for (Index a = 0; a < on.size(); ++a) segment(y, a) = basis_[a].transpose() * rhs.col(a);
        if (!kernels().cholesky(H.data(), m, 1 / model.step)) return false;
        kernels().cholesky_solve(H.data(), m, y.data(), 1);
        if (!y.allFinite()) return false;
        x.resize(space_.dim, on.size());
        for (Index a = 0; a < on.size(); ++a) x.col(a) = basis_[a] * segment(y, a);
        return true;
    }

  private:
    Eigen::VectorBlock<Vector> segment(Vector& y, Index a) const {
        return y.segment(offset_[a], basis_[a].cols());
    }

    void make_bases(const Support<X>& on) {
        const Index A = on.size();
        basis_.resize(A);
        const int team = threads_for(A * space_.dim * space_.dim * kGramRows, space_.options.threads);
        in_team(team, A, [&](Tasks& tasks) {
            for (Index a; tasks.take(a);) {
                const ActiveBlock& block = on.active[a];
                const Matrix N = block.tangent_basis();
                const Vector u = N.transpose() * block.direction;
                basis_[a] = block.root * N + (1 - block.root) * block.direction * u.transpose();
            }
        });
        offset_.assign(A + 1, 0);
        for (Index a = 0; a < A; ++a) offset_[a + 1] = offset_[a] + basis_[a].cols();
    }

    /// H (m, m), lower triangle <- + E^T H E, with the intercept minimised out.
    void add_hessian(const Support<X>& on, const LossModel& loss, double* H) {
        const Index n = space_.n, d = space_.d, A = on.size(), m = offset_[A], paths = space_.dim / d;
        const int team = threads_for(A * space_.dim * space_.dim * kGramRows, space_.options.threads);
        std::vector<double> buffer(kGramRows * m);
        Vector weighted = Vector::Zero(m);  // E^T h
        for (Index i0 = 0; i0 < n; i0 += kGramRows) {
            space_.watch.poll();
            const Index count = std::min(kGramRows, n - i0);
            Matrix rows(count, d);
            for (Index i = 0; i < count; ++i)
                for (Index j = 0; j < d; ++j)
                    rows(i, j) = static_cast<double>(space_.program.rows(i0 + i, j));
            Eigen::Map<RowMajor> E(buffer.data(), count, m);
            in_team(team, A, [&](Tasks& tasks) {
                for (Index a; tasks.take(a);) {
                    const ActiveBlock& block = on.active[a];
                    auto columns = E.middleCols(offset_[a], basis_[a].cols());
                    columns.setZero();
                    for (Index p = 0; p < paths; ++p) {
                        const Index path = on.path(block, p);
                        const Matrix product = rows * basis_[a].middleRows(p * d, d);
                        const double sign = block.sigma * on.op().sign(path);
                        for (Index i = 0; i < count; ++i)
                            if (on.op().mask(path, i0 + i)) columns.row(i) += sign * product.row(i);
                    }
                }
            });
            const ConstMap h(loss.h.data() + i0, count);
            weighted.noalias() += E.transpose() * h;
            E.array().colwise() *= h.array().sqrt();
            kernels().add_gram(buffer.data(), count, m, H,
                               threads_for(count * m * m / 2, space_.options.threads));
        }
        Eigen::Map<Matrix> gram(H, m, m);
        if (loss.fit_intercept && loss.h_sum[0] > 0)
            gram.triangularView<Eigen::Lower>() -= weighted * weighted.transpose() / loss.h_sum[0];
    }

    Workspace<X>& space_;
    std::vector<Matrix> basis_;
    std::vector<Index> offset_;  // of each block among the unknowns
};

}  // namespace

template <class X>
std::unique_ptr<NewtonSystem<X>> primal_system(Workspace<X>& space) {
    return std::make_unique<PrimalSystem<X>>(space);
}

template std::unique_ptr<NewtonSystem<float>> primal_system(Workspace<float>&);
template std::unique_ptr<NewtonSystem<double>> primal_system(Workspace<double>&);

}  // namespace pathrelu
