#include <pathrelu/error.hpp>
#include <pathrelu/relaxation.hpp>

#include <Eigen/Dense>
#include <algorithm>
#include <limits>
#include <memory>

#include "parallel.hpp"

namespace pathrelu {
namespace {

using Matrix = Eigen::MatrixXd;
using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Vector = Eigen::VectorXd;

constexpr double kEps = std::numeric_limits<double>::epsilon();
constexpr double kInfinity = std::numeric_limits<double>::infinity();
/// Share of |z_i| that tau_i stays above: with less, M had entries whose rounding counts, and the bound is
/// not lower by more than this.
constexpr double kLeastTau = 1e-5;
/// Width of the rounding of kinks in the first step, as a share of the mean; it shrinks as the steps' gap.
constexpr double kFirstWidth = 0.05;
/// Golden sections of a step's length.
constexpr int kSections = 8;
/// Without a gain of such a share of the tolerance in so many steps, there is nothing more to gain.
constexpr double kGain = 0.01;
constexpr Index kPatience = 12;
/// Share of the length of a row for which sides of half-spaces are settled: it is far above rounding.
constexpr double kSide = 1e-11;
/// Weight of the square of what a cut is violated by, as a share of the bound, and steps between multipliers.
constexpr double kPenalty = 4;
constexpr Index kMultiplierSteps = 6;
/// Steps for a node of the tree, and nodes looked into at a time: a fixed number, whatever the threads.
constexpr Index kNodeSteps = 24, kBatch = 8;
/// Relaxed points of leaves that are kept for each sign, those with the largest bounds.
constexpr std::size_t kMostPoints = 6;
/// Half-spaces of one node: products of all pairs are cuts.
constexpr std::size_t kMostHalfSpaces = 16;
/// Steps to a unit that correlates more than one found by a node.
constexpr int kClimb = 8;

/// Maximum of  c . u + u M u  over the unit ball, from above, and where it is attained:
/// u, and `rest` of the square of its length along the leading eigenvector where M alone asks for it.
struct TrustRegion {
    double value = 0, rest = 0;
    Vector u, leading;

    TrustRegion(const Vector& c, const Matrix& M) {
        const Eigen::SelfAdjointEigenSolver<Matrix> found(M);
        const Vector& w = found.eigenvalues();
        const Vector g = found.eigenvectors().transpose() * c;
        const Index r = w.size();
        const double size = w.cwiseAbs().maxCoeff() + c.norm(), most = w[r - 1];
        leading = found.eigenvectors().col(r - 1);
        u = Vector::Zero(r);
        if (!(size > 0)) return;
        // The dual function  s + sum g^2 / (4 (s - w))  is a bound for any s > max(w, 0).
        double low = std::max(most, 0.0) + 1e-14 * size, high = low + 0.5 * g.norm() + 1e-14 * size;
        const auto slope = [&](double s) { return 1 - 0.25 * (g.array() / (s - w.array())).square().sum(); };
        if (slope(low) >= 0)
            high = low;
        else
            for (int k = 0; k < 64; ++k) {
                const double middle = 0.5 * (low + high);
                (slope(middle) > 0 ? high : low) = middle;
            }
        const Vector along = (0.5 * g.array() / (high - w.array())).matrix();
        value = high + 0.5 * g.dot(along);
        u = found.eigenvectors() * along;
        const double length = u.norm();
        if (length > 1) u /= length;
        if (most > 0) rest = std::max(0.0, 1 - u.squaredNorm());
        // What the decomposition may have lost.
        value += kEps * static_cast<double>(r) * (32 * w.norm() + 8 * c.norm());
    }
};

/// Rows of one sign of theta, by what they weigh.
struct Part {
    std::shared_ptr<const RowMajor> shared;  // by copies with other weights
    Vector weight, radius;

    Part(MatView<const double> all, VecView<const double> theta, double sign) {
        const Index r = all.cols;
        std::vector<Index> kept;
        for (Index i = 0; i < all.rows; ++i)
            if (sign * theta[i] > 0) kept.push_back(i);
        fill(all, theta, kept, r);
    }
    const RowMajor& rows() const { return *shared; }
    Index size() const { return rows().rows(); }
    /// z_i U z_i.
    Vector squares(const Matrix& U) const {
        return (rows() * U).cwiseProduct(rows()).rowwise().sum().cwiseMax(0.0);
    }
    /// (z_i u)^2 + rest (z_i v)^2.
    Vector squares(const TrustRegion& point) const {
        Vector out = (rows() * point.u).cwiseAbs2();
        if (point.rest > 0) out += point.rest * (rows() * point.leading).cwiseAbs2();
        return out;
    }

