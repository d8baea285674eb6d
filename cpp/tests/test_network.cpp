#include <pathrelu/network.hpp>

#include <limits>

#include <pathrelu/kernels.hpp>

#include "check.hpp"
#include "problem.hpp"

using namespace pathrelu;

namespace {

/// Trees of a problem as a network with two outputs, on rows that are centered and scaled.
template <class T>
struct Network {
    const Problem<T>& p;
    std::vector<double> center, scale, bias, gates, gate_bias, output_weights, intercept{0.5, -2};

    Network(const Problem<T>& p, bool gated) : p(p) {
        std::mt19937_64 random(61);
        const Index leaves = p.groups * p.shape.paths();
        center = normal<double>(random, p.d);
        scale = normal<double>(random, p.d);
        for (double& value : scale) value = 0.5 + std::abs(value);
        bias = normal<double>(random, leaves);
        output_weights = normal<double>(random, 2 * p.groups);
        for (Index k = 0; k < p.groups; ++k)  // the first output alone, the second alone, or both
            if (k % 3 < 2) output_weights[2 * k + 1 - k % 3] = 0;
        if (!gated) return;
        gates = normal<double>(random, leaves * p.d);
        gate_bias = normal<double>(random, leaves);
    }

    Index gate_rows() const { return static_cast<Index>(gate_bias.size()); }

    NetworkView view() const {
        const Index leaves = p.groups * p.shape.paths();
        return {p.shape,
                {center.data(), p.d},
                {scale.data(), p.d},
                {p.W.data(), leaves, p.d},
                {bias.data(), leaves},
                {gates.data(), gate_rows(), p.d},
                {gate_bias.data(), gate_rows()},
                {p.signs.data(), p.groups, p.shape.edges()},
                {output_weights.data(), p.groups, 2},
                {intercept.data(), 2}};
    }

    void leaf_values(const std::vector<double>& weights, const std::vector<double>& offsets, Index k, Index i,
                     std::vector<double>& out) const {
        const Index paths = p.shape.paths();
        out.assign(paths, 0.0);
        for (Index q = 0; q < paths; ++q) {
            for (Index j = 0; j < p.d; ++j)
                out[q] += weights[(k * paths + q) * p.d + j] * (p.X[i * p.d + j] - center[j]) / scale[j];
            out[q] += offsets[k * paths + q];
        }
    }

