#include <pathrelu/certificate.hpp>
#include <pathrelu/error.hpp>

#include <Eigen/Core>
#include <limits>
#include <numeric>

#include "geometry/lines.hpp"

namespace pathrelu {
namespace {

/// Angle up to which rows count as multiples of each other. The bound pays for it.
constexpr double kSameLine = 1e-12;
/// Rows at which the walks' first value is looked for.
constexpr Index kEasy = 256;
/// Points kept by branch and bound.
constexpr std::size_t kMostPoints = 256;
constexpr Index kMostColumns = 16;
/// Numbers of open lines that all cones together may hold: half a gigabyte.
constexpr std::size_t kMostOpen = std::size_t{1} << 27;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// The function  f(u) = sum_i theta_i (z_i . u)_+ = sum_j c_j (a_j . u)_+ + l . u  by the lines of the rows.
struct Function {
    Lines lines;
    std::vector<double> c;  // (m)
    std::vector<double> l;  // (r)
    double size = 0;        // sum_i |theta_i| |z_i|

    Function(MatView<const double> rows, VecView<const double> theta)
        : lines(distinct_lines(rows, kSameLine)), c(lines.size(), 0.0), l(rows.cols, 0.0) {
        require_size("theta", theta, rows.rows);
        for (Index i = 0; i < rows.rows; ++i) {
            const Index j = lines.line[i];
            if (j < 0) continue;
            const double weight = theta[i] * std::abs(lines.factor[i]);
            c[j] += weight;
            size += std::abs(weight);
            if (lines.factor[i] < 0)  // (-x)_+ = x_+ - x
                for (Index k = 0; k < rows.cols; ++k) l[k] -= weight * lines.normal(j)[k];
        }
    }

    Index dim() const { return lines.dim; }
    double operator()(const double* u) const {
        double sum = 0;
        for (Index k = 0; k < dim(); ++k) sum += l[k] * u[k];
        for (Index j = 0; j < lines.size(); ++j) {
            double x = 0;
            for (Index k = 0; k < dim(); ++k) x += lines.normal(j)[k] * u[k];
            if (x > 0) sum += c[j] * x;
        }
        return sum;
    }
    /// What rounding and the joining of lines can have taken from a value.
    double slack() const {
        return (2 * kSameLine + 4 * static_cast<double>(c.size()) * std::numeric_limits<double>::epsilon()) *
               size;
    }
};

struct Point {
    double value = 0;
    double sign = 1;
    std::vector<double> u;
};

void store(std::vector<Point> points, Correlation& out) {
    std::stable_sort(points.begin(), points.end(),
                     [](const Point& a, const Point& b) { return a.value > b.value; });
    for (const Point& p : points) {
        out.values.push_back(p.value);
        out.signs.push_back(p.sign);
        out.points.insert(out.points.end(), p.u.begin(), p.u.end());
    }
}

/// f in coordinates of R^3 in which the lines are a generic chart's; missing ones are zero.
class Walker {
  public:
    explicit Walker(const Function& f) : f_(f), m_(f.lines.size()) {
        generic_frame(0, frame_);
        if (f.dim() < 3) {  // keeps the plane of the first two coordinates
            const double x = frame_[0][0], y = frame_[0][1], h = std::hypot(x, y);
            const double turn[3][3] = {{x / h, y / h, 0}, {-y / h, x / h, 0}, {0, 0, 1}};
            std::copy(&turn[0][0], &turn[0][0] + 9, &frame_[0][0]);
        }
        normals_.resize(3 * m_);
        for (Index j = 0; j < m_; ++j) rotate(f.lines.normal(j), normals_.data() + 3 * j);
        rotate(f.l.data(), l_);
    }

