#pragma once
#include <cmath>
#include <vector>

#include "monotone.hpp"
#include "search/tree_pass.hpp"

namespace pathrelu {

/// The variables (a_k, u_k) of all trees, and then the intercept.
class Variables {
  public:
    Variables(Trees& trees, std::vector<double>& intercept, bool free_directions, bool fit_intercept,
              double unit)
        : trees_(trees),
          intercept_(intercept),
          q_(free_directions ? trees.outputs : 1),
          stride_(q_ + trees.dim),
          fit_intercept_(fit_intercept),
          unit_(unit) {}

    Index trees_size() const { return trees_.size() * stride_; }
    Index size() const { return trees_size() + (fit_intercept_ ? trees_.outputs : 0); }

    /// Half of a tree's norm to each of its factors.
    Vector pack() const {
        Vector x = Vector::Zero(size());
        for (Index k = 0; k < trees_.size(); ++k) {
            double* at = x.data() + k * stride_;
            const double root = std::sqrt(trees_.weights(k).norm());
            if (free())
                Map(at, q_) = root * trees_.direction(k);
            else
                *at = root;
            if (root > 0) Map(at + q_, trees_.dim) = trees_.weights(k) / root;
        }
        if (fit_intercept_) x.tail(trees_.outputs) = ConstMap(intercept_.data(), trees_.outputs) / unit_;
        return x;
    }

    /// The trees as factors: their leaves u, and a (K, C).
    void factors(const Vector& x, Trees& u, std::vector<double>& a) const {
        const Index K = trees_.size(), C = trees_.outputs;
        u.V.resize(K * trees_.dim);
        a.resize(K * C);
        for (Index k = 0; k < K; ++k) {
            const double* at = x.data() + k * stride_;
            u.weights(k) = ConstMap(at + q_, trees_.dim);
            Map of(a.data() + k * C, C);
            if (free())
                of = ConstMap(at, C);
            else
                of = std::abs(*at) * trees_.direction(k);
        }
        read_intercept(x);
    }

    /// Writes x into the trees, all magnitude in the leaves.
    void unpack(const Vector& x) {
        for (Index k = 0; k < trees_.size(); ++k) {
            const double* at = x.data() + k * stride_;
            const double norm = ConstMap(at, q_).norm();
            trees_.weights(k) = norm * ConstMap(at + q_, trees_.dim);
            if (free() && norm > 0) trees_.direction(k) = ConstMap(at, q_) / norm;
        }
        read_intercept(x);
    }

    /// Of each variable the sign that it must have, or 0; empty if all are free.
    std::vector<std::int8_t> signs(const TreeShape& shape, const Monotone& monotone) const {
        if (!monotone.any()) return {};
        std::vector<std::int8_t> out(size(), 0);
        for (Index k = 0; k < trees_.size(); ++k)
            monotone.each(shape, trees_.sign(k), trees_.side(k), trees_.linear[k] != 0,
                          [&](Index place, int sign) {
                              out[k * stride_ + q_ + place] = static_cast<std::int8_t>(sign);
                          });
        return out;
    }

    /// The penalty, and the gradient of it and the loss.
    double penalty(const Vector& x, const PassSums& sums, double alpha, Vector& gradient) const {
        const Index K = trees_.size(), C = trees_.outputs, dim = trees_.dim;
        gradient.resize(size());
        double value = 0;
        for (Index k = 0; k < K; ++k) {
            const double* at = x.data() + k * stride_;
            double* out = gradient.data() + k * stride_;
            const ConstMap a(at, q_), u(at + q_, dim), S(sums.S.data() + k * C, C),
                G(sums.G.data() + k * dim, dim);
            value += alpha / 2 * (a.squaredNorm() + u.squaredNorm());
            if (free() && trees_.linear[k])  // a skip connection has a part for each output
                Map(out, q_) = alpha * a - trees_.direction(k) * trees_.direction(k).dot(S);
            else if (free())
                Map(out, q_) = alpha * a - S;
            else
                *out = alpha * *at - (*at < 0 ? -1 : 1) * S.dot(trees_.direction(k));
            Map(out + q_, dim) = alpha * u - G;
        }
        if (fit_intercept_) gradient.tail(C) = -unit_ * ConstMap(sums.S.data() + K * C, C);
        return value;
    }

  private:
    bool free() const { return q_ > 1; }
    void read_intercept(const Vector& x) const {
        if (fit_intercept_) Map(intercept_.data(), trees_.outputs) = unit_ * x.tail(trees_.outputs);
    }

    Trees& trees_;
    std::vector<double>& intercept_;
    Index q_, stride_;
    bool fit_intercept_;
    double unit_;
};

/// x <- the nearest variables that have the signs wanted, where any is.
inline void clip(const std::vector<std::int8_t>& signs, double* x) {
    for (std::size_t k = 0; k < signs.size(); ++k)
        if (signs[k] * x[k] < 0) x[k] = 0;
}

}  // namespace pathrelu
