#include <algorithm>

#include "check.hpp"
#include "problem.hpp"

using namespace pathrelu;

namespace {

void shapes_count_units_and_paths() {
    const TreeShape two;
    CHECK(two.depth() == 2 && two.paths() == 1 && two.units() == 1 && two.edges() == 0);

    const TreeShape three({4});
    CHECK(three.depth() == 3 && three.paths() == 4 && three.units() == 5 && three.edges() == 4);

    const TreeShape four({2, 3});
    CHECK(four.depth() == 4 && four.layers() == 3 && four.paths() == 6 && four.units() == 10);
    CHECK(four.layer_begin(1) == 6 && four.layer_size(1) == 3 && four.layer_begin(2) == 9);
    CHECK(four.leaves_below(0) == 1 && four.leaves_below(1) == 2 && four.leaves_below(2) == 6);
    CHECK(four.layer_of(5) == 0 && four.layer_of(6) == 1 && four.layer_of(9) == 2);
    CHECK(four == TreeShape({2, 3}));
    CHECK(!(four == TreeShape({3, 2})));
}

void impossible_shapes_are_refused() {
    CHECK_REFUSED(TreeShape({3, 0}), "width has the entry 0; every entry must be at least 1");
    CHECK_REFUSED(TreeShape({1 << 11, 1 << 11}), "width gives a tree of more than 1048576 leaves");
}

template <class T>
void patterns_are_those_of_the_trees(std::vector<Index> width) {
    const Problem<T> p(131, 5, 37, std::move(width), 1);
    const Arrangements& a = p.arrangements;
    CHECK(a.size() == p.groups && a.n_rows == p.n && a.words() == 3);
    std::vector<double> leaves(p.shape.paths());
    for (Index g = 0; g < p.groups; ++g) {
        for (Index i = 0; i < p.n; ++i) {
            p.leaf_values(g, i, leaves.data());
            for (Index u = 0; u < p.shape.units(); ++u) {
                const double value = unit_value(p.shape, a.sign(g), leaves.data(), u);
                if (std::abs(value) > 1e-9 || value == 0)
                    CHECK((a.pattern(g, u)[i / 64] >> (i % 64) & 1) == (value > 0));
            }
        }
        for (Index u = 0; u < p.shape.units(); ++u) CHECK(a.pattern(g, u)[2] >> (131 - 128) == 0);
    }
}

void bits_do_not_depend_on_threads() {
    const Problem<double> p(300, 5, 130, {2}, 5);
    for (const int threads : {2, 3, 4}) {
        const SharedWork shared(threads);
        CHECK(p.arrange(threads).patterns == p.arrangements.patterns);
    }
}

void masks_and_signs_of_paths_are_products() {
    const Problem<double> p(70, 3, 9, {2, 3}, 2);
    for (Index g = 0; g < p.groups; ++g) {
        for (Index path = 0; path < p.shape.paths(); ++path) {
            const Index inner = 6 + path / 2;
            CHECK(p.arrangements.path_sign(g, path) ==
                  p.arrangements.sign(g)[path] * p.arrangements.sign(g)[inner]);
            for (Index i = 0; i < p.n; ++i) {
                bool on = true;
                for (const Index unit : {path, inner, Index{9}})
                    on = on && (p.arrangements.pattern(g, unit)[i / 64] >> (i % 64) & 1);
                CHECK(p.mask(g, path, i) == on);
            }
        }
    }
}

void distinct_drops_duplicates_and_zero_masks() {
    const std::vector<std::uint8_t> bits{1, 0, 1,  //
                                         0, 0, 0,  //
                                         1, 0, 1,  //
                                         0, 1, 1};
    const std::vector<std::int8_t> signs;
    const Arrangements a = arrangements_from_patterns({bits.data(), 4, 3}, {signs.data(), 4, 0}, TreeShape());
    CHECK((a.distinct() == std::vector<Index>{0, 3}));

    // Equal patterns with other signs are another group.
    const std::vector<std::uint8_t> tree{1, 1, 1, 1, 1, 1};
    const std::vector<std::int8_t> edge{1, -1};
    const Arrangements b =
        arrangements_from_patterns({tree.data(), 4, 1}, {edge.data(), 2, 1}, TreeShape({1}));
    CHECK((b.distinct() == std::vector<Index>{0, 1}));
}

void select_and_append_keep_order() {
    const Problem<double> p(20, 4, 6, {2}, 3);
    Arrangements a = p.arrangements.select({4, 1});
    a.append(p.arrangements.select({0}));
    CHECK(a.size() == 3);
    const std::vector<Index> from{4, 1, 0};
    for (Index g = 0; g < 3; ++g) {
        CHECK(std::equal(a.sign(g), a.sign(g) + 2, p.arrangements.sign(from[g])));
        CHECK(std::equal(a.pattern(g, 0), a.pattern(g, 3), p.arrangements.pattern(from[g], 0)));
    }
    CHECK_REFUSED(a.select({3}), "group index 3 is outside 0 .. 2");
    CHECK_REFUSED(a.append(Problem<double>(20, 4, 1, {3}, 4).arrangements),
                  "arrangements differ in depth, width or number of rows; only alike ones can be joined");
}

void a_linear_group_is_on_along_its_first_path_and_no_duplicate_of_a_tree() {
    const Problem<double> p(70, 3, 2, {2, 3}, 6);
    Arrangements a = p.arrangements;
    a.append_linear();
    a.append_linear();
    a.append(p.arrangements);
    CHECK(a.size() == 6 && a.is_linear(2) && a.is_linear(3) && !a.is_linear(1) && !a.is_linear(5));
    CHECK((a.distinct() == std::vector<Index>{0, 1, 2}));
    std::vector<std::uint64_t> mask(a.words());
    for (Index path = 0; path < p.shape.paths(); ++path) {
        a.path_mask(2, path, mask.data());
        CHECK(mask[0] == (path == 0 ? ~std::uint64_t{0} : 0) && mask[1] == (path == 0 ? 63u : 0u));
        CHECK(a.path_sign(2, path) == 1);
    }
    const Arrangements b = a.select({3, 1});
    CHECK(b.is_linear(0) && !b.is_linear(1) && b.same_group(0, a, 2) && !b.same_group(1, a, 2));

    // A tree that is on everywhere has the same bits.
    const std::vector<std::uint8_t> bits(70, 1);
    const std::vector<std::int8_t> signs;
    Arrangements c = arrangements_from_patterns({bits.data(), 1, 70}, {signs.data(), 1, 0}, TreeShape());
    c.append_linear();
    CHECK(std::equal(c.pattern(0, 0), c.pattern(1, 0), c.pattern(1, 0)) && !c.same_group(0, c, 1));
    CHECK(c.distinct().size() == 2);
}

void wrong_input_is_refused() {
    const std::vector<double> X(6), W(8);
    std::vector<std::int8_t> signs{1, -1, 1, 1};
    const Rows<double> rows{X.data(), 3, 2};
    const TreeShape shape({2});
    const auto make = [&](Rows<double> x, Index columns, Index edges) {
        return arrangements_from_trees<double>(x, {W.data(), 2, columns}, {signs.data(), 2, edges}, shape, 1);
    };
    CHECK(make(rows, 4, 2).size() == 2);
    CHECK_REFUSED(make(rows, 3, 2), "W has shape (2, 3); expected (2, 4)");
    CHECK_REFUSED(make(rows, 4, 1), "signs has shape (2, 1); expected (2, 2)");
    CHECK_REFUSED(make({X.data(), 0, 2}, 4, 2),
                  "X has shape (0, 2); expected at least one row and one column");
    signs[2] = 0;
    CHECK_REFUSED(make(rows, 4, 2), "signs has the entry 0; expected +1 or -1");
}

}  // namespace

int main() {
    shapes_count_units_and_paths();
    impossible_shapes_are_refused();
    for (const std::vector<Index>& width : {std::vector<Index>{}, {1}, {4}, {2, 3}, {2, 1, 2}}) {
        patterns_are_those_of_the_trees<double>(width);
        patterns_are_those_of_the_trees<float>(width);
    }
    bits_do_not_depend_on_threads();
    masks_and_signs_of_paths_are_products();
    distinct_drops_duplicates_and_zero_masks();
    select_and_append_keep_order();
    a_linear_group_is_on_along_its_first_path_and_no_duplicate_of_a_tree();
    wrong_input_is_refused();
}
