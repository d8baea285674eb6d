#include "search/starts.hpp"

#include <algorithm>
#include <cmath>

namespace pathrelu {
namespace {

/// Trees of a cloud: as many as this many multiplications allow, within bounds.
constexpr Index kCloudWork = 6000000, kLeastCloud = 150, kMostCloud = 400;
constexpr Index kSplit = 4;           // copies of an active tree that a round starts from
constexpr double kSpread = 0.5;       // distance between them, of their norm
constexpr double kSpreadDecay = 0.7;  // of that distance from round to round
constexpr Index kKinds = 8;           // of leaves, which take turns: most are normal random numbers
/// Streams of random numbers of a cloud, of copies and of starts of ascents.
constexpr std::uint64_t kOfCopies = 0x5bd1e995u, kOfAscents = 0x2545f491u;

std::uint64_t stream(Index round, Index output, Index number) {
    return (static_cast<std::uint64_t>(round) * 1000003 + output) * 1000003 + number;
}

}  // namespace

/// leaves (dim) <- rows of X (kind 0), differences of two (kind 1), or normal random numbers.
template <class X>
void Starts<X>::random_leaves(Random& random, Index kind, double* leaves) const {
    const Index d = rows_.cols;
    if (kind > 1) {
        for (Index j = 0; j < shape_.paths() * d; ++j) leaves[j] = random.normal();
        return;
    }
    for (Index p = 0; p < shape_.paths(); ++p) {
        const Index a = random.below(rows_.rows), b = random.below(rows_.rows);
        const double side = random.next() & 1u ? 1 : -1;
        std::fill_n(leaves + p * d, d, 0.0);
        rows_.add_row(a, side, leaves + p * d);
        if (kind == 1) rows_.add_row(b, -side, leaves + p * d);
    }
}

/// direction (C) <- a random one if all outputs are shared, else the output's, with both signs in turn.
template <class X>
void Starts<X>::random_direction(Random& random, Index output, Index number, double* direction) const {
    Map out(direction, C_);
    if (shared_) {
        for (Index c = 0; c < C_; ++c) out[c] = random.normal();
        out /= out.norm();
    } else {
        out.setZero();
        out[output] = number % 2 == 0 ? 1 : -1;
    }
}

/// The last tree <- a monotone one, by the signs of its weights: random weights would lose half of them.
template <class X>
void Starts<X>::turn_signs(Trees& trees) const {
    const Index k = trees.size() - 1;
    const Monotone monotone(problem_.monotone);
    if (!monotone.any()) return;
    Map v = trees.weights(k);
    if (!problem_.relu) return monotone.clear(shape_.paths(), v.data());
    monotone.each(shape_, trees.sign(k), trees.side(k), false,
                  [&](Index place, int sign) { v[place] = sign * std::abs(v[place]); });
}

template <class X>
Trees Starts<X>::cloud(Index number, double norm, Index count) const {
    Trees out = none();
    if (count == 0)
        count = std::clamp<Index>(kCloudWork / (rows_.rows * out.dim * kinds()), kLeastCloud,
                                  std::max(kLeastCloud, kMostCloud / shape_.paths()));
    std::vector<double> leaves(out.dim), direction(C_);
    std::vector<std::int8_t> sign(out.edges);
    for (Index c = 0; c < kinds(); ++c)
        for (Index s = 0; s < count; ++s) {
            Random random(seed_, stream(number, c, s));
            for (std::int8_t& e : sign) e = random.next() & 1u ? 1 : -1;
            random_leaves(random, s / 2 % kKinds, leaves.data());
            random_direction(random, c, s, direction.data());
            Map v(leaves.data(), out.dim);
            const double length = v.norm();
            if (length > 0) v *= norm / static_cast<double>(count) / length;
            out.add(leaves.data(), sign.data(), direction.data());
            turn_signs(out);
        }
    return out;
}

template <class X>
Trees Starts<X>::split(const Trees& trees, Index round) const {
    const double spread = kSpread * std::pow(kSpreadDecay, static_cast<double>(round - 1)) /
                          std::sqrt(static_cast<double>(trees.dim));
    const Index copies =
        std::clamp<Index>(kMostCloud / (shape_.paths() * std::max<Index>(trees.size(), 1)), 1, kSplit);
    Trees out = none();
    for (Index k = 0; k < trees.size(); ++k) {
        Random random(seed_ ^ kOfCopies, stream(0, round, k));
        const double norm = trees.weights(k).norm();
        for (Index copy = 0; copy < copies; ++copy) {
            out.add(trees, k, 1 / static_cast<double>(copies));
            if (copy == 0 || trees.linear[k]) continue;
            Map v = out.weights(out.size() - 1);
            for (Index j = 0; j < trees.dim; ++j)
                v[j] += spread * norm / static_cast<double>(copies) * random.normal();
        }
    }
    problem_.restrict(out);
    return out;
}

template <class X>
Trees Starts<X>::of_ascents(const Trees& current, Index round, Index count) const {
    Trees out = none();
    std::vector<double> leaves(out.dim), direction(C_);
    std::vector<std::int8_t> sign(out.edges);
    for (Index c = 0; c < kinds(); ++c)
        for (Index s = 0; s < 2 * count; ++s) {
            Random random(seed_ ^ kOfAscents, stream(round, c, s));
            for (std::int8_t& e : sign) e = random.next() & 1u ? 1 : -1;
            const Index kind = s / 2 % kKinds;
            if (kind < 3 && current.size() > 0) {
                const Index k = random.below(current.size());
                const double norm = current.weights(k).norm();
                const double spread = kind == 0 ? 0.0 : kind == 1 ? 0.3 * norm : norm;
                for (Index j = 0; j < out.dim; ++j)
                    leaves[j] = (kind == 0 ? -1 : 1) * current.weights(k)[j] +
                                spread / std::sqrt(static_cast<double>(out.dim)) * random.normal();
                std::copy_n(current.sign(k), out.edges, sign.begin());
            } else {
                random_leaves(random, kind - 3, leaves.data());
            }
            random_direction(random, c, s, direction.data());
            out.add(leaves.data(), sign.data(), direction.data());
            if (kind >= 3) turn_signs(out);
        }
    problem_.restrict(out);
    return out;
}

template class Starts<float>;
template class Starts<double>;

}  // namespace pathrelu
