#include "geometry/chart.hpp"

#include <pathrelu/error.hpp>

#include <array>
#include <numeric>

#include "geometry/cells.hpp"
#include "geometry/circle.hpp"
#include "geometry/lines.hpp"
#include "geometry/row_bits.hpp"

namespace pathrelu {
namespace {

/// Rotations that are tried, each with ten times the tolerance of the last: an angle of 1e8 times the first
/// tells nothing apart.
constexpr int kMostAttempts = 8;
/// What a coordinate of unit vectors exceeds if it is not zero but for rounding: some hundred epsilons.
constexpr double kGeneric = 1e-13;

/// m distinct planes through the origin of R^3 as lines x = slope y + constant of a generic chart {u_2 = 1},
/// and the vertices on each of them in order.
///
/// At y = +infinity the lines are ordered by slope. At a vertex the lines through it reverse their order; of
/// the regions that start there, one is right of each of these lines but the one of largest slope. Every
/// region with a lowest vertex starts at exactly one, so the regions are the right sides of edges; what is
/// left are those without one, which are among the 2 m that reach the line at infinity.
class Chart {
  public:
    Chart(const Lines& lines, double tol, int threads, const Poll& poll)
        : m_(lines.size()), threads_(threads), poll_(poll) {
        for (int attempt = 0;; ++attempt) {
            require(attempt < kMostAttempts,
                    "the rows lie so close to degenerate position that their arrangements cannot "
                    "be told apart in double precision");
            if (place(lines, attempt) && sort(tol * std::pow(10, attempt))) return;
        }
    }

    Cells cells(const Lines& lines) const;

  private:
    /// Rotates the normals; whether no two lines are parallel in the chart and none is horizontal.
    bool place(const Lines& lines, int attempt) {
        generic_frame(attempt, frame_);
        chart_.clear();
        for (Index j = 0; j < m_; ++j) {
            double a[3];
            for (int k = 0; k < 3; ++k) a[k] = dot3(frame_[k], lines.normal(j));
            if (!(std::abs(a[0]) > kGeneric)) return false;
            chart_.emplace_back(a);
        }
        std::vector<Index> by_slope(m_);
        std::iota(by_slope.begin(), by_slope.end(), Index{0});
        std::sort(by_slope.begin(), by_slope.end(), [&](Index i, Index j) {
            const double a = chart_[i].slope(), b = chart_[j].slope();
            return a != b ? a < b : i < j;
        });
        slope_.resize(m_);
        for (Index k = 0; k < m_; ++k) slope_[by_slope[k]] = static_cast<std::int32_t>(k);
        return true;
    }

    /// Sorts the vertices on every line; whether all lines agree about which meet where.
    bool sort(double tol) {
        order_.resize(m_ * (m_ - 1));
        starts_.resize(m_ * (m_ - 1));
        position_.resize(m_ * m_);
        std::vector<char> generic_line(m_, 1);
        for_each_polled(m_, m_, threads_, poll_, [&](Index i) {
            thread_local std::vector<Crossing> crossings;
            crossings.clear();
            for (Index j = 0; j < m_; ++j) {
                if (j == i) continue;
                crossings.push_back(crossing(chart_[i], chart_[j].a, j));
                const Crossing& c = crossings.back();
                if (!(std::abs(c.along_t) > kGeneric * std::hypot(c.along_q, c.along_t))) generic_line[i] = 0;
            }
            std::sort(crossings.begin(), crossings.end());
            for (Index k = 0; k < m_ - 1; ++k) {
                order_[i * (m_ - 1) + k] = static_cast<std::int32_t>(crossings[k].line);
                position_[i * m_ + crossings[k].line] = static_cast<std::int32_t>(k);
                bool same = false;
                if (k > 0) {
                    // The determinant of the three normals against the sines of their angles with line i.
                    const Crossing &a = crossings[k - 1], &b = crossings[k];
                    same = std::abs(a.along_q * b.along_t - a.along_t * b.along_q) <=
                           tol * std::max(std::hypot(a.along_q, a.along_t), std::hypot(b.along_q, b.along_t));
                }
                starts_[i * (m_ - 1) + k] = !same;
            }
        });
        if (!std::all_of(generic_line.begin(), generic_line.end(), [](char ok) { return ok; })) return false;

        std::vector<char> agrees(m_, 1);
        for_each_polled(m_, m_, threads_, poll_, [&](Index i) {
            for (Index begin = 0; begin < m_ - 1;) {
                const Index end = vertex_end(i, begin);
                for (Index k = begin; k < end; ++k) {
                    const Index j = line_at(i, k), back = vertex_begin(j, position_[j * m_ + i]);
                    if (vertex_end(j, back) - back != end - begin || key(j, back) != key(i, begin))
                        agrees[i] = 0;
                }
                begin = end;
            }
        });
        return std::all_of(agrees.begin(), agrees.end(), [](char ok) { return ok; });
    }

    Index line_at(Index i, Index k) const { return order_[i * (m_ - 1) + k]; }
    Index vertex_begin(Index i, Index k) const {
        while (!starts_[i * (m_ - 1) + k]) --k;
        return k;
    }
    Index vertex_end(Index i, Index k) const {
        for (++k; k < m_ - 1 && !starts_[i * (m_ - 1) + k];) ++k;
        return k;
    }
    /// Which lines meet at the vertex of line i that begins at position k.
    std::uint64_t key(Index i, Index k) const {
        std::uint64_t sum = mix(i + 1);
        for (const Index end = vertex_end(i, k); k < end; ++k) sum += mix(line_at(i, k) + 1);
        return sum;
    }