    /// The largest values of f and of -f among the edges on the plane of a chart line, and in the cells on
    /// its right, where above `floor`. `own` is the line's own number, or -1.
    void walk(const ChartLine& on, Index own, double floor, Point (&best)[2]) const {
        thread_local std::vector<Crossing> crossings;
        thread_local std::vector<char> positive;
        crossings.clear();
        positive.assign(m_, 0);
        // g: the gradient of f before the first crossing, at points with phi near -pi/2; opposite: at -u.
        double g[3] = {l_[0], l_[1], l_[2]}, opposite[3] = {l_[0], l_[1], l_[2]};
        for (Index j = 0; j < m_; ++j) {
            if (j == own) continue;
            crossings.push_back(crossing(on, normal(j), j));
            positive[j] = !(crossings.back().along_t > 0);
            add(f_.c[j], j, positive[j] ? g : opposite);
        }
        std::sort(crossings.begin(), crossings.end());
        double own_term[3] = {0, 0, 0};  // of the cells on the right
        const bool right = own >= 0 && on.a[0] > 0;
        if (own >= 0) add(f_.c[own], own, own_term);
        Best plus{floor, {}}, minus{floor, {}};
        for (std::size_t k = 0; k <= crossings.size(); ++k) {
            const double from = k > 0 ? crossings[k - 1].at : -kInfinity;
            const double to = k < crossings.size() ? crossings[k].at : kInfinity;
            edge(on, g, 1, from, to, plus, minus);
            edge(on, opposite, -1, from, to, plus, minus);
            const auto inside = [&](const double* u) {
                for (const std::size_t c : {k - 1, k})
                    if (c < crossings.size()) {
                        const Index j = crossings[c].line;
                        if ((dot3(normal(j), u) > 0) != (positive[j] != 0)) return false;
                    }
                return own < 0 || (dot3(on.a, u) > 0) == right;
            };
            cell(g, own_term, right, 1, inside, plus, minus);
            cell(opposite, own_term, !right, -1, inside, plus, minus);
            if (k < crossings.size()) {
                const Index j = crossings[k].line;
                add(positive[j] ? -f_.c[j] : f_.c[j], j, g);
                add(positive[j] ? f_.c[j] : -f_.c[j], j, opposite);
                positive[j] ^= 1;
            }
        }
        best[0] = settle(plus, 1);
        best[1] = settle(minus, -1);
    }

    ChartLine chart_line(Index j) const { return ChartLine(normal(j)); }
    /// The plane of the first two coordinates, which takes the place of a row's where r < 3.
    static ChartLine base() {
        const double e[3] = {1, 0, 0};
        ChartLine out(e);
        const double a[3] = {0, 0, 1}, t[3] = {0, 1, 0}, q[3] = {1, 0, 0};
        std::copy(a, a + 3, out.a);
        std::copy(t, t + 3, out.t);
        std::copy(q, q + 3, out.q);
        return out;
    }

  private:
    struct Best {
        double value;
        double u[3];
    };

    void rotate(const double* v, double* out) const {
        for (int k = 0; k < 3; ++k) {
            out[k] = 0;
            for (Index x = 0; x < f_.dim(); ++x) out[k] += frame_[k][x] * v[x];
        }
    }
    const double* normal(Index j) const { return normals_.data() + 3 * j; }
    void add(double factor, Index j, double* g) const {
        for (int k = 0; k < 3; ++k) g[k] += factor * normal(j)[k];
    }
    static void take(double value, double x, double y, const ChartLine& on, Best& best) {
        if (value <= best.value) return;
        best.value = value;
        for (int k = 0; k < 3; ++k) best.u[k] = x * on.q[k] + y * on.t[k];
    }

    /// The points u = side (cos(phi) q + sin(phi) t) with tan(phi) from `from` to `to`, on which f is g . u.
    void edge(const ChartLine& on, const double* g, double side, double from, double to, Best& plus,
              Best& minus) const {
        const double x = side * dot3(g, on.q), y = side * dot3(g, on.t), length = std::hypot(x, y);
        if (!(length > std::min(plus.value, minus.value))) return;
        const double peak = y / x;
        if (peak >= from && peak <= to) {
            Best& best = x > 0 ? plus : minus;
            const double s = side * (x > 0 ? 1 : -1) / length;
            take(length, s * x, s * y, on, best);
        }
        for (const double end : {from, to}) {
            double c = 1 / std::hypot(1.0, end), s = end * c;
            if (std::isinf(end)) c = 0, s = end > 0 ? 1 : -1;
            const double value = x * c + y * s;
            take(value, side * c, side * s, on, plus);
            take(-value, side * c, side * s, on, minus);
        }
    }

