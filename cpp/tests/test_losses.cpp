#include <pathrelu/losses.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
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
        if (loss == "multinomial") {
            std::fill(y.begin(), y.end(), 0.0);
            for (Index i = 0; i < n; ++i) y[i * C + static_cast<Index>(random() >> 1) % C] = 1;
        }
        if (loss == "poisson")
            for (double& value : y) value = std::max(0.0, std::floor(value + 1.5));
        if (loss == "gamma")
            for (double& value : y) value = std::exp(value);
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

/// Outputs of a loss that needs several, or one.
Index outputs(const std::string& name) {
    return name == "multinomial" ? 3 : 1;
}

void slopes_and_curvatures_are_derivatives(const std::string& name) {
    constexpr Index n = 20, C = 3, size = n * C;
    Data data(name, n, C, 31);
    const auto loss = data.loss(name);
    std::vector<double> theta(size), above(size), below(size), h(size);
    loss->dual_point(data.f.data(), theta.data());
    loss->curvature(data.f.data(), h.data());
    constexpr double step = 1e-5;
    for (Index k = 0; k < size; ++k) {
        const double f = data.f[k];
        data.f[k] = f + step;
        const double up = loss->value(data.f.data());
        loss->dual_point(data.f.data(), above.data());
        data.f[k] = f - step;
        const double down = loss->value(data.f.data());
        loss->dual_point(data.f.data(), below.data());
        data.f[k] = f;
        CHECK_NEAR(-theta[k], (up - down) / (2 * step), 1e-9);
        // Column k of the Hessian.
        const double* row = h.data() + k / C * C;
        const double total = std::accumulate(row, row + C, 0.0);
        double column = 0;
        for (Index j = 0; j < size; ++j) {
            double expected = j == k ? h[k] : 0;
            if (loss->coupled() && j / C == k / C && total > 0) expected -= h[j] * h[k] / total;
            CHECK_NEAR(expected, (below[j] - above[j]) / (2 * step), 1e-8);
            column += std::abs(expected);
        }
        CHECK(data.w[k / C] == 0 ||
              column <= data.w[k / C] / n * loss->smoothness() + 1e-15);  // bounds the norm
    }
}

// dual(theta) <= value(f) + <theta, f> for any f and theta, with equality at theta = dual_point(f).
void duality_is_weak_everywhere_and_strong_at_the_dual_point(const std::string& name) {
    const Data data(name, 50, outputs(name), 32);
    const auto loss = data.loss(name);
    std::vector<double> theta(data.f.size());
    loss->dual_point(data.f.data(), theta.data());
    const auto inner = [&](const std::vector<double>& f) {
        return std::inner_product(f.begin(), f.end(), theta.begin(), 0.0);
    };
    CHECK_NEAR(loss->dual_value(theta.data(), 1), loss->value(data.f.data()) + inner(data.f), 1e-13);
    // Both at once, in two parts.
    const Index C = outputs(name);
    std::vector<double> parts(theta.size());
    double total = loss->value_and_dual_point(0, 20, data.f.data(), parts.data());
    total += loss->value_and_dual_point(20, 30, data.f.data() + 20 * C, parts.data() + 20 * C);
    CHECK_NEAR(total / 50, loss->value(data.f.data()), 1e-13);
    for (std::size_t k = 0; k < theta.size(); ++k) CHECK_NEAR(parts[k], theta[k], 1e-16);
    for (unsigned seed = 33; seed < 43; ++seed) {
        std::mt19937_64 random(seed);
        const auto f = normal<double>(random, static_cast<Index>(theta.size()));
        for (const double s : {0.0, 0.3, 0.8, 1.0})
            CHECK(loss->dual_value(theta.data(), s) <= loss->value(f.data()) + s * inner(f) + 1e-13);
    }

    for (const double cap : {0.1, 0.7, 5.0}) {
        const double s = loss->best_scale(theta.data(), cap);
        CHECK(0 <= s && s <= cap);
        CHECK(std::isfinite(loss->dual_value(theta.data(), s)));
        const bool safe = name == "log_loss" || name == "multinomial" || name == "poisson" || name == "gamma";
        if (!safe)
            for (double other = 0; other <= cap; other += 0.01 * cap)
                CHECK(loss->dual_value(theta.data(), s) >= loss->dual_value(theta.data(), other) - 1e-13);
    }
}