  private:
    void fill(MatView<const double> all, VecView<const double> theta, const std::vector<Index>& kept,
              Index r) {
        const auto m = static_cast<Index>(kept.size());
        RowMajor own(m, r);
        weight.resize(m);
        radius.resize(m);
        for (Index i = 0; i < m; ++i) {
            own.row(i) = Eigen::Map<const Vector>(all.row(kept[i]), r);
            weight[i] = std::abs(theta[kept[i]]);
            // Not below the length, for the bound divides by it.
            radius[i] = own.row(i).norm() * (1 + (static_cast<double>(r) + 4) * kEps);
        }
        shared = std::make_shared<const RowMajor>(std::move(own));
    }
};

/// The half-space  v . u >= m , for v of length 1.
struct HalfSpace {
    Vector v;
    double m;

    /// The least of z . u over its part of the unit ball, for z of length `radius`, less rounding.
    double least(double along, double radius) const {
        if (-along >= m * radius) return -radius;
        const double across = std::sqrt(std::max(0.0, radius * radius - along * along));
        const double side = std::sqrt(std::max(0.0, 1 - m * m));
        return along * m - across * side - kSide * radius;
    }
};

/// A constraint  constant + linear . u + left U right >= 0  of all points u of some half-spaces: the product
/// of two of them, or of one and  1 - v . u >= 0 .
struct Cut {
    double constant;
    Vector linear, left, right;

    Cut(const HalfSpace& a, const HalfSpace& b)
        : constant(a.m * b.m), linear(-a.m * b.v - b.m * a.v), left(a.v), right(b.v) {}
    explicit Cut(const HalfSpace& a) : constant(-a.m), linear((1 + a.m) * a.v), left(-a.v), right(a.v) {}
    double at(const Vector& u, const Matrix& U) const {
        return constant + linear.dot(u) + left.dot(U * right);
    }
    double at(const TrustRegion& point) const {
        return constant + linear.dot(point.u) + left.dot(point.u) * right.dot(point.u) +
               point.rest * left.dot(point.leading) * right.dot(point.leading);
    }
    double size() const { return 1 + std::abs(constant) + linear.norm(); }
};

/// Ascent for one sign: the concave function F(u, U) over  [1 u; u U] >= 0,  tr U <= 1.
class Ascent {
  public:
    Ascent(Part above, Part below, Vector linear, double tol, const double* start)
        : gain_(kGain * tol),
          above_(std::move(above)),
          below_(std::move(below)),
          c_(std::move(linear)),
          r_(c_.size()) {
        u_ = Vector::Zero(r_);
        U_ = Matrix::Identity(r_, r_) / static_cast<double>(r_);
        if (start) {
            u_ = Eigen::Map<const Vector>(start, r_);
            U_ = Eigen::Map<const Matrix>(start + r_, r_, r_);
        }
        see_rows();
    }

    /// From here on for units of the half-spaces only, from (u, U).
    void restrict(const std::vector<HalfSpace>& to, const Vector& u, const Matrix& U) {
        u_ = u;
        U_ = U;
        scale_ = std::isfinite(bound_) ? std::max(std::abs(bound_), kTiny) : 1;
        bound_ = kInfinity;
        value_ = -kInfinity;
        steps_ = stalled_ = 0;
        settle(above_, to, 1);
        settle(below_, to, -1);
        see_rows();
        cuts_.clear();
        for (std::size_t i = 0; i < to.size(); ++i) {
            cuts_.emplace_back(to[i]);
            for (std::size_t j = 0; j < i; ++j) cuts_.emplace_back(to[i], to[j]);
        }
        shift_ = Vector::Zero(cuts_.size());
        slack_.resize(cuts_.size());
        for (std::size_t k = 0; k < cuts_.size(); ++k) slack_[k] = cuts_[k].at(u_, U_);
    }
    const Vector& u() const { return u_; }
    const Matrix& U() const { return U_; }
    /// Where it is cut in two: the direction in which (u, U) is spread most.
    HalfSpace middle() const {
        const Eigen::SelfAdjointEigenSolver<Matrix> spread(U_ - u_ * u_.transpose());
        const Vector v = spread.eigenvectors().col(r_ - 1);
        return {v, std::clamp(v.dot(u_), -0.9, 0.9)};
    }