    /// The cell with gradient g, and that of line `own` on it if it is on there, at side * u with u in the
    /// cell to the right.
    template <class Inside>
    void cell(const double* g, const double* own_term, bool own_on, double side, Inside inside, Best& plus,
              Best& minus) const {
        double u[3];
        for (int k = 0; k < 3; ++k) u[k] = g[k] + (own_on ? own_term[k] : 0);
        const double length = std::sqrt(dot3(u, u));
        for (Best* best : {&plus, &minus}) {
            if (!(length > best->value)) continue;
            const double sign = best == &plus ? 1 : -1;
            double v[3], w[3];
            for (int k = 0; k < 3; ++k) v[k] = sign * u[k] / length, w[k] = side * v[k];
            if (!inside(w)) continue;
            const double value = sign * at(v);
            if (value <= best->value) continue;
            best->value = value;
            std::copy(v, v + 3, best->u);
        }
    }

    double at(const double* u) const {
        double sum = dot3(l_, u);
        for (Index j = 0; j < m_; ++j) sum += f_.c[j] * std::max(dot3(normal(j), u), 0.0);
        return sum;
    }

    Point settle(const Best& best, double sign) const {
        Point out{-kInfinity, sign, {}};
        if (best.u[0] == 0 && best.u[1] == 0 && best.u[2] == 0) return out;
        out.u.assign(f_.dim(), 0.0);
        for (Index x = 0; x < f_.dim(); ++x)
            for (int k = 0; k < 3; ++k) out.u[x] += frame_[k][x] * best.u[k];
        out.value = sign * f_(out.u.data());
        return out;
    }

    const Function& f_;
    Index m_;
    double frame_[3][3];
    std::vector<double> normals_;  // (m, 3)
    double l_[3];
};

}  // namespace

Correlation exact_correlation(MatView<const double> rows, VecView<const double> theta, int threads,
                              const Poll& poll) {
    const Index r = rows.cols;
    require(r >= 1 && r <= 3, "rows has ", r, " columns; the exact maximum is for 1 to 3");
    const Function f(rows, theta);
    Correlation out;
    const Index m = f.lines.size();
    if (m == 0) return out;

    // A value that is easily had, so that few cells are worth a look.
    Point easy{-1, 1, {}};
    for (Index j = 0; j < m; j += (m + kEasy - 1) / kEasy)
        for (const double side : {1.0, -1.0}) {
            std::vector<double> u(f.lines.normal(j), f.lines.normal(j) + r);
            for (double& x : u) x *= side;
            const double value = f(u.data());
            if (std::abs(value) > easy.value) easy = {std::abs(value), value < 0 ? -1.0 : 1.0, std::move(u)};
        }
    const Walker walker(f);
    const Index walks = r == 3 ? m : 1;
    std::vector<Point> found(2 * walks);
    const bool complete = runs_to_its_end([&] {
        for_each_polled(walks, m, threads, poll, [&](Index i) {
            Point best[2];
            walker.walk(r == 3 ? walker.chart_line(i) : walker.base(), r == 3 ? i : -1, easy.value, best);
            found[2 * i] = std::move(best[0]);
            found[2 * i + 1] = std::move(best[1]);
        });
    });
    found.erase(std::remove_if(found.begin(), found.end(), [](const Point& p) { return p.u.empty(); }),
                found.end());
    found.push_back(easy);
    store(std::move(found), out);
    out.bound = complete ? out.values[0] + f.slack() : kInfinity;
    return out;
}

namespace {

/// R columns known at compile time where they are few, which keeps small vectors off the heap.
template <int R>
struct Branching {
    static constexpr int kMost = R == Eigen::Dynamic ? kMostColumns : R;
    using Vector = Eigen::Matrix<double, R, 1, 0, kMost, 1>;
    using Matrix = Eigen::Matrix<double, R, R, 0, kMost, kMost>;
    using ConstMap = Eigen::Map<const Vector>;

