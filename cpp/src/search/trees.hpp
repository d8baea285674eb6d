#pragma once
#include <Eigen/Core>
#include <algorithm>
#include <vector>

#include <pathrelu/types.hpp>

namespace pathrelu {

using Vector = Eigen::VectorXd;
using Map = Eigen::Map<Vector>;
using ConstMap = Eigen::Map<const Vector>;

/// K trees with all magnitudes in the leaves: tree k adds tree(V_k) omega_k to the outputs, for a unit vector
/// omega_k. A linear one is the product with its first leaf, without gates.
struct Trees {
    Index dim, edges, outputs;
    std::vector<double> V = {};           // (K, dim)
    std::vector<std::int8_t> signs = {};  // (K, edges)
    std::vector<double> omega = {};       // (K, outputs)
    std::vector<std::uint8_t> linear = {};

    Index size() const { return static_cast<Index>(linear.size()); }
    Map weights(Index k) { return {V.data() + k * dim, dim}; }
    ConstMap weights(Index k) const { return {V.data() + k * dim, dim}; }
    Map direction(Index k) { return {omega.data() + k * outputs, outputs}; }
    ConstMap direction(Index k) const { return {omega.data() + k * outputs, outputs}; }
    const std::int8_t* sign(Index k) const { return signs.data() + k * edges; }

    void add(const double* leaves, const std::int8_t* sign, const double* direction,
             bool without_gates = false) {
        V.insert(V.end(), leaves, leaves + dim);
        signs.insert(signs.end(), sign, sign + edges);
        omega.insert(omega.end(), direction, direction + outputs);
        linear.push_back(without_gates);
    }
    /// One that feeds a single output, with the sign of `side`.
    void add(const double* leaves, const std::int8_t* sign, Index output, double side,
             bool without_gates = false) {
        std::vector<double> direction(outputs, 0.0);
        direction[output] = side;
        add(leaves, sign, direction.data(), without_gates);
    }
    void add(const Trees& other, Index k, double factor = 1) {
        add(other.V.data() + k * dim, other.sign(k), other.omega.data() + k * outputs, other.linear[k] != 0);
        weights(size() - 1) *= factor;
    }
    void add(const Trees& other, double factor = 1) {
        for (Index k = 0; k < other.size(); ++k) add(other, k, factor);
    }
    /// Whether two trees differ in their leaf weights and directions only.
    bool same_kind(Index a, Index b) const {
        return linear[a] == linear[b] && std::equal(sign(a), sign(a) + edges, sign(b));
    }
    /// The one output that a tree feeds which feeds no other.
    Index output(Index k) const {
        Index c = 0;
        while (omega[k * outputs + c] == 0) ++c;
        return c;
    }
    /// The sign with which it feeds it.
    double side(Index k) const { return omega[k * outputs + output(k)]; }
};

}  // namespace pathrelu
