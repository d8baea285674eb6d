#include <pathrelu/certificate.hpp>

#include <random>

#include "check.hpp"

using namespace pathrelu;

namespace {

struct Data {
    std::vector<double> z, theta;
    Index r;

    Data(Index n, Index columns, unsigned seed) : z(n * columns), theta(n), r(columns) {
        std::mt19937_64 engine(seed);
        std::normal_distribution<double> normal;
        for (double& x : z) x = normal(engine);
        for (double& x : theta) x = normal(engine);
    }
    MatView<const double> rows() const { return {z.data(), static_cast<Index>(theta.size()), r}; }
    VecView<const double> weights() const { return {theta.data(), static_cast<Index>(theta.size())}; }

    double at(const double* u) const {
        double sum = 0;
        for (std::size_t i = 0; i < theta.size(); ++i) {
            double x = 0;
            for (Index k = 0; k < r; ++k) x += z[i * r + k] * u[k];
            sum += theta[i] * std::max(x, 0.0);
        }
        return sum;
    }
};

void check_points(const Data& data, const Correlation& found) {
    CHECK(!found.values.empty() && found.values[0] <= found.bound);
    for (std::size_t k = 0; k < found.values.size(); ++k) {
        const double* u = found.points.data() + k * data.r;
        double length = 0;
        for (Index x = 0; x < data.r; ++x) length += u[x] * u[x];
        CHECK_NEAR(length, 1, 1e-12);
        CHECK_NEAR(found.signs[k] * data.at(u), found.values[k], 1e-11);
        CHECK(k == 0 || found.values[k] <= found.values[k - 1]);
    }
}

/// The largest value on a fine grid of the circle or the sphere.
double on_grid(const Data& data) {
    const double pi = std::acos(-1.0);
    double best = 0;
    const int steps = data.r == 2 ? 20000 : 700;
    for (int a = 0; a < steps; ++a)
        for (int b = 0; b < (data.r == 2 ? 1 : steps); ++b) {
            const double phi = 2 * pi * a / steps, psi = data.r == 2 ? 0 : pi * (b + 0.5) / steps - pi / 2;
            const double u[3] = {std::cos(phi) * std::cos(psi), std::sin(phi) * std::cos(psi), std::sin(psi)};
            best = std::max(best, std::abs(data.at(u)));
        }
    return best;
}

void exact_maximum_is_that_of_a_grid() {
    for (unsigned seed = 0; seed < 6; ++seed) {
        const Data data(3 + 5 * seed, 2 + seed % 2, seed);
        const Correlation exact = exact_correlation(data.rows(), data.weights(), 1);
        check_points(data, exact);
        const double grid = on_grid(data);
        CHECK(grid <= exact.bound && exact.bound <= 1.001 * grid);
        CHECK_NEAR(exact.values[0], exact.bound, 1e-9);
    }
}

void branch_and_bound_finds_it_too() {
    for (Index r = 1; r <= 3; ++r) {
        const Data data(30, r, static_cast<unsigned>(10 + r));
        const Correlation exact = exact_correlation(data.rows(), data.weights(), 1);
        BranchOptions options;
        options.tol = 1e-8;
        const Correlation found = branch_and_bound(data.rows(), data.weights(), options);
        check_points(data, found);
        CHECK_NEAR(found.bound, exact.bound, 1e-7 * exact.bound);
        options.max_nodes = 1;
        CHECK(branch_and_bound(data.rows(), data.weights(), options).bound >= exact.values[0]);
    }
}

void threads_change_no_bit() {
    const Data data(200, 3, 20), wide(100, 5, 21);
    const Correlation one = exact_correlation(data.rows(), data.weights(), 1);
    const Correlation serial = branch_and_bound(wide.rows(), wide.weights(), {});
    for (const int threads : {2, 3, 4}) {
        {
            const SharedWork shared(threads);
            const Correlation more = exact_correlation(data.rows(), data.weights(), threads);
            CHECK(one.bound == more.bound && one.values == more.values && one.points == more.points);
        }
        const SharedWork shared(threads);
        BranchOptions options;
        options.threads = threads;
        const Correlation parallel = branch_and_bound(wide.rows(), wide.weights(), options);
        CHECK(serial.bound == parallel.bound && serial.points == parallel.points &&
              serial.n_nodes == parallel.n_nodes);
    }
}

void nothing_correlates_with_rows_of_zeros() {
    Data data(4, 3, 22);
    std::fill(data.z.begin(), data.z.end(), 0.0);
    CHECK(exact_correlation(data.rows(), data.weights(), 1).bound == 0);
    CHECK(branch_and_bound(data.rows(), data.weights(), {}).bound == 0);
}

void wrong_input_is_refused() {
    const Data wide(5, 4, 23);
    CHECK_REFUSED(exact_correlation(wide.rows(), wide.weights(), 1),
                  "rows has 4 columns; the exact maximum is for 1 to 3");
    CHECK_REFUSED(branch_and_bound(wide.rows(), {wide.theta.data(), 4}, {}),
                  "theta has shape (4,); expected (5,)");
}

void a_poll_stops_it() {
    struct Stop {};
    const Data data(300, 3, 24), wide(100, 6, 25);
    const Poll stop = [] { throw Stop(); };
    int stopped = 0;
    try {
        exact_correlation(data.rows(), data.weights(), 1, stop);
    } catch (const Stop&) {
        ++stopped;
    }
    try {
        branch_and_bound(wide.rows(), wide.weights(), {}, stop);
    } catch (const Stop&) {
        ++stopped;
    }
    CHECK(stopped == 2);
}

}  // namespace

int main() {
    exact_maximum_is_that_of_a_grid();
    branch_and_bound_finds_it_too();
    threads_change_no_bit();
    nothing_correlates_with_rows_of_zeros();
    wrong_input_is_refused();
    a_poll_stops_it();
}
