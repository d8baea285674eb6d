#include <algorithm>
#include <pathrelu/linear_algebra.hpp>

#include "check.hpp"
#include "problem.hpp"

using namespace pathrelu;

namespace {

constexpr double kEps = 2.3e-16;

/// A matrix (rows, cols) of its own.
struct Table {
    Index rows, cols;
    std::vector<double> values;

    Table(Index n, Index d) : rows(n), cols(d), values(n * d) {}
    Table(Index n, Index d, std::vector<double> entries) : rows(n), cols(d), values(std::move(entries)) {
        CHECK(static_cast<Index>(values.size()) == n * d);
    }
    double& operator()(Index i, Index j) { return values[i * cols + j]; }
    double operator()(Index i, Index j) const { return values[i * cols + j]; }
    MatView<const double> view() const { return {values.data(), rows, cols}; }
};

Table drawn(Index n, Index d, unsigned seed) {
    std::mt19937_64 random(seed);
    return {n, d, normal<double>(random, n * d)};
}

Table transposed(const Table& a) {
    Table t(a.cols, a.rows);
    for (Index i = 0; i < a.rows; ++i)
        for (Index j = 0; j < a.cols; ++j) t(j, i) = a(i, j);
    return t;
}

/// By the definition, in long double.
Table multiplied(const Table& a, const Table& b) {
    Table out(a.rows, b.cols);
    for (Index i = 0; i < a.rows; ++i)
        for (Index j = 0; j < b.cols; ++j) {
            long double sum = 0;
            for (Index k = 0; k < a.cols; ++k) sum += static_cast<long double>(a(i, k)) * b(k, j);
            out(i, j) = static_cast<double>(sum);
        }
    return out;
}

double norm(const Table& a) {
    double sum = 0;
    for (const double v : a.values) sum += v * v;
    return std::sqrt(sum);
}

double distance(Table a, const Table& b) {
    CHECK(a.rows == b.rows && a.cols == b.cols);
    for (Index i = 0; i < a.rows * a.cols; ++i) a.values[i] -= b.values[i];
    return norm(a);
}

Table identity(Index d) {
    Table one(d, d);
    for (Index i = 0; i < d; ++i) one(i, i) = 1;
    return one;
}

/// The rows of `vectors` times `values`.
Table scaled(Table vectors, const std::vector<double>& values) {
    for (Index i = 0; i < vectors.rows; ++i)
        for (Index j = 0; j < vectors.cols; ++j) vectors(i, j) *= values[i];
    return vectors;
}

/// Rounding of one decomposition: every entry takes part in a number of operations like the size.
double allowed(const Table& a) {
    return 10 * kEps * static_cast<double>(std::max(a.rows, a.cols)) * norm(a);
}

void products_are_sums_of_products(const Table& a) {
    const Table b = drawn(a.cols, 1 + a.rows / 3, 7);
    Table out(a.rows, b.cols);
    product(a.view(), b.view(), {out.values.data(), out.rows, out.cols});
    const Table expected = multiplied(a, b);
    for (Index i = 0; i < a.rows; ++i)
        for (Index j = 0; j < b.cols; ++j) {
            double size = 0;
            for (Index k = 0; k < a.cols; ++k) size += std::abs(a(i, k) * b(k, j));
            CHECK_NEAR(out(i, j), expected(i, j), kEps * static_cast<double>(a.cols + 1) * size);
        }
}

void triangular_factors_have_the_gram_matrix(const Table& a) {
    const Index small = std::min(a.rows, a.cols);
    const Table factor(small, a.cols, triangular_factor(a.view()));
    for (Index i = 0; i < small; ++i)
        for (Index j = 0; j < i; ++j) CHECK(factor(i, j) == 0);
    const Table gram = multiplied(transposed(a), a);
    CHECK_NEAR(distance(multiplied(transposed(factor), factor), gram), 0, allowed(a) * norm(a));
}

void singular_vectors_are_orthonormal_and_give_the_matrix_back(const Table& a) {
    const Index small = std::min(a.rows, a.cols);
    const SingularValues found = singular_values(a.view());
    CHECK(static_cast<Index>(found.values.size()) == small);
    CHECK(std::is_sorted(found.values.rbegin(), found.values.rend()) && found.values.back() >= 0);
    const Table vectors(small, a.cols, found.vectors);
    CHECK_NEAR(distance(multiplied(vectors, transposed(vectors)), identity(small)), 0,
               10 * kEps * static_cast<double>(std::max(a.rows, a.cols)) * std::sqrt(small));
    // a = U S V^T: a V = U S has orthogonal columns of the norms S, and a V V^T is a.
    const Table left = multiplied(a, transposed(vectors));
    CHECK_NEAR(distance(multiplied(left, vectors), a), 0, allowed(a));
    Table squares(small, small);
    for (Index i = 0; i < small; ++i) squares(i, i) = found.values[i] * found.values[i];
    CHECK_NEAR(distance(multiplied(transposed(left), left), squares), 0, allowed(a) * norm(a));
}

void eigenvectors_are_orthonormal_and_give_the_symmetric_matrix_back(const Table& a) {
    Table symmetric = multiplied(a, transposed(a));
    for (Index i = 0; i < a.rows; ++i)  // of both signs
        for (Index j = 0; j < a.rows; ++j) symmetric(i, j) -= i == j ? static_cast<double>(a.cols) : 0.0;
    Table lower = symmetric;
    for (Index i = 0; i < a.rows; ++i)
        for (Index j = i + 1; j < a.rows; ++j) lower(i, j) = 1e3;  // not read
    const Eigenvalues found = eigenvalues(lower.view());
    CHECK(std::is_sorted(found.values.begin(), found.values.end()));
    const Table vectors(a.rows, a.rows, found.vectors);
    CHECK_NEAR(distance(multiplied(vectors, transposed(vectors)), identity(a.rows)), 0,
               10 * kEps * static_cast<double>(a.rows) * std::sqrt(a.rows));
    CHECK_NEAR(distance(multiplied(transposed(vectors), scaled(vectors, found.values)), symmetric), 0,
               allowed(symmetric));
}

void singular_values_of_dependent_columns_are_zero() {
    const Table a = multiplied(drawn(90, 5, 1), drawn(5, 70, 2));
    const SingularValues found = singular_values(a.view());
    CHECK(found.values[4] > 1);
    CHECK(found.values[5] < allowed(a));
}

void shapes_that_do_not_fit_are_refused() {
    const Table a(2, 3);
    Table out(2, 3);
    CHECK_REFUSED(product(a.view(), a.view(), {out.values.data(), 2, 3}),
                  "b has shape (2, 3); expected (3, 3)");
    CHECK_REFUSED(eigenvalues(a.view()), "a has shape (2, 3); expected (3, 3)");
}

}  // namespace

int main() {
    // Both sides of the sizes at which decompositions go over to blocks (16, 48) and products to several
    // (256).
    for (const auto& [n, d] : {std::pair<Index, Index>{1, 1},
                               {3, 7},
                               {17, 15},
                               {15, 17},
                               {49, 47},
                               {47, 50},
                               {97, 97},
                               {200, 60},
                               {60, 130},
                               {40, 600},
                               {700, 33}}) {
        const Table a = drawn(n, d, static_cast<unsigned>(n + 1000 * d));
        products_are_sums_of_products(a);
        triangular_factors_have_the_gram_matrix(a);
        singular_vectors_are_orthonormal_and_give_the_matrix_back(a);
        eigenvectors_are_orthonormal_and_give_the_symmetric_matrix_back(n > 200 ? drawn(20, n, 3) : a);
    }
    singular_values_of_dependent_columns_are_zero();
    shapes_that_do_not_fit_are_refused();
}
