#pragma once
#include <functional>
#include <vector>

#include "monotone.hpp"
#include "search/tree_pass.hpp"

namespace pathrelu {

/// What a slide descends on: mean loss + alpha sum_k |V_k| over trees, whose directions are free or fixed.
template <class X>
struct SlideProblem {
    TreePass<X>& pass;
    const Loss& loss;
    double alpha;
    bool fit_intercept;
    double intercept_unit;  ///< of the variable that stands for it, which then grows as the trees' do
    bool free_directions;
    bool single;             ///< precision of the passes
    double negligible_norm;  ///< trees with smaller leaf weights are dropped
    std::function<bool()> stopped;
    const TreeShape& shape;
    Monotone monotone;  ///< all trees that a slide meets are
};

/// Descends on (NC) over all leaf weights, the directions if they are free and the intercept, by L-BFGS
/// (Nocedal 1980) with a bisection for the weak Wolfe conditions, which also serves where the objective has
/// kinks (Lewis & Overton 2013); within `max_evaluations`. Trees that come to coincide up to the cosine
/// `alike` become one.
///
/// A tree's function is h(u) a^T with the penalty alpha (|a|^2 + |u|^2) / 2, whose minimum over such (a, u)
/// is alpha |u| |a|: weight decay of the tree as a unit. It is smooth where a tree vanishes.
///
/// Weights whose sign is fixed stay at zero where the slope would take them beyond, and steps along the
/// others are clipped (gradient projection, Bertsekas 1982).
template <class X>
void slide(const SlideProblem<X>& problem, Trees& trees, std::vector<double>& intercept, double alike,
           Index max_evaluations);

/// The trees without those of negligible norm, and with those that are alike added up.
Trees thinned(const Trees& trees, double alike, double negligible_norm);

}  // namespace pathrelu
