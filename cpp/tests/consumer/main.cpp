#include <pathrelu/cones.hpp>
#include <pathrelu/kernels.hpp>
#include <pathrelu/losses.hpp>
#include <pathrelu/network.hpp>
#include <pathrelu/operators.hpp>
#include <pathrelu/search.hpp>

#include <cstdio>

// |x| on five points: two units and almost no penalty leave almost no error.
int main() {
    const std::vector<double> x{-2, -1, 0, 1, 2}, y{2, 1, 0, 1, 2}, w(5, 1.0);
    const pathrelu::SearchResult result =
        pathrelu::search<double>({x.data(), 5, 1}, {y.data(), 5, 1}, {w.data(), 5}, 1e-6, "squared_error",
                                 true, pathrelu::TreeShape(), {}, {});
    std::printf("%s: objective %g, gap %g\n", pathrelu::kernel_level().c_str(), result.report.objective,
                result.report.gap);
    return result.report.converged && result.report.objective < 1e-4 ? 0 : 1;
}
