#include <numeric>

#include "check.hpp"
#include "problem.hpp"
#include "solver/fista.hpp"
#include "solver/newton_system.hpp"

using namespace pathrelu;

namespace {

struct Case {
    std::string loss;
    bool relu, fit_intercept;
    Index outputs = 1;
    std::vector<Index> width = {};
};

/// A program in the middle of its solve, with the Newton system there.
struct System {
    Problem<double> p;
    SolveOptions options;
    std::vector<double> y, w;
    Program<double> program;
    std::optional<Workspace<double>> space;
    Point point;
    std::optional<Support<double>> on;
    std::optional<ProximalModel> model;
    Matrix rhs;

    explicit System(const Case& c)
        : p(90, 6, 12, c.width, 61), program{p.rows(), {}, {}, p.arrangements, 1, c.loss, c.relu} {
        std::mt19937_64 random(62);
        y = normal<double>(random, p.n * c.outputs);
        if (c.loss == "log_loss")
            for (double& value : y) value = value > 0 ? 1 : -1;
        if (c.loss == "multinomial") {
            std::fill(y.begin(), y.end(), 0.0);
            for (Index i = 0; i < p.n; ++i) y[i * c.outputs + i % c.outputs] = 1;
        }
        w.resize(p.n);
        for (Index i = 0; i < p.n; ++i) w[i] = i % 3;  // of mean 1; a third of the rows has no curvature
        program.y = {y.data(), p.n, c.outputs};
        program.w = {w.data(), p.n};
        options.fit_intercept = c.fit_intercept;
        program.alpha = 0.1 * alpha_max(program, c.fit_intercept, 1);
        space.emplace(program, options, Observer{});
        std::vector<Index> groups(p.groups);
        std::iota(groups.begin(), groups.end(), Index{0});
        const WorkingSet<double> work = space->working_set(groups);
        point.Z.assign(space->blocks_of(groups) * space->dim, 0.0);
        space->evaluate(work, point);
        Fista<double>(*space).run(work, point, 50);
        constexpr double step = 40;
        on.emplace(*space, work, point.Z, step);
        model.emplace(ProximalModel{point, step, space->smooth.model_at(point.f.data())});
        rhs.resize(space->dim, on->size());
        const std::vector<double> entries = normal<double>(random, rhs.size());
        std::copy(entries.begin(), entries.end(), rhs.data());
    }

    /// Of the right side along the facets, what x leaves.
    double left(const Matrix& x) const {
        Matrix along = rhs;
        on->to_tangent(along);
        return newton_residual(*on, *model, program.alpha, rhs, x).norm() / along.norm();
    }
};

void all_ways_solve_the_system(const Case& c) {
    System s(c);
    CHECK(s.on->size() > 3);
    Index facets = 0;
    for (const ActiveBlock& block : s.on->active) facets += block.n_facets();
    CHECK((facets > 0) == c.relu);

    Matrix primal, rows, iterative;
    CHECK(conjugate_gradients(*s.space)->solve(*s.on, *s.model, s.rhs, iterative));
    CHECK(s.left(iterative) < 2 * kNewtonResidual);
    const auto factorised = {primal_system(*s.space), row_system(*s.space)};
    if (c.outputs > 1) {
        for (const auto& system : factorised) CHECK(system->work(s.on->active) == kInfinity);
        return;
    }
    CHECK(factorised.begin()[0]->solve(*s.on, *s.model, s.rhs, primal));
    CHECK(s.left(primal) < 1e-10);
    CHECK(factorised.begin()[1]->solve(*s.on, *s.model, s.rhs, rows));
    CHECK(s.left(rows) < 2 * kNewtonResidual * kNewtonResidual);
    // The solution, not only its image: it is along the facets, and one.
    Matrix along = primal;
    s.on->to_tangent(along);
    CHECK((along - primal).norm() < 1e-10 * primal.norm());
    CHECK((rows - primal).norm() < 1e-2 * primal.norm());
}

}  // namespace

int main() {
    for (const bool relu : {false, true})
        for (const bool fit_intercept : {false, true}) {
            for (const char* loss : {"squared_error", "log_loss", "huber"})
                all_ways_solve_the_system({loss, relu, fit_intercept});
            all_ways_solve_the_system({"squared_error", relu, fit_intercept, 1, {2}});
            all_ways_solve_the_system({"squared_error", relu, fit_intercept, 2});
            all_ways_solve_the_system({"multinomial", relu, fit_intercept, 3});
        }
}