    /// The vertex of line i that begins at position k, or the point at infinity for k = m - 1.
    std::array<double, 3> point(Index i, Index k) const {
        const ChartLine& on = chart_[i];
        if (k == m_ - 1) return {on.t[0], on.t[1], on.t[2]};
        const Crossing c = crossing(on, chart_[line_at(i, k)].a, 0);
        const double length = std::hypot(c.along_q, c.along_t) * (c.along_t > 0 ? 1 : -1);
        const double q = c.along_t / length, t = -c.along_q / length;
        return {q * on.q[0] + t * on.t[0], q * on.q[1] + t * on.t[1], q * on.q[2] + t * on.t[2]};
    }

    /// Visits the bounded regions that are the right sides of edges of line i, lowest edge first:
    /// region(k, next, b) where the edge is from the vertex that begins at k to the one that begins at
    /// `next`, and b is the line whose left side the region is there. cross(j) when line j is crossed.
    template <class Cross, class Region>
    void walk(Index i, Cross cross, Region region) const {
        // A region right of lines whose ranks by slope are 0 .. k - 1 is unbounded: these have the least sum.
        std::int64_t right = 1, rank_sum = slope_[i];
        std::vector<char> is_right(m_);
        for (Index j = 0; j < m_; ++j) {
            if (j == i) continue;
            // At y = -infinity lines of larger slope are on the left.
            is_right[j] = slope_[j] > slope_[i];
            right += is_right[j];
            rank_sum += is_right[j] ? slope_[j] : 0;
        }
        for (Index begin = 0; begin < m_ - 1;) {
            const Index end = vertex_end(i, begin);
            Index b = -1;
            for (Index k = begin; k < end; ++k) {
                const Index j = line_at(i, k);
                is_right[j] ^= 1;
                right += is_right[j] ? 1 : -1;
                rank_sum += is_right[j] ? slope_[j] : -slope_[j];
                cross(j);
                if (slope_[j] > slope_[i] && (b < 0 || slope_[j] < slope_[b])) b = j;
            }
            if (b >= 0 && rank_sum != right * (right - 1) / 2) region(begin, end, b);
            begin = end;
        }
    }

    Index m_;
    int threads_;
    const Poll& poll_;
    double frame_[3][3];
    std::vector<ChartLine> chart_;
    std::vector<std::int32_t> slope_;     // rank of each line by slope
    std::vector<std::int32_t> order_;     // (m, m - 1) lines in the order in which they cross each line
    std::vector<std::int32_t> position_;  // (m, m) place of a line in that order
    std::vector<char> starts_;            // (m, m - 1) whether a new vertex begins there
};

Cells Chart::cells(const Lines& lines) const {
    const RowBits rows(lines);
    const Index words = rows.words();
    std::vector<Index> offset(m_ + 1, 0);
    for_each_polled(m_, m_, threads_, poll_, [&](Index i) {
        Index count = 0;
        walk(i, [](Index) {}, [&](Index, Index, Index) { ++count; });
        offset[i + 1] = 2 * count;
    });
    offset[0] = 2 * m_;
    std::partial_sum(offset.begin(), offset.end(), offset.begin());

    Cells out = empty_cells(lines, TreeShape());
    out.arrangements.patterns.assign(offset[m_] * words, 0);
    out.weights.resize(offset[m_] * 3);
    const auto put = [&](Index cell, const double* u) {  // u in the chart
        for (int x = 0; x < 3; ++x)
            out.weights[3 * cell + x] = u[0] * frame_[0][x] + u[1] * frame_[1][x] + u[2] * frame_[2][x];
    };
    const auto bits_of = [&](Index cell) { return out.arrangements.patterns.data() + cell * words; };

    std::vector<double> at_infinity(2 * m_);
    for (Index j = 0; j < m_; ++j) std::copy(chart_[j].a, chart_[j].a + 2, at_infinity.begin() + 2 * j);
    Index cell = 0;
    visit_arcs(at_infinity, [&](const double* u, const std::vector<char>& positive) {
        const double point[3] = {u[0], u[1], 0};
        put(cell, point);
        for (Index j = 0; j < m_; ++j) rows.set(j, positive[j], bits_of(cell));
        ++cell;
    });
    for_each_polled(m_, m_ * (1 + words / 8), threads_, poll_, [&](Index i) {
        thread_local Bits bits;
        bits.assign(words, 0);
        for (Index j = 0; j < m_; ++j) {
            const bool right = j == i || slope_[j] > slope_[i];
            rows.set(j, right == (chart_[j].a[0] > 0), bits.data());
        }
        Index k = offset[i];
        walk(
            i, [&](Index j) { rows.flip(j, bits.data()); },
            [&](Index begin, Index next, Index b) {
                // Three points of the region's closure: the vertex and the next ones on the two edges.
                auto u = point(i, begin);
                const auto v = point(i, next), w = point(b, vertex_end(b, position_[b * m_ + i]));
                for (int x = 0; x < 3; ++x) u[x] += v[x] + w[x];
                const double length = std::sqrt(dot3(u.data(), u.data()));
                for (double& x : u) x /= length;
                put(k, u.data());
                std::copy(bits.begin(), bits.end(), bits_of(k));
                for (double& x : u) x = -x;
                put(k + 1, u.data());
                rows.opposite(bits.data(), bits_of(k + 1));
                k += 2;
            });
    });
    return out;
}

}  // namespace

Cells cells_of_chart(const Lines& lines, double tol, int threads, const Poll& poll) {
    return Chart(lines, tol, threads, poll).cells(lines);
}

}  // namespace pathrelu
