#pragma once
#include <algorithm>
#include <cmath>
#include <vector>

#include <pathrelu/enumeration.hpp>

#include "parallel.hpp"
#include "support/random.hpp"

namespace pathrelu {

inline double dot3(const double* a, const double* b) {
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

/// Generic rotation number `attempt`: rows of an orthonormal 3 x 3 matrix.
inline void generic_frame(int attempt, double (&F)[3][3]) {
    for (int i = 0; i < 3; ++i) {
        for (int j = 0; j < 3; ++j) F[i][j] = generic(9 * attempt + 3 * i + j);
        for (int pass = 0; pass < 2; ++pass)
            for (int k = 0; k < i; ++k) {
                const double c = dot3(F[i], F[k]);
                for (int j = 0; j < 3; ++j) F[i][j] -= c * F[k][j];
            }
        const double length = std::sqrt(dot3(F[i], F[i]));
        for (double& x : F[i]) x /= length;
    }
}

/// The plane a^perp in R^3 as a line of the chart {u_2 = 1}: its points are cos(phi) q + sin(phi) t for phi
/// in
/// (-pi/2, pi/2). t points upwards (t_1 > 0) in the plane at infinity u_2 = 0, q has q_2 > 0.
struct ChartLine {
    double a[3], t[3], q[3];

    explicit ChartLine(const double* normal) {
        std::copy(normal, normal + 3, a);
        const double h = std::hypot(a[0], a[1]), s = a[0] > 0 ? 1 : -1;
        t[0] = -s * a[1] / h;
        t[1] = s * a[0] / h;
        t[2] = 0;
        q[0] = -a[0] * a[2] / h;
        q[1] = -a[1] * a[2] / h;
        q[2] = h;
    }
    /// x = slope * y + constant in the chart.
    double slope() const { return -a[1] / a[0]; }
};

/// Where the plane of another normal meets a chart line: at tan(phi) = -along_q / along_t.
struct Crossing {
    double at;                // tan(phi)
    double along_q, along_t;  // its normal on q and t
    Index line;

    bool operator<(const Crossing& other) const { return at != other.at ? at < other.at : line < other.line; }
};

inline Crossing crossing(const ChartLine& on, const double* normal, Index line) {
    const double q = dot3(normal, on.q), t = dot3(normal, on.t);
    return {-q / t, q, t, line};
}

/// Lines visited between two polls: some tens of milliseconds.
constexpr Index kPolledLines = Index{1} << 20;
/// Multiplications of a masked product in the time of one line's visit: 20 to 150 ns against 0.018 ns.
constexpr Index kLineWork = 1000;

/// body(i), which visits so many lines, for i < count in parallel, with polls between pieces.
template <class Body>
void for_each_polled(Index count, Index lines, int threads, const Poll& poll, Body body) {
    const Index per_piece = std::max<Index>(kPolledLines / std::max<Index>(1, lines), threads);
    for (Index begin = 0; begin < count; begin += per_piece) {
        if (poll) poll();
        const Index piece = std::min(count - begin, per_piece);
        in_team(threads_for(piece * lines * kLineWork, threads), piece, [&](Tasks& tasks) {
            for (Index i; tasks.take(i);) body(begin + i);
        });
    }
}

}  // namespace pathrelu
