#include <pathrelu/cones.hpp>
#include <pathrelu/losses.hpp>
#include <pathrelu/operators.hpp>
#include <pathrelu/solver.hpp>

#include <numeric>

#include "check.hpp"
#include "problem.hpp"

using namespace pathrelu;

namespace {

template <class T>
struct Solved {
    const Problem<T>& p;
    std::vector<double> y, w, blocks, intercept;
    Program<T> program;
    SolveReport report;

    Solved(const Problem<T>& p, const std::string& loss, bool relu, double fraction, SolveOptions options,
           Index outputs = 1, const Observer& observer = {})
        : p(p), intercept(outputs), program{p.rows(), {}, {}, p.arrangements, 1, loss, relu} {
        std::mt19937_64 random(51);
        y = normal<double>(random, p.n * outputs);
        if (loss == "log_loss" || loss == "squared_hinge")
            for (double& value : y) value = value > 0 ? 1 : -1;
        w.resize(p.n);
        for (Index i = 0; i < p.n; ++i) w[i] = i % 3;  // 0, 1, 2: rows that weigh nothing are there too
        const double mean = std::accumulate(w.begin(), w.end(), 0.0) / static_cast<double>(p.n);
        for (double& value : w) value /= mean;
        program.y = {y.data(), p.n, outputs};
        program.w = {w.data(), p.n};
        program.alpha = fraction * alpha_max(program, options.fit_intercept, options.threads);
        blocks.resize(program.blocks() * program.dim());
        solve_again(options, observer);
    }
    Solved(const Solved&) = delete;

    void solve_again(SolveOptions options, const Observer& observer = {}) {
        report = solve(program, options, {blocks.data(), program.blocks(), program.dim()},
                       {intercept.data(), program.outputs()}, observer);
    }

