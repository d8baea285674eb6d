#include <pathrelu/kernels.hpp>
#include <pathrelu/network.hpp>
#include <pathrelu/search.hpp>

#include <cmath>
#include <cstdio>

// |x| - x/2 from 41 points, and then at points between these.
int main() {
    using pathrelu::Index;
    // Rows are C-ordered; the second column is one everywhere, so that units have biases.
    std::vector<double> x, y;
    for (int i = -20; i <= 20; ++i) {
        x.insert(x.end(), {i / 10.0, 1});
        y.push_back(std::abs(i / 10.0) - i / 20.0);
    }
    const Index n = static_cast<Index>(y.size()), d = 2;
    const std::vector<double> w(y.size(), 1.0);  // weights of rows, of mean 1

    const pathrelu::TreeShape units;  // depth 2: each sub-network is one unit
    pathrelu::SolveOptions options;
    options.fit_intercept = true;
    const pathrelu::SearchResult found = pathrelu::search<double>(
        {x.data(), n, d}, {y.data(), n, 1}, {w.data(), n}, 1e-5, "squared_error", true, units, options, {});
    std::printf("objective %.2e, at most %.0e above the optimum over its arrangements (kernels %s)\n",
                found.report.objective, found.report.gap, pathrelu::kernel_level().c_str());

    // Blocks are (arrangements, signs, d): each that is not zero is a sub-network with that sign.
    std::vector<double> leaves, output;
    for (Index block = 0; block < 2 * found.arrangements.size(); ++block) {
        const double* v = found.blocks.data() + block * d;
        if (v[0] == 0 && v[1] == 0) continue;
        leaves.insert(leaves.end(), v, v + d);
        output.push_back(block % 2 == 0 ? 1 : -1);
    }
    const Index K = static_cast<Index>(output.size());
    const std::vector<double> center(d, 0.0), scale(d, 1.0), bias(output.size(), 0.0);
    pathrelu::NetworkView network;  // of the arrays above, which it reads in place
    network.shape = units;
    network.center = {center.data(), d};
    network.scale = {scale.data(), d};
    network.W = {leaves.data(), K, d};
    network.bias = {bias.data(), K};
    network.signs = {nullptr, K, 0};  // of edges between units: none at depth 2
    network.output_weights = {output.data(), K, 1};
    network.intercept = {found.intercept.data(), 1};

    const std::vector<double> unseen{-1.234, 1, 0.056, 1, 1.789, 1};
    std::vector<double> predicted(3);
    if (!pathrelu::predict<double>({unseen.data(), 3, d}, network, {predicted.data(), 3, 1}, 1)) return 1;
    double error = 0;
    for (Index i = 0; i < 3; ++i) {
        const double at = unseen[d * i];
        std::printf("at %+.3f: %.4f\n", at, predicted[i]);
        error = std::max(error, std::abs(predicted[i] - (std::abs(at) - at / 2)));
    }
    std::printf("%td sub-networks, largest error %.0e\n", K, error);
    return found.report.converged && error < 0.02 ? 0 : 1;
}
