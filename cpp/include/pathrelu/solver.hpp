#pragma once
#include <string>
#include <vector>

#include <pathrelu/arrangements.hpp>
#include <pathrelu/losses.hpp>

namespace pathrelu {

/// The convex program (C) over fixed arrangements. Everything is read in place and must outlive the solve.
///
///   min  (1/n) sum_i w_i loss(b + sum_g B_g (V_g^+ - V_g^-), y)_i + alpha sum_g (|V_g^+| + |V_g^-|)
///
/// over V_g^+, V_g^- in the cone K_g (relu), or over U_g = V_g^+ - V_g^- free (gated), for each of the C
/// outputs. A linear group has V_g^- = 0. With directions there is one block for each group, which feeds all
/// outputs: sum_g B_g V_g omega_g^T, |omega_g| = 1. Outputs that have to be monotone in columns fix signs of
/// weights, which is all of K_g where patterns are free (gated).
template <class X>
struct Program {
    Rows<X> rows;             ///< (n, d)
    MatView<const double> y;  ///< (n, C)
    VecView<const double> w;  ///< (n), mean 1
    const Arrangements& arrangements;
    double alpha;
    LossSpec loss;
    bool relu;
    /// Each group's direction of the outputs (P, C), of norm 1, which its blocks feed; empty for groups that
    /// feed every output with either sign.
    MatView<const double> directions = {};
    /// For each column +1 if outputs must not fall in it, -1 if they must not rise, else 0; or empty. Then
    /// each group feeds one output.
    VecView<const std::int8_t> monotone = {};

    Index outputs() const { return y.cols; }
    Index groups() const { return arrangements.size(); }
    bool directed() const { return directions.rows > 0; }
    Index layers() const { return directed() ? 1 : outputs(); }  ///< of blocks, each with all groups
    Index signs() const { return relu && !directed() ? 2 : 1; }
    Index blocks() const { return layers() * groups() * signs(); }  ///< in the order (layers, P, signs)
    Index dim() const { return arrangements.shape.paths() * rows.cols; }
};

struct SolveOptions {
    double tol = 1e-6;       ///< stop at gap <= tol * objective of the zero network
    Index max_iter = 10000;  ///< proximal and Newton steps
    bool fit_intercept = false;
    int threads = 1;
};

/// One check of the duality gap.
struct Record {
    Index n_iter = 0;
    double objective = 0;
    double dual_objective = 0;
    double gap = 0;  ///< objective minus the best dual objective so far: bounds the distance to the optimum
    Index n_active = 0;
    double seconds = 0;
    Index round = 0;        ///< of a search, from 1; else of working sets, from 0: those before this check
    Index n_groups = 0;     ///< in the working set, or of the arrangements that a search solved last
    double target_gap = 0;  ///< that the solve stops at
};

struct SolveReport : Record {
    double objective_at_zero = 0;
    double rounding = 0;  ///< objectives up to it are of networks that fit up to rounding
    bool converged = false;
    bool stopped = false;  ///< by a `Stop`, before it converged
    std::vector<Record> history;
    std::vector<double> dual_point;  ///< (n, C), that `dual_objective` is of
};

/// What the caller may see and stop; either may be empty and may throw: `Stop` to have the best so far, all
/// else leaves. Called between parallel regions on the calling thread: `poll` about every 0.05 s, `record` at
/// every check of the gap.
struct Observer {
    Poll poll;
    std::function<void(const Record&)> record;
};

/// Solves the program from what `blocks` (layers * P * signs, paths * d) and `intercept` (C) hold, which are
/// overwritten. Blocks outside their cones are projected first. Every iterate is feasible; the objective
/// never rises from one check to the next.
///
/// Working sets of groups; inside, FISTA with backtracking and restart (Beck & Teboulle 2009, O'Donoghue &
/// Candes 2015) as long as it pays, then Newton steps on the support and the facets it found, and the
/// proximal point method by semismooth Newton on the dual (Li, Sun & Toh 2018) where those stall. The
/// intercept is minimised out exactly at every step.
template <class X>
SolveReport solve(const Program<X>& program, const SolveOptions& options, MatView<double> blocks,
                  VecView<double> intercept, const Observer& observer = {});

/// Smallest alpha for which the zero network is optimal; program.alpha is not used.
template <class X>
double alpha_max(const Program<X>& program, bool fit_intercept, int threads);

}  // namespace pathrelu