    /// Value of tree k on row i: of its root unit, or of the paths that its gates leave open.
    double tree(Index k, Index i) const {
        std::vector<double> value, gate;
        leaf_values(p.W, bias, k, i, value);
        const std::int8_t* signs = p.signs.data() + k * p.shape.edges();
        if (gates.empty())
            return std::max(0.0, unit_value(p.shape, signs, value.data(), p.shape.units() - 1));
        leaf_values(gates, gate_bias, k, i, gate);
        double total = 0;
        for (Index q = 0; q < p.shape.paths(); ++q) {
            double factor = 1;
            for (Index l = 0; l < p.shape.layers(); ++l) {
                const Index unit = p.shape.layer_begin(l) + q / p.shape.leaves_below(l);
                if (unit_value(p.shape, signs, gate.data(), unit) <= 0) factor = 0;
                if (l + 1 < p.shape.layers()) factor *= signs[unit];
            }
            total += factor * value[q];
        }
        return total;
    }
};

template <class T>
void prediction_is_the_definition(std::vector<Index> width, bool gated) {
    const Problem<T> p(230, 5, 23, std::move(width), 62);
    const Network<T> network(p, gated);
    std::vector<T> out(p.n * 2);
    predict<T>(p.rows(), network.view(), {out.data(), p.n, 2}, 1);
    for (Index i = 0; i < p.n; ++i) {
        double expected[2] = {network.intercept[0], network.intercept[1]}, size = 1;
        for (Index k = 0; k < p.groups; ++k) {
            const double tree = network.tree(k, i);
            for (Index c = 0; c < 2; ++c) {
                const double term = network.output_weights[2 * k + c] * tree;
                expected[c] += term;
                size += std::abs(term);
            }
        }
        const double tolerance = 200 * std::numeric_limits<T>::epsilon() * size;
        CHECK_NEAR(static_cast<double>(out[i * 2]), expected[0], tolerance);
        CHECK_NEAR(static_cast<double>(out[i * 2 + 1]), expected[1], tolerance);
    }
}

void bits_do_not_depend_on_threads(bool gated) {
    const Problem<float> p(5000, 5, 23, {2}, 64);
    const Network<float> network(p, gated);
    std::vector<float> out(p.n * 2), again(p.n * 2);
    predict<float>(p.rows(), network.view(), {out.data(), p.n, 2}, 1);
    for (const int threads : {2, 3, 4}) {
        const SharedWork shared(threads);
        predict<float>(p.rows(), network.view(), {again.data(), p.n, 2}, threads);
        CHECK(again == out);
    }
}

/// The outputs of rows are the same bits whatever their place in a block, and whatever the rows beside them.
template <class T>
void bits_do_not_depend_on_the_place(std::vector<Index> width) {
    const Problem<T> p(150, 5, 23, std::move(width), 67);
    const Network<T> network(p, false);
    std::vector<T> out(p.n * 2), part(p.n * 2);
    CHECK(predict<T>(p.rows(), network.view(), {out.data(), p.n, 2}, 1));
    for (const Index first : {1, 3, 70, 149}) {
        const Rows<T> rest{p.rows().row(first), p.n - first, p.d};
        CHECK(predict<T>(rest, network.view(), {part.data(), rest.rows, 2}, 1));
        CHECK(std::equal(out.begin() + first * 2, out.end(), part.begin()));
    }
}

template <class T>
void rows_that_are_not_finite_are_told(bool gated) {
    const Problem<T> p(150, 5, 7, {2}, 68);
    const Network<T> network(p, gated);
    std::vector<T> out(p.n * 2), X(p.rows().data, p.rows().data + p.rows().size());
    const auto finite = [&] {
        return predict<T>({X.data(), p.n, p.d}, network.view(), {out.data(), p.n, 2}, 1);
    };
    X[17] = std::numeric_limits<T>::max() / 10000;  // finite, and so are its products with the weights
    CHECK(finite());
    for (const Index place : {Index(0), p.n * p.d - 1})
        for (const T value : {std::numeric_limits<T>::quiet_NaN(), std::numeric_limits<T>::infinity(),
                              -std::numeric_limits<T>::infinity()}) {
            const T kept = X[place];
            X[place] = value;
            CHECK(!finite());
            X[place] = kept;
        }
}

/// Rows whose products are too large for float are computed in double, the others as they are without them.
void sums_too_large_for_float_are_taken_in_double() {
    const std::vector<double> center(2, 0.0), scale(2, 1.0), W{30, -30, 0.3, 0.7}, bias(2, 0.0), ones{1, 1};
    const std::vector<double> intercept{0.0};
    NetworkView view{TreeShape(std::vector<Index>{}),
                     {center.data(), 2},
                     {scale.data(), 2},
                     {W.data(), 2, 2},
                     {bias.data(), 2},
                     {nullptr, 0, 2},
                     {nullptr, 0},
                     {nullptr, 2, 0},
                     {ones.data(), 2, 1},
                     {intercept.data(), 1}};
    const Index n = 700;
    std::vector<float> X(2 * n), ordinary(n), out(n);
    std::mt19937_64 random(69);
    for (float& x : X) x = std::uniform_real_distribution<float>(-1, 1)(random);
    CHECK(predict<float>({X.data(), n, 2}, view, {ordinary.data(), n, 1}, 1));
    X[2 * 613] = 1e38F;
    X[2 * 613 + 1] = 0.99e38F;
    CHECK(predict<float>({X.data(), n, 2}, view, {out.data(), n, 1}, 2));
    for (Index i = 0; i < n; ++i)
        if (i != 613) CHECK(out[i] == ordinary[i]);
    CHECK_NEAR(out[613] / 1e38, 30 * 0.01 + 0.3 + 0.7 * 0.99, 1e-5);
    X[2 * 613 + 1] = 0;
    CHECK_REFUSED(predict<float>({X.data(), n, 2}, view, {out.data(), n, 1}, 2),
                  "X is float32, and the outputs of row 613 are too large for it; pass float64 rows");
}

void a_skip_connection_adds_a_linear_map() {
    const Problem<double> p(200, 4, 3, {2}, 65);
    const Network<double> network(p, false);
    std::mt19937_64 random(66);
    const auto skip = normal<double>(random, 2 * p.d), bias = normal<double>(random, 2);
    NetworkView view = network.view();
    std::vector<double> without(p.n * 2), with(p.n * 2);
    predict<double>(p.rows(), view, {without.data(), p.n, 2}, 1);
    view.skip = {skip.data(), 2, p.d};
    view.skip_bias = {bias.data(), 2};
    predict<double>(p.rows(), view, {with.data(), p.n, 2}, 2);
    for (Index i = 0; i < p.n; ++i)
        for (Index c = 0; c < 2; ++c) {
            double expected = without[i * 2 + c] + bias[c];
            for (Index j = 0; j < p.d; ++j)
                expected += skip[c * p.d + j] * (p.X[i * p.d + j] - network.center[j]) / network.scale[j];
            CHECK_NEAR(with[i * 2 + c], expected, 1e-12);
        }
    view.skip.rows = 1;
    CHECK_REFUSED(predict<double>(p.rows(), view, {with.data(), p.n, 2}, 1),
                  "skip has shape (1, 4); expected (2, 4)");
}

void wrong_input_is_refused() {
    const Problem<double> p(10, 3, 2, {2}, 63);
    const Network<double> network(p, false);
    std::vector<double> out(20);
    const auto run = [&](const NetworkView& view) {
        predict<double>(p.rows(), view, {out.data(), 10, 2}, 1);
    };
    NetworkView view = network.view();
    view.scale.size = 2;
    CHECK_REFUSED(run(view), "scale has shape (2,); expected (3,)");
    view = network.view();
    view.signs.cols = 1;
    CHECK_REFUSED(run(view), "signs has shape (2, 1); expected (2, 2)");
    view = network.view();
    view.output_weights.cols = 1;
    CHECK_REFUSED(run(view), "output_weights has shape (2, 1); expected (2, 2)");
}

}  // namespace

int main() {
    for (const std::string& level : kernel_levels()) {
        use_kernels(level);
        for (const bool gated : {false, true}) {
            bits_do_not_depend_on_threads(gated);
            rows_that_are_not_finite_are_told<float>(gated);
            rows_that_are_not_finite_are_told<double>(gated);
            for (const std::vector<Index>& width : {std::vector<Index>{}, {4}, {2, 3}, {3, 6}, {2, 1, 2}}) {
                prediction_is_the_definition<double>(width, gated);
                prediction_is_the_definition<float>(width, gated);
            }
        }
        for (const std::vector<Index>& width : {std::vector<Index>{}, {3}, {2, 3}}) {
            bits_do_not_depend_on_the_place<double>(width);
            bits_do_not_depend_on_the_place<float>(width);
        }
        sums_too_large_for_float_are_taken_in_double();
        a_skip_connection_adds_a_linear_map();
    }
    wrong_input_is_refused();
}
