#include <pathrelu/losses.hpp>
#include <pathrelu/network.hpp>
#include <pathrelu/search.hpp>

#include <numeric>

#include "check.hpp"
#include "problem.hpp"

using namespace pathrelu;

namespace {

constexpr Index kColumns = 4;

struct Task {
    Index n;
    std::vector<double> X, y, w;

    /// A teacher of two ReLU units and a little noise; for the logistic loss its sign.
    explicit Task(const std::string& loss, Index n = 80) : n(n), w(n, 1.0) {
        std::mt19937_64 random(71);
        X = normal<double>(random, n * kColumns);
        y = normal<double>(random, n);
        for (Index i = 0; i < n; ++i) {
            const double* x = X.data() + i * kColumns;
            y[i] = 0.1 * y[i] + std::max(0.0, x[0] - x[1]) - std::max(0.0, x[2] + 0.5 * x[3]);
            if (loss == "log_loss") y[i] = y[i] > 0 ? 1 : -1;
        }
    }

    SearchResult search(const std::string& loss, bool relu, std::vector<Index> width, double alpha,
                        const SolveOptions& solve_options, const Observer& observer = {},
                        VecView<const std::int8_t> monotone = {}) const {
        SearchOptions options;
        options.max_rounds = 5;
        return pathrelu::search<double>({X.data(), n, kColumns}, {y.data(), n, 1}, {w.data(), n}, alpha, loss,
                                        relu, TreeShape(std::move(width)), solve_options, options, observer,
                                        {}, monotone);
    }
};

/// Objective of the network that the blocks of a relu program stand for, by its predictions.
double network_objective(const Task& task, const SearchResult& result, const std::string& loss,
                         double alpha) {
    const Arrangements& a = result.arrangements;
    const Index dim = a.shape.paths() * kColumns, blocks = 2 * a.size();
    const std::vector<double> zeros(kColumns), ones(kColumns, 1.0), bias(blocks * a.shape.paths());
    std::vector<double> coef, f(task.n);
    std::vector<std::int8_t> signs;
    double norms = 0;
    for (Index b = 0; b < blocks; ++b) {
        const double* block = result.blocks.data() + b * dim;
        norms += std::sqrt(std::inner_product(block, block + dim, block, 0.0));
        coef.push_back(b % 2 == 0 ? 1 : -1);
        signs.insert(signs.end(), a.sign(b / 2), a.sign(b / 2) + a.shape.edges());
    }
    const NetworkView network{a.shape,
                              {zeros.data(), kColumns},
                              {ones.data(), kColumns},
                              {result.blocks.data(), blocks * a.shape.paths(), kColumns},
                              {bias.data(), blocks * a.shape.paths()},
                              {},
                              {},
                              {signs.data(), blocks, a.shape.edges()},
                              {coef.data(), blocks, 1},
                              {result.intercept.data(), 1}};
    predict<double>({task.X.data(), task.n, kColumns}, network, {f.data(), task.n, 1}, 1);
    return make_loss(loss, {task.y.data(), task.n, 1}, {task.w.data(), task.n}, 1)->value(f.data()) +
           alpha * norms;
}

void result_is_a_solved_program_and_its_network(const std::string& loss, std::vector<Index> width) {
    const Task task(loss);
    constexpr double alpha = 0.01;
    SolveOptions options;
    options.fit_intercept = true;
    const SearchResult one = task.search(loss, true, width, alpha, options);
    const Index P = one.arrangements.size(), dim = one.arrangements.shape.paths() * kColumns;
    CHECK(P > 0 && one.n_rounds >= 1 && one.report.n_active > 0);
    CHECK(one.report.converged && one.report.objective < one.report.objective_at_zero);
    CHECK(static_cast<Index>(one.blocks.size()) == 2 * P * dim);
    CHECK_NEAR(network_objective(task, one, loss, alpha), one.report.objective, 1e-9 * one.report.objective);

    // The weights it returns generate its arrangements.
    const Arrangements again = arrangements_from_trees<double>(
        {task.X.data(), task.n, kColumns}, {one.weights.data(), P, dim},
        {one.arrangements.signs.data(), P, one.arrangements.shape.edges()}, one.arrangements.shape, 1);
    CHECK(again.patterns == one.arrangements.patterns);
}

void bits_do_not_depend_on_threads() {
    const Task task("squared_error");
    for (const bool relu : {true, false}) {
        SolveOptions options;
        options.fit_intercept = true;
        const SearchResult one = task.search("squared_error", relu, {2}, 0.1, options);
        CHECK(one.report.n_active > 0);
        for (const int threads : {2, 3, 4}) {
            const SharedWork shared(threads);
            options.threads = threads;
            const SearchResult more = task.search("squared_error", relu, {2}, 0.1, options);
            CHECK(more.blocks == one.blocks && more.weights == one.weights);
            CHECK(more.intercept == one.intercept);
        }
    }
}

void search_beats_sampled_arrangements() {
    const Task task("squared_error");
    constexpr double alpha = 0.01;
    const SearchResult found = task.search("squared_error", true, {}, alpha, {});

    Problem<double> sampled(task.n, kColumns, 50, {}, 72);
    sampled.X = task.X;
    sampled.arrangements = sampled.arrange(1);
    const Program<double> program{sampled.rows(),
                                  {task.y.data(), task.n, 1},
                                  {task.w.data(), task.n},
                                  sampled.arrangements,
                                  alpha,
                                  "squared_error",
                                  true};
    std::vector<double> blocks(program.blocks() * program.dim()), intercept(1);
    const SolveReport report =
        solve(program, {}, {blocks.data(), program.blocks(), program.dim()}, {intercept.data(), 1});
    CHECK(report.converged && found.report.objective < 0.95 * report.objective);
}

void gated_search_runs() {
    const SearchResult found = Task("squared_error").search("squared_error", false, {2}, 0.01, {});
    CHECK(found.report.converged && found.report.n_active > 0);
    CHECK(static_cast<Index>(found.blocks.size()) == found.arrangements.size() * 2 * kColumns);
}

/// Every block has weights of these signs and, if gated, no gate reads such a column.
void weights_of_monotone_networks_have_their_signs(bool relu, std::vector<Index> width) {
    const std::int8_t monotone[] = {-1, 0, 1, 0};  // against the teacher
    const SearchResult found =
        Task("squared_error").search("squared_error", relu, width, 0.01, {}, {}, {monotone, kColumns});
    const Arrangements& a = found.arrangements;
    const Index dim = a.shape.paths() * kColumns, signs = relu ? 2 : 1;
    CHECK(a.size() > 0);
    for (Index b = 0; b < signs * a.size(); ++b)
        for (Index k = 0; k < dim; ++k) {
            const int side = (b % signs == 0 ? 1 : -1) * a.path_sign(b / signs, k / kColumns);
            CHECK(side * monotone[k % kColumns] * found.blocks[b * dim + k] >= 0);
            if (!relu && monotone[k % kColumns] != 0) CHECK(found.weights[b * dim + k] == 0);
        }
}

void large_alpha_gives_the_zero_network() {
    const SearchResult found = Task("squared_error").search("squared_error", true, {}, 1e3, {});
    CHECK(found.report.n_active == 0 && found.report.converged);
    CHECK(found.report.objective == found.report.objective_at_zero);
}

void observer_can_end_the_search_with_an_error() {
    struct Error {};
    Observer observer;
    observer.record = [](const Record&) { throw Error(); };
    bool stopped = false;
    try {
        Task("squared_error").search("squared_error", true, {}, 0.01, {}, observer);
    } catch (const Error&) {
        stopped = true;
    }
    CHECK(stopped);
}

/// At any poll: in slides, ascents and solves.
void observer_can_stop_the_search() {
    for (const bool relu : {false, true}) {
        const double zero = Task("squared_error").search("squared_error", relu, {}, 1e3, {}).report.objective;
        for (const Index stop_at : {0, 1, 2, 3}) {
            Observer observer;
            Index polls = 0;
            observer.poll = [&] {
                if (polls++ >= stop_at) throw Stop();
            };
            const SearchResult found =
                Task("squared_error").search("squared_error", relu, {2}, 0.001, {}, observer);
            CHECK(found.report.stopped ? !found.report.converged : polls <= stop_at);
            CHECK(found.report.objective <= zero && found.report.gap >= 0);
            CHECK(found.n_failed_starts == 0 || !found.report.stopped);
        }
    }
}

}  // namespace

int main() {
    for (const char* loss : {"squared_error", "log_loss"})
        for (const std::vector<Index>& width : {std::vector<Index>{}, {3}, {2, 2}})
            result_is_a_solved_program_and_its_network(loss, width);
    bits_do_not_depend_on_threads();
    search_beats_sampled_arrangements();
    gated_search_runs();
    large_alpha_gives_the_zero_network();
    observer_can_end_the_search_with_an_error();
    observer_can_stop_the_search();
    for (const bool relu : {true, false}) {
        weights_of_monotone_networks_have_their_signs(relu, {});
        weights_of_monotone_networks_have_their_signs(relu, {2});
    }
}
