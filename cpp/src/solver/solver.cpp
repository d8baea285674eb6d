#include <pathrelu/error.hpp>
#include <pathrelu/solver.hpp>

#include <numeric>

#include "solver/inner.hpp"

namespace pathrelu {
namespace {

/// Share of the loss of predictions of 0 that is rounding: of some thousand times epsilon, squared.
constexpr double kNoise = 1e-24;
/// Gap over the tolerance up to which every score is exact, and a point is near the optimum: Newton steps
/// then take two or three rounds.
constexpr double kWideGap = 30;
/// Bounds on scores that are below this many alpha are worth making exact: by more, the bound on the optimum
/// does not depend on their digits.
constexpr double kLooseScore = 2;
constexpr double kLost = 1e-12;  ///< relative rise of the objective that rounding alone explains

/// A working set is solved to this share of the tolerance at most, which leaves the rest for groups outside,
/// if there are any;
/// else to a share of the gap: a tenth, or a half as long as groups come in, with cones to settle in each,
/// where a closer solution would not last.
constexpr double kInnerTolerance = 0.3, kLastTolerance = 0.9, kInnerShare = 0.1, kGrowingShare = 0.5;
constexpr Index kLeastNew = 20;  ///< groups that may come in at once; at least as many as are in use

/// Smooth losses end where rounding has the last word: nothing moves by more than its last digits, the gap
/// does not narrow, and no group is left to add; looked at some times, for they differ.
constexpr double kLastDigits = 1e-15, kNarrowed = 0.9;
constexpr int kMostStalled = 5;
/// A loss with kinks is rounded off anew when the rounded program's gap is `kShiftGap` of the program's own;
/// to finer kinks where this has not narrowed it to `kShiftNarrowed`. So many in a row may narrow nothing.
constexpr double kShiftGap = 0.1, kShiftNarrowed = 0.5;
constexpr int kMostShifts = 20;

std::vector<Index> first(Index count) {
    std::vector<Index> all(count);
    std::iota(all.begin(), all.end(), Index{0});
    return all;
}

template <class X>
class Solver {
  public:
    Solver(const Program<X>& program, const SolveOptions& options, const Observer& observer)
        : space_(program, options, observer),
          inner_(space_),
          record_(observer.record),
          all_(space_.working_set(first(program.groups()))),
          work_(space_.working_set({})),
          used_(program.groups(), 0),
          G_(program.layers() * program.groups() * program.dim()) {}

    SolveReport run(MatView<double> blocks, VecView<double> intercept);
    double alpha_max();

  private:
    bool kinked() const { return space_.smooth.kinked(); }
    bool is_lax(double objective) const { return rounded_tolerance_ > kLax * objective; }
    std::vector<double> zeros() const { return std::vector<double>(space_.n * space_.C, 0.0); }
    void state_tolerance();
    void start();
    void find_used();
    void take_up_used();
    void put_back();
    std::vector<double> scores();
    void check_gap(const std::vector<double>& score);
    /// Of the point, by the program's own loss.
    SmoothPart::Stated stated() {
        if (kinked()) return space_.smooth.stated_at(point_.f.data());
        return {point_.smooth, point_.intercept};
    }
    void keep_best();
    bool is_stuck(bool shifts);
    void shift();
    bool extend(const std::vector<double>& score);
    void descend(bool grown);

    Workspace<X> space_;
    InnerSolver<X> inner_;
    const std::function<void(const Record&)>& record_;
    const WorkingSet<X> all_;

