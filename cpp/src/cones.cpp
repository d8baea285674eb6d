#include <pathrelu/cones.hpp>
#include <pathrelu/error.hpp>

#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/table.hpp"
#include "monotone.hpp"

namespace pathrelu {
namespace {

using Vector = Eigen::VectorXd;
using Basis = Eigen::Map<Eigen::MatrixXd>;

/// A row is violated when its slack is below -kFeasible |x_i| |z|: some hundred roundings of one product.
constexpr double kFeasible = 1e-13;
/// Beyond this the result is not in the cone: rounding has got the better of nearly parallel normals.
constexpr double kInfeasible = 1e-12;
/// A unit normal this close to the span of the others (squared) counts as dependent on them.
constexpr double kDependent = 1e-22;
/// Violated rows taken up after each product with all of X.
constexpr std::size_t kBatch = 16;

double* column(std::vector<double>& R, Index j) {
    return R.data() + j * (j + 1) / 2;
}

/// x <- R^{-1} x for the packed upper triangle.
void solve_upper(std::vector<double>& R, Vector& x) {
    for (Index j = x.size() - 1; j >= 0; --j) {
        const double* r = column(R, j);
        x[j] /= r[j];
        for (Index i = 0; i < j; ++i) x[i] -= x[j] * r[i];
    }
}

/// Removes facet j from the factorisation by Givens rotations.
void drop(Facets& facets, Index dim, Index j) {
    const Index k = facets.size();
    Basis Q(facets.Q.data(), dim, k);
    for (Index i = j; i + 1 < k; ++i) {
        const double* c = column(facets.R, i + 1);
        const double length = std::hypot(c[i], c[i + 1]);
        const double cosine = c[i] / length, sine = c[i + 1] / length;
        for (Index m = i + 1; m < k; ++m) {
            double* r = column(facets.R, m);
            const double a = r[i], b = r[i + 1];
            r[i] = cosine * a + sine * b;
            r[i + 1] = cosine * b - sine * a;
        }
        for (Index t = 0; t < dim; ++t) {
            const double a = Q(t, i), b = Q(t, i + 1);
            Q(t, i) = cosine * a + sine * b;
            Q(t, i + 1) = cosine * b - sine * a;
        }
    }
    for (Index m = j; m + 1 < k; ++m) {
        const double* from = column(facets.R, m + 1);
        std::copy(from, from + m + 1, column(facets.R, m));
    }
    facets.rows.erase(facets.rows.begin() + j);
    facets.R.resize(k * (k - 1) / 2);
    facets.Q.resize(dim * (k - 1));
}

}  // namespace

template <class X>
Cones<X>::Cones(Rows<X> rows, const Arrangements& arrangements, VecView<const std::int8_t> monotone,
                bool patterned)
    : rows_(rows),
      arrangements_(arrangements),
      monotone_(monotone),
      patterned_(patterned),
      inverse_norm_((rows.rows + kPad - 1) / kPad * kPad, 0.0) {
    require(rows.rows == arrangements.n_rows, "X has ", rows.rows, " rows; the arrangements were made for ",
            arrangements.n_rows);
    require(monotone.size == 0 || monotone.size == rows.cols, "monotone has ", monotone.size,
            " entries; expected ", rows.cols);
    if (!patterned) return;
    const auto& dense = kernels().dense<double>();
    packed_.resize(dense.packed_size(rows.rows, rows.cols));
    const std::vector<double> wide(rows.data, rows.data + rows.size());
    dense.pack(wide.data(), rows.rows, rows.cols, rows.cols, packed_.data());
    for (Index i = 0; i < rows.rows; ++i) {
        const double norm = Eigen::Map<const Vector>(wide.data() + i * rows.cols, rows.cols).stableNorm();
        inverse_norm_[i] = norm > 0 ? 1 / norm : 0;
    }
}

template <class X>
template <class Visit>
void Cones<X>::visit_slacks(Index group, const double* v, Visit visit) const {
    const TreeShape& shape = arrangements_.shape;
    const Index n = rows_.rows, ldc = (n + kPad - 1) / kPad * kPad;
    // Pre-activations of every unit, (units, ldc): leaves by one product, parents from their children.
    thread_local std::vector<double> value;
    value.resize(shape.units() * ldc);
    kernels().dense<double>().multiply(v, shape.paths(), rows_.cols, rows_.cols, packed_.data(), n,
                                       value.data(), ldc);
    for (Index l = 0; l < shape.layers(); ++l) {
        for (Index u = shape.layer_begin(l); u < shape.layer_begin(l + 1); ++u) {
            double* pre = value.data() + u * ldc;
            if (l > 0) {
                const Index children = shape.width()[l - 1];
                const Index first = shape.layer_begin(l - 1) + (u - shape.layer_begin(l)) * children;
                std::fill(pre, pre + n, 0.0);
                for (Index c = first; c < first + children; ++c) {
                    const double sign = arrangements_.sign(group)[c];
                    const std::uint64_t* on = arrangements_.pattern(group, c);
                    const double* child = value.data() + c * ldc;
                    for (Index i = 0; i < n; ++i)
                        if (on[i / 64] >> (i % 64) & 1u) pre[i] += sign * child[i];
                }
            }
            visit(u, pre, arrangements_.pattern(group, u));
        }
    }
}

template <class X>
void Cones<X>::slack(Index group, const double* v, double* out) const {
    const Index n = rows_.rows;
    if (arrangements_.is_linear(group)) return std::fill(out, out + arrangements_.shape.units() * n, 0.0);
    visit_slacks(group, v, [&](Index u, const double* pre, const std::uint64_t* on) {
        for (Index i = 0; i < n; ++i) out[u * n + i] = (on[i / 64] >> (i % 64) & 1u) ? pre[i] : -pre[i];
    });
}

template <class X>
std::vector<typename Cones<X>::Signed> Cones<X>::signed_weights(Index group, double output_sign) const {
    std::vector<Signed> weights;
    Monotone(monotone_).each(arrangements_.shape, arrangements_.sign(group), output_sign,
                             arrangements_.is_linear(group),
                             [&](Index place, int sign) { weights.push_back({place, sign}); });
    return weights;
}

template <class X>
void Cones<X>::clip(Index group, double* v, double output_sign) const {
    Monotone(monotone_).clip(arrangements_.shape, arrangements_.sign(group), output_sign,
                             arrangements_.is_linear(group), v);
}

template <class X>
bool Cones<X>::contains(Index group, const double* v, double output_sign) const {
    std::vector<Violated> violated;
    const double threshold = kFeasible * Eigen::Map<const Vector>(v, dim()).stableNorm();
    find_violated(group, signed_weights(group, output_sign), v, threshold, violated);
    return violated.empty();
}

template <class X>
void Cones<X>::find_violated(Index group, const std::vector<Signed>& weights, const double* v,
                             double threshold, std::vector<Violated>& out) const {
    out.clear();
    for (const Signed& weight : weights)
        if (weight.sign * v[weight.place] < -threshold)
            out.push_back({weight.sign * v[weight.place], row_of(weight)});
    if (!is_patterned(group)) return;
    const Index n = rows_.rows;
    thread_local std::vector<Index> below;
    thread_local std::vector<double> depth;
    below.resize(n);
    depth.resize(n);
    visit_slacks(group, v, [&](Index u, const double* pre, const std::uint64_t* on) {
        const Index count =
            kernels().find_below(pre, inverse_norm_.data(), on, n, threshold, below.data(), depth.data());
        for (Index k = 0; k < count; ++k) out.push_back({depth[k], u * n + below[k]});
    });
}

template <class X>
void Cones<X>::normal(Index group, Index number, double* out) const {
    const TreeShape& shape = arrangements_.shape;
    const Index n = rows_.rows, d = rows_.cols;
    std::fill(out, out + dim(), 0.0);
    if (number >= shape.units() * n) {  // of a weight
        const Index code = number - shape.units() * n;
        out[code / 2] = code % 2 == 1 ? 1 : -1;
        return;
    }
    const Index unit = number / n, row = number % n, layer = shape.layer_of(unit);
    const auto on = [&](Index u) { return arrangements_.pattern(group, u)[row / 64] >> (row % 64) & 1u; };
    const Index leaves = shape.leaves_below(layer), first = (unit - shape.layer_begin(layer)) * leaves;
    for (Index p = first; p < first + leaves; ++p) {
        double factor = on(unit) ? 1 : -1;
        for (Index l = 0; l < layer; ++l) {
            const Index u = shape.layer_begin(l) + p / shape.leaves_below(l);
            factor *= on(u) ? arrangements_.sign(group)[u] : 0;
        }
        if (factor != 0)
            for (Index j = 0; j < d; ++j) out[p * d + j] = factor * static_cast<double>(rows_(row, j));
    }
    Eigen::Map<Vector> a(out, dim());
    const double norm = a.stableNorm();
    if (norm > 0) a /= norm;
}

template <class X>
double Cones<X>::project(Index group, const double* z, double stop_norm, Facets& facets, double* v,
                         Index checks, double output_sign) const {
    std::copy(z, z + dim(), v);
    const double scale = Eigen::Map<const Vector>(z, dim()).norm();
    if (scale <= stop_norm || scale == 0) return scale;
    const std::vector<Signed> weights = signed_weights(group, output_sign);
    if (!is_patterned(group)) return project_on_signs(weights, z, facets, v);
    const double norm = project_lazily(group, weights, z, stop_norm, facets, v, checks);
    for (const Signed& weight : weights)  // those on facets are zero up to rounding
        if (weight.sign * v[weight.place] < 0) v[weight.place] = 0;
    return norm;
}

template <class X>
double Cones<X>::project_on_signs(const std::vector<Signed>& weights, const double* z, Facets& facets,
                                  double* v) const {
    facets.clear();
    const Index m = dim();
    for (const Signed& weight : weights) {
        if (!(weight.sign * z[weight.place] < 0)) continue;
        v[weight.place] = 0;
        const Index k = facets.size();
        facets.rows.push_back(row_of(weight));
        facets.Q.resize(m * (k + 1), 0.0);
        facets.Q[m * k + weight.place] = weight.sign;
        facets.R.resize((k + 1) * (k + 2) / 2, 0.0);
        facets.R.back() = 1;
    }
    return Eigen::Map<const Vector>(v, m).norm();
}

template <class X>
double Cones<X>::project_lazily(Index group, const std::vector<Signed>& weights, const double* z_data,
                                double stop_norm, Facets& facets, double* v_data, Index checks) const {
    const Index m = dim();
    const Eigen::Map<const Vector> z(z_data, m);
    Eigen::Map<Vector> v(v_data, m);
    const double scale = z.norm();
    // v = z + N lambda with lambda >= 0 and N^T v = 0 throughout: optimal for the facets taken up so far.
    Vector lambda;
    const auto restore = [&] {
        const Basis Q(facets.Q.data(), m, facets.size());
        const Vector c = Q.transpose() * z;
        lambda = -c;
        solve_upper(facets.R, lambda);
        v.noalias() = z - Q * c;
    };
    restore();
    while (facets.size() > 0) {
        Index worst;
        if (lambda.minCoeff(&worst) >= 0) break;
        drop(facets, m, worst);
        restore();
    }

    std::vector<Violated> violated;
    std::vector<Index> settled;  // rows that rounding alone leaves violated
    Eigen::MatrixXd normals;
    Vector direction(m), r;
    const auto apex = [&] {  // always in the cone
        const double bound = v.norm();
        facets.clear();
        v.setZero();
        return bound;
    };
    for (Index steps_left = 50 * m + 500;;) {
        if (v.norm() <= stop_norm || checks-- <= 0) return v.norm();
        find_violated(group, weights, v_data, kFeasible * scale, violated);
        double deepest = 0;
        for (const Violated& c : violated) deepest = std::min(deepest, c.depth);
        const auto finish = [&] { return deepest < -kInfeasible * scale ? apex() : v.norm(); };
        const auto known = [&](Index row) {
            return std::find(facets.rows.begin(), facets.rows.end(), row) != facets.rows.end() ||
                   std::find(settled.begin(), settled.end(), row) != settled.end();
        };
        const auto deeper = [](const Violated& a, const Violated& b) {
            return a.depth != b.depth ? a.depth < b.depth : a.row < b.row;
        };
        // Facets themselves can come out as violated by rounding, so the deepest rows may all be known.
        const std::size_t most = kBatch + facets.rows.size() + settled.size();
        if (violated.size() > most) {
            std::nth_element(violated.begin(), violated.begin() + most, violated.end(), deeper);
            violated.resize(most);
        }
        violated.erase(
            std::remove_if(violated.begin(), violated.end(), [&](const Violated& c) { return known(c.row); }),
            violated.end());
        if (violated.empty()) return finish();
        if (violated.size() > kBatch) {
            std::nth_element(violated.begin(), violated.begin() + kBatch, violated.end(), deeper);
            violated.resize(kBatch);
        }
        normals.resize(m, static_cast<Index>(violated.size()));
        for (std::size_t c = 0; c < violated.size(); ++c)
            normal(group, violated[c].row, normals.col(c).data());

        for (bool moved = false;; moved = true) {
            Index best;
            Vector slacks = normals.transpose() * v;
            double slack = slacks.minCoeff(&best);
            if (slack >= -kFeasible * scale) {
                // Two roundings of one slack can differ about whether it is violated: then nothing is left to
                // do.
                if (!moved) return finish();
                break;
            }
            const Index row = violated[best].row;
            if (known(row)) {
                normals.col(best).setZero();
                continue;
            }
            const auto a = normals.col(best);
            double multiplier = 0;
            for (;;) {  // a step towards the facet of `row`, dropping facets whose multiplier reaches zero
                if (--steps_left < 0) return apex();  // rounding has made the active set cycle
                const Index k = facets.size();
                const Basis Q(facets.Q.data(), m, k);
                r = Q.transpose() * a;
                direction = a - Q * r;
                const Vector again = Q.transpose() * direction;
                direction -= Q * again;
                r += again;
                const Vector coefficients = r;
                solve_upper(facets.R, r);
                const double length2 = direction.squaredNorm();
                double step = std::numeric_limits<double>::infinity();
                Index blocking = -1;
                for (Index j = 0; j < k; ++j)
                    if (r[j] > 0 && lambda[j] / r[j] < step) {
                        step = lambda[j] / r[j];
                        blocking = j;
                    }
                const bool independent = length2 > kDependent && k < m;
                if (independent && -slack / length2 <= step) {
                    const double length = std::sqrt(length2);
                    facets.rows.push_back(row);
                    facets.R.insert(facets.R.end(), coefficients.data(), coefficients.data() + k);
                    facets.R.push_back(length);
                    direction /= length;
                    facets.Q.insert(facets.Q.end(), direction.data(), direction.data() + m);
                    step = -slack / length2;
                    v += step * length * direction;
                    Vector longer(k + 1);
                    longer << lambda - step * r, multiplier + step;
                    lambda = longer.cwiseMax(0);
                    break;
                }
                if (blocking < 0) {
                    settled.push_back(row);
                    break;
                }
                lambda -= step * r;
                multiplier += step;
                if (independent) {
                    v += step * direction;
                    slack += step * length2;
                }
                drop(facets, m, blocking);
                Vector shorter(k - 1);
                shorter << lambda.head(blocking), lambda.tail(k - 1 - blocking);
                lambda = shorter.cwiseMax(0);
            }
            if (v.norm() <= stop_norm) return v.norm();
        }
        restore();  // sheds the roundings of the steps
        lambda = lambda.cwiseMax(0);
    }
}

template class Cones<float>;
template class Cones<double>;

}  // namespace pathrelu
