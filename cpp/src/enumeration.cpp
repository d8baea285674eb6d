#include <pathrelu/enumeration.hpp>
#include <pathrelu/error.hpp>

#include <Eigen/Dense>
#include <array>
#include <numeric>
#include <optional>

#include "lines.hpp"

namespace pathrelu {
namespace {

using Vector = Eigen::VectorXd;
using Matrix = Eigen::MatrixXd;
using Bits = std::vector<std::uint64_t>;

/// Rows that lie on each line, to set their bits from the side of the line's hyperplane.
class RowBits {
  public:
    explicit RowBits(const Lines& lines) : begin_(lines.size() + 1, 0) {
        const Index n = static_cast<Index>(lines.line.size());
        words_ = (n + 63) / 64;
        for (const Index j : lines.line)
            if (j >= 0) ++begin_[j + 1];
        std::partial_sum(begin_.begin(), begin_.end(), begin_.begin());
        rows_.resize(begin_.back());
        std::vector<Index> next(begin_.begin(), begin_.end() - 1);
        used_.assign(words_, 0);
        for (Index i = 0; i < n; ++i) {
            if (lines.line[i] < 0) continue;
            rows_[next[lines.line[i]]++] = {i, lines.factor[i] > 0};
            used_[i / 64] |= std::uint64_t{1} << (i % 64);
        }
    }
    Index words() const { return words_; }
    /// Changes the bits of a line's rows to those of the other side.
    void flip(Index line, std::uint64_t* bits) const {
        for (Index k = begin_[line]; k < begin_[line + 1]; ++k)
            bits[rows_[k].row / 64] ^= std::uint64_t{1} << (rows_[k].row % 64);
    }
    /// Sets the bits of a line's rows, which are zero.
    void set(Index line, bool positive, std::uint64_t* bits) const {
        for (Index k = begin_[line]; k < begin_[line + 1]; ++k)
            if (rows_[k].same == positive) bits[rows_[k].row / 64] |= std::uint64_t{1} << (rows_[k].row % 64);
    }
    /// out <- the bits at -u, given those at u.
    void opposite(const std::uint64_t* bits, std::uint64_t* out) const {
        for (Index w = 0; w < words_; ++w) out[w] = used_[w] & ~bits[w];
    }