    MatView<double> blocks_;  // the caller's, which hold the point
    WorkingSet<X> work_;
    Point point_;
    std::vector<char> used_;     // the groups that have a block, or are to have one
    std::vector<double> theta_;  // dual point of the last working set; none after a shift or a stop
    std::vector<double> G_;
    SolveReport report_;
    struct {
        double objective = kInfinity;
        std::vector<double> blocks, intercept;
        Index n_active = 0;
    } best_;  // of the program's own objective, which the rounded program's need not lower
    double dual_ = -kInfinity;
    double gap_before_ = 0;
    int stalled_ = 0;
    // Of the program whose loss is rounded off; for a smooth loss the same as the program's own.
    double rounded_dual_ = -kInfinity, rounded_gap_ = kInfinity, rounded_tolerance_ = 0;
    double rounded_before_ = kInfinity, fallen_ = 0;  // its objective at the last check, and by how much less
    double gap_at_shift_ = kInfinity;
    bool wide_ = true;         // whether the gap is, so that bounds on the scores do
    Index groups_before_ = 0;  // in the last working set
};

template <class X>
SolveReport Solver<X>::run(MatView<double> blocks, VecView<double> intercept) {
    const SolveOptions& options = space_.options;
    const double alpha = space_.program.alpha;
    require(options.tol > 0 && options.max_iter >= 0 && options.threads > 0,
            "tol and threads must be positive, and max_iter not below zero");
    require(alpha > 0 && alpha < kInfinity, "alpha is ", alpha, "; expected a positive finite number");
    require_shape("blocks", blocks, space_.program.blocks(), space_.dim);
    require_size("intercept", intercept, space_.C);
    blocks_ = blocks;
    space_.smooth.intercept.assign(intercept.begin(), intercept.end());
    state_tolerance();
    start();
    for (;;) {
        space_.watch.until_stop([&] { space_.watch.poll(); });
        find_used();
        const std::vector<double> score = scores();
        check_gap(score);
        if (record_) space_.watch.until_stop([&] { record_(report_); });
        if (report_.converged || !space_.any_steps_left() || space_.watch.stopped()) break;
        const bool shifts = kinked() && rounded_gap_ <= rounded_tolerance_;
        if (is_stuck(shifts)) break;
        if (shifts)
            shift();
        else
            descend(extend(score));
    }
    report_.stopped = space_.watch.stopped() && !report_.converged;
    if (kinked()) std::copy(best_.blocks.begin(), best_.blocks.end(), blocks.data);
    std::copy(best_.intercept.begin(), best_.intercept.end(), intercept.begin());
    return std::move(report_);
}

template <class X>
void Solver<X>::state_tolerance() {
    report_.objective_at_zero = space_.smooth.stated_at(zeros().data()).value;
    // A constant network that fits up to rounding is as good as one that fits.
    report_.rounding = kNoise * space_.smooth.stated().value(zeros().data());
    report_.target_gap = space_.options.tol * std::max({report_.objective_at_zero, report_.rounding,
                                                        std::numeric_limits<double>::min()});
    rounded_tolerance_ = report_.target_gap;
}

/// Takes up the caller's blocks, or zeros where those are no use as a start.
template <class X>
void Solver<X>::start() {
    if (!space_.watch.until_stop([&] { space_.put_on_cones(blocks_); })) space_.keep_feasible(blocks_);
    find_used();
    take_up_used();
    if (point_.penalty > 0 && !(stated().value + point_.penalty < report_.objective_at_zero)) {
        std::fill(blocks_.data, blocks_.data + blocks_.size(), 0.0);
        std::fill(used_.begin(), used_.end(), 0);
        take_up_used();
    }
    wide_ = point_.penalty == 0 || is_lax(point_.objective());
}

template <class X>
void Solver<X>::find_used() {
    std::fill(used_.begin(), used_.end(), 0);
    for (Index b = 0; b < blocks_.rows; ++b)
        if (Map(blocks_.row(b), space_.dim).squaredNorm() > 0) used_[space_.group_of(b)] = 1;
}

/// The working set <- the groups in use, the point <- their blocks.
template <class X>
void Solver<X>::take_up_used() {
    std::vector<Index> groups;
    for (Index g = 0; g < space_.program.groups(); ++g)
        if (used_[g]) groups.push_back(g);
    work_ = space_.working_set(std::move(groups));
    point_.Z.clear();
    for (Index b = 0; b < space_.blocks_of(work_.groups); ++b) {
        const double* z = blocks_.row(space_.global_block(work_.groups, b));
        point_.Z.insert(point_.Z.end(), z, z + space_.dim);
    }
    space_.evaluate(work_, point_);
}

/// The caller's blocks <- those of the point.
template <class X>
void Solver<X>::put_back() {
    for (Index b = 0; b < space_.blocks_of(work_.groups); ++b)
        std::copy(point_.Z.data() + b * space_.dim, point_.Z.data() + (b + 1) * space_.dim,
                  blocks_.row(space_.global_block(work_.groups, b)));
}

/// Of all blocks at `theta_`, which is that of the point if there is none; bounds on them while the gap is
/// wide, or where a stop leaves nothing else.
template <class X>
std::vector<double> Solver<X>::scores() {
    const double alpha = space_.program.alpha;
    Stopwatch& watch = space_.watch;
    if (theta_.empty()) theta_ = space_.smooth.feasible(space_.smooth.dual_point(point_.f.data()));
    space_.adjoint(all_, theta_.data(), G_.data());
    std::vector<double> score;
    const auto bounds = [&] { score = space_.scores(all_.groups, G_.data(), alpha, 1); };
    if (wide_ && !watch.until_stop(bounds)) bounds();
    const bool pays = !wide_ || (largest(score) < kLooseScore * alpha && space_.options.max_iter > 0);
    if (!watch.stopped() && pays)
        watch.until_stop([&] { score = space_.scores(all_.groups, G_.data(), alpha); });
    if (watch.stopped() && score.empty()) bounds();
    return score;
}

template <class X>
void Solver<X>::check_gap(const std::vector<double>& score) {
    const double rounded = point_.objective(), most = largest(score);
    rounded_dual_ = std::max(rounded_dual_, space_.dual_value(space_.smooth.loss(), theta_, most));
    const double dual = space_.dual_value(space_.smooth.stated(), theta_, most);
    if (dual > dual_ || report_.dual_point.empty()) report_.dual_point = theta_;
    dual_ = std::max(dual_, dual);
    fallen_ = rounded_before_ - rounded;
    rounded_before_ = rounded;
    keep_best();
    gap_before_ = report_.gap;
    report_.n_iter = space_.n_iter;
    report_.objective = best_.objective;
    report_.n_active = best_.n_active;
    report_.dual_objective = dual_;
    report_.gap = report_.objective - dual_;
    if (report_.gap < 0) report_.gap = 0;  // rounding; not a number stays one
    report_.seconds = space_.watch.seconds();
    report_.round = static_cast<Index>(report_.history.size());
    report_.n_groups = static_cast<Index>(work_.groups.size());
    report_.converged = report_.gap <= report_.target_gap;
    report_.history.push_back(report_);
    if (kinked()) {
        rounded_gap_ = std::max(rounded - rounded_dual_, 0.0);
        rounded_tolerance_ = std::max(kInnerTolerance * report_.target_gap, kShiftGap * report_.gap);
    } else {
        rounded_gap_ = report_.gap;
    }
    wide_ = rounded_gap_ > kWideGap * rounded_tolerance_;
}

template <class X>
void Solver<X>::keep_best() {
    SmoothPart::Stated now = stated();
    const double objective = now.value + point_.penalty;
    if (kinked() && objective >= best_.objective) return;
    best_.objective = objective;
    best_.intercept = std::move(now.intercept);
    best_.n_active = 0;
    for (Index b = 0; b < blocks_.rows; ++b)
        best_.n_active += Map(blocks_.row(b), space_.dim).squaredNorm() > 0;
    if (kinked()) best_.blocks.assign(blocks_.data, blocks_.data + blocks_.size());
}

template <class X>
bool Solver<X>::is_stuck(bool shifts) {
    const bool moving =
        (fallen_ > kLastDigits * rounded_before_ && !shifts) || report_.gap < kNarrowed * gap_before_;
    stalled_ = moving ? 0 : stalled_ + 1;
    return stalled_ >= (kinked() ? kMostShifts : kMostStalled);
}

/// On to the next rounded loss.
template <class X>
void Solver<X>::shift() {
    space_.smooth.round_off_next(point_.f.data(), !(report_.gap < kShiftNarrowed * gap_at_shift_));
    inner_.forget_curvature();
    ++space_.n_iter;
    gap_at_shift_ = report_.gap;
    rounded_dual_ = -kInfinity;
    rounded_before_ = kInfinity;
    theta_.clear();
    space_.evaluate(work_, point_);
}

/// The next working set: the groups in use and the best of the others, at least doubling what is in use.
/// Whether it is larger than the last.
template <class X>
bool Solver<X>::extend(const std::vector<double>& score) {
    std::vector<std::pair<double, Index>> violators;
    Index n_used = 0;
    for (Index g = 0; g < space_.program.groups(); ++g) {
        n_used += used_[g];
        double best = 0;
        for (Index c = 0; c < space_.layers; ++c)
            for (Index s = 0; s < space_.S; ++s) best = std::max(best, score[space_.block_index(c, g, s)]);
        if (!used_[g] && best > space_.program.alpha) violators.emplace_back(-best, g);
    }
    std::sort(violators.begin(), violators.end());
    const std::size_t most = static_cast<std::size_t>(std::max(kLeastNew, n_used));
    if (violators.size() > most) violators.resize(most);
    for (const auto& violator : violators) used_[violator.second] = 1;
    const Index count = std::accumulate(used_.begin(), used_.end(), Index{0});
    const bool grown = count > groups_before_;
    groups_before_ = count;
    return grown;
}

/// Solves over the working set; the objective does not rise.
template <class X>
void Solver<X>::descend(bool grown) {
    const double objective = point_.objective();
    take_up_used();
    if (grown) inner_.forget_curvature();
    const double share = space_.has_cones() && grown ? kGrowingShare : kInnerShare;
    const bool lax = is_lax(objective),
               all = static_cast<Index>(work_.groups.size()) == space_.program.groups();
    const double target =
        std::max((lax && all ? kLastTolerance : kInnerTolerance) * rounded_tolerance_, share * rounded_gap_);
    const bool near = !lax && rounded_gap_ <= kWideGap * rounded_tolerance_;
    const auto solve = [&] { theta_ = inner_.solve(work_, point_, target, near, lax); };
    if (!space_.watch.until_stop(solve)) theta_.clear();
    const std::vector<double> before(blocks_.data, blocks_.data + blocks_.size());
    put_back();
    // Without a poll once stopped, and on few blocks, which were on their cones up to rounding.
    bool moved = space_.watch.stopped();
    if (!space_.watch.until_stop([&] { moved |= space_.put_on_cones(blocks_); }))
        moved |= space_.put_on_cones(blocks_);
    if (moved) take_up_used();
    // Numbers may be so large that rounding undoes the descent.
    if (!(point_.objective() <= objective * (1 + kLost))) {
        std::copy(before.begin(), before.end(), blocks_.data);
        take_up_used();
    }
}

template <class X>
double Solver<X>::alpha_max() {
    space_.smooth.round_off_least();
    const std::vector<double> theta = space_.smooth.dual_point(zeros().data());
    space_.adjoint(all_, theta.data(), G_.data());
    return largest(space_.scores(all_.groups, G_.data(), 0));
}

}  // namespace

template <class X>
SolveReport solve(const Program<X>& program, const SolveOptions& options, MatView<double> blocks,
                  VecView<double> intercept, const Observer& observer) {
    return Solver<X>(program, options, observer).run(blocks, intercept);
}

template <class X>
double alpha_max(const Program<X>& program, bool fit_intercept, int threads) {
    SolveOptions options;
    options.fit_intercept = fit_intercept;
    options.threads = threads;
    return Solver<X>(program, options, {}).alpha_max();
}

template SolveReport solve<float>(const Program<float>&, const SolveOptions&, MatView<double>,
                                  VecView<double>, const Observer&);
template SolveReport solve<double>(const Program<double>&, const SolveOptions&, MatView<double>,
                                   VecView<double>, const Observer&);
template double alpha_max<float>(const Program<float>&, bool, int);
template double alpha_max<double>(const Program<double>&, bool, int);

}  // namespace pathrelu
