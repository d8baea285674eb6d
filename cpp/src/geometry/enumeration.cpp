#include <pathrelu/enumeration.hpp>
#include <pathrelu/error.hpp>

#include <algorithm>

#include "geometry/cells.hpp"
#include "geometry/chart.hpp"
#include "geometry/circle.hpp"
#include "geometry/subdivision.hpp"

namespace pathrelu {
namespace {

constexpr Index kMostRank = 62;  ///< orthants are numbered by the bits of an Index

void clear_of_zero_patterns(Cells& cells, Index weights_per_group) {
    Arrangements& a = cells.arrangements;
    const Index words = a.words(), edges = a.shape.edges(), per_group = a.shape.units() * words;
    std::vector<std::uint64_t> mask(words);
    std::vector<Index> zero;
    for (Index g = 0; g < a.size(); ++g) {
        bool all_zero = true;
        for (Index p = 0; p < a.shape.paths() && all_zero; ++p) {
            a.path_mask(g, p, mask.data());
            all_zero = std::all_of(mask.begin(), mask.end(), [](std::uint64_t w) { return w == 0; });
        }
        if (all_zero) zero.push_back(g);
    }
    const auto erase = [&](auto& values, Index size) {
        Index kept = 0;
        auto next = zero.begin();
        for (Index g = 0; g < static_cast<Index>(values.size()) / std::max<Index>(size, 1); ++g) {
            if (next != zero.end() && *next == g) {
                ++next;
                continue;
            }
            if (kept != g)
                std::copy(values.begin() + g * size, values.begin() + (g + 1) * size,
                          values.begin() + kept * size);
            ++kept;
        }
        values.resize(kept * size);
    };
    if (zero.empty()) return;
    erase(a.signs, edges);
    erase(cells.weights, weights_per_group);
    erase(a.patterns, per_group);
}

}  // namespace

void refuse_more_than(double count, Index most, const char* how) {
    if (count <= static_cast<double>(most)) return;
    const std::string number = count < 1e15 ? text(static_cast<Index>(count)) : text(count);
    throw std::invalid_argument(
        text("these rows have ", how, number, " arrangements; expected at most ", most));
}

Cells empty_cells(const Lines& lines, const TreeShape& shape) {
    Cells out;
    out.arrangements = {shape, static_cast<Index>(lines.line.size()), {}, {}};
    return out;
}

Cells enumerate_cells(MatView<const double> rows, const TreeShape& shape, Index most, double tol, int threads,
                      const Poll& poll) {
    require(rows.rows >= 1, "rows has shape (", rows.rows, ", ", rows.cols, "); expected at least one row");
    require(rows.cols <= kMostRank, "rows has rank ", rows.cols, "; expected at most ", kMostRank);
    const Lines lines = distinct_lines(rows, tol);
    Cells cells = empty_cells(lines, shape);
    if (lines.size() == 0) return cells;
    if (shape.depth() > 2 || lines.dim > 3) {
        cells = cells_of_subdivision(lines, shape, most, poll);
    } else {
        refuse_more_than(most_regions(lines.size(), lines.dim), most, lines.dim < 3 ? "" : "up to ");
        cells = lines.dim < 3 ? cells_of_circle(lines) : cells_of_chart(lines, tol, threads, poll);
    }
    clear_of_zero_patterns(cells, shape.paths() * rows.cols);
    return cells;
}

}  // namespace pathrelu