    struct Node {
        double bound = kInfinity;
        double sign;
        Matrix V;                         // (r, r) vertices of length 1
        Vector linear;                    // of sign * f and the lines whose sign is settled
        Vector u;                         // where the bound is reached
        std::vector<std::uint32_t> open;  // lines that change sign in the cone

        bool operator<(const Node& other) const { return bound < other.bound; }
    };

    const Function& f;
    const Index r;

    explicit Branching(const Function& function) : f(function), r(function.dim()) {}

    ConstMap normal(Index j) const { return ConstMap(f.lines.normal(j), r); }

    std::vector<Node> roots() const {
        std::vector<Node> out;
        for (const double sign : {1.0, -1.0})
            for (Index code = 0; code < Index{1} << r; ++code) {
                Node node;
                node.V = Matrix::Zero(r, r);
                for (Index k = 0; k < r; ++k) node.V(k, k) = code >> k & 1 ? -1 : 1;
                node.sign = sign;
                node.linear = sign * ConstMap(f.l.data(), r);
                node.open.resize(f.lines.size());
                std::iota(node.open.begin(), node.open.end(), 0u);
                out.push_back(std::move(node));
            }
        return out;
    }

    /// The two halves of a cone, cut at its longest edge.
    std::pair<Node, Node> halves(Node node) const {
        Index a = 0, b = r > 1 ? 1 : 0;
        double least = kInfinity;
        for (Index k = 0; k < r; ++k)
            for (Index l = k + 1; l < r; ++l) {
                const double cosine = node.V.col(k).dot(node.V.col(l));
                if (cosine < least) {
                    least = cosine;
                    a = k;
                    b = l;
                }
            }
        const Vector middle = (node.V.col(a) + node.V.col(b)).normalized();
        std::pair<Node, Node> out{node, std::move(node)};
        out.first.V.col(a) = middle;
        out.second.V.col(b) = middle;
        return out;
    }

    /// Settles lines, bounds sign * f on the cone and, if above `enough`, looks for a large value near where
    /// the bound is reached.
    void examine(Node& node, double enough, Point& point) const {
        // Values of the open lines at the vertices, one line after the other.
        thread_local std::vector<double> x;
        x.resize(node.open.size() * r);
        std::size_t kept = 0;
        Vector g = Vector::Zero(r);
        for (const std::uint32_t j : node.open) {
            const auto a = normal(j);
            const double c = node.sign * f.c[j];
            Eigen::Map<Vector> values(x.data() + kept * r, r);
            values.noalias() = node.V.transpose() * a;
            const bool above = values.maxCoeff() > 0, below = values.minCoeff() < 0;
            if (above && below) {
                node.open[kept++] = j;
                if (c > 0) g += c * values.cwiseMax(0.0);
            } else if (above) {
                node.linear += c * a;
            }
        }
        node.open.resize(kept);
        node.open.shrink_to_fit();
        g += node.V.transpose() * node.linear;

        // Slopes of the lines with c < 0: first as in the middle, then moved towards where the bound is
        // reached.
        node.u = node.V.rowwise().sum().normalized();
        thread_local std::vector<double> slope;
        slope.assign(kept, 0);
        Vector y;
        for (int step = 0; step < kSlopeSteps; ++step) {
            Vector total = g;
            for (std::size_t o = 0; o < kept; ++o) {
                const double c = node.sign * f.c[node.open[o]];
                if (c >= 0) continue;
                const double on = normal(node.open[o]).dot(node.u) > 0 ? 1 : 0;
                slope[o] += (on - slope[o]) / (step + 1);
                total += c * slope[o] * Eigen::Map<const Vector>(x.data() + o * r, r);
            }
            const double bound = least_norm(node.V, total, y);
            node.bound = std::min(node.bound, bound);
            if (node.bound <= enough || std::isinf(bound)) break;
            node.u = y.normalized();
        }

        point = {-kInfinity, node.sign, {}};
        if (node.bound <= enough) return;
        Vector u = node.u;
        for (int step = 0; step < kClimb; ++step) {
            const Vector gradient = gradient_at(u);
            const double value = node.sign * gradient.dot(u);
            if (value <= point.value) break;
            point.value = value;
            point.u.assign(u.data(), u.data() + r);
            const double length = gradient.norm();
            if (!(length > 0)) break;
            u = node.sign * gradient / length;
        }
    }

