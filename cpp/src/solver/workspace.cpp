#include "solver/workspace.hpp"

#include <pathrelu/error.hpp>

#include <atomic>
#include <cmath>

#include "monotone.hpp"

namespace pathrelu {
namespace {

constexpr double kUnitNorm = 1e-6;  ///< what the norm of a direction may differ from 1 by
/// Seconds for projections after a stop: what it leaves out are better bounds on the gap.
constexpr double kLastWork = 0.3;
/// Entries whose products, and sums of products of three of them, single precision holds (1e-38 to 1e38).
constexpr double kLeastSingle = 1e-9, kMostSingle = 1e9;

template <class T>
double largest_entry(MatView<const T> a) {
    double most = 0;
    for (Index k = 0; k < a.size(); ++k) most = std::max(most, std::abs(static_cast<double>(a.data[k])));
    return most;
}

bool fits_single(double entry) {
    return entry == 0 || (entry > kLeastSingle && entry < kMostSingle);
}

}  // namespace

template <class X>
Workspace<X>::Workspace(const Program<X>& program, const SolveOptions& options, const Observer& observer)
    : program(program),
      options(options),
      n(program.rows.rows),
      d(program.rows.cols),
      C(program.outputs()),
      layers(program.layers()),
      S(program.signs()),
      dim(program.dim()),
      smooth(program.loss, program.y, program.w, options.fit_intercept, options.threads),
      watch(observer.poll) {
    require(program.rows.rows == program.y.rows, "y has ", program.y.rows, " rows; X has ",
            program.rows.rows);
    if (program.directed()) {
        require_shape("directions", program.directions, program.groups(), C);
        for (Index g = 0; g < program.groups(); ++g) {
            const double norm = ConstMap(program.directions.row(g), C).norm();
            require(std::abs(norm - 1) <= kUnitNorm, "direction ", g, " has norm ", norm, "; expected 1");
        }
        require(C == 1 || !Monotone(program.monotone).any(),
                "monotone is for sub-networks that feed one output each");
    }
    single_range_ = fits_single(largest_entry(program.rows)) && fits_single(largest_entry(program.y));
    row_norms_.resize(n);
    for (Index i = 0; i < n; ++i) {
        double square = 0;
        for (Index j = 0; j < d; ++j) {
            const double x = static_cast<double>(program.rows(i, j));
            square += x * x;
        }
        row_norms_[i] = std::sqrt(square * static_cast<double>(dim / d));
    }
    if (program.relu || Monotone(program.monotone).any()) {
        cones_.emplace(program.rows, program.arrangements, program.monotone, program.relu);
        score_facets_.resize(program.blocks());
        prox_facets_.resize(program.blocks());
    }
}

template <class X>
double Workspace<X>::output_sign(Index block) const {
    return program.directed() && C == 1 ? program.directions(group_of(block), 0) : sigma(block);
}

/// As by Cones::project. The blocks of both output signs of a linear group would say the same, so the cone of
/// the second is {0}.
template <class X>
double Workspace<X>::project(Index block, const double* z, double stop_norm, Facets& facets, double* v,
                             Index checks) const {
    const Index group = group_of(block);
    if (sigma(block) > 0 || !program.arrangements.is_linear(group))
        return cones_->project(group, z, stop_norm, facets, v, checks, output_sign(block));
    std::fill(v, v + dim, 0.0);
    return 0;
}

template <class X>
void Workspace<X>::forward(const WorkingSet<X>& work, const double* Z, double* f, Sums sums) const {
    if (S == 1) return forward_merged(work, Z, f, sums);
    const Index k = layers * static_cast<Index>(work.groups.size());
    std::vector<double> merged(k * dim);
    for (Index g = 0; g < k; ++g)
        Map(merged.data() + g * dim, dim) =
            ConstMap(Z + 2 * g * dim, dim) - ConstMap(Z + (2 * g + 1) * dim, dim);
    forward_merged(work, merged.data(), f, sums);
}

template <class X>
void Workspace<X>::forward_merged(const WorkingSet<X>& work, const double* V, double* f, Sums sums) const {
    if (program.directed()) {
        const std::vector<double> omega = directions(work);
        return work.op.forward(V, {omega.data(), static_cast<Index>(work.groups.size()), C}, f, sums);
    }
    std::vector<double> column(C > 1 ? n : 0);
    for (Index c = 0; c < C; ++c) {
        work.op.forward(V + c * work.op.n_paths() * d, C == 1 ? f : column.data(), sums);
        if (C > 1)
            for (Index i = 0; i < n; ++i) f[i * C + c] = column[i];
    }
}

template <class X>
void Workspace<X>::adjoint(const WorkingSet<X>& work, const double* theta, double* G, Sums sums) const {
    if (program.directed()) {
        const std::vector<double> omega = directions(work);
        return work.op.adjoint(theta, {omega.data(), static_cast<Index>(work.groups.size()), C}, G, sums);
    }
    std::vector<double> column(C > 1 ? n : 0);
    for (Index c = 0; c < C; ++c) {
        for (Index i = 0; i < static_cast<Index>(column.size()); ++i) column[i] = theta[i * C + c];
        work.op.adjoint(C == 1 ? theta : column.data(), G + c * work.op.n_paths() * d, sums);
    }
}

/// Directions (k, C) of these groups.
template <class X>
std::vector<double> Workspace<X>::directions(const WorkingSet<X>& work) const {
    std::vector<double> omega;
    for (const Index g : work.groups)
        omega.insert(omega.end(), program.directions.row(g), program.directions.row(g) + C);
    return omega;
}

template <class X>
double Workspace<X>::penalty(const std::vector<double>& Z) const {
    double total = 0;
    for (Index b = 0; b < static_cast<Index>(Z.size()) / dim; ++b)
        total += ConstMap(Z.data() + b * dim, dim).norm();
    return program.alpha * total;
}

template <class X>
void Workspace<X>::evaluate(const WorkingSet<X>& work, Point& point, Sums sums) {
    point.f.resize(n * C);
    forward(work, point.Z.data(), point.f.data(), sums);
    evaluate(point);
}

template <class X>
void Workspace<X>::evaluate(Point& point) {
    point.smooth = smooth.value(point.f.data());
    point.intercept = smooth.intercept;
    point.penalty = penalty(point.Z);
}

template <class X>
std::vector<double> Workspace<X>::scores(const std::vector<Index>& groups, const double* G, double floor,
                                         Index checks) {
    std::vector<double> out(blocks_of(groups));
    for_blocks(blocks_of(groups), [&](Index b, double* z, double* v) {
        const ConstMap g(G + b / S * dim, dim);
        out[b] = g.norm();
        // Without a projection this is a bound too.
        if (!cones_ || out[b] <= floor || watch.seconds_since_stop() > kLastWork) return;
        Map(z, dim) = sigma(b) * g;
        const Index global = global_block(groups, b);
        out[b] = project(global, z, floor, score_facets_[global], v, checks);
    });
    return out;
}

/// Terms that nearly cancel leave a score the rounding of their sum.
template <class X>
double Workspace<X>::dual_value(const Loss& loss, const std::vector<double>& theta,
                                double largest_score) const {
    double size = 0;
    for (Index i = 0; i < n; ++i)
        for (Index c = 0; c < C; ++c) size += std::abs(theta[i * C + c]) * row_norms_[i];
    const double score = largest_score + std::numeric_limits<double>::epsilon() * size;
    const double cap = score > 0 ? program.alpha / score : kInfinity;
    return loss.dual_value(theta.data(), loss.best_scale(theta.data(), cap));
}

template <class X>
double Workspace<X>::prox(Index global, const double* z, double step, double* out) {
    const double threshold = step * program.alpha;
    double norm;
    if (cones_) {
        norm = project(global, z, threshold, prox_facets_[global], out);
    } else {
        norm = ConstMap(z, dim).norm();
        std::copy(z, z + dim, out);
    }
    // A projection that rounding spoilt is the origin, whatever the bound on its norm.
    if (norm <= threshold || ConstMap(out, dim).squaredNorm() == 0) {
        std::fill(out, out + dim, 0.0);
        return 0;
    }
    Map(out, dim) *= 1 - threshold / norm;
    return norm - threshold;
}

template <class X>
bool Workspace<X>::put_on_cones(MatView<double> blocks) {
    if (!cones_) return false;
    std::atomic<bool> moved{false};
    for_blocks(blocks.rows, [&](Index b, double*, double* v) {
        double* block = blocks.row(b);
        if (ConstMap(block, dim).squaredNorm() == 0) return;
        Facets facets;
        project(b, block, 0, facets, v);
        if (std::equal(v, v + dim, block)) return;
        std::copy(v, v + dim, block);
        moved = true;
    });
    return moved;
}

template <class X>
void Workspace<X>::keep_feasible(MatView<double> blocks) const {
    for (Index b = 0; b < blocks.rows; ++b) {
        if (!cones_->contains(group_of(b), blocks.row(b), output_sign(b))) Map(blocks.row(b), dim).setZero();
        cones_->clip(group_of(b), blocks.row(b), output_sign(b));
    }
}

template class Workspace<float>;
template class Workspace<double>;

}  // namespace pathrelu