    double bound() const { return bound_; }
    double value() const { return value_; }
    Index work() const { return r_ * r_ * (above_.size() + below_.size() + 10 * r_); }

    bool done(double tol) const {
        return steps_ > 0 && (bound_ - value_ <= tol * bound_ || stalled_ >= kPatience);
    }

    void step() {
        const Index m = below_.size();
        const double width = kFirstWidth / static_cast<double>(1 + steps_++);
        const Vector tau = taus();
        mean_ = width * lower().sum() / std::max<double>(1, static_cast<double>(m)) + kTiny;
        Shares shares = smooth_maximum(squares_below_, means_below_).second;
        shares.linear.array() *=
            means_below_.array() / (means_below_.array().square() + mean_ * mean_).sqrt();
        advance(maximum(tau, shares));
    }

    const Vector& mean() const { return u_; }
    /// Relaxed outputs of the rows above and of those below, each in their order.
    Vector outputs_above() const { return outputs(above_, squares_above_.cwiseSqrt()); }
    Vector outputs_below() const { return outputs(below_, lower()); }

    void store(double* out) const {
        Eigen::Map<Vector>(out, r_) = u_;
        Eigen::Map<Matrix>(out + r_, r_, r_) = U_;
    }

  private:
    static constexpr double kTiny = 1e-300;

    void see_rows() {
        squares_above_ = above_.squares(U_);
        squares_below_ = below_.squares(U_);
        means_below_ = below_.rows() * u_;
    }
    /// Rows whose sign is settled, whose weight goes to c, and the radius of the others.
    void settle(Part& part, const std::vector<HalfSpace>& to, double sign) {
        Vector low = -part.radius, high = part.radius;
        for (const HalfSpace& h : to) {
            const Vector along = part.rows() * h.v;
            for (Index i = 0; i < part.size(); ++i) {
                low[i] = std::max(low[i], h.least(along[i], part.radius[i]));
                high[i] = std::min(high[i], -h.least(-along[i], part.radius[i]));
            }
        }
        for (Index i = 0; i < part.size(); ++i) {
            if (low[i] >= 0 || high[i] <= 0) {
                const double weight = sign * part.weight[i] * (low[i] >= 0 ? 1 : -1);
                c_ += weight * part.rows().row(i).transpose();
                settled_ += part.weight[i] * part.radius[i];
                part.weight[i] = 0;
            }
            part.radius[i] = std::min(part.radius[i], std::max(-low[i], high[i]));
        }
    }
    /// Of settled rows the one that u has.
    Vector outputs(const Part& part, const Vector& absolute) const {
        const Vector x = part.rows() * u_;
        return 0.5 * (x + Vector((part.weight.array() > 0).select(absolute, x.cwiseAbs())));
    }
    Vector multipliers(const Vector& slack) const { return (shift_ - penalty() * slack).cwiseMax(0.0); }
    double penalty() const { return kPenalty * scale_; }
    Vector taus() const {
        return (squares_above_.array() + (kLeastTau * above_.radius.array()).square() + kTiny).sqrt();
    }
    Vector by_radius(const Vector& squares) const {
        return (below_.radius.array() > 0).select(squares.array() / below_.radius.array(), 0.0);
    }
    /// How much of each of the lower bounds on |z_i u| is used; `linear` with the slope.
    struct Shares {
        Vector radius, linear;
    };
    /// The largest of the lower bounds, with its kinks rounded off, and its derivatives by each.
    std::pair<Vector, Shares> smooth_maximum(const Vector& squares, const Vector& means) const {
        const Eigen::ArrayXd a = by_radius(squares).array(),
                             b = (means.array().square() + mean_ * mean_).sqrt() - mean_, most = a.max(b),
                             x = ((a - most) / mean_).exp(), y = ((b - most) / mean_).exp(), sum = x + y;
        return {(most + mean_ * sum.log()).matrix(), {(x / sum).matrix(), (y / sum).matrix()}};
    }
    /// The lower bounds on |z_i u|, without rounding of kinks.
    Vector lower() const { return by_radius(squares_below_).cwiseMax(means_below_.cwiseAbs()); }
    double attained(const Vector& lower) const {
        return 0.5 * (c_.dot(u_) + above_.weight.dot(squares_above_.cwiseSqrt()) - below_.weight.dot(lower));
    }