    Vector gradient_at(const Vector& u) const {
        Vector gradient = ConstMap(f.l.data(), r);
        for (Index j = 0; j < f.lines.size(); ++j)
            if (normal(j).dot(u) > 0) gradient += f.c[j] * normal(j);
        return gradient;
    }

    /// The norm of a short y with V^T y >= g, so that g . lambda is at most this norm for all u = V lambda
    /// with lambda >= 0 and |u| <= 1. Non-negative least squares (Lawson & Hanson 1974) on few columns.
    /// Infinity where rounding spoils it.
    double least_norm(const Matrix& V, const Vector& g, Vector& y) const {
        y = Vector::Zero(r);
        if (!(g.maxCoeff() > 0)) return 0;
        const double scale = g.cwiseAbs().maxCoeff();
        const Matrix gram = V.transpose() * V;
        Index on[kMostColumns], count = 0;
        Vector lambda = Vector::Zero(r);
        for (Index step = 0; step < 3 * r + 10; ++step) {
            const Vector rest = g - V.transpose() * y;
            Index enter = -1;
            double most = 1e-13 * scale;
            for (Index k = 0; k < r; ++k)
                if (rest[k] > most && std::find(on, on + count, k) == on + count) {
                    most = rest[k];
                    enter = k;
                }
            if (enter < 0) break;
            on[count++] = enter;
            while (count > 0) {
                double next[kMostColumns];
                if (!solve(gram, g, on, count, next)) return kInfinity;
                double reach = 1;
                for (Index k = 0; k < count; ++k)
                    if (next[k] <= 0) reach = std::min(reach, lambda[on[k]] / (lambda[on[k]] - next[k]));
                for (Index k = 0; k < count; ++k) lambda[on[k]] += reach * (next[k] - lambda[on[k]]);
                if (reach >= 1) break;
                Index left = 0;
                for (Index k = 0; k < count; ++k) {
                    if (lambda[on[k]] > 1e-15 * scale)
                        on[left++] = on[k];
                    else
                        lambda[on[k]] = 0;
                }
                count = left;
            }
            y = V * lambda;
        }
        // Whatever rounding did, a longer y is valid if it is on the right side of every constraint.
        const Vector reached = V.transpose() * y;
        double longer = 1;
        for (Index k = 0; k < r; ++k) {
            if (g[k] > 0) {
                if (!(reached[k] > 0)) return kInfinity;
                longer = std::max(longer, g[k] / reached[k]);
            } else if (reached[k] < g[k] - 1e-12 * scale) {
                return kInfinity;
            }
        }
        return longer * y.norm() + 1e-12 * scale;
    }

    /// x <- the solution of the rows and columns `on` of gram x = g, by Cholesky; false if they are
    /// dependent.
    static bool solve(const Matrix& gram, const Vector& g, const Index* on, Index count, double* x) {
        double L[kMostColumns][kMostColumns];
        for (Index k = 0; k < count; ++k) {
            x[k] = g[on[k]];
            for (Index l = 0; l <= k; ++l) {
                double sum = gram(on[k], on[l]);
                for (Index m = 0; m < l; ++m) sum -= L[k][m] * L[l][m];
                if (l < k) {
                    L[k][l] = sum / L[l][l];
                    x[k] -= L[k][l] * x[l];
                } else {
                    if (!(sum > 1e-14)) return false;
                    L[k][k] = std::sqrt(sum);
                }
            }
            x[k] /= L[k][k];
        }
        for (Index k = count - 1; k >= 0; --k) {
            x[k] /= L[k][k];
            for (Index l = 0; l < k; ++l) x[l] -= L[k][l] * x[k];
        }
        return true;
    }