// Columns that sum to zero, of entries that shrank and kept their signs where outputs are not coupled: still
// in the domain of the dual, and a bound for predictions with any intercept. The same where parts of the rows
// are balanced, with what the parts together are off.
void balanced_dual_points_bound_every_shift(const std::string& name) {
    const Index n = 60, C = outputs(name);
    Data data(name, n, C, 45);
    for (double& f : data.f) f += 1;  // away from the best intercept
    const auto loss = data.loss(name);
    std::vector<double> theta(data.f.size()), total(C), size(C);
    loss->dual_point(data.f.data(), theta.data());
    const std::vector<double> before = theta;
    loss->balance(theta.data());
    for (Index k = 0; k < n * C; ++k) {
        total[k % C] += theta[k];
        size[k % C] += std::abs(theta[k]);
        if (C == 1) CHECK(theta[k] * before[k] >= 0 && std::abs(theta[k]) <= std::abs(before[k]));
    }
    for (Index c = 0; c < C; ++c) {
        CHECK(size[c] > 0);
        CHECK(std::abs(total[c]) <= 1e-14 * size[c]);
    }
    std::vector<double> parts = before;
    const std::vector<double> off = loss->imbalance(before.data());
    loss->balance(0, 25, parts.data(), off);
    loss->balance(25, n - 25, parts.data() + 25 * C, off);
    CHECK(parts == theta);
    const double dual = loss->dual_value(theta.data(), 1);
    CHECK(std::isfinite(dual));
    for (const double shift : {-3.0, 0.0, 3.0}) {
        std::vector<double> f = data.f;
        for (Index k = 0; k < n * C; ++k) f[k] += k % C ? -shift : shift;
        const double inner = std::inner_product(f.begin(), f.end(), theta.begin(), 0.0);
        CHECK(dual <= loss->value(f.data()) + inner + 1e-13);
    }
}

void intercept_balances_the_dual_point(const std::string& name) {
    const Data data(name, 300, 2, 44);
    const auto loss = data.loss(name);
    // The last: every row certain of its class, at the start and at zero.
    for (const auto& [start, offset] :
         {std::pair{0.0, 0.0}, {40.0, 0.0}, {-40.0, 0.0}, {900.0, 0.0}, {-2e4, 0.0}, {0.0, 3e3}}) {
        std::vector<double> b{start, -start}, f = data.f, theta(600);
        for (Index k = 0; k < 600; ++k) f[k] += k % 2 ? -offset : offset;
        loss->optimal_intercept(f.data(), b.data());
        for (Index k = 0; k < 600; ++k) f[k] += b[k % 2];
        loss->dual_point(f.data(), theta.data());
        double total[2] = {0, 0};
        for (Index k = 0; k < 600; ++k) total[k % 2] += theta[k];
        const double rounded = 1e-13 + 1e-15 * offset;  // of b, at worst
        CHECK_NEAR(total[0], 0, rounded);
        CHECK_NEAR(total[1], 0, rounded);
    }
}

void optimal_intercept_stays_where_it_is(const std::string& name) {
    for (unsigned seed = 100; seed < 200; ++seed) {
        const Index C = outputs(name);
        Data data(name, 80, C, seed);
        const auto loss = data.loss(name);
        for (Index k = 0; k < 80 * C; k += C)
            data.f[k] += seed % 2 ? 10 : -10;  // a Newton step can be less than b's last bit
        std::vector<double> b(C);
        loss->optimal_intercept(data.f.data(), b.data());
        const std::vector<double> first = b;
        for (int again = 0; again < 5; ++again) {
            loss->optimal_intercept(data.f.data(), b.data());
            for (Index c = 0; c < C; ++c) CHECK_NEAR(b[c], first[c], 1e-14 * (1 + std::abs(first[c])));
        }
    }
}

