#include <pathrelu/enumeration.hpp>

#include <random>
#include <set>
#include <string>

#include "check.hpp"

using namespace pathrelu;

namespace {

constexpr double kTol = 1e-12;

std::vector<double> gaussian(Index size, unsigned seed) {
    std::mt19937_64 engine(seed);
    std::normal_distribution<double> normal;
    std::vector<double> out(size);
    for (double& x : out) x = normal(engine);
    return out;
}

Cells enumerate(const std::vector<double>& z, Index r, const TreeShape& shape = TreeShape(),
                int threads = 1) {
    return enumerate_cells({z.data(), static_cast<Index>(z.size()) / r, r}, shape, 1000000, kTol, threads);
}

/// Weights of every cell make its patterns.
void check_weights(const std::vector<double>& z, Index r, const Cells& cells) {
    const Arrangements& a = cells.arrangements;
    const MatView<const double> W{cells.weights.data(), a.size(), a.shape.paths() * r};
    const MatView<const std::int8_t> signs{a.signs.data(), a.size(), a.shape.edges()};
    const Rows<double> rows{z.data(), static_cast<Index>(z.size()) / r, r};
    const Arrangements again = arrangements_from_trees<double>(rows, W, signs, a.shape, 1);
    CHECK(again.patterns == a.patterns);
    CHECK(static_cast<Index>(a.distinct().size()) == a.size());
}

void general_position_has_as_many_regions_as_cover_counts() {
    for (Index r = 1; r <= 5; ++r) {
        const Index n = 3 + 2 * r;
        // Each row with its negative: no region is without a unit that is on, and none is added.
        std::vector<double> z = gaussian(n * r, static_cast<unsigned>(r));
        for (Index k = 0; k < n * r; ++k) z.push_back(-z[k]);
        const Cells cells = enumerate(z, r);
        CHECK(cells.arrangements.size() == static_cast<Index>(most_regions(r == 1 ? 1 : n, r)));
        check_weights(z, r, cells);
    }
}

void pencils_repeated_and_zero_rows_are_told_apart() {
    // Four planes through the third axis and two others; a row twice, one negated, one zero: 2 (1 + 3 + 8 +
    // 1).
    std::vector<double> z{1, 0, 0, 0, 1, 0, 1, 1, 0, 1, -1, 0, 0, 0, 1, 1, 2, 4, 2, 2, 0, -3, 0, 0, 0, 0, 0};
    const Cells cells = enumerate(z, 3);
    CHECK(cells.arrangements.size() == 26);
    check_weights(z, 3, cells);
}

void threads_change_no_bit() {
    const std::vector<double> z = gaussian(3 * 120, 7);
    const Cells one = enumerate(z, 3);
    for (const int threads : {2, 3, 4}) {
        const SharedWork shared(threads);
        const Cells more = enumerate(z, 3, TreeShape(), threads);
        CHECK(one.arrangements.patterns == more.arrangements.patterns && one.weights == more.weights);
    }
}

void trees_of_few_rows_have_weights_in_their_cells() {
    const std::vector<double> z = gaussian(2 * 5, 3), line = gaussian(3, 4);
    check_weights(z, 2, enumerate(z, 2, TreeShape({2})));
    check_weights(line, 1, enumerate(line, 1, TreeShape({2, 2})));
}

void too_many_are_refused() {
    const std::vector<double> z = gaussian(3 * 50, 5);
    CHECK_REFUSED(enumerate_cells({z.data(), 50, 3}, TreeShape(), 2451, kTol, 1),
                  "these rows have up to 2452 arrangements; expected at most 2451");
    CHECK_REFUSED(enumerate_cells({z.data(), 75, 2}, TreeShape({2}), 30000, kTol, 1),
                  "these rows have at least 33825 arrangements; expected at most 30000");
}

void a_poll_stops_it() {
    struct Stop {};
    const std::vector<double> z = gaussian(3 * 300, 6);
    bool stopped = false;
    try {
        enumerate_cells({z.data(), 300, 3}, TreeShape(), 1000000, kTol, 1, [] { throw Stop(); });
    } catch (const Stop&) {
        stopped = true;
    }
    CHECK(stopped);
}

}  // namespace

int main() {
    general_position_has_as_many_regions_as_cover_counts();
    pencils_repeated_and_zero_rows_are_told_apart();
    threads_change_no_bit();
    trees_of_few_rows_have_weights_in_their_cells();
    too_many_are_refused();
    a_poll_stops_it();
}
