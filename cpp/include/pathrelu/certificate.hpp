#pragma once
#include <vector>

#include <pathrelu/types.hpp>

namespace pathrelu {

/// What is known of  max over |u| <= 1 and sigma = +1, -1 of sigma sum_i theta_i (z_i . u)_+ :  how much a
/// depth-2 sub-network of path norm 1 can correlate with theta.
struct Correlation {
    double bound = 0;            ///< nothing is above it, rounding included; infinite if stopped too early
    std::vector<double> values;  ///< at the points found, largest first
    std::vector<double> points;  ///< (k, r) of length 1
    std::vector<double> signs;   ///< sigma of each
    Index n_nodes = 0;           ///< cones that branch and bound looked into
};

/// Exactly, for rows (n, r) with r <= 3, in O(m^2 log m) time and O(m) space for m lines on which rows lie.
///
/// On each cell of the rows' hyperplanes the function is linear, g . u, so a maximum over the sphere is
/// g / |g| inside a cell, or the same on the plane of a row, or a ray in which planes meet. Walks along each
/// plane and keeps g by one addition at a time: every edge is tried, and so are cells with |g| above the best
/// value so far. The points are the best of each plane. Stopped by a `Stop` of `poll`, it has no bound.
Correlation exact_correlation(MatView<const double> rows, VecView<const double> theta, int threads,
                              const Poll& poll = {});

struct BranchOptions {
    double floor = 0;           ///< values up to it do not matter
    double tol = 1e-2;          ///< stop at bound <= (1 + tol) * max(floor, best value)
    Index max_nodes = 1 << 20;  ///< look into at most about as many cones, or what memory or `Stop` allows
    bool until_found = false;   ///< stop once a value above (1 + tol) * floor is found
    int threads = 1;
};

/// By branch and bound over simplicial cones, for any r; the bound is valid however early it stops.
///
/// With c_j (a_j . u)_+ + l . u for the lines j of the rows: on a cone with vertices v_k, lines whose sign is
/// the same on all of them are linear; of the others, those with c_j > 0 are sublinear and so at most their
/// interpolation between the vertices, and those with c_j < 0 are at most c_j s a_j . u for any s in [0, 1].
/// The sum is linear on the cone, and its largest value for |u| <= 1 is a small least squares problem. The
/// cone of largest bound is halved at its longest edge. Same bits for any number of threads.
Correlation branch_and_bound(MatView<const double> rows, VecView<const double> theta,
                             const BranchOptions& options, const Poll& poll = {});

}  // namespace pathrelu