void bits_do_not_depend_on_threads(const std::string& name) {
    const Index C = outputs(name);
    const Data data(name, 60013, C, 45);
    const auto one = data.loss(name);
    for (const int threads : {2, 3, 4}) {
        const SharedWork shared(threads);
        const auto more = data.loss(name, threads);
        CHECK(more->value(data.f.data()) == one->value(data.f.data()));
        std::vector<double> a(60013 * C), b(60013 * C);
        one->dual_point(data.f.data(), a.data());
        more->dual_point(data.f.data(), b.data());
        CHECK(a == b);
        CHECK(one->dual_value(a.data(), 0.9) == more->dual_value(a.data(), 0.9));
        std::vector<double> first(C), second(C);
        one->optimal_intercept(data.f.data(), first.data());
        more->optimal_intercept(data.f.data(), second.data());
        CHECK(first == second);
    }
}

// A quantile as a kinked loss and with its kink rounded off: the second is the largest below the first with
// this conjugate, mu u^2 / 2 higher, and the shift of targets is where the slopes are the same.
void a_kink_is_rounded_off_from_below() {
    const Data data("quantile", 200, 2, 47);
    const LossSpec spec("quantile", {0.2, 0.7});
    const MatView<const double> y{data.y.data(), 200, 2};
    const VecView<const double> w{data.w.data(), 200};
    const auto kinked = make_loss(spec, y, w, 1);
    const auto smoothing = make_smoothing(spec, y, w, 1);
    std::vector<double> theta(400), again(400);
    double before = 0;
    for (const double share : {1.0, 0.1, 1e-3, 1e-8}) {
        smoothing->center(share);
        const double rounded = smoothing->loss().value(data.f.data());
        CHECK(rounded <= kinked->value(data.f.data()));
        CHECK(rounded >= before);
        before = rounded;
        smoothing->loss().dual_point(data.f.data(), theta.data());
        const double dual = smoothing->loss().dual_value(theta.data(), 1);
        CHECK_NEAR(dual, rounded + std::inner_product(theta.begin(), theta.end(), data.f.begin(), 0.0),
                   1e-13);
        CHECK(kinked->dual_value(theta.data(), 1) >= dual);
        CHECK(std::isfinite(kinked->dual_value(theta.data(), 1)));
        // f that has the slopes u at y has them at y - mu u for the loss centered there, where (f - y) / mu
        // is twice what it was.
        smoothing->center(share, data.f.data());
        smoothing->loss().dual_point(data.f.data(), again.data());
        for (Index k = 0; k < 400; ++k) CHECK(std::abs(again[k]) >= std::abs(theta[k]) * (1 - 1e-12));
        if (share == 1) CHECK(again != theta);
    }
    CHECK_NEAR(before, kinked->value(data.f.data()), 1e-7);
    CHECK(make_smoothing("huber", y, w, 1) == nullptr);
}

// The share of the weight above the best constant is that of the level.
void outputs_are_rounded_off_by_themselves() {
    constexpr Index n = 100;
    Data data("quantile", n, 2, 48);
    for (Index i = 0; i < n; ++i) data.y[2 * i + 1] *= 30;  // a spread of its own
    const VecView<const double> w{data.w.data(), n};
    const auto both = make_smoothing({"quantile", {0.2, 0.7}}, {data.y.data(), n, 2}, w, 1);
    for (Index c = 0; c < 2; ++c) {
        std::vector<double> y, f;
        for (Index i = 0; i < n; ++i) {
            y.push_back(data.y[2 * i + c]);
            f.push_back(data.f[2 * i + c]);
        }
        const auto alone = make_smoothing({"quantile", {c == 0 ? 0.2 : 0.7}}, {y.data(), n, 1}, w, 1);
        std::vector<double> thetas(2 * n), theta(n);
        const auto same = [&] {
            both->loss().dual_point(data.f.data(), thetas.data());
            alone->loss().dual_point(f.data(), theta.data());
            for (Index i = 0; i < n; ++i) CHECK(thetas[2 * i + c] == theta[i]);
        };
        both->center(0.3);
        alone->center(0.3);
        same();
        both->center(0.1, data.f.data());
        alone->center(0.1, f.data());
        same();
    }
}

