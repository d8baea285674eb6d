#include <pathrelu/kernels.hpp>
#include <pathrelu/operators.hpp>

#include <limits>
#include <numeric>

#include "check.hpp"
#include "kernels/table.hpp"
#include "problem.hpp"

using namespace pathrelu;

namespace {

double dot(const std::vector<double>& a, const std::vector<double>& b) {
    return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

double norm(const std::vector<double>& a) {
    return std::sqrt(dot(a, a));
}

// B V by the definition.
template <class T>
std::vector<double> dense_forward(const Problem<T>& p, const std::vector<double>& V) {
    std::vector<double> out(p.n);
    const Index paths = p.shape.paths();
    for (Index g = 0; g < p.groups; ++g)
        for (Index path = 0; path < paths; ++path)
            for (Index i = 0; i < p.n; ++i)
                if (p.mask(g, path, i))
                    for (Index j = 0; j < p.d; ++j)
                        out[i] += p.arrangements.path_sign(g, path) * static_cast<double>(p.X[i * p.d + j]) *
                                  V[(g * paths + path) * p.d + j];
    return out;
}

template <class T>
void operator_is_its_definition_and_has_its_adjoint(Index n, Index d, Index groups,
                                                    std::vector<Index> width) {
    using Sums = typename MaskedOperator<T>::Sums;
    const Problem<T> p(n, d, groups, std::move(width), 7);
    const MaskedOperator<T> B(p.rows(), p.arrangements, 1);
    CHECK(B.n_rows() == n && B.dim() == d && B.n_paths() == groups * p.shape.paths());

    std::mt19937_64 random(8);
    const auto V = normal<double>(random, B.n_paths() * d), r = normal<double>(random, n);
    const std::vector<double> expected = dense_forward(p, V);
    const double scale = norm(expected) * norm(r) + norm(V) * norm(r);
    for (const Sums sums : {Sums::exact, Sums::fast}) {
        const bool in_float = sums == Sums::fast;
        const double eps =
            in_float ? std::numeric_limits<float>::epsilon() : std::numeric_limits<double>::epsilon();
        std::vector<double> f(n), G(V.size());
        B.forward(V.data(), f.data(), sums);
        B.adjoint(r.data(), G.data(), sums);
        for (Index i = 0; i < n; ++i) CHECK_NEAR(f[i], expected[i], 100 * eps * norm(expected));
        CHECK_NEAR(dot(f, r), dot(V, G), 100 * eps * scale);
    }
}

/// With directions the products are those of every output, combined; the same bits for any number of threads.
template <class T>
void directions_combine_the_products_of_outputs(Index n, Index d, Index groups, std::vector<Index> width) {
    using Sums = typename MaskedOperator<T>::Sums;
    constexpr Index C = 3;
    const Problem<T> p(n, d, groups, std::move(width), 17);
    const MaskedOperator<T> B(p.rows(), p.arrangements, 1);
    std::mt19937_64 random(18);
    const auto V = normal<double>(random, B.n_paths() * d), omega = normal<double>(random, groups * C);
    const auto theta = normal<double>(random, n * C);
    const Index block = B.n_paths() / groups * d;
    for (const Sums sums : {Sums::exact, Sums::fast}) {
        const double eps = sums == Sums::fast ? std::numeric_limits<float>::epsilon()
                                              : std::numeric_limits<double>::epsilon();
        std::vector<double> f(n * C), G(V.size()), expected(V.size()), column(n), part(V.size());
        B.forward(V.data(), {omega.data(), groups, C}, f.data(), sums);
        B.adjoint(theta.data(), {omega.data(), groups, C}, G.data(), sums);
        for (Index c = 0; c < C; ++c) {
            for (std::size_t k = 0; k < V.size(); ++k)
                part[k] = omega[static_cast<Index>(k) / block * C + c] * V[k];
            const std::vector<double> one = dense_forward(p, part);
            for (Index i = 0; i < n; ++i) CHECK_NEAR(f[i * C + c], one[i], 100 * eps * norm(one));
            for (Index i = 0; i < n; ++i) column[i] = theta[i * C + c];
            B.adjoint(column.data(), part.data());
            for (std::size_t k = 0; k < V.size(); ++k)
                expected[k] += omega[static_cast<Index>(k) / block * C + c] * part[k];
        }
        for (std::size_t k = 0; k < V.size(); ++k)
            CHECK_NEAR(G[k], expected[k], 100 * eps * norm(theta) * norm(expected));
        for (const int threads : {2, 3, 4}) {
            const SharedWork shared(threads);
            const MaskedOperator<T> more(p.rows(), p.arrangements, threads);
            std::vector<double> f2(n * C), G2(V.size());
            more.forward(V.data(), {omega.data(), groups, C}, f2.data(), sums);
            more.adjoint(theta.data(), {omega.data(), groups, C}, G2.data(), sums);
            CHECK(f2 == f && G2 == G);
        }
    }
}

template <class T>
void bits_do_not_depend_on_threads() {
    using Sums = typename MaskedOperator<T>::Sums;
    const Problem<T> p(5011, 2, 101, {}, 9);
    const MaskedOperator<T> one(p.rows(), p.arrangements, 1);
    std::mt19937_64 random(10);
    const auto V = normal<double>(random, 101 * 2), r = normal<double>(random, p.n);
    std::vector<double> f(p.n), f2(p.n), G(V.size()), G2(V.size());
    for (const int threads : {2, 3, 4}) {
        const SharedWork shared(threads);
        const MaskedOperator<T> more(p.rows(), p.arrangements, threads);
        for (const Sums sums : {Sums::exact, Sums::fast}) {
            one.forward(V.data(), f.data(), sums);
            more.forward(V.data(), f2.data(), sums);
            one.adjoint(r.data(), G.data(), sums);
            more.adjoint(r.data(), G2.data(), sums);
            CHECK(f2 == f && G2 == G);
        }
    }
}

void nothing_is_shared_where_there_are_no_paths() {
    const Problem<double> p(90, 6, 8, {}, 11);
    const std::vector<double> r(p.n, 1.0);
    std::vector<double> f(p.n, 1.0), none(1, 7.0);
    const MaskWords masks{nullptr, nullptr, p.n, 0};
    for (const int threads : {1, 2, 4}) {
        kernels().masked<double, double>().adjoint(p.X.data(), p.d, masks, r.data(), none.data(), threads);
        kernels().masked<double, double>().forward(p.X.data(), p.d, masks, none.data(), f.data(), threads);
        CHECK(none[0] == 7 && f == std::vector<double>(p.n, 0.0));
        f.assign(p.n, 1.0);
    }
}

void some_groups_only() {
    const Problem<double> p(90, 6, 8, {2}, 9);
    const MaskedOperator<double> all(p.rows(), p.arrangements, 1);
    const MaskedOperator<double> some(p.rows(), p.arrangements, {5, 2}, 1);
    std::mt19937_64 random(10);
    const auto r = normal<double>(random, p.n);
    std::vector<double> G(16 * 6), part(4 * 6);
    all.adjoint(r.data(), G.data());
    some.adjoint(r.data(), part.data());
    for (Index k = 0; k < 12; ++k) {
        CHECK_NEAR(part[k], G[5 * 12 + k], 1e-12);
        CHECK_NEAR(part[12 + k], G[2 * 12 + k], 1e-12);
    }
}

}  // namespace

int main() {
    const std::vector<std::string> levels = kernel_levels();
#ifndef _MSC_VER
    CHECK(levels.at(0) == "plain" && levels.at(1) == "base");
#endif
    CHECK(kernel_level() == kernel_levels().back());
    CHECK_REFUSED(
        use_kernels("v9"), "kernel level is 'v9'; this machine runs " + [] {
            std::string known;
            for (const std::string& level : kernel_levels()) known += (known.empty() ? "" : ", ") + level;
            return known;
        }());
    for (const std::string& level : kernel_levels()) {
        use_kernels(level);
        CHECK(kernel_level() == level);
        // Sizes below, at and across the borders of words, tables and row blocks.
        operator_is_its_definition_and_has_its_adjoint<double>(1, 1, 1, {});
        operator_is_its_definition_and_has_its_adjoint<double>(333, 7, 70, {});
        operator_is_its_definition_and_has_its_adjoint<float>(333, 7, 70, {});
        operator_is_its_definition_and_has_its_adjoint<double>(64, 32, 32, {});
        operator_is_its_definition_and_has_its_adjoint<double>(97, 19, 11, {3});
        operator_is_its_definition_and_has_its_adjoint<float>(97, 19, 11, {3});
        operator_is_its_definition_and_has_its_adjoint<float>(40, 130, 5, {2, 2});
        operator_is_its_definition_and_has_its_adjoint<double>(40, 130, 5, {2, 2});
        directions_combine_the_products_of_outputs<double>(2100, 5, 7, {2});
        directions_combine_the_products_of_outputs<float>(33, 70, 3, {});
        some_groups_only();
        nothing_is_shared_where_there_are_no_paths();
        bits_do_not_depend_on_threads<float>();
        bits_do_not_depend_on_threads<double>();
    }
}
