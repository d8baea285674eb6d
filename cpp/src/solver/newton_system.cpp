#include "solver/newton_system.hpp"

#include <Eigen/Dense>
#include <cmath>

namespace pathrelu {
namespace {

/// Work of a factorised system over that of an iterative one, up to which it is worth it: its steps are
/// exact.
constexpr double kFactorWorth = 4;

}  // namespace

Matrix ActiveBlock::tangent_basis() const {
    const Index dim = direction.size();
    Matrix N = Matrix::Identity(dim, dim);
    if (n_facets() == 0) return N;
    const Eigen::Map<const Matrix> Q(facets->Q.data(), dim, n_facets());
    return (Eigen::HouseholderQR<Matrix>(Q).householderQ() * N).rightCols(dim - n_facets());
}

template <class X>
std::vector<ActiveBlock> active_blocks(const Workspace<X>& space, const WorkingSet<X>& work,
                                       const std::vector<double>& Z, double step,
                                       std::vector<Index>& groups) {
    const Index k = static_cast<Index>(work.groups.size()), S = space.S;
    std::vector<ActiveBlock> active;
    std::vector<Index> slot_of_group(k, -1);
    groups.clear();
    for (Index b = 0; b < space.blocks_of(work.groups); ++b) {
        const ConstMap z(Z.data() + b * space.dim, space.dim);
        const double norm = z.norm();
        if (norm == 0) continue;
        const Index local = b / S % k;
        if (slot_of_group[local] < 0) {
            slot_of_group[local] = static_cast<Index>(groups.size());
            groups.push_back(work.groups[local]);
        }
        active.push_back(
            {b, slot_of_group[local], b / (k * S), space.sigma(b), norm,
             std::sqrt(norm / (norm + step * space.program.alpha)),
             space.has_cones() ? &space.prox_facets(space.global_block(work.groups, b)) : nullptr, z / norm});
    }
    for (ActiveBlock& a : active) a.slot += a.layer * static_cast<Index>(groups.size());
    return active;
}

template <class X>
Support<X>::Support(const Workspace<X>& space, const WorkingSet<X>& work, const std::vector<double>& Z,
                    double step)
    : space_(space), work_([&] {
          std::vector<Index> groups;
          active = active_blocks(space, work, Z, step, groups);
          return space.working_set(std::move(groups));
      }()) {}

template <class X>
void Support<X>::predict(const Matrix& D, std::vector<double>& f) const {
    std::vector<double> V(space_.layers * work_.op.n_paths() * space_.d, 0.0);
    for (Index a = 0; a < size(); ++a)
        Map(V.data() + active[a].slot * space_.dim, space_.dim) += active[a].sigma * D.col(a);
    f.resize(space_.n * space_.C);
    space_.forward_merged(work_, V.data(), f.data());
}

template <class X>
Matrix Support<X>::correlate(const std::vector<double>& r) const {
    std::vector<double> G(space_.layers * work_.op.n_paths() * space_.d);
    space_.adjoint(work_, r.data(), G.data());
    Matrix out(space_.dim, size());
    for (Index a = 0; a < size(); ++a)
        out.col(a) = active[a].sigma * ConstMap(G.data() + active[a].slot * space_.dim, space_.dim);
    return out;
}

template <class X>
void Support<X>::to_tangent(Matrix& x) const {
    for (Index a = 0; a < size(); ++a) active[a].to_tangent(x.col(a));
}

template <class X>
Matrix newton_residual(const Support<X>& on, const ProximalModel& model, double alpha, const Matrix& rhs,
                       const Matrix& x) {
    std::vector<double> t;
    on.predict(x, t);
    model.loss.apply_curvature(t);
    Matrix residual = rhs - on.correlate(t) - x / model.step;
    for (Index a = 0; a < on.size(); ++a) {
        const auto& u = on.active[a].direction;
        residual.col(a) -= alpha / on.active[a].norm * (x.col(a) - u * u.dot(x.col(a)));
        on.active[a].to_tangent(residual.col(a));
    }
    return residual;
}

template <class X>
double NewtonSystems<X>::least_work(const std::vector<ActiveBlock>& active) const {
    return std::min({primal_->work(active), rows_->work(active), iterative_->work(active)});
}

template <class X>
Matrix NewtonSystems<X>::solve(const Support<X>& on, const ProximalModel& model, const Matrix& rhs) {
    const double primal = primal_->work(on.active), rows = rows_->work(on.active);
    const double most = kFactorWorth * iterative_->work(on.active);
    Matrix x;
    if (primal < most && primal <= rows && primal_->solve(on, model, rhs, x)) return x;
    if (rows < most && rows_->solve(on, model, rhs, x)) return x;
    iterative_->solve(on, model, rhs, x);
    return x;
}

template std::vector<ActiveBlock> active_blocks(const Workspace<float>&, const WorkingSet<float>&,
                                                const std::vector<double>&, double, std::vector<Index>&);
template class Support<float>;
template Matrix newton_residual(const Support<float>&, const ProximalModel&, double, const Matrix&,
                                const Matrix&);
template class NewtonSystems<float>;
template std::vector<ActiveBlock> active_blocks(const Workspace<double>&, const WorkingSet<double>&,
                                                const std::vector<double>&, double, std::vector<Index>&);
template class Support<double>;
template Matrix newton_residual(const Support<double>&, const ProximalModel&, double, const Matrix&,
                                const Matrix&);
template class NewtonSystems<double>;

}  // namespace pathrelu