void the_best_constant_is_the_quantile() {
    const Data data("quantile", 500, 1, 48);
    for (const double level : {0.05, 0.5, 0.93}) {
        const auto loss = make_loss({"quantile", {level}}, {data.y.data(), 500, 1}, {data.w.data(), 500}, 1);
        const std::vector<double> zero(500, 0.0);
        double b = 0, at = 0, below = 0, total = 0;
        loss->optimal_intercept(zero.data(), &b);
        for (Index i = 0; i < 500; ++i) {
            total += data.w[i];
            if (data.y[i] < b) below += data.w[i];
            if (data.y[i] <= b) at += data.w[i];
        }
        CHECK(below < level * total && level * total <= at);
    }
}

// log(exp(a) + exp(b)) - a is the logistic loss of a - b.
void any_row_may_be_the_median() {
    const std::vector<double> w(3, 1.0), f(3, 0.0);
    std::vector<double> y{1, 2, 3};
    do {
        double b = 0;
        make_loss("absolute_error", {y.data(), 3, 1}, {w.data(), 3}, 1)->optimal_intercept(f.data(), &b);
        CHECK(b == 2);
    } while (std::next_permutation(y.begin(), y.end()));
}

// Sums of exponentials of which any row's may be all there is, and beyond the range of numbers.
void extreme_logarithms_of_means_have_a_best_intercept() {
    const std::vector<double> w(3, 1.0), y{1, 2, 3};
    for (const char* name : {"poisson", "gamma"})
        for (Index row = 0; row < 3; ++row)
            for (const double far : {-2000.0, 2000.0}) {
                const auto loss = make_loss(name, {y.data(), 3, 1}, {w.data(), 3}, 1);
                std::vector<double> f(3, 0.0), theta(3);
                f[row] = far;
                double b = 0;
                loss->optimal_intercept(f.data(), &b);
                CHECK(std::isfinite(b));
                for (double& value : f) value += b;
                loss->dual_point(f.data(), theta.data());
                CHECK_NEAR(theta[0] + theta[1] + theta[2], 0, 1e-11);  // b is rounded to 1e-13
            }
}

void two_classes_are_the_logistic_loss() {
    const Data margins("log_loss", 50, 1, 46);
    const auto logistic = margins.loss("log_loss");
    std::vector<double> f(100), y(100), theta(100), difference(50), expected(50);
    for (Index i = 0; i < 50; ++i) {
        y[2 * i] = margins.y[i] > 0;
        y[2 * i + 1] = margins.y[i] < 0;
        f[2 * i] = 3 * margins.f[i];
        f[2 * i + 1] = margins.f[(i + 1) % 50];
        difference[i] = f[2 * i] - f[2 * i + 1];
    }
    const auto softmax = make_loss("multinomial", {y.data(), 50, 2}, {margins.w.data(), 50}, 1);
    CHECK_NEAR(softmax->value(f.data()), logistic->value(difference.data()), 1e-14);
    softmax->dual_point(f.data(), theta.data());
    logistic->dual_point(difference.data(), expected.data());
    for (Index i = 0; i < 50; ++i) {
        CHECK_NEAR(theta[2 * i], expected[i], 1e-16);
        CHECK_NEAR(theta[2 * i + 1], -expected[i], 1e-16);
    }
    CHECK_NEAR(softmax->dual_value(theta.data(), 0.6), logistic->dual_value(expected.data(), 0.6), 1e-14);
    double one = 0;
    std::vector<double> two(2);
    logistic->optimal_intercept(difference.data(), &one);
    softmax->optimal_intercept(f.data(), two.data());
    CHECK_NEAR(two[0] - two[1], one, 1e-13);
    CHECK_NEAR(two[0] + two[1], 0, 1e-15);
}

