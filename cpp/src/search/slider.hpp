#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "search/polish.hpp"
#include "search/slide.hpp"
#include "search/starts.hpp"
#include "search/tree_pass.hpp"

namespace pathrelu {

/// Multiplications of a pass from which the slides of a search make theirs in single precision.
constexpr Index kSinglePass = 2000000;

/// Slides over one program: its loss, its pass over the rows, and the scales at which they work.
template <class X>
class Slider {
  public:
    Slider(const SearchProblem<X>& problem, PassRows<X> rows, bool fit_intercept, std::uint64_t seed,
           int threads);

    const Loss& loss() const { return *loss_; }
    TreePass<X>& pass() { return pass_; }
    const Starts<X>& starts() const { return starts_; }
    /// Trees of smaller norm are dropped.
    double negligible_norm() const { return negligible_norm_; }
    /// Random trees to slide from, all in all of a norm that a network may have; 0 for as many as the work on
    /// them allows.
    Trees cloud(Index number, Index count = 0) const { return starts_.cloud(number, cloud_norm_, count); }

    /// f (n, C) <- f and the intercept that minimises the loss, if it is free, from `start`. Returns it.
    std::vector<double> shift_by_intercept(std::vector<double>& f, std::vector<double> start) const;

    /// In single precision from so many multiplications of a pass on.
    void slide_to_rest(Trees& trees, std::vector<double>& intercept, double alike, Index max_evaluations,
                       const std::function<bool()>& stopped, Index single_pass = kSinglePass);

  private:
    const SearchProblem<X>& problem_;
    bool fit_intercept_;
    std::unique_ptr<Loss> loss_;
    TreePass<X> pass_;
    Starts<X> starts_;
    double negligible_norm_, cloud_norm_, intercept_unit_;
    bool single_range_;  // whether single precision holds what passes meet
};

/// Cosine of trees that a slide on its own makes one: finer than in a search, for no round splits them again.
constexpr double kLoneAlike = 0.99;

/// Checked trees to start from; of any outputs, or of as many as a problem has.
Trees trees_of(const StartTrees& from, const TreeShape& shape, bool shared);
template <class X>
Trees trees_of(const StartTrees& from, const SearchProblem<X>& problem);

}  // namespace pathrelu