    /// The bound that the multipliers give, from themselves alone, and where it is attained.
    TrustRegion maximum(const Vector& tau, const Shares& shares) {
        const double n = static_cast<double>(above_.size() + below_.size());
        Matrix M = Matrix::Zero(r_, r_);
        const Vector up = above_.weight.array() / (2 * tau.array());
        M.selfadjointView<Eigen::Lower>().rankUpdate(
            (up.cwiseSqrt().asDiagonal() * above_.rows()).transpose());
        const Vector down =
            (below_.radius.array() > 0)
                .select(shares.radius.array() * below_.weight.array() / below_.radius.array(), 0.0);
        M.selfadjointView<Eigen::Lower>().rankUpdate(
            (down.cwiseSqrt().asDiagonal() * below_.rows()).transpose(), -1.0);
        // The entries of M and c may be off by this.
        double size = up.dot(above_.radius.cwiseAbs2()) + down.dot(below_.radius.cwiseAbs2());
        double count = n;
        Vector c = c_ - below_.rows().transpose() * shares.linear.cwiseProduct(below_.weight);
        double constant = 0.5 * above_.weight.dot(tau), offset = 0;
        double linear = settled_ + above_.weight.dot(above_.radius) + below_.weight.dot(below_.radius);
        if (!cuts_.empty()) {
            const Vector mu = multipliers(slack_);
            for (std::size_t k = 0; k < cuts_.size(); ++k) {
                if (!(mu[k] > 0)) continue;
                const Cut& cut = cuts_[k];
                offset += mu[k] * cut.constant;
                c += mu[k] * cut.linear;
                M.triangularView<Eigen::Lower>() +=
                    0.5 * mu[k] * (cut.left * cut.right.transpose() + cut.right * cut.left.transpose());
                size += mu[k] * cut.size();
            }
            count += static_cast<double>(cuts_.size());
        }
        M.triangularView<Eigen::StrictlyUpper>() = M.transpose();
        TrustRegion found(c, M);
        const double margin = 2 * kEps * (count + 16) * (size + linear + constant) + 8 * kEps * found.value;
        const double bound = 0.5 * (found.value + constant + offset + margin);
        stalled_ = bound < bound_ - gain_ * std::abs(bound) ? 0 : stalled_ + 1;
        bound_ = std::min(bound_, bound);
        return found;
    }

    /// Moves (u, U) towards the point found, as far as F grows.
    void advance(const TrustRegion& found) {
        const Vector new_above = above_.squares(found), new_below = below_.squares(found),
                     new_means = below_.rows() * found.u;
        const double from = c_.dot(u_), to = c_.dot(found.u);
        Vector new_slack(cuts_.size());
        for (std::size_t k = 0; k < cuts_.size(); ++k) new_slack[k] = cuts_[k].at(found);
        const auto F = [&](double s) {
            double sum = from + s * (to - from);
            if (!cuts_.empty())
                sum -= multipliers((1 - s) * slack_ + s * new_slack).squaredNorm() / (2 * penalty());
            sum += above_.weight.dot(((1 - s) * squares_above_.array() + s * new_above.array() +
                                      (kLeastTau * above_.radius.array()).square())
                                         .sqrt()
                                         .matrix());
            return sum - below_.weight.dot(smooth_maximum((1 - s) * squares_below_ + s * new_below,
                                                          (1 - s) * means_below_ + s * new_means)
                                               .first);
        };
        const double golden = 0.5 * (std::sqrt(5.0) - 1);
        double low = 0, high = 1, a = 1 - golden, b = golden, fa = F(a), fb = F(b);
        for (int k = 0; k < kSections; ++k) {
            if (fa < fb) {
                low = a;
                a = b;
                fa = fb;
                b = low + golden * (high - low);
                fb = F(b);
            } else {
                high = b;
                b = a;
                fb = fa;
                a = high - golden * (high - low);
                fa = F(a);
            }
        }
        const double s = 0.5 * (low + high);
        u_ += s * (found.u - u_);
        U_ *= 1 - s;
        U_ += s * found.u * found.u.transpose();
        if (found.rest > 0) U_ += s * found.rest * found.leading * found.leading.transpose();
        squares_above_ += s * (new_above - squares_above_);
        squares_below_ += s * (new_below - squares_below_);
        means_below_ += s * (new_means - means_below_);
        if (cuts_.empty()) {
            value_ = std::max(value_, attained(lower()));
        } else {
            slack_ += s * (new_slack - slack_);
            if (steps_ % kMultiplierSteps == 0) shift_ = multipliers(slack_);
        }
    }

