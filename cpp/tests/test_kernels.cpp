// The dense kernels of the Newton step against their definitions, at every instruction set.
#include <pathrelu/kernels.hpp>

#include "check.hpp"
#include "kernels/table.hpp"
#include "problem.hpp"

using namespace pathrelu;

namespace {

// sum_r A(r, i) A(r, j) for A (rows, m).
double gram(const std::vector<double>& A, Index rows, Index m, Index i, Index j) {
    double total = 0;
    for (Index r = 0; r < rows; ++r) total += A[r * m + i] * A[r * m + j];
    return total;
}

void grams_are_their_definitions(Index m, Index d, Index k, Index p, Index q) {
    std::mt19937_64 random(m + d);
    const auto X = normal<double>(random, d * m), M = normal<double>(random, k * m);
    const auto P = normal<double>(random, p * m), N = normal<double>(random, q * m);
    std::vector<double> H(m * m), added(m * m, 0.5);
    kernels().masked_gram(X.data(), d, M.data(), k, P.data(), p, N.data(), q, m, H.data(), 1);
    kernels().add_gram(X.data(), d, m, added.data(), 1);
    for (Index j = 0; j < m; ++j)
        for (Index i = j; i < m; ++i) {  // column-major lower triangle
            const double x = gram(X, d, m, i, j);
            const double expected = x * gram(M, k, m, i, j) + gram(P, p, m, i, j) - gram(N, q, m, i, j);
            CHECK_NEAR(H[j * m + i], expected, 1e-11 * static_cast<double>(d * k + p + q));
            CHECK_NEAR(added[j * m + i], 0.5 + x, 1e-12 * static_cast<double>(d + 1));
        }
    for (const int threads : {2, 3, 4}) {
        const SharedWork work(threads);
        std::vector<double> shared(m * m), more(m * m, 0.5);
        kernels().masked_gram(X.data(), d, M.data(), k, P.data(), p, N.data(), q, m, shared.data(), threads);
        kernels().add_gram(X.data(), d, m, more.data(), threads);
        for (Index j = 0; j < m; ++j)
            for (Index i = j; i < m; ++i)
                CHECK(shared[j * m + i] == H[j * m + i] && more[j * m + i] == added[j * m + i]);
    }
}

void cholesky_solves(Index m, Index count) {
    std::mt19937_64 random(m);
    const auto A = normal<double>(random, m * m), x = normal<double>(random, m * count);
    const double ridge = 0.5;
    std::vector<double> H(m * m, 0.0), b(m * count, 0.0);
    kernels().add_gram(A.data(), m, m, H.data(), 1);
    for (Index c = 0; c < count; ++c)
        for (Index i = 0; i < m; ++i)
            for (Index j = 0; j < m; ++j) {
                const double h = i >= j ? H[j * m + i] : H[i * m + j];
                b[c * m + i] += (h + (i == j ? ridge : 0)) * x[c * m + j];
            }
    CHECK(kernels().cholesky(H.data(), m, ridge));
    kernels().cholesky_solve(H.data(), m, b.data(), count);
    for (Index k = 0; k < m * count; ++k) CHECK_NEAR(b[k], x[k], 1e-9 * static_cast<double>(m));

    std::vector<double> indefinite(m * m, 0.0);
    indefinite[m * m - 1] = -1;
    CHECK(!kernels().cholesky(indefinite.data(), m, ridge));
}

}  // namespace

int main() {
    for (const std::string& level : kernel_levels()) {
        use_kernels(level);
        grams_are_their_definitions(1, 1, 1, 1, 0);
        grams_are_their_definitions(96, 5, 7, 9, 4);
        grams_are_their_definitions(288, 20, 31, 40, 0);
        cholesky_solves(1, 1);
        cholesky_solves(65, 2);
        cholesky_solves(200, 1);
    }
}
