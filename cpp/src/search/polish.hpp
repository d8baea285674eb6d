#pragma once
#include <functional>
#include <memory>
#include <vector>

#include <pathrelu/search.hpp>

#include "monotone.hpp"
#include "search/trees.hpp"
#include "support/stopwatch.hpp"

namespace pathrelu {

/// What a search is over: the program without its arrangements.
template <class X>
struct SearchProblem {
    Rows<X> rows;
    MatView<const double> y;
    VecView<const double> w;
    double alpha;
    LossSpec loss;
    bool relu;
    TreeShape shape;
    bool shared;                               ///< sub-networks feed all outputs, each in its own direction
    bool skip_connection;                      ///< a linear group for each output beside those searched for
    VecView<const std::int8_t> monotone = {};  ///< as of a program

    Index outputs() const { return y.cols; }
    Index dim() const { return shape.paths() * rows.cols; }
    Index signs() const { return relu && !shared ? 2 : 1; }
    /// Moves trees to the nearest ones, or gates, that a monotone network may have.
    void restrict(Trees& trees) const {
        const Monotone of(monotone);
        for (Index k = 0; of.any() && k < trees.size(); ++k)
            if (relu || trees.linear[k])
                of.clip(shape, trees.sign(k), trees.side(k), trees.linear[k] != 0, trees.weights(k).data());
            else
                of.clear(shape.paths(), trees.weights(k).data());
    }
};

/// The clock of a search, the solver steps it has left, and whether it was told to stop.
class Budget {
  public:
    Budget(const Observer& observer, Index max_iter)
        : observer_(observer), watch_(observer.poll), left_(max_iter) {}

    double seconds() const { return watch_.seconds(); }
    /// Polls now and then; true once the observer has thrown `Stop`. Slides and ascents then end where they
    /// are, and polishes soon.
    bool stopped();
    bool was_stopped() const { return watch_.stopped(); }
    void record(const Record& record);
    /// What a solve of these steps polls.
    Poll poll() const;
    Index steps(Index wanted) const { return std::clamp<Index>(left_, 0, wanted); }
    void spent(const SolveReport& report) {
        left_ -= report.n_iter;
        spent_ += report.n_iter;
        if (report.stopped) watch_.stop();
    }
    Index n_iter() const { return spent_; }
    bool any_left() const { return left_ > 0; }

  private:
    const Observer& observer_;
    Stopwatch watch_;
    Index left_, spent_ = 0;
};

/// The best solution of a program met by a search, over the arrangements it was solved for.
template <class X>
class Polish {
  public:
    /// `rough` polishes take few steps.
    Polish(const SearchProblem<X>& problem, const SolveOptions& options, bool rough, Budget& budget);

    /// Solves the program over the patterns and directions of the trees, from the trees' own weights (relu),
    /// together with the groups in use (gated); keeps what is better. Returns the trees of what it solved.
    Trees solve_over(const Trees& given, bool to_the_end = false);
    /// Solves the program of the best solution to its end, if it is not; keeps what is better.
    bool finish();
    /// Adds up the blocks of the best solution that point the same way, with one direction, and lie in one
    /// cone. The trees do the same there, so that outputs stay as they are; the penalty falls by what the
    /// blocks differ. False if there are none.
    bool add_up_parallel();
    /// Records where the search stands.
    void note(Index round);

    /// Trees of the best solution: its nonzero blocks (relu), or its gates with the block's weights as
    /// further starts (gated).
    Trees trees() const { return trees_of(result.arrangements, result.directions, result.blocks); }
    /// Outputs of the best solution, without the intercept.
    std::vector<double> outputs() const;
    bool any() const { return !result.report.history.empty(); }
    double objective() const { return result.report.objective; }
    double solved_objective() const { return solved_.objective; }
    /// Whether the last program was a large one, which ends the rounds.
    bool large() const { return large_; }

    SearchResult result;

  private:
    /// Groups, each with weights of a tree of its patterns and where it stems from: a tree, a group of the
    /// best solution (gated), or neither.
    struct Groups {
        Arrangements arrangements;
        std::vector<double> weights, directions;
        std::vector<Index> tree, old;
    };
    Groups groups_of(const Trees& trees) const;
    std::vector<Index> distinct(const Groups& groups) const;
    Trees trees_of(const Arrangements& arrangements, const std::vector<double>& directions,
                   const std::vector<double>& blocks) const;
    void solve(const Arrangements& arrangements, const std::vector<double>& directions, Index max_iter,
               std::vector<double>& blocks, std::vector<double>& intercept);
    void adopt();
    /// Whether so many blocks are solved further than asked for.
    bool is_cheap(Index blocks) const;
    Index group_of(Index block) const { return block / problem_.signs() % result.arrangements.size(); }

    const SearchProblem<X>& problem_;
    SolveOptions options_;
    bool rough_;
    Budget& budget_;
    Index n_, C_, S_, dim_;
    SolveReport solved_;
    bool large_ = false;
};

}  // namespace pathrelu