  private:
    struct Row {
        Index row;
        bool same;  // as the unit vector of the line
    };
    Index words_;
    std::vector<Index> begin_;
    std::vector<Row> rows_;
    Bits used_;  // rows that are not zero
};

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

void clear_of_zero_patterns(Cells& cells, Index weights_per_group) {
    Arrangements& a = cells.arrangements;
    const Index words = a.words(), edges = a.shape.edges(), per_group = a.shape.units() * words;
    Bits mask(words);
    std::vector<Index> zero;
    for (Index g = 0; g < a.size(); ++g) {
        bool all_zero = true;
        for (Index p = 0; p < a.shape.paths() && all_zero; ++p) {
            a.path_mask(g, p, mask.data());
            all_zero = std::all_of(mask.begin(), mask.end(), [](std::uint64_t w) { return w == 0; });
        }
        if (all_zero) zero.push_back(g);
    }
    const auto erase = [&](auto& values, Index size) {
        Index kept = 0;
        auto next = zero.begin();
        for (Index g = 0; g < static_cast<Index>(values.size()) / std::max<Index>(size, 1); ++g) {
            if (next != zero.end() && *next == g) {
                ++next;
                continue;
            }
            if (kept != g)
                std::copy(values.begin() + g * size, values.begin() + (g + 1) * size,
                          values.begin() + kept * size);
            ++kept;
        }
        values.resize(kept * size);
    };
    if (zero.empty()) return;
    erase(a.signs, edges);
    erase(cells.weights, weights_per_group);
    erase(a.patterns, per_group);
}

void refuse_more_than(double count, Index most, const char* how) {
    if (count <= static_cast<double>(most)) return;
    const std::string number = count < 1e15 ? text(static_cast<Index>(count)) : text(count);
    throw std::invalid_argument(
        text("these rows have ", how, number, " arrangements; expected at most ", most));
}

Cells empty_cells(const Lines& lines, const TreeShape& shape) {
    Cells out;
    out.arrangements = {shape, static_cast<Index>(lines.line.size()), {}, {}};
    return out;
}

/// Depth 2 with normals in R^1 or R^2.
Cells cells_of_circle(const Lines& lines) {
    Cells out = empty_cells(lines, TreeShape());
    const RowBits rows(lines);
    const Index words = rows.words(), m = lines.size();
    Bits& patterns = out.arrangements.patterns;
    patterns.assign(2 * m * words, 0);
    if (lines.dim == 1) {
        rows.set(0, true, patterns.data());
        rows.opposite(patterns.data(), patterns.data() + words);
        out.weights = {lines.unit[0], -lines.unit[0]};
        return out;
    }
    Index k = 0;
    visit_arcs(lines.unit, [&](const double* u, const std::vector<char>& positive) {
        std::uint64_t* bits = patterns.data() + k++ * words;
        if (k <= m) {
            for (Index j = 0; j < m; ++j) rows.set(j, positive[j], bits);
        } else {
            rows.opposite(bits - m * words, bits);
        }
        out.weights.insert(out.weights.end(), u, u + 2);
    });
    return out;
}

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
            require(attempt < 8,
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
        std::uint64_t sum = mixed(i);
        for (const Index end = vertex_end(i, k); k < end; ++k) sum += mixed(line_at(i, k));
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

    static constexpr double kGeneric = 1e-13;
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

/// A full-dimensional polyhedral cone by its extreme rays, each with the constraints it meets with equality.
struct Cone {
    struct Ray {
        Vector v;
        Bits tight;
    };
    std::vector<Ray> rays;
    Index constraints = 0;

    void tighten(Bits& tight, Index constraint) const {
        tight.resize(constraint / 64 + 1, 0);
        tight[constraint / 64] |= std::uint64_t{1} << (constraint % 64);
    }
};

/// Values of rays of length 1 on a functional of length 1 that count as zero.
constexpr double kTight = 1e-10;

bool contains(const Bits& outer, const Bits& inner) {
    for (std::size_t w = 0; w < inner.size(); ++w)
        if (inner[w] & ~(w < outer.size() ? outer[w] : 0)) return false;
    return true;
}

/// The parts of a cone on the two sides of a hyperplane (double description, Motzkin et al. 1953); the part
/// without interior is left out.
struct Cut {
    std::optional<Cone> positive, negative;
};

Cut cut(const Cone& cone, const Vector& functional) {
    const double norm = functional.norm();
    std::vector<int> side(cone.rays.size(), 0);
    bool plus = false, minus = false;
    for (std::size_t k = 0; k < side.size() && norm > 0; ++k) {
        const double value = functional.dot(cone.rays[k].v);
        side[k] = value > kTight * norm ? 1 : value < -kTight * norm ? -1 : 0;
        plus |= side[k] > 0;
        minus |= side[k] < 0;
    }
    if (!minus) return plus ? Cut{cone, {}} : Cut{{}, cone};  // nowhere positive is off
    if (!plus) return {{}, cone};
    Cone positive, negative;
    positive.constraints = negative.constraints = cone.constraints + 1;
    const auto both = [&](Cone::Ray ray) {
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
            const Cone::Ray &a = cone.rays[k], &b = cone.rays[l];
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

/// A cell of the leaf weights of one subtree.
struct Piece {
    Cone cone;
    Matrix pre;                               // (rows, dim) pre-activations of its root, linear on the cell
    std::vector<std::vector<Bits>> patterns;  // of its units, layer by layer
    std::vector<std::vector<std::int8_t>> edge_signs;  // below its root, layer by layer
};

class Subdivision {
  public:
    Subdivision(const Lines& lines, Index most, const Poll& poll)
        : lines_(lines), most_(most), poll_(poll), n_(static_cast<Index>(lines.line.size())) {}

    Cells cells(const TreeShape& shape) {
        std::vector<Piece> pieces = leaves();
        for (const Index children : shape.width()) pieces = parents(pieces, children);
        Cells out = empty_cells(lines_, shape);
        for (const Piece& piece : pieces) {
            Vector center = Vector::Zero(piece.pre.cols());
            for (const Cone::Ray& ray : piece.cone.rays) center += ray.v;
            center.normalize();
            out.weights.insert(out.weights.end(), center.data(), center.data() + center.size());
            for (const auto& layer : piece.patterns)
                for (const Bits& bits : layer)
                    out.arrangements.patterns.insert(out.arrangements.patterns.end(), bits.begin(),
                                                     bits.end());
            for (const auto& layer : piece.edge_signs)
                out.arrangements.signs.insert(out.arrangements.signs.end(), layer.begin(), layer.end());
        }
        return out;
    }

  private:
    void poll_now_and_then() {
        if (poll_ && ++calls_ % 256 == 0) poll_();
    }

    static void set_bit(Bits& bits, Index i) { bits[i / 64] |= std::uint64_t{1} << (i % 64); }

    /// The cells of the rows' hyperplanes, the zero pattern among them.
    std::vector<Piece> leaves() {
        const Index m = lines_.size(), r = lines_.dim;
        refuse_more_than(most_regions(m, r), most_, "up to ");
        const Eigen::Map<const Matrix> normals(lines_.unit.data(), r, m);
        // r independent normals, far from each other.
        const Eigen::ColPivHouseholderQR<Matrix> qr(normals);
        const auto& pivot = qr.colsPermutation().indices();
        Matrix N(r, r);
        for (Index k = 0; k < r; ++k) N.row(k) = normals.col(pivot[k]).transpose();
        const Matrix inverse = N.inverse();

        struct Cell {
            Cone cone;
            std::vector<char> positive;  // by line
        };
        std::vector<Cell> cells;
        for (Index code = 0; code < Index{1} << r; ++code) {
            Cell cell{{}, std::vector<char>(m, 0)};
            cell.cone.constraints = r;
            for (Index k = 0; k < r; ++k) {
                const bool positive = code >> k & 1;
                cell.positive[pivot[k]] = positive;
                Bits tight(1, ((std::uint64_t{1} << r) - 1) & ~(std::uint64_t{1} << k));
                const Vector ray = (positive ? 1 : -1) * inverse.col(k);
                cell.cone.rays.push_back({ray.normalized(), std::move(tight)});
            }
            cells.push_back(std::move(cell));
        }
        for (Index k = r; k < m; ++k) {
            std::vector<Cell> next;
            for (Cell& cell : cells) {
                poll_now_and_then();
                Cut parts = cut(cell.cone, normals.col(pivot[k]));
                if (parts.negative) next.push_back({std::move(*parts.negative), cell.positive});
                if (parts.positive) {
                    next.push_back({std::move(*parts.positive), std::move(cell.positive)});
                    next.back().positive[pivot[k]] = 1;
                }
            }
            cells = std::move(next);
        }
        Matrix rows = Matrix::Zero(n_, r);
        for (Index i = 0; i < n_; ++i)
            if (lines_.line[i] >= 0) rows.row(i) = lines_.factor[i] * normals.col(lines_.line[i]).transpose();
        std::vector<Piece> out;
        for (Cell& cell : cells) {
            Bits bits((n_ + 63) / 64, 0);
            for (Index i = 0; i < n_; ++i)
                if (lines_.line[i] >= 0 && (lines_.factor[i] > 0) == (cell.positive[lines_.line[i]] != 0))
                    set_bit(bits, i);
            out.push_back({std::move(cell.cone), rows, {{std::move(bits)}}, {}});
        }
        return out;
    }

    /// The cells of trees with a new root above `children` trees, up to the order of siblings.
    std::vector<Piece> parents(const std::vector<Piece>& child, Index children) {
        // Each choice of children and signs has at least one cell.
        double choices = 0;
        const auto multisets = [&](Index k) {
            double count = 1;
            for (Index j = 0; j < k; ++j)
                count *=
                    (static_cast<double>(child.size()) + static_cast<double>(j)) / static_cast<double>(j + 1);
            return std::round(count);
        };
        for (Index plus = 1; plus <= children; ++plus)
            choices += multisets(plus) * multisets(children - plus);
        refuse_more_than(choices, most_, "at least ");

        std::vector<Piece> out;
        std::vector<Index> chosen(children);
        for (Index plus = 1; plus <= children; ++plus) {
            std::fill(chosen.begin(), chosen.end(), 0);
            for (;;) {
                add(child, chosen, plus, out);
                refuse_more_than(static_cast<double>(out.size()), most_, "at least ");
                // The next choice that does not fall inside either sign.
                Index c = children - 1;
                while (c >= 0 && ++chosen[c] == static_cast<Index>(child.size())) --c;
                if (c < 0) break;
                for (Index k = c + 1; k < children; ++k) chosen[k] = k == plus ? 0 : chosen[k - 1];
            }
        }
        return out;
    }

    void add(const std::vector<Piece>& child, const std::vector<Index>& chosen, Index plus,
             std::vector<Piece>& out) {
        const Index children = static_cast<Index>(chosen.size()), dim = child[0].pre.cols();
        Piece joint;
        joint.pre = Matrix::Zero(n_, children * dim);
        joint.patterns.resize(child[0].patterns.size() + 1);
        joint.edge_signs.resize(child[0].patterns.size());
        for (Index c = 0; c < children; ++c) joint.cone.constraints += child[chosen[c]].cone.constraints;
        Index first = 0;
        for (Index c = 0; c < children; ++c) {
            const Piece& part = child[chosen[c]];
            const double sign = c < plus ? 1 : -1;
            const Bits& on = part.patterns.back()[0];
            for (Index i = 0; i < n_; ++i)
                if (on[i / 64] >> (i % 64) & 1u) joint.pre.block(i, c * dim, 1, dim) = sign * part.pre.row(i);
            for (const Cone::Ray& ray : part.cone.rays) {
                Cone::Ray wide{Vector::Zero(children * dim), {}};
                wide.v.segment(c * dim, dim) = ray.v;
                for (Index k = 0; k < joint.cone.constraints; ++k) {
                    const Index own = k - first;
                    const bool other = own < 0 || own >= part.cone.constraints;
                    if (other || (own / 64 < static_cast<Index>(ray.tight.size()) &&
                                  (ray.tight[own / 64] >> (own % 64) & 1u)))
                        joint.cone.tighten(wide.tight, k);
                }
                joint.cone.rays.push_back(std::move(wide));
            }
            first += part.cone.constraints;
            for (std::size_t l = 0; l < part.patterns.size(); ++l)
                for (const Bits& bits : part.patterns[l]) joint.patterns[l].push_back(bits);
            for (std::size_t l = 0; l < part.edge_signs.size(); ++l)
                for (const std::int8_t s : part.edge_signs[l]) joint.edge_signs[l].push_back(s);
            joint.edge_signs.back().push_back(static_cast<std::int8_t>(sign));
        }
        joint.patterns.back().assign(1, Bits((n_ + 63) / 64, 0));
        std::vector<std::pair<Cone, Bits>> cells{{std::move(joint.cone), joint.patterns.back()[0]}};
        for (Index i = 0; i < n_; ++i) {
            std::vector<std::pair<Cone, Bits>> next;
            for (auto& [cone, bits] : cells) {
                poll_now_and_then();
                Cut parts = cut(cone, joint.pre.row(i).transpose());
                if (parts.negative) next.emplace_back(std::move(*parts.negative), bits);
                if (parts.positive) {
                    set_bit(bits, i);
                    next.emplace_back(std::move(*parts.positive), std::move(bits));
                }
            }
            cells = std::move(next);
        }
        for (auto& [cone, bits] : cells) {
            joint.cone = std::move(cone);
            joint.patterns.back()[0] = std::move(bits);
            out.push_back(joint);
        }
    }

    const Lines& lines_;
    Index most_;
    const Poll& poll_;
    Index n_;
    std::uint64_t calls_ = 0;
};

}  // namespace

Lines distinct_lines(MatView<const double> rows, double tol) {
    const Index n = rows.rows, r = rows.cols;
    Lines out{r, {}, std::vector<Index>(n, -1), std::vector<double>(n, 0.0)};
    // Unit vectors on one side of a generic plane, sorted by their distance from it: those of one line are
    // neighbours up to the tolerance.
    struct Entry {
        double height;
        Index row;
        bool operator<(const Entry& o) const { return height != o.height ? height < o.height : row < o.row; }
    };
    std::vector<double> unit(n * r), direction(r);
    for (Index k = 0; k < r; ++k) direction[k] = generic(1000 + k);
    std::vector<Entry> entries;
    for (Index i = 0; i < n; ++i) {
        const Eigen::Map<const Vector> row(rows.row(i), r);
        const double norm = row.stableNorm();
        if (norm == 0) continue;
        const Vector u = row / norm;
        double height = 0;
        for (Index k = 0; k < r; ++k) height += direction[k] * u[k];
        const double sign = height < 0 ? -1 : 1;
        Eigen::Map<Vector>(unit.data() + i * r, r) = sign * u;
        out.factor[i] = sign * norm;
        entries.push_back({sign * height, i});
    }
    std::sort(entries.begin(), entries.end());
    struct Found {
        double height;
        Index line;
    };
    std::vector<Found> found;
    const double reach = tol * std::sqrt(static_cast<double>(r));
    for (const Entry& entry : entries) {
        const Eigen::Map<const Vector> u(unit.data() + entry.row * r, r);
        Index line = -1;
        for (auto f = found.rbegin(); f != found.rend() && f->height >= entry.height - reach && line < 0; ++f)
            if ((Eigen::Map<const Vector>(out.normal(f->line), r) - u).norm() <= tol) line = f->line;
        if (line < 0) {
            line = out.size();
            out.unit.insert(out.unit.end(), u.data(), u.data() + r);
            found.push_back({entry.height, line});
        }
        out.line[entry.row] = line;
    }
    return out;
}

double most_regions(Index m, Index dim) {
    double sum = 0, binomial = 1;
    for (Index k = 0; k < dim && k < m; ++k) {
        sum += binomial;
        binomial *= static_cast<double>(m - 1 - k) / static_cast<double>(k + 1);
    }
    return std::round(2 * sum);
}

Cells enumerate_cells(MatView<const double> rows, const TreeShape& shape, Index most, double tol, int threads,
                      const Poll& poll) {
    require(rows.rows >= 1, "rows has shape (", rows.rows, ", ", rows.cols, "); expected at least one row");
    require(rows.cols <= 62, "rows has rank ", rows.cols, "; expected at most 62");
    const Lines lines = distinct_lines(rows, tol);
    Cells cells = empty_cells(lines, shape);
    if (lines.size() == 0) return cells;
    if (shape.depth() > 2 || lines.dim > 3) {
        cells = Subdivision(lines, most, poll).cells(shape);
    } else {
        refuse_more_than(most_regions(lines.size(), lines.dim), most, lines.dim < 3 ? "" : "up to ");
        cells = lines.dim < 3 ? cells_of_circle(lines) : Chart(lines, tol, threads, poll).cells(lines);
    }
    clear_of_zero_patterns(cells, shape.paths() * rows.cols);
    return cells;
}

}  // namespace pathrelu
