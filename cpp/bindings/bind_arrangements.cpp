#include <pathrelu/arrangements.hpp>

#include "numpy.hpp"

namespace pathrelu {
namespace {

template <class X>
void bind_from_trees(py::class_<Arrangements>& c) {
    c.def_static(
        "from_trees",
        [](const Array<X>& x, const Array<double>& w, const Array<std::int8_t>& s, std::vector<Index> width,
           int threads) {
            const auto rows = matrix(x, "X");
            const auto W = matrix(w, "W");
            const auto signs = matrix(s, "signs");
            const TreeShape shape(std::move(width));
            const WithoutGil nogil;
            return arrangements_from_trees<X>(rows, W, signs, shape, threads);
        },
        py::arg("X").noconvert(), py::arg("W").noconvert(), py::arg("signs").noconvert(), py::arg("width"),
        py::arg("threads"),
        "Patterns of trees with leaf weights W (P, paths * d) and edge signs (P, edges).");
}

Array<bool> unpacked(const std::vector<std::uint64_t>& words, Index P, Index K, Index n) {
    Array<bool> out({P, K, n});
    bool* data = out.mutable_data();
    const Index per_row = (n + 63) / 64;
    for (Index k = 0; k < P * K; ++k)
        for (Index i = 0; i < n; ++i) data[k * n + i] = words[k * per_row + i / 64] >> (i % 64) & 1u;
    return out;
}

}  // namespace

void register_arrangements(py::module_& m) {
    py::class_<Arrangements> c(m, "Arrangements", "Bit-packed patterns and edge signs of P trees on n rows.");
    bind_from_trees<double>(c);
    bind_from_trees<float>(c);
    c.def_static(
        "from_patterns",
        [](const Array<std::uint8_t>& bits, const Array<std::int8_t>& signs, std::vector<Index> width) {
            return arrangements_from_patterns(matrix(bits, "bits"), matrix(signs, "signs"),
                                              TreeShape(std::move(width)));
        },
        py::arg("bits").noconvert(), py::arg("signs").noconvert(), py::arg("width"),
        "Patterns as given, bits (P * units, n) of 0 and 1.");
    c.def("__len__", &Arrangements::size);
    c.def_readonly("n_rows", &Arrangements::n_rows);
    c.def_property_readonly("width", [](const Arrangements& a) { return a.shape.width(); });
    c.def_property_readonly("depth", [](const Arrangements& a) { return a.shape.depth(); });
    c.def_property_readonly("paths", [](const Arrangements& a) { return a.shape.paths(); });
    c.def_property_readonly("units", [](const Arrangements& a) { return a.shape.units(); });
    c.def_property_readonly("edges", [](const Arrangements& a) { return a.shape.edges(); });
    c.def_property_readonly("signs", [](const Arrangements& a) {
        return copy_of(a.signs, std::vector<Index>{a.size(), a.shape.edges()});
    });
    c.def(
        "patterns",
        [](const Arrangements& a) { return unpacked(a.patterns, a.size(), a.shape.units(), a.n_rows); },
        "bool (P, units, n).");
    c.def(
        "masks",
        [](const Arrangements& a) {
            const Index paths = a.shape.paths();
            std::vector<std::uint64_t> words(a.size() * paths * a.words());
            for (Index g = 0; g < a.size(); ++g)
                for (Index p = 0; p < paths; ++p)
                    a.path_mask(g, p, words.data() + (g * paths + p) * a.words());
            return unpacked(words, a.size(), paths, a.n_rows);
        },
        "bool (P, paths, n).");
    c.def(
        "distinct",
        [](const Arrangements& a) {
            const std::vector<Index> kept = a.distinct();
            return copy_of(std::vector<std::int64_t>(kept.begin(), kept.end()),
                           std::vector<Index>{static_cast<Index>(kept.size())});
        },
        "Indices of the groups that are neither duplicates of an earlier one nor zero.");
    c.def(
        "select",
        [](const Arrangements& a, const Array<std::int64_t>& indices) {
            const auto v = vector(indices, "indices");
            return a.select({v.begin(), v.end()});
        },
        py::arg("indices").noconvert());
    c.def_property_readonly("linear", [](const Arrangements& a) {
        Array<bool> out(a.size());
        for (Index g = 0; g < a.size(); ++g) out.mutable_data()[g] = a.is_linear(g);
        return out;
    });
    c.def(
        "with_linear",
        [](Arrangements a) {
            a.append_linear();
            return a;
        },
        "A linear group more.");
    c.def("join", [](Arrangements a, const Arrangements& other) {
        a.append(other);
        return a;
    });
    c.def(py::pickle(
        [](const Arrangements& a) {
            return py::make_tuple(
                a.shape.width(), a.n_rows,
                py::bytes(reinterpret_cast<const char*>(a.signs.data()), a.signs.size()),
                py::bytes(reinterpret_cast<const char*>(a.patterns.data()), a.patterns.size() * 8),
                py::bytes(reinterpret_cast<const char*>(a.linear.data()), a.linear.size()));
        },
        [](const py::tuple& state) {
            require(state.size() == 5, "pickled Arrangements has ", state.size(), " parts; expected 5");
            Arrangements a{TreeShape(state[0].cast<std::vector<Index>>()), state[1].cast<Index>(), {}, {}};
            const auto signs = state[2].cast<std::string>(), patterns = state[3].cast<std::string>(),
                       linear = state[4].cast<std::string>();
            a.signs.assign(signs.begin(), signs.end());
            a.patterns.resize(patterns.size() / 8);
            std::copy(patterns.begin(), patterns.end(), reinterpret_cast<char*>(a.patterns.data()));
            a.linear.assign(linear.begin(), linear.end());
            require(a.n_rows > 0 && patterns.size() % 8 == 0 &&
                        static_cast<Index>(a.patterns.size()) == a.size() * a.shape.units() * a.words() &&
                        static_cast<Index>(a.signs.size()) == a.size() * a.shape.edges() &&
                        static_cast<Index>(a.linear.size()) <= a.size(),
                    "pickled Arrangements has parts of sizes that do not fit together");
            return a;
        }));
}

}  // namespace pathrelu
