#include "geometry/double_description.hpp"

#include <algorithm>

namespace pathrelu {
namespace {

/// Values of rays of length 1 on a functional of length 1 that count as zero.
constexpr double kTight = 1e-10;

bool contains(const Bits& outer, const Bits& inner) {
    for (std::size_t w = 0; w < inner.size(); ++w)
        if (inner[w] & ~(w < outer.size() ? outer[w] : 0)) return false;
    return true;
}

}  // namespace

ConeCut cut(const PolyhedralCone& cone, const Vector& functional) {
    const double norm = functional.norm();
    std::vector<int> side(cone.rays.size(), 0);
    bool plus = false, minus = false;
    for (std::size_t k = 0; k < side.size() && norm > 0; ++k) {
        const double value = functional.dot(cone.rays[k].v);
        side[k] = value > kTight * norm ? 1 : value < -kTight * norm ? -1 : 0;
        plus |= side[k] > 0;
        minus |= side[k] < 0;
    }
    if (!minus) return plus ? ConeCut{cone, {}} : ConeCut{{}, cone};  // nowhere positive is off
    if (!plus) return {{}, cone};
    PolyhedralCone positive, negative;
    positive.constraints = negative.constraints = cone.constraints + 1;
    const auto both = [&](PolyhedralCone::Ray ray) {
        cone.tighten(ray.tight, cone.constraints);
        positive.rays.push_back(ray);
        negative.rays.push_back(std::move(ray));
    };
    for (std::size_t k = 0; k < side.size(); ++k) {
        if (side[k] == 0) both(cone.rays[k]);
        if (side[k] > 0) positive.rays.push_back(cone.rays[k]);
        if (side[k] < 0) negative.rays.push_back(cone.rays[k]);
    }
    for (std::size_t k = 0; k < side.size(); ++k) {
        if (side[k] <= 0) continue;
        for (std::size_t l = 0; l < side.size(); ++l) {
            if (side[l] >= 0) continue;
            const PolyhedralCone::Ray &a = cone.rays[k], &b = cone.rays[l];
            Bits common(std::min(a.tight.size(), b.tight.size()));
            for (std::size_t w = 0; w < common.size(); ++w) common[w] = a.tight[w] & b.tight[w];
            bool adjacent = true;  // no other ray on all facets they share
            for (std::size_t o = 0; o < side.size() && adjacent; ++o)
                adjacent = o == k || o == l || !contains(cone.rays[o].tight, common);
            if (!adjacent) continue;
            const Vector v = functional.dot(a.v) * b.v - functional.dot(b.v) * a.v;
            both({v.normalized(), common});
        }
    }
    return {std::move(positive), std::move(negative)};
}

}  // namespace pathrelu
