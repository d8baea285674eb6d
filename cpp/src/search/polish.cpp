#include "search/polish.hpp"

#include <pathrelu/cones.hpp>
#include <pathrelu/operators.hpp>

#include <algorithm>

namespace pathrelu {
namespace {

/// Solver steps of one polish: what they leave is for the next slide or, in the end, for the last solve.
constexpr Index kPolishIter = 50, kConePolishIter = 150;
constexpr Index kPolishSteps = 20;  // the same of a large program, which ends the rounds
/// Most unknowns, and rows times unknowns, of a program that is not large.
constexpr Index kMostUnknowns = 4000, kMostEntries = 8000000;
constexpr double kPolishTol = 1e-6;      // at most, of polishes, and of the last solve if it is cheap
constexpr Index kCheap = 2000;           // unknowns
constexpr double kParallel = 1 - 1e-6;   // cosine above which two blocks point the same way
constexpr double kOneDirection = 1e-12;  // squared distance of directions that are one but for rounding
constexpr double kLastPolish = 0.2;      // seconds for the polish after a stop

bool is_one_direction(const double* a, const double* b, Index outputs) {
    return (ConstMap(a, outputs) - ConstMap(b, outputs)).squaredNorm() <= kOneDirection;
}

}  // namespace

bool Budget::stopped() {
    watch_.until_stop([&] { watch_.poll(); });
    return watch_.stopped();
}

void Budget::record(const Record& record) {
    if (observer_.record && !was_stopped()) watch_.until_stop([&] { observer_.record(record); });
}

Poll Budget::poll() const {
    if (!was_stopped()) return observer_.poll;
    return [this, until = seconds() + kLastPolish] {
        if (seconds() > until) throw Stop();
    };
}

template <class X>
Polish<X>::Polish(const SearchProblem<X>& problem, const SolveOptions& options, bool rough, Budget& budget)
    : problem_(problem),
      options_(options),
      rough_(rough),
      budget_(budget),
      n_(problem.rows.rows),
      C_(problem.outputs()),
      S_(problem.signs()),
      dim_(problem.dim()) {
    result.arrangements.shape = problem.shape;
    result.arrangements.n_rows = n_;
    result.intercept.assign(C_, 0.0);
}

template <class X>
typename Polish<X>::Groups Polish<X>::groups_of(const Trees& trees) const {
    Groups out{{problem_.shape, n_, {}, {}}, {}, {}, {}, {}};
    const auto add = [&](const double* weights, const double* direction, Index tree, Index old) {
        out.weights.insert(out.weights.end(), weights, weights + dim_);
        if (problem_.shared) out.directions.insert(out.directions.end(), direction, direction + C_);
        out.tree.push_back(tree);
        out.old.push_back(old);
    };
    if (!problem_.relu) {
        const Index P = result.arrangements.size();
        std::vector<char> used(P, 0);
        for (Index b = 0; b < static_cast<Index>(result.blocks.size()) / dim_; ++b)
            used[group_of(b)] |= ConstMap(result.blocks.data() + b * dim_, dim_).squaredNorm() > 0;
        std::vector<Index> kept;
        for (Index g = 0; g < P; ++g) {
            if (!used[g]) continue;
            kept.push_back(g);
            add(result.weights.data() + g * dim_, result.directions.data() + (problem_.shared ? g * C_ : 0),
                -1, g);
        }
        out.arrangements = result.arrangements.select(kept);
    }
    const Arrangements patterns = arrangements_from_trees<X>(
        problem_.rows, {trees.V.data(), trees.size(), dim_}, {trees.signs.data(), trees.size(), trees.edges},
        problem_.shape, options_.threads);
    for (Index k = 0; k < trees.size(); ++k) {
        trees.linear[k] ? out.arrangements.append_linear() : out.arrangements.append(patterns.select({k}));
        add(trees.V.data() + k * dim_, trees.omega.data() + k * C_, k, -1);
    }
    if (problem_.skip_connection) {
        const std::vector<double> zero(dim_, 0.0);
        for (Index c = 0; c < (problem_.shared ? C_ : 1); ++c) {
            std::vector<double> direction(C_, 0.0);
            direction[c] = 1;
            out.arrangements.append_linear();
            add(zero.data(), direction.data(), -1, -1);
        }
    }
    return out;
}

/// First occurrences of the groups that differ in arrangement or direction and are not zero.
template <class X>
std::vector<Index> Polish<X>::distinct(const Groups& groups) const {
    if (!problem_.shared) return groups.arrangements.distinct();
    const Arrangements& a = groups.arrangements;
    std::vector<Index> kept;
    for (Index g = 0; g < a.size(); ++g) {
        const double* omega = groups.directions.data();
        const auto same = [&](Index h) {
            return is_one_direction(omega + g * C_, omega + h * C_, C_) && a.same_group(g, a, h);
        };
        if (std::none_of(kept.begin(), kept.end(), same) && !a.select({g}).distinct().empty())
            kept.push_back(g);
    }
    return kept;
}

template <class X>
Trees Polish<X>::trees_of(const Arrangements& arrangements, const std::vector<double>& directions,
                          const std::vector<double>& blocks) const {
    Trees trees{dim_, problem_.shape.edges(), C_};
    const Index P = arrangements.size();
    for (Index b = 0; b < static_cast<Index>(blocks.size()) / dim_; ++b) {
        const double* v = blocks.data() + b * dim_;
        const Index group = b / S_ % P;
        if (ConstMap(v, dim_).squaredNorm() == 0) continue;
        if (problem_.shared)
            trees.add(v, arrangements.sign(group), directions.data() + group * C_,
                      arrangements.is_linear(group));
        else
            trees.add(v, arrangements.sign(group), b / (S_ * P), b % S_ == 0 ? 1 : -1,
                      arrangements.is_linear(group));
    }
    return trees;
}

template <class X>
Trees Polish<X>::solve_over(const Trees& given, bool to_the_end) {
    Trees trees = given;
    problem_.restrict(trees);  // weights of blocks, which gates may be made of, read all columns
    const Groups groups = groups_of(trees);
    const std::vector<Index> kept = distinct(groups);
    if (kept.empty() && any()) return trees;
    const Arrangements arrangements = groups.arrangements.select(kept);
    const Index P = arrangements.size(), layers = problem_.shared ? 1 : C_;
    std::vector<double> weights, directions;
    for (const Index g : kept) {
        weights.insert(weights.end(), groups.weights.begin() + g * dim_,
                       groups.weights.begin() + (g + 1) * dim_);
        if (problem_.shared)
            directions.insert(directions.end(), groups.directions.begin() + g * C_,
                              groups.directions.begin() + (g + 1) * C_);
    }
    std::vector<double> blocks(layers * P * S_ * dim_, 0.0), intercept = result.intercept;
    for (Index g = 0; g < groups.arrangements.size(); ++g) {
        const Index tree = groups.tree[g], old = groups.old[g];
        const auto same = [&](Index k) {
            return groups.arrangements.same_group(g, arrangements, k) &&
                   (!problem_.shared ||
                    is_one_direction(groups.directions.data() + g * C_, directions.data() + k * C_, C_));
        };
        Index k = 0;  // the kept group like this one, if it is not zero
        while (k < P && !same(k)) ++k;
        if (k == P) continue;
        if (problem_.relu && tree >= 0) {
            const Index c = problem_.shared ? 0 : trees.output(tree);
            const bool second = !problem_.shared && trees.direction(tree)[c] < 0;
            Map(blocks.data() + ((c * P + k) * S_ + second) * dim_, dim_) += trees.weights(tree);
        } else if (old >= 0) {
            for (Index c = 0; c < layers; ++c)
                Map(blocks.data() + (c * P + k) * dim_, dim_) =
                    ConstMap(result.blocks.data() + (c * result.arrangements.size() + old) * dim_, dim_);
        }
    }
    large_ = problem_.relu && (P * dim_ > kMostUnknowns || n_ * P * dim_ > kMostEntries);
    // Systems of several outputs are solved iteratively, which makes their steps dear.
    const Index steps = to_the_end                                     ? options_.max_iter
                        : large_                                       ? kPolishSteps
                        : problem_.relu && !problem_.shared && !rough_ ? kConePolishIter
                                                                       : kPolishIter;
    solve(arrangements, directions, steps, blocks, intercept);
    Trees solved = trees_of(arrangements, directions, blocks);
    if (solved_.objective < objective() || !any()) {
        result.arrangements = arrangements;
        result.directions = std::move(directions);
        result.weights = std::move(weights);
        result.blocks = std::move(blocks);
        result.intercept = std::move(intercept);
        adopt();
    }
    return solved;
}

/// Solves over the arrangements from the blocks and the intercept, in place, within max_iter steps.
template <class X>
void Polish<X>::solve(const Arrangements& arrangements, const std::vector<double>& directions, Index max_iter,
                      std::vector<double>& blocks, std::vector<double>& intercept) {
    const Program<X> program{
        problem_.rows,    problem_.y,
        problem_.w,       arrangements,
        problem_.alpha,   problem_.loss,
        problem_.relu,    {directions.data(), problem_.shared ? arrangements.size() : 0, C_},
        problem_.monotone};
    SolveOptions options = options_;
    if (max_iter < options_.max_iter || is_cheap(program.blocks()))
        options.tol = std::min(options.tol, kPolishTol);
    options.max_iter = budget_.steps(max_iter);
    solved_ = pathrelu::solve<X>(program, options, {blocks.data(), program.blocks(), dim_},
                                 {intercept.data(), C_}, {budget_.poll(), {}});
    budget_.spent(solved_);
}

template <class X>
bool Polish<X>::finish() {
    const bool cheap = is_cheap(static_cast<Index>(result.blocks.size()) / dim_);
    if ((!cheap && result.report.converged) || !budget_.any_left() || budget_.was_stopped()) return false;
    std::vector<double> blocks = result.blocks, intercept = result.intercept;
    solve(result.arrangements, result.directions, options_.max_iter, blocks, intercept);
    if (!budget_.was_stopped() || solved_.objective <= objective()) {
        result.blocks = std::move(blocks);
        result.intercept = std::move(intercept);
        adopt();
    }
    return true;
}

template <class X>
bool Polish<X>::add_up_parallel() {
    const Arrangements& a = result.arrangements;
    const Index P = a.size(), edges = problem_.shape.edges(),
                n_blocks = static_cast<Index>(result.blocks.size()) / dim_;
    const auto block = [&](Index b) { return Map(result.blocks.data() + b * dim_, dim_); };
    std::vector<double> norm(n_blocks);
    std::vector<Index> active;
    for (Index b = 0; b < n_blocks; ++b) {
        norm[b] = block(b).norm();
        if (norm[b] > 0 && !a.is_linear(group_of(b))) active.push_back(b);
    }
    std::sort(active.begin(), active.end(),
              [&](Index b, Index c) { return norm[b] != norm[c] ? norm[b] > norm[c] : b < c; });
    const auto side = [&](Index b) { return b / (S_ * P) * S_ + b % S_; };
    const auto one_direction = [&](Index b, Index c) {
        if (!problem_.shared) return side(b) == side(c);
        return is_one_direction(result.directions.data() + b * C_, result.directions.data() + c * C_, C_);
    };
    std::unique_ptr<Cones<X>> cones;
    double saved = 0;
    std::vector<Index> kept;
    for (const Index b : active) {
        const auto joins = [&](Index into) {
            if (!one_direction(into, b) ||
                !std::equal(a.sign(group_of(into)), a.sign(group_of(into)) + edges, a.sign(group_of(b))) ||
                !(block(into).dot(block(b)) > kParallel * norm[into] * norm[b]))
                return false;
            if (!cones) cones = std::make_unique<Cones<X>>(problem_.rows, a);
            return cones->contains(group_of(into), block(b).data());
        };
        const auto into = std::find_if(kept.begin(), kept.end(), joins);
        if (into == kept.end()) {
            kept.push_back(b);
            continue;
        }
        const double apart = norm[*into] + norm[b];
        block(*into) += block(b);
        block(b).setZero();
        norm[*into] = block(*into).norm();
        saved += problem_.alpha * (apart - norm[*into]);
        --result.report.n_active;
    }
    result.report.objective -= saved;
    result.report.gap = std::max(result.report.gap - saved, 0.0);
    return kept.size() < active.size();
}

template <class X>
std::vector<double> Polish<X>::outputs() const {
    std::vector<double> f(n_ * C_, 0.0), column(n_);
    const Index P = result.arrangements.size();
    if (result.blocks.empty()) return f;
    const MaskedOperator<X> op(problem_.rows, result.arrangements, options_.threads);
    std::vector<double> V(P * dim_);
    for (Index c = 0; c < C_; ++c) {
        for (Index g = 0; g < P; ++g) {
            Map v(V.data() + g * dim_, dim_);
            if (problem_.shared) {
                v = result.directions[g * C_ + c] * ConstMap(result.blocks.data() + g * dim_, dim_);
                continue;
            }
            const double* block = result.blocks.data() + (c * P + g) * S_ * dim_;
            v = ConstMap(block, dim_);
            if (S_ == 2) v -= ConstMap(block + dim_, dim_);
        }
        op.forward(V.data(), column.data());
        for (Index i = 0; i < n_; ++i) f[i * C_ + c] = column[i];
    }
    return f;
}

template <class X>
bool Polish<X>::is_cheap(Index blocks) const {
    return !problem_.shared && blocks * dim_ <= kCheap;
}

/// Makes the last solve's report the search's, which keeps its history.
template <class X>
void Polish<X>::adopt() {
    std::swap(solved_.history, result.report.history);
    result.report = solved_;
}

template <class X>
void Polish<X>::note(Index round) {
    result.report.n_iter = budget_.n_iter();
    result.report.seconds = budget_.seconds();
    result.report.round = round;
    result.report.n_groups = result.arrangements.size();
    result.report.history.push_back(result.report);
    budget_.record(result.report);
}

template class Polish<float>;
template class Polish<double>;

}  // namespace pathrelu