    double gain_;
    Part above_, below_;
    Vector c_;
    Index r_;
    Vector u_;
    Matrix U_;
    Vector squares_above_, squares_below_, means_below_;
    double mean_ = 0;  // width of the rounding of kinks
    std::vector<Cut> cuts_;
    Vector slack_, shift_;  // values of the cuts, and the multipliers that their penalties start from
    double settled_ = 0;    // what the settled rows weigh
    double scale_ = 1;      // of the bound
    double bound_ = kInfinity, value_ = -kInfinity;
    Index steps_ = 0, stalled_ = 0;
};

double along(MatView<const double> rows, Index i, const Vector& u) {
    return Eigen::Map<const Vector>(rows.row(i), rows.cols).dot(u);
}

/// Units of some half-spaces for one sign.
struct Node {
    double bound;
    Index side;
    std::vector<HalfSpace> within;
    Vector u;
    Matrix U;

    bool operator<(const Node& other) const { return bound < other.bound; }
};

/// Best-first: the leaf with the largest bound is cut in two where its moments are spread most.
class Tree {
  public:
    Tree(MatView<const double> rows, VecView<const double> theta, const std::vector<Ascent>& roots,
         const RelaxationOptions& options)
        : rows_(rows), theta_(theta), roots_(roots), options_(options) {}

    Index looked_into() const { return looked_into_; }
    double reached() const { return reached_; }

    /// The leaves, those with the largest bounds first; as far as they have come where `Stop` ends it.
    std::vector<Node> leaves(std::vector<Node> open, const Poll& poll) {
        for (const Node& node : open) climb(node);
        std::make_heap(open.begin(), open.end());
        std::vector<Node> closed;
        runs_to_its_end([&] {
            while (looked_into_ < options_.max_nodes && !open.empty() && open.front().bound > enough()) {
                std::vector<Node> parts;
                while (parts.size() < 2 * kBatch && !open.empty() && open.front().bound > enough()) {
                    std::pop_heap(open.begin(), open.end());
                    Node node = std::move(open.back());
                    open.pop_back();
                    if (node.within.size() >= kMostHalfSpaces) {
                        closed.push_back(std::move(node));
                        continue;
                    }
                    split(std::move(node), parts);
                }
                if (parts.empty()) break;
                const auto count = static_cast<Index>(parts.size());
                const int threads = threads_for(count * kNodeSteps * roots_[0].work(), options_.threads);
                in_team(threads, count, [&](Tasks& tasks) {
                    for (Index k; tasks.take(k);) look(parts[k]);
                });
                looked_into_ += count;
                for (Node& part : parts) {
                    climb(part);
                    open.push_back(std::move(part));
                    std::push_heap(open.begin(), open.end());
                }
                if (poll) poll();
            }
        });
        for (Node& node : closed) open.push_back(std::move(node));
        std::stable_sort(open.begin(), open.end(), [](const Node& a, const Node& b) { return b < a; });
        return open;
    }

  private:
    double enough() const { return (1 + options_.tol) * std::max(options_.floor, reached_); }

    void split(Node node, std::vector<Node>& parts) const {
        Ascent ascent = roots_[node.side];
        ascent.restrict(node.within, node.u, node.U);
        const HalfSpace half = ascent.middle();
        Node other = node;
        node.within.push_back(half);
        other.within.push_back({-half.v, -half.m});
        parts.push_back(std::move(node));
        parts.push_back(std::move(other));
    }

    void look(Node& node) const {
        Ascent ascent = roots_[node.side];
        ascent.restrict(node.within, node.u, node.U);
        for (Index k = 0; k < kNodeSteps && !ascent.done(0) && !(ascent.bound() <= enough()); ++k)
            ascent.step();
        node.bound = std::min(node.bound, ascent.bound());
        node.u = ascent.u();
        node.U = ascent.U();
    }

