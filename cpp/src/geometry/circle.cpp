#include "geometry/circle.hpp"

#include "geometry/cells.hpp"
#include "geometry/row_bits.hpp"

namespace pathrelu {

Cells cells_of_circle(const Lines& lines) {
    Cells out = empty_cells(lines, TreeShape());
    const RowBits rows(lines);
    const Index words = rows.words(), m = lines.size();
    Bits& patterns = out.arrangements.patterns;
    patterns.assign(2 * m * words, 0);
    if (lines.dim == 1) {
        rows.set(0, true, patterns.data());
        rows.opposite(patterns.data(), patterns.data() + words);
        out.weights = {lines.unit[0], -lines.unit[0]};
        return out;
    }
    Index k = 0;
    visit_arcs(lines.unit, [&](const double* u, const std::vector<char>& positive) {
        std::uint64_t* bits = patterns.data() + k++ * words;
        if (k <= m) {
            for (Index j = 0; j < m; ++j) rows.set(j, positive[j], bits);
        } else {
            rows.opposite(bits - m * words, bits);
        }
        out.weights.insert(out.weights.end(), u, u + 2);
    });
    return out;
}

}  // namespace pathrelu