    /// The program's objective by its definition.
    double objective() const {
        const Index C = program.outputs(), P = program.groups(), S = program.signs(), dim = program.dim();
        const MaskedOperator<T> B(p.rows(), p.arrangements, 1);
        std::vector<double> f(p.n * C), one(p.n), V(P * dim);
        double norms = 0;
        for (Index c = 0; c < C; ++c) {
            std::fill(V.begin(), V.end(), 0.0);
            for (Index b = 0; b < P * S; ++b) {
                const double* block = blocks.data() + (c * P * S + b) * dim;
                norms += std::sqrt(std::inner_product(block, block + dim, block, 0.0));
                for (Index k = 0; k < dim; ++k) V[b / S * dim + k] += b % S == 0 ? block[k] : -block[k];
            }
            B.forward(V.data(), one.data());
            for (Index i = 0; i < p.n; ++i) f[i * C + c] = one[i] + intercept[c];
        }
        return make_loss(program.loss, program.y, program.w, 1)->value(f.data()) + program.alpha * norms;
    }
};

template <class T>
void gap_closes_on_the_stated_objective(std::vector<Index> width, const std::string& loss, bool relu,
                                        bool fit_intercept, Index outputs = 1) {
    const Problem<T> p(60, 4, 25, std::move(width), 52);
    SolveOptions options;
    options.tol = 1e-7;
    options.fit_intercept = fit_intercept;
    const Solved<T> s(p, loss, relu, 0.1, options, outputs);
    const SolveReport& r = s.report;
    CHECK(r.converged && r.n_iter > 0 && r.n_active > 0);
    CHECK(r.gap <= 1e-7 * r.objective_at_zero);
    CHECK(r.objective < r.objective_at_zero);
    CHECK_NEAR(r.objective - r.dual_objective, r.gap, 1e-14);
    CHECK_NEAR(s.objective(), r.objective, 1e-12 * r.objective_at_zero);
    for (std::size_t k = 1; k < r.history.size(); ++k)
        CHECK(r.history[k].objective <= r.history[k - 1].objective * (1 + 1e-14));
    if (!fit_intercept) CHECK(s.intercept[0] == 0);
    if (!relu) return;

    const Cones<T> cones(p.rows(), p.arrangements);
    const Index dim = s.program.dim(), P = p.groups;
    std::vector<double> slack(p.shape.units() * p.n);
    for (Index b = 0; b < s.program.blocks(); ++b) {
        const double* block = s.blocks.data() + b * dim;
        const double norm = std::sqrt(std::inner_product(block, block + dim, block, 0.0));
        cones.slack(b / 2 % P, block, slack.data());
        CHECK(*std::min_element(slack.begin(), slack.end()) >= -1e-11 * norm);
    }
}

void alpha_max_is_where_the_zero_network_stops_being_optimal(bool relu, bool fit_intercept) {
    const Problem<double> p(50, 5, 20, {2}, 53);
    SolveOptions options;
    options.fit_intercept = fit_intercept;
    options.tol = 1e-9;
    CHECK(Solved<double>(p, "squared_error", relu, 1.001, options).report.n_active == 0);
    CHECK(Solved<double>(p, "squared_error", relu, 0.98, options).report.n_active > 0);
}

void bits_do_not_depend_on_threads(bool relu) {
    const Problem<double> p(200, 6, 60, {}, 54);
    for (const bool fit_intercept : {false, true}) {
        SolveOptions options;
        options.fit_intercept = fit_intercept;
        const Solved<double> one(p, "log_loss", relu, 0.05, options);
        for (const int threads : {2, 3, 4}) {
            const SharedWork shared(threads);
            options.threads = threads;
            const Solved<double> more(p, "log_loss", relu, 0.05, options);
            CHECK(more.blocks == one.blocks && more.intercept == one.intercept);
            CHECK(more.program.alpha == one.program.alpha && more.report.gap == one.report.gap);
        }
    }
}

void warm_start_from_the_solution_ends_at_once() {
    const Problem<double> p(100, 5, 30, {}, 55);
    Solved<double> s(p, "squared_error", true, 0.02, {});
    const double objective = s.report.objective;
    const Index cold = s.report.n_iter;
    s.solve_again({});
    CHECK(s.report.converged && s.report.n_iter < cold);
    CHECK(s.report.objective <= objective * (1 + 1e-14));
}

void observer_can_end_the_solve_with_an_error() {
    const Problem<double> p(100, 5, 30, {}, 56);
    struct Error {};
    Observer observer;
    observer.record = [](const Record&) { throw Error(); };
    bool stopped = false;
    try {
        Solved<double>(p, "squared_error", true, 0.01, {}, 1, observer);
    } catch (const Error&) {
        stopped = true;
    }
    CHECK(stopped);
}

void observer_can_stop_the_solve() {
    const Problem<double> p(100, 5, 30, {}, 56);
    for (const bool relu : {false, true})
        for (const Index round : {0, 1}) {
            Observer observer;
            observer.record = [&](const Record& record) {
                if (record.round == round) throw Stop();
            };
            const Solved<double> s(p, "squared_error", relu, 0.001, {}, 1, observer);
            CHECK(s.report.stopped && !s.report.converged && s.report.gap > s.report.target_gap);
            CHECK(static_cast<Index>(s.report.history.size()) == round + 1);
            CHECK_NEAR(s.objective(), s.report.objective, 1e-12);
            observer.record = {};
            observer.poll = [] { throw Stop(); };
            const Solved<double> at_once(p, "squared_error", relu, 0.001, {}, 1, observer);
            CHECK(at_once.report.stopped && at_once.report.gap > 0);
            CHECK_NEAR(at_once.objective(), at_once.report.objective, 1e-12);
        }
}

void a_solve_that_is_stopped_at_once_keeps_its_start() {
    const Problem<double> p(100, 5, 30, {2}, 55);
    Solved<double> s(p, "squared_error", true, 0.02, {});
    const double before = s.report.objective;
    Observer observer;
    observer.poll = [] { throw Stop(); };
    s.program.alpha *= 0.5;
    s.solve_again({}, observer);
    CHECK(s.report.stopped && s.report.objective < before && s.report.n_active > 0);
    CHECK_NEAR(s.objective(), s.report.objective, 1e-12);
    // But not blocks outside their cones.
    std::fill(s.blocks.begin(), s.blocks.end(), 1.0);
    s.solve_again({}, observer);
    CHECK(s.report.stopped && s.report.n_active < s.program.blocks());
    CHECK_NEAR(s.objective(), s.report.objective, 1e-12);
}

void running_out_of_iterations_is_a_report() {
    const Problem<double> p(200, 8, 60, {}, 57);
    SolveOptions options;
    options.tol = 1e-12;
    options.max_iter = 2;
    const Solved<double> s(p, "squared_error", false, 0.001, options);
    CHECK(!s.report.converged && s.report.gap > 0 && s.report.n_iter <= 2);
    CHECK_NEAR(s.objective(), s.report.objective, 1e-12);
}

void wrong_input_is_refused() {
    const Problem<double> p(20, 3, 4, {}, 58);
    Solved<double> s(p, "squared_error", false, 0.5, {});
    const auto solve_with = [&](Index blocks, Index intercepts) {
        solve(s.program, {}, {s.blocks.data(), blocks, 3}, {s.intercept.data(), intercepts});
    };
    CHECK_REFUSED(solve_with(3, 1), "blocks has shape (3, 3); expected (4, 3)");
    CHECK_REFUSED(solve_with(4, 0), "intercept has shape (0,); expected (1,)");
    s.program.alpha = -1;
    CHECK_REFUSED(solve_with(4, 1), "alpha is -1; expected a positive finite number");
    s.program.y.rows = s.program.w.size = 19;
    CHECK_REFUSED(solve_with(4, 1), "y has 19 rows; X has 20");
}

}  // namespace

int main() {
    for (const bool relu : {false, true}) {
        for (const std::vector<Index>& width : {std::vector<Index>{}, {3}, {2, 2}}) {
            for (const char* loss : {"squared_error", "log_loss"}) {
                gap_closes_on_the_stated_objective<double>(width, loss, relu, false);
                gap_closes_on_the_stated_objective<double>(width, loss, relu, true);
            }
            gap_closes_on_the_stated_objective<double>(width, "huber", relu, true);
            gap_closes_on_the_stated_objective<double>(width, "squared_hinge", relu, true);
            gap_closes_on_the_stated_objective<float>(width, "squared_error", relu, true);
        }
        gap_closes_on_the_stated_objective<double>({2}, "squared_error", relu, true, 3);
        alpha_max_is_where_the_zero_network_stops_being_optimal(relu, false);
        alpha_max_is_where_the_zero_network_stops_being_optimal(relu, true);
        bits_do_not_depend_on_threads(relu);
    }
    warm_start_from_the_solution_ends_at_once();
    observer_can_end_the_solve_with_an_error();
    observer_can_stop_the_solve();
    a_solve_that_is_stopped_at_once_keeps_its_start();
    running_out_of_iterations_is_a_report();
    wrong_input_is_refused();
}
