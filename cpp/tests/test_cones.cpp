#include <pathrelu/cones.hpp>

#include <algorithm>
#include <numeric>

#include "check.hpp"
#include "problem.hpp"

using namespace pathrelu;

namespace {

constexpr double kNever = -1;  // stop_norm that never ends a projection early

double dot(const double* a, const double* b, Index size) {
    return std::inner_product(a, a + size, b, 0.0);
}

/// Unit normal j of the facets, which hold them as N = Q R.
std::vector<double> facet_normal(const Facets& facets, Index j, Index dim) {
    std::vector<double> out(dim);
    for (Index i = 0; i <= j; ++i)
        for (Index t = 0; t < dim; ++t) out[t] += facets.Q[i * dim + t] * facets.R[j * (j + 1) / 2 + i];
    return out;
}

/// lambda with N lambda = v - z, from the factorisation.
std::vector<double> multipliers(const Facets& facets, const std::vector<double>& z) {
    const Index dim = z.size();
    std::vector<double> lambda(facets.size());
    for (Index j = facets.size() - 1; j >= 0; --j) {
        lambda[j] = -dot(&facets.Q[j * dim], z.data(), dim);
        for (Index k = j + 1; k < facets.size(); ++k) lambda[j] -= facets.R[k * (k + 1) / 2 + j] * lambda[k];
        lambda[j] /= facets.R[j * (j + 1) / 2 + j];
    }
    return lambda;
}

// v = z + N lambda, lambda >= 0, every constraint met, those of the facets with equality: v is the
// projection.
template <class T>
void projection_satisfies_the_kkt_conditions(Index n, Index d, std::vector<Index> width) {
    const Problem<T> p(n, d, 4, std::move(width), 21);
    const Cones<T> cones(p.rows(), p.arrangements);
    const Index dim = cones.dim(), units = p.shape.units();
    CHECK(dim == p.shape.paths() * d);
    std::mt19937_64 random(22);
    std::vector<double> v(dim), slack(units * n), slack_u(units * n), slack_w(units * n);
    for (Index g = 0; g < p.groups; ++g) {
        Facets facets;  // kept: later projections start warm
        for (int repeat = 0; repeat < 5; ++repeat) {
            const auto z = normal<double>(random, dim), u = normal<double>(random, dim),
                       w = normal<double>(random, dim);
            const double scale = std::sqrt(dot(z.data(), z.data(), dim));
            const double norm = cones.project(g, z.data(), kNever, facets, v.data());
            CHECK(cones.contains(g, v.data()) || norm < 1e-3 * scale);
            CHECK_NEAR(norm, std::sqrt(dot(v.data(), v.data(), dim)), 1e-14 * scale);

            cones.slack(g, v.data(), slack.data());
            cones.slack(g, u.data(), slack_u.data());
            cones.slack(g, w.data(), slack_w.data());
            for (Index unit = 0; unit < units; ++unit) {
                for (Index i = 0; i < n; ++i) {
                    double length = 0;
                    for (Index j = 0; j < d; ++j)
                        length = std::hypot(length, static_cast<double>(p.X[i * d + j]));
                    CHECK(slack[unit * n + i] >= -2e-13 * length * scale);
                }
            }

            std::vector<double> rebuilt = z;
            const std::vector<double> lambda = multipliers(facets, z);
            for (Index j = 0; j < facets.size(); ++j) {
                const Index row = facets.rows[j];
                const std::vector<double> a = facet_normal(facets, j, dim);
                CHECK_NEAR(dot(a.data(), a.data(), dim), 1, 1e-12);
                // The slack of that row is a linear function with gradient along a.
                const double au = dot(a.data(), u.data(), dim), aw = dot(a.data(), w.data(), dim);
                CHECK_NEAR(slack_u[row] * aw, slack_w[row] * au, 1e-10 * (1 + std::abs(slack_u[row] * aw)));
                CHECK(slack_u[row] * au >= 0);
                CHECK_NEAR(dot(a.data(), v.data(), dim), 0, 1e-12 * scale);
                CHECK(lambda[j] >= -1e-12 * scale);
                for (Index t = 0; t < dim; ++t) rebuilt[t] += lambda[j] * a[t];
            }
            for (Index t = 0; t < dim; ++t) CHECK_NEAR(rebuilt[t], v[t], 1e-11 * scale);
        }
    }
}

void weights_that_made_the_patterns_are_in_the_cone() {
    const Problem<double> p(80, 5, 6, {2, 2}, 23);
    const Cones<double> cones(p.rows(), p.arrangements);
    std::vector<double> v(cones.dim()), slack(p.shape.units() * p.n);
    for (Index g = 0; g < p.groups; ++g) {
        const double* w = p.W.data() + g * cones.dim();
        cones.slack(g, w, slack.data());
        CHECK(*std::min_element(slack.begin(), slack.end()) >= 0);
        Facets facets;
        cones.project(g, w, kNever, facets, v.data());
        CHECK(facets.size() == 0 && std::equal(v.begin(), v.end(), w));
    }
}

void work_ends_below_the_norm_that_matters() {
    const Problem<double> p(150, 8, 1, {}, 24);
    const Cones<double> cones(p.rows(), p.arrangements);
    std::mt19937_64 random(25);
    std::vector<double> v(8);
    for (int repeat = 0; repeat < 20; ++repeat) {
        const auto z = normal<double>(random, 8);
        Facets facets, early;
        const double norm = cones.project(0, z.data(), kNever, facets, v.data());
        const double bound = cones.project(0, z.data(), norm + 0.2, early, v.data());
        CHECK(norm - 1e-12 <= bound && bound <= norm + 0.2);
        CHECK_NEAR(cones.project(0, z.data(), norm - 1e-9, early, v.data()), norm, 1e-12);
    }
}

void polar_points_project_to_zero() {
    // One column, all rows on: the cone is v >= 0.
    const std::vector<double> X{1, 2, 3}, z{-4};
    const std::vector<std::uint8_t> bits{1, 1, 1};
    const Arrangements a = arrangements_from_patterns({bits.data(), 1, 3}, {nullptr, 1, 0}, TreeShape());
    const Cones<double> cones({X.data(), 3, 1}, a);
    Facets facets;
    double v = 1;
    CHECK(cones.project(0, z.data(), kNever, facets, &v) == 0 && v == 0);
    CHECK(!cones.contains(0, z.data()) && cones.contains(0, &v));
}

/// In the cone with signs, of the norm that is told, with the rest orthogonal to it: a projection or the
/// origin.
void signs_of_weights_are_met_exactly(std::vector<Index> width, bool patterned) {
    const Problem<double> p(40, 4, 3, std::move(width), 27);
    const std::vector<std::int8_t> monotone{1, 0, -1, 0};
    const Cones<double> cones(p.rows(), p.arrangements, {monotone.data(), 4}, patterned);
    const Cones<double> free(p.rows(), p.arrangements);
    std::mt19937_64 random(28);
    std::vector<double> v(cones.dim());
    for (Index g = 0; g < p.groups; ++g)
        for (const double side : {1.0, -1.0}) {
            Facets facets;
            const auto z = normal<double>(random, cones.dim());
            const double norm =
                cones.project(g, z.data(), kNever, facets, v.data(), Cones<double>::kAllChecks, side);
            for (Index k = 0; k < cones.dim(); ++k)
                CHECK(side * p.arrangements.path_sign(g, k / 4) * monotone[k % 4] * v[k] >= 0);
            const bool tiny = norm * norm < 1e-6 * dot(z.data(), z.data(), cones.dim());
            CHECK(tiny || cones.contains(g, v.data(), side));
            CHECK(tiny || !patterned || free.contains(g, v.data()));
            const double along = dot(z.data(), v.data(), cones.dim());
            CHECK_NEAR(along, norm * norm, 1e-10 * dot(z.data(), z.data(), cones.dim()));
            auto wrong = v;
            wrong[0] = -side * p.arrangements.path_sign(g, 0) - 1e-3 * side * p.arrangements.path_sign(g, 0);
            CHECK(!cones.contains(g, wrong.data(), side));
            cones.clip(g, wrong.data(), side);
            CHECK(wrong[0] == 0);
        }
}

}  // namespace

int main() {
    projection_satisfies_the_kkt_conditions<double>(60, 1, {});
    projection_satisfies_the_kkt_conditions<double>(200, 10, {});
    projection_satisfies_the_kkt_conditions<float>(200, 10, {});
    projection_satisfies_the_kkt_conditions<double>(5, 20, {});
    projection_satisfies_the_kkt_conditions<double>(70, 4, {3});
    projection_satisfies_the_kkt_conditions<float>(70, 4, {3});
    projection_satisfies_the_kkt_conditions<double>(65, 3, {2, 2});
    weights_that_made_the_patterns_are_in_the_cone();
    work_ends_below_the_norm_that_matters();
    polar_points_project_to_zero();
    for (const bool patterned : {true, false}) {
        signs_of_weights_are_met_exactly({}, patterned);
        signs_of_weights_are_met_exactly({2}, patterned);
    }
    const Problem<double> p(6, 2, 1, {}, 26);
    CHECK_REFUSED(Cones<double>({p.X.data(), 5, 2}, p.arrangements),
                  "X has 5 rows; the arrangements were made for 6");
    const std::int8_t one = 1;
    CHECK_REFUSED(Cones<double>(p.rows(), p.arrangements, {&one, 1}), "monotone has 1 entries; expected 2");
}
