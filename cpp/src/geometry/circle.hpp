#pragma once
#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include <pathrelu/enumeration.hpp>

namespace pathrelu {

/// The 2 m arcs of the circle cut by m distinct lines with normals (m, 2): visits visit(u, signs) with u in
/// the middle of the arc and signs[j] whether normal j . u > 0; the arc opposite to visit number k is number
/// k + m.
template <class Visit>
void visit_arcs(const std::vector<double>& normals, Visit visit) {
    const Index m = static_cast<Index>(normals.size()) / 2;
    const double pi = std::acos(-1.0);
    std::vector<std::pair<double, Index>> angle(m);
    for (Index j = 0; j < m; ++j) {
        double w = std::atan2(normals[2 * j], -normals[2 * j + 1]);
        if (w < 0) w += pi;
        angle[j] = {w < pi ? w : 0, j};
    }
    std::sort(angle.begin(), angle.end());
    std::vector<char> positive(m);
    double u[2];
    const auto point_at = [&](Index k) {  // after crossing k
        const double next = k + 1 < m ? angle[k + 1].first : angle[0].first + pi;
        const double middle = 0.5 * (angle[k].first + next);
        u[0] = std::cos(middle);
        u[1] = std::sin(middle);
    };
    point_at(m - 1);
    for (Index j = 0; j < m; ++j) positive[j] = -(normals[2 * j] * u[0] + normals[2 * j + 1] * u[1]) > 0;
    for (const bool second : {false, true})
        for (Index k = 0; k < m; ++k) {
            positive[angle[k].second] ^= 1;
            point_at(k);
            if (second) u[0] = -u[0], u[1] = -u[1];
            visit(u, positive);
        }
}

/// Depth 2 with normals in R^1 or R^2, by the arcs between them.
Cells cells_of_circle(const Lines& lines);

}  // namespace pathrelu
