#include <pathrelu/relaxation.hpp>

#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "check.hpp"

using namespace pathrelu;

namespace {

std::vector<double> gaussian(Index size, unsigned seed) {
    std::mt19937_64 engine(seed);
    std::normal_distribution<double> normal;
    std::vector<double> out(size);
    for (double& x : out) x = normal(engine);
    return out;
}

struct Case {
    Index n, r;
    std::vector<double> z, theta;

    Case(Index n, Index r, unsigned seed)
        : n(n), r(r), z(gaussian(n * r, seed)), theta(gaussian(n, seed + 1000)) {}
    MatView<const double> rows() const { return {z.data(), n, r}; }
    RelaxedCorrelation look(const RelaxationOptions& options, const std::vector<double>& start = {},
                            const Poll& poll = {}) const {
        return relaxed_correlation(rows(), {theta.data(), n}, options, {start.data(), Index(start.size())},
                                   poll);
    }
    double at(const double* u) const {
        double sum = 0;
        for (Index i = 0; i < n; ++i) {
            double x = 0;
            for (Index j = 0; j < r; ++j) x += z[i * r + j] * u[j];
            sum += theta[i] * std::max(x, 0.0);
        }
        return std::abs(sum);
    }
    /// The largest over random units.
    double sampled(Index count) const {
        std::vector<double> u = gaussian(count * r, 77);
        double best = 0;
        for (Index k = 0; k < count; ++k) {
            double square = 0;
            for (Index j = 0; j < r; ++j) square += u[k * r + j] * u[k * r + j];
            for (Index j = 0; j < r; ++j) u[k * r + j] /= std::sqrt(square);
            best = std::max(best, at(&u[k * r]));
        }
        return best;
    }
};

RelaxationOptions options(Index steps, Index nodes = 0, int threads = 1) {
    RelaxationOptions out;
    out.max_steps = steps;
    out.max_nodes = nodes;
    out.threads = threads;
    return out;
}

void no_unit_is_above_the_bound() {
    for (unsigned seed = 0; seed < 60; ++seed) {
        const Case given(1 + seed % 25, 1 + seed % 7, seed);
        const double best = given.sampled(500);
        for (const Index steps : {1, 4, 40}) {
            const RelaxedCorrelation found = given.look(options(steps));
            CHECK(best <= found.bound);
            // A relaxed point attains no more than the bound, and one from elsewhere starts no worse bound.
            CHECK(*std::max_element(found.values.begin(), found.values.end()) <= found.bound);
            CHECK(best <= given.look(options(1), found.moments).bound);
        }
        const RelaxedCorrelation tree = given.look(options(20, 64));
        CHECK(best <= tree.bound && tree.reached <= tree.bound && tree.n_nodes <= 64 + 16);
    }
}

void at_one_column_it_is_exact() {
    const std::vector<double> z{1, -2, 0.5}, theta{1, 0.7, -0.2};
    const RelaxedCorrelation found = relaxed_correlation({z.data(), 3, 1}, {theta.data(), 3}, options(300));
    CHECK_NEAR(found.bound, 1.4, 1e-3);
    CHECK(found.bound >= 1.4);
}

void more_nodes_come_closer_to_the_best_unit() {
    const Case given(40, 3, 5);
    double before = given.look(options(60)).bound;
    for (const Index nodes : {16, 128, 1024}) {
        const RelaxedCorrelation found = given.look(options(60, nodes));
        CHECK(found.bound <= before * (1 + 1e-12));
        before = found.bound;
    }
    CHECK(before <= 1.01 * given.look(options(60, 1024)).reached);
}

void points_are_outputs_that_units_of_this_mean_may_have() {
    const Case given(30, 4, 9);
    const RelaxedCorrelation found = given.look(options(40));
    CHECK(found.points.size() == 2 * 30 && found.units.size() == 2 * 4);
    for (Index k = 0; k < 2; ++k)
        for (Index i = 0; i < given.n; ++i) {
            double x = 0, square = 0;
            for (Index j = 0; j < given.r; ++j) {
                x += given.z[i * given.r + j] * found.units[k * given.r + j];
                square += given.z[i * given.r + j] * given.z[i * given.r + j];
            }
            const double radius = std::sqrt(square), out = found.points[k * given.n + i];
            CHECK(out >= std::max(x, 0.0) - 1e-6 * radius && out <= radius * (1 + 1e-4));
        }
}

void threads_change_no_bit_of_a_bound() {
    const Case given(200, 12, 3);
    const RelaxedCorrelation one = given.look(options(10, 32));
    for (const int threads : {2, 3}) {
        const SharedWork shared(2);
        const RelaxedCorrelation more = given.look(options(10, 32, threads));
        CHECK(one.bound == more.bound && one.points == more.points && one.moments == more.moments);
    }
}

void a_stop_leaves_a_bound_that_holds() {
    const Case given(50, 5, 4);
    const double best = given.sampled(2000);
    for (const int last : {1, 2, 7, 30}) {
        int polls = 0;
        const RelaxedCorrelation found = given.look(options(20, 200), {}, [&] {
            if (++polls == last) throw Stop();
        });
        CHECK(0 < polls && polls <= last);
        CHECK(best <= found.bound && std::isfinite(found.bound));
    }
}

void one_column_has_the_coefficient_of_the_soft_threshold() {
    const std::vector<double> t = gaussian(40, 1), direction{1}, start{0};
    std::vector<double> y = gaussian(40, 2), w(40, 1.0);
    double along = 0, square = 0;
    for (Index i = 0; i < 40; ++i) {
        y[i] += 2 * t[i];
        along += t[i] * y[i] / 40;
        square += t[i] * t[i] / 40;
    }
    for (const double alpha : {0.1, 1.0, 100.0}) {
        const ColumnSolution found =
            solve_columns({t.data(), 1, 40}, {direction.data(), 1, 1}, {y.data(), 40, 1}, {w.data(), 40},
                          "squared_error", alpha, false, {start.data(), 1});
        CHECK_NEAR(found.coefficients[0], std::max(along - alpha, 0.0) / square, 1e-6);
        double slope = 0;
        for (Index i = 0; i < 40; ++i) slope += t[i] * found.theta[i];
        CHECK(slope <= alpha * (1 + 1e-6) || found.coefficients[0] == 0);
    }
}

void a_loss_that_is_linear_at_the_start_is_left_behind() {
    // All targets are at 5, and the column of ones reaches them: |f - 5| + alpha c is least at c = 5.
    const std::vector<double> t(20, 1.0), direction{1}, y(20, 5.0), w(20, 1.0), start{0};
    const ColumnSolution found =
        solve_columns({t.data(), 1, 20}, {direction.data(), 1, 1}, {y.data(), 20, 1}, {w.data(), 20},
                      LossSpec("absolute_error"), 0.1, false, {start.data(), 1});
    CHECK_NEAR(found.coefficients[0], 5, 0.1);
    CHECK_NEAR(found.objective, 0.5, 0.1);
}

void wrong_sizes_are_refused() {
    const std::vector<double> z(6, 1.0), theta(2, 1.0), start(3, 0.0);
    CHECK_REFUSED(relaxed_correlation({z.data(), 3, 2}, {theta.data(), 2}, options(1)),
                  "theta has shape (2,); expected (3,)");
    CHECK_REFUSED(relaxed_correlation({z.data(), 3, 0}, {z.data(), 3}, options(1)),
                  "rows has 0 columns; expected at least 1");
    CHECK_REFUSED(relaxed_correlation({z.data(), 3, 2}, {z.data(), 3}, options(1), {start.data(), 3}),
                  "start has shape (3,); expected (12,)");
}

}  // namespace

int main() {
    no_unit_is_above_the_bound();
    at_one_column_it_is_exact();
    more_nodes_come_closer_to_the_best_unit();
    points_are_outputs_that_units_of_this_mean_may_have();
    threads_change_no_bit_of_a_bound();
    a_stop_leaves_a_bound_that_holds();
    one_column_has_the_coefficient_of_the_soft_threshold();
    a_loss_that_is_linear_at_the_start_is_left_behind();
    wrong_sizes_are_refused();
}
