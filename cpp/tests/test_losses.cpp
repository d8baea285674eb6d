#include <pathrelu/losses.hpp>

#include <algorithm>
#include <numeric>

#include "check.hpp"
#include "problem.hpp"

using namespace pathrelu;

namespace {

struct Data {
    Index n, C;
    std::vector<double> y, w, f;

    Data(const std::string& loss, Index n, Index C, unsigned seed) : n(n), C(C) {
        std::mt19937_64 random(seed);
        y = normal<double>(random, n * C);
        if (loss == "log_loss" || loss == "squared_hinge")
            for (double& value : y) value = value > 0 ? 1 : -1;
        f = normal<double>(random, n * C);
        w = normal<double>(random, n);
        for (double& value : w) value = value > -1 ? std::abs(value) : 0;  // some rows weigh nothing
        const double mean = std::accumulate(w.begin(), w.end(), 0.0) / static_cast<double>(n);
        for (double& value : w) value /= mean;
    }

    std::unique_ptr<Loss> loss(const std::string& name, int threads = 1) const {
        return make_loss(name, {y.data(), n, C}, {w.data(), n}, threads);
    }
};

void slopes_and_curvatures_are_derivatives(const std::string& name) {
    Data data(name, 20, 2, 31);
    const auto loss = data.loss(name);
    std::vector<double> theta(40), above(40), below(40), h(40);
    loss->dual_point(data.f.data(), theta.data());
    loss->curvature(data.f.data(), h.data());
    constexpr double step = 1e-5;
    for (Index k = 0; k < 40; ++k) {
        const double f = data.f[k];
        data.f[k] = f + step;
        const double up = loss->value(data.f.data());
        loss->dual_point(data.f.data(), above.data());
        data.f[k] = f - step;
        const double down = loss->value(data.f.data());
        loss->dual_point(data.f.data(), below.data());
        data.f[k] = f;
        CHECK_NEAR(-theta[k], (up - down) / (2 * step), 1e-9);
        CHECK_NEAR(h[k], (below[k] - above[k]) / (2 * step), 1e-8);
        CHECK(h[k] <= data.w[k / 2] / 20 * loss->smoothness() + 1e-15);
    }
}

// dual(theta) <= value(f) + <theta, f> for any f and theta, with equality at theta = dual_point(f).
void duality_is_weak_everywhere_and_strong_at_the_dual_point(const std::string& name) {
    const Data data(name, 50, 1, 32);
    const auto loss = data.loss(name);
    std::vector<double> theta(50);
    loss->dual_point(data.f.data(), theta.data());
    const auto inner = [&](const std::vector<double>& f) {
        return std::inner_product(f.begin(), f.end(), theta.begin(), 0.0);
    };
    CHECK_NEAR(loss->dual_value(theta.data(), 1), loss->value(data.f.data()) + inner(data.f), 1e-13);
    for (unsigned seed = 33; seed < 43; ++seed) {
        std::mt19937_64 random(seed);
        const auto f = normal<double>(random, 50);
        for (const double s : {0.0, 0.3, 0.8, 1.0})
            CHECK(loss->dual_value(theta.data(), s) <= loss->value(f.data()) + s * inner(f) + 1e-13);
    }

    for (const double cap : {0.1, 0.7, 5.0}) {
        const double s = loss->best_scale(theta.data(), cap);
        CHECK(0 <= s && s <= cap);
        if (name != "log_loss")
            for (double other = 0; other <= cap; other += 0.01 * cap)
                CHECK(loss->dual_value(theta.data(), s) >= loss->dual_value(theta.data(), other) - 1e-13);
    }
}

void intercept_balances_the_dual_point(const std::string& name) {
    Data data(name, 300, 2, 44);
    const auto loss = data.loss(name);
    for (const double start : {0.0, 40.0, -40.0}) {
        std::vector<double> b{start, -start}, f = data.f, theta(600);
        loss->optimal_intercept(data.f.data(), b.data());
        for (Index k = 0; k < 600; ++k) f[k] += b[k % 2];
        loss->dual_point(f.data(), theta.data());
        double total[2] = {0, 0};
        for (Index k = 0; k < 600; ++k) total[k % 2] += theta[k];
        CHECK_NEAR(total[0], 0, 1e-13);
        CHECK_NEAR(total[1], 0, 1e-13);
    }
}

void optimal_intercept_stays_where_it_is(const std::string& name) {
    for (unsigned seed = 100; seed < 200; ++seed) {
        Data data(name, 80, 1, seed);
        const auto loss = data.loss(name);
        for (double& value : data.f)
            value += seed % 2 ? 10 : -10;  // a Newton step can be less than b's last bit
        double b = 0;
        loss->optimal_intercept(data.f.data(), &b);
        const double first = b;
        for (int again = 0; again < 5; ++again) {
            loss->optimal_intercept(data.f.data(), &b);
            CHECK_NEAR(b, first, 1e-14 * (1 + std::abs(first)));
        }
    }
}

void bits_do_not_depend_on_threads(const std::string& name) {
    const Data data(name, 60013, 1, 45);  // enough work to be shared
    const auto one = data.loss(name);
    for (const int threads : {2, 3}) {
        const auto more = data.loss(name, threads);
        CHECK(more->value(data.f.data()) == one->value(data.f.data()));
        std::vector<double> a(60013), b(60013);
        one->dual_point(data.f.data(), a.data());
        more->dual_point(data.f.data(), b.data());
        CHECK(a == b);
        CHECK(one->dual_value(a.data(), 0.9) == more->dual_value(a.data(), 0.9));
    }
}

void extreme_margins_stay_finite() {
    const std::vector<double> y{1, -1}, w{1, 1}, f{-800, 800};
    const auto loss = make_loss("log_loss", {y.data(), 2, 1}, {w.data(), 2}, 1);
    CHECK_NEAR(loss->value(f.data()), 800, 1e-12);
    std::vector<double> theta(2);
    loss->dual_point(f.data(), theta.data());
    CHECK(theta[0] == 0.5 && theta[1] == -0.5);
    CHECK_NEAR(loss->dual_value(theta.data(), 1), 0, 1e-15);
}

void wrong_input_is_refused() {
    const std::vector<double> y{1, 0}, w{1, 1};
    const MatView<const double> targets{y.data(), 2, 1};
    CHECK_REFUSED(make_loss("log_loss", targets, {w.data(), 2}, 1),
                  "y has the entry 0; this loss expects -1 or +1");
    CHECK_REFUSED(make_loss("squared_error", targets, {w.data(), 1}, 1), "w has shape (1,); expected (2,)");
    CHECK_REFUSED(make_loss("hinge", targets, {w.data(), 2}, 1),
                  "loss is 'hinge'; expected 'squared_error', 'log_loss', 'huber' or 'squared_hinge'");
}

}  // namespace

int main() {
    for (const char* name : {"squared_error", "log_loss", "huber", "squared_hinge"}) {
        slopes_and_curvatures_are_derivatives(name);
        duality_is_weak_everywhere_and_strong_at_the_dual_point(name);
        intercept_balances_the_dual_point(name);
        optimal_intercept_stays_where_it_is(name);
        bits_do_not_depend_on_threads(name);
    }
    extreme_margins_stay_finite();
    wrong_input_is_refused();
}