void extreme_logits_stay_finite() {
    const std::vector<double> y{1, 0, 0, 0, 1, 0, 0, 0, 1}, w{1, 1, 1};
    const std::vector<double> f{-800, 800, 0, -50, 0, -60, 800, 800, 800};
    const auto loss = make_loss("multinomial", {y.data(), 3, 3}, {w.data(), 3}, 1);
    CHECK_NEAR(loss->value(f.data()), (1600 + std::exp(-50.0) + std::exp(-60.0) + std::log(3.0)) / 3, 1e-12);
    const auto certain = make_loss("multinomial", {y.data() + 3, 1, 3}, {w.data(), 1}, 1);
    CHECK_NEAR(certain->value(f.data() + 3) / (std::exp(-50.0) + std::exp(-60.0)), 1, 1e-14);
    std::vector<double> theta(9), b(3);
    loss->dual_point(f.data(), theta.data());
    CHECK(theta[0] == 1.0 / 3 && theta[1] == -1.0 / 3 && theta[2] == 0);
    CHECK(std::isfinite(loss->dual_value(theta.data(), 1)));
    theta[0] *= -1;  // outside
    CHECK(loss->dual_value(theta.data(), 1) == -std::numeric_limits<double>::infinity());
    loss->optimal_intercept(f.data(), b.data());
    for (const double shift : b) CHECK(std::isfinite(shift));
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
                  "y has the entry 0 in row 1; this loss expects -1 or +1");
    CHECK_REFUSED(make_loss("gamma", targets, {w.data(), 2}, 1),
                  "y has the entry 0 in row 1; this loss expects numbers above 0");
    CHECK_REFUSED(make_loss({"squared_error", {1.0}}, targets, {w.data(), 2}, 1),
                  "loss 'squared_error' came with 1 parameters; expected none");
    CHECK_REFUSED(make_loss({"quantile", {0.5, 0.5}}, targets, {w.data(), 2}, 1),
                  "loss 'quantile' came with 2 parameters; expected one for each output");
    CHECK_REFUSED(make_loss({"quantile", {1.0}}, targets, {w.data(), 2}, 1),
                  "quantile is 1; expected a number above 0 and below 1");
    CHECK_REFUSED(make_loss("squared_error", targets, {w.data(), 1}, 1), "w has shape (1,); expected (2,)");
    CHECK_REFUSED(make_loss("hinge", targets, {w.data(), 2}, 1),
                  "loss is 'hinge'; expected one of 'squared_error', 'absolute_error', 'quantile', 'huber', "
                  "'poisson', 'gamma', 'log_loss', 'squared_hinge', 'multinomial'");
    CHECK_REFUSED(make_loss("multinomial", targets, {w.data(), 2}, 1),
                  "y has one column; this loss expects one for each class");
    CHECK_REFUSED(make_loss("multinomial", {w.data(), 1, 2}, {w.data(), 1}, 1),
                  "y has 2 ones in row 0; this loss expects one");
    const std::vector<double> half{0.5, 0.5};
    CHECK_REFUSED(make_loss("multinomial", {half.data(), 1, 2}, {w.data(), 1}, 1),
                  "y has the entry 0.5; this loss expects 0 or 1");
}

}  // namespace

int main() {
    for (const char* name :
         {"squared_error", "log_loss", "huber", "squared_hinge", "multinomial", "poisson", "gamma"}) {
        slopes_and_curvatures_are_derivatives(name);
        duality_is_weak_everywhere_and_strong_at_the_dual_point(name);
        balanced_dual_points_bound_every_shift(name);
        intercept_balances_the_dual_point(name);
        optimal_intercept_stays_where_it_is(name);
        bits_do_not_depend_on_threads(name);
    }
    for (const char* name : {"absolute_error", "quantile"}) {
        duality_is_weak_everywhere_and_strong_at_the_dual_point(name);
        balanced_dual_points_bound_every_shift(name);
        bits_do_not_depend_on_threads(name);
    }
    a_kink_is_rounded_off_from_below();
    outputs_are_rounded_off_by_themselves();
    the_best_constant_is_the_quantile();
    any_row_may_be_the_median();
    extreme_logarithms_of_means_have_a_best_intercept();
    two_classes_are_the_logistic_loss();
    extreme_logits_stay_finite();
    extreme_margins_stay_finite();
    wrong_input_is_refused();
}
