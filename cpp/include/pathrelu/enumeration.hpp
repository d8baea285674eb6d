#pragma once
#include <cstdint>
#include <vector>

#include <pathrelu/arrangements.hpp>

namespace pathrelu {

/// Rows grouped by the line through the origin on which they lie: row i is factor_i * unit_(line_i).
struct Lines {
    Index dim = 0;
    std::vector<double> unit;    ///< (m, dim), of length 1
    std::vector<Index> line;     ///< (n), -1 for a row of zeros
    std::vector<double> factor;  ///< (n)

    Index size() const { return dim == 0 ? 0 : static_cast<Index>(unit.size()) / dim; }
    const double* normal(Index j) const { return unit.data() + j * dim; }
};

/// Lines that differ by an angle of at most `tol` count as one.
Lines distinct_lines(MatView<const double> rows, double tol);

/// Regions into which m hyperplanes through the origin in general position cut R^dim: 2 sum_{k<dim} C(m-1, k)
/// (Cover 1965). No m hyperplanes have more.
double most_regions(Index m, Index dim);

/// Arrangements and trees inside them.
struct Cells {
    Arrangements arrangements;
    std::vector<double> weights;  ///< (P, paths * r) leaf weights
};

/// All arrangements of trees of the shape on rows (n, r) of rank r: the full-dimensional cells of the space
/// of leaf weights on which every unit has one pattern. Groups whose masks are all zero are left out, and so
/// are trees that differ from another one by the order of siblings or in which all edges below some unit are
/// -1 (that unit is never on).
///
/// Depth 2 and r <= 3 walks along the lines in which the hyperplanes of the rows meet the plane {g . u = 1}
/// for a generic g; anything else cuts cones by one hyperplane at a time (double description), so it is for
/// few cells. Throws std::invalid_argument where there are more than `most`.
///
/// Lines within an angle of `tol`, and planes of one pencil up to it, count as equal.
Cells enumerate_cells(MatView<const double> rows, const TreeShape& shape, Index most, double tol, int threads,
                      const Poll& poll = {});

/// Points (count, r) in full-dimensional cells of the planes of rows (n, r) of rank r: each in a cell that
/// has a ray on which r - 1 independent planes meet, drawn by chance. Every cell has such rays, and every
/// neighbourhood in it some chance. Number k of all depends on seed and k = first, first + 1, ... alone.
///
/// Lines within an angle of `tol` count as one, and a plane holds a ray up to it.
std::vector<double> points_of_cells_at_rays(MatView<const double> rows, Index first, Index count,
                                            std::uint64_t seed, double tol, int threads);

}  // namespace pathrelu