    Correlation run(const BranchOptions& options, const Poll& poll) const;

    static constexpr int kSlopeSteps = 3;
    static constexpr int kClimb = 3;
    static constexpr int kBatch = 64;  // cones halved between two looks at the heap
};

template <int R>
Correlation Branching<R>::run(const BranchOptions& options, const Poll& poll) const {
    Correlation out;
    std::vector<Point> best;
    const auto keep = [&](Point& point) {
        // Climbs that end in the same place have the same value to rounding.
        const auto same = [&](const Point& p) {
            return p.sign == point.sign && std::abs(p.value - point.value) <= 1e-9 * std::abs(p.value);
        };
        if (point.u.empty() || std::any_of(best.begin(), best.end(), same)) return;
        const auto place = std::upper_bound(best.begin(), best.end(), point,
                                            [](const Point& a, const Point& b) { return a.value > b.value; });
        if (best.size() == kMostPoints && place == best.end()) return;
        best.insert(place, std::move(point));
        if (best.size() > kMostPoints) best.pop_back();
    };

    std::vector<Node> heap, batch = roots();
    std::size_t open = 0;
    double dropped = 0;  // largest bound of a cone that was not worth another look
    const auto reached = [&] { return std::max(options.floor, best.empty() ? 0.0 : best[0].value); };
    for (;;) {
        std::vector<Point> points(batch.size());
        const double before = (1 + options.tol) * reached();
        std::size_t lines = 0;
        for (const Node& node : batch) lines += node.open.size();
        // Cones that are not looked into keep the bound of the cone that they are half of.
        const bool stopped = !runs_to_its_end([&] {
            for_each_polled(static_cast<Index>(batch.size()), static_cast<Index>(lines / batch.size()),
                            options.threads, poll, [&](Index k) { examine(batch[k], before, points[k]); });
        });
        out.n_nodes += static_cast<Index>(batch.size());
        for (Point& point : points) keep(point);
        const double enough = (1 + options.tol) * reached();
        for (Node& node : batch) {
            if (node.bound <= enough) {
                dropped = std::max(dropped, node.bound);
                continue;
            }
            open += node.open.size();
            heap.push_back(std::move(node));
            std::push_heap(heap.begin(), heap.end());
        }
        const bool found = options.until_found && reached() > (1 + options.tol) * options.floor;
        const bool spent = stopped || out.n_nodes >= options.max_nodes || open > kMostOpen;
        if (heap.empty() || heap[0].bound <= enough || spent || found) break;
        batch.clear();
        for (int k = 0; k < kBatch && !heap.empty() && heap[0].bound > enough; ++k) {
            std::pop_heap(heap.begin(), heap.end());
            open -= heap.back().open.size();
            auto [first, second] = halves(std::move(heap.back()));
            heap.pop_back();
            batch.push_back(std::move(first));
            batch.push_back(std::move(second));
        }
    }
    const double value = best.empty() ? 0.0 : best[0].value;
    out.bound = std::max({dropped, heap.empty() ? 0.0 : heap[0].bound, value}) + f.slack();
    store(std::move(best), out);
    return out;
}

}  // namespace

Correlation branch_and_bound(MatView<const double> rows, VecView<const double> theta,
                             const BranchOptions& options, const Poll& poll) {
    require(rows.cols >= 1 && rows.cols <= kMostColumns, "rows has ", rows.cols, " columns; expected 1 to ",
            kMostColumns);
    const Function f(rows, theta);
    if (f.lines.size() == 0) return {};
    switch (rows.cols) {
        case 1:
            return Branching<1>(f).run(options, poll);
        case 2:
            return Branching<2>(f).run(options, poll);
        case 3:
            return Branching<3>(f).run(options, poll);
        case 4:
            return Branching<4>(f).run(options, poll);
        case 5:
            return Branching<5>(f).run(options, poll);
        case 6:
            return Branching<6>(f).run(options, poll);
        default:
            return Branching<Eigen::Dynamic>(f).run(options, poll);
    }
}

}  // namespace pathrelu