    /// What units near the mean of a node reach.
    void climb(const Node& node) {
        const double sign = node.side == 0 ? 1.0 : -1.0;
        Vector u = node.u;
        for (int step = 0; step < kClimb && u.norm() > 0; ++step) {
            u.normalize();
            Vector gradient = Vector::Zero(u.size());
            double value = 0;
            for (Index i = 0; i < rows_.rows; ++i) {
                const double x = along(rows_, i, u);
                if (!(x > 0)) continue;
                value += sign * theta_[i] * x;
                gradient += sign * theta_[i] * Eigen::Map<const Vector>(rows_.row(i), rows_.cols);
            }
            if (step > 0 && !(value > reached_)) break;
            reached_ = std::max(reached_, value);
            u = gradient;
        }
    }

    MatView<const double> rows_;
    VecView<const double> theta_;
    const std::vector<Ascent>& roots_;
    const RelaxationOptions& options_;
    Index looked_into_ = 0;
    double reached_ = 0;
};

}  // namespace

RelaxedCorrelation relaxed_correlation(MatView<const double> rows, VecView<const double> theta,
                                       const RelaxationOptions& options, VecView<const double> start,
                                       const Poll& poll) {
    const Index n = rows.rows, r = rows.cols, moments = r + r * r;
    require_size("theta", theta, n);
    require(r >= 1, "rows has 0 columns; expected at least 1");
    if (start.size > 0) require_size("start", start, 2 * moments);
    Vector c = Vector::Zero(r);
    for (Index i = 0; i < n; ++i) c += theta[i] * Eigen::Map<const Vector>(rows.row(i), r);

    std::vector<Ascent> sides;
    for (const double sign : {1.0, -1.0})
        sides.emplace_back(Part(rows, theta, sign), Part(rows, theta, -sign), sign * c, options.tol,
                           start.size > 0 ? start.data + (sign > 0 ? 0 : moments) : nullptr);
    const int threads = std::min(2, threads_for(sides[0].work() + sides[1].work(), options.threads));
    const bool complete = runs_to_its_end([&] {
        // One step of each side between looks at the clock.
        const auto each = [&](auto work) {
            in_team(threads, 2, [&](Tasks& tasks) {
                for (Index k; tasks.take(k);) work(sides[k]);
            });
            if (poll) poll();
        };
        for (Index k = 0; k < options.max_steps; ++k) {
            each([&](Ascent& side) {
                if (!side.done(options.tol)) side.step();
            });
            if (sides[0].done(options.tol) && sides[1].done(options.tol)) break;
        }
    });
    RelaxedCorrelation out;
    out.bound = std::max(sides[0].bound(), sides[1].bound());
    out.moments.resize(2 * moments);
    for (Index k = 0; k < 2; ++k) {
        out.values.push_back(sides[k].value());
        sides[k].store(out.moments.data() + k * moments);
    }
    std::vector<Node> leaves;
    for (Index k = 0; k < 2; ++k) leaves.push_back({sides[k].bound(), k, {}, sides[k].u(), sides[k].U()});
    if (complete && options.max_nodes > 0) {
        Tree tree(rows, theta, sides, options);
        leaves = tree.leaves(std::move(leaves), poll);
        out.bound = leaves.front().bound;
        out.n_nodes = tree.looked_into();
        out.reached = tree.reached();
    }
    std::size_t kept[2] = {0, 0};
    for (const Node& leaf : leaves) {
        if (kept[leaf.side]++ >= kMostPoints) continue;
        Ascent ascent = sides[leaf.side];
        if (!leaf.within.empty()) ascent.restrict(leaf.within, leaf.u, leaf.U);
        const double sign = leaf.side == 0 ? 1.0 : -1.0;
        const Vector above = ascent.outputs_above(), below = ascent.outputs_below();
        Index a = 0, b = 0;
        for (Index i = 0; i < n; ++i)
            out.points.push_back(sign * theta[i] > 0   ? above[a++]
                                 : sign * theta[i] < 0 ? below[b++]
                                                       : std::max(0.0, along(rows, i, leaf.u)));
        out.units.insert(out.units.end(), leaf.u.begin(), leaf.u.end());
    }
    return out;
}

}  // namespace pathrelu
