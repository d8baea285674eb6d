#include <pathrelu/error.hpp>
#include <pathrelu/relaxation.hpp>

#include <Eigen/Dense>
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
/// Rows whose products with all others are used, those with the largest weights; and how many products.
constexpr Index kMostFactors = 512, kMostProducts = Index{1} << 22, kLeastFactors = 2;
/// Width of the rounding of kinks in the first step, as a share of the mean; it shrinks as the steps' gap.
constexpr double kFirstWidth = 0.05;
/// Steps of the bound N, and the share to which it is worth knowing.
constexpr Index kFactorSteps = 25;
constexpr double kFactorTol = 5e-4;
/// Golden sections of a step's length.
constexpr int kSections = 8;
/// Without a gain of a hundredth of the tolerance in so many steps, there is nothing more to gain.
constexpr Index kPatience = 12;

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
    RowMajor rows;
    Vector weight, radius;

    Part(MatView<const double> all, VecView<const double> theta, double sign) {
        const Index r = all.cols;
        std::vector<Index> kept;
        for (Index i = 0; i < all.rows; ++i)
            if (sign * theta[i] > 0) kept.push_back(i);
        fill(all, theta, kept, r);
    }
    Part(const Part& from, const std::vector<Index>& kept) : rows(kept.size(), from.rows.cols()) {
        weight.resize(size());
        radius.resize(size());
        for (Index i = 0; i < size(); ++i) {
            rows.row(i) = from.rows.row(kept[i]);
            weight[i] = from.weight[kept[i]];
            radius[i] = from.radius[kept[i]];
        }
    }
    Part(Index r) : rows(0, r), weight(0), radius(0) {}

    Index size() const { return rows.rows(); }
    /// z_i U z_i.
    Vector squares(const Matrix& U) const {
        return (rows * U).cwiseProduct(rows).rowwise().sum().cwiseMax(0.0);
    }
    /// (z_i u)^2 + rest (z_i v)^2.
    Vector squares(const TrustRegion& point) const {
        Vector out = (rows * point.u).cwiseAbs2();
        if (point.rest > 0) out += point.rest * (rows * point.leading).cwiseAbs2();
        return out;
    }

  private:
    void fill(MatView<const double> all, VecView<const double> theta, const std::vector<Index>& kept,
              Index r) {
        const auto m = static_cast<Index>(kept.size());
        rows.resize(m, r);
        weight.resize(m);
        radius.resize(m);
        for (Index i = 0; i < m; ++i) {
            rows.row(i) = Eigen::Map<const Vector>(all.row(kept[i]), r);
            weight[i] = std::abs(theta[kept[i]]);
            // Not below the length, for the bound divides by it.
            radius[i] = rows.row(i).norm() * (1 + (static_cast<double>(r) + 4) * kEps);
        }
    }
};

/// The rows with the largest weights of a part, times these, which products are with.
std::vector<Index> factors(const Part& part) {
    const Index m = part.size();
    const Index count = m > 0 ? std::min({m, kMostFactors, kMostProducts / m}) : 0;
    std::vector<Index> order;
    for (Index i = 0; i < m; ++i)
        if (part.radius[i] > 0) order.push_back(i);
    if (static_cast<Index>(order.size()) > count) {
        std::stable_sort(order.begin(), order.end(), [&](Index i, Index j) {
            return part.weight[i] * part.radius[i] > part.weight[j] * part.radius[j];
        });
        order.resize(count);
        std::sort(order.begin(), order.end());
    }
    return order;
}

/// Ascent for one sign: the concave function F(u, U) over  [1 u; u U] >= 0,  tr U <= 1.
class Ascent {
  public:
    /// `linear` is c; for N there is none.
    Ascent(Part above, Part below, Vector linear, bool products, const double* start)
        : above_(std::move(above)), below_(std::move(below)), c_(std::move(linear)), r_(c_.size()) {
        u_ = Vector::Zero(r_);
        U_ = Matrix::Identity(r_, r_) / static_cast<double>(r_);
        if (start) {
            u_ = Eigen::Map<const Vector>(start, r_);
            U_ = Eigen::Map<const Matrix>(start + r_, r_, r_);
        }
        if (products && r_ > 1) {
            const std::vector<Index> kept = factors(below_);
            if (static_cast<Index>(kept.size()) >= kLeastFactors) {
                factors_ = std::make_unique<Part>(below_, kept);
                length_ = std::make_unique<Ascent>(*factors_, Part(r_), Vector::Zero(r_), false, nullptr);
                if (start) length_->begin_at(Eigen::Map<const Matrix>(start + r_ + r_ * r_, r_, r_));
                weighted_ = factors_->weight.asDiagonal() * factors_->rows;
            }
        }
        squares_above_ = above_.squares(U_);
        squares_below_ = below_.squares(U_);
    }

    void begin_at(const Matrix& U) {
        U_ = U;
        squares_above_ = above_.squares(U_);
    }
    /// A step for the bound N on  sum_j a_j |z_j u|  over unit u.
    void improve_length() {
        if (length_ && !length_->done(kFactorTol)) length_->step();
    }
    /// Before the first step.
    void use_length() {
        if (!length_) return;
        total_ = 2 * length_->bound() * (1 + 4 * kEps);
        if (!(total_ > 0) || !std::isfinite(total_)) factors_.reset();
        if (factors_) products_.noalias() = (below_.rows * U_) * weighted_.transpose();
    }

    double bound() const { return bound_; }
    double value() const { return value_; }
    Index work() const {
        return r_ * r_ * (above_.size() + below_.size() + 10 * r_) +
               (factors_ ? below_.size() * factors_->size() * r_ : 0);
    }

    bool done(double tol) const {
        return steps_ > 0 && (bound_ - value_ <= tol * bound_ || stalled_ >= kPatience);
    }

    void step() {
        const Index m = below_.size();
        const double width = kFirstWidth / static_cast<double>(1 + steps_++);
        const Vector tau = taus();
        Vector share = Vector::Zero(m);  // of the bound by products
        if (factors_) {
            kink_ = width * products_.cwiseAbs().mean();
            mean_ = width * lower().sum() / std::max<double>(1, static_cast<double>(m));
            signs_ = products_.array() / (products_.array().square() + kink_ * kink_ + kTiny).sqrt();
            const Vector difference = by_products(products_) - by_radius(squares_below_);
            share = (1 / (1 + (-difference.array() / (mean_ + kTiny)).exp())).matrix();
        }
        advance(maximum(tau, share));
    }

    const Vector& mean() const { return u_; }
    /// Relaxed outputs of the rows above and of those below, each in their order.
    Vector outputs_above() const { return 0.5 * (above_.rows * u_ + squares_above_.cwiseSqrt()); }
    Vector outputs_below() const { return 0.5 * (below_.rows * u_ + lower()); }

    void store(double* out) const {
        Eigen::Map<Vector>(out, r_) = u_;
        Eigen::Map<Matrix>(out + r_, r_, r_) = U_;
        Eigen::Map<Matrix>(out + r_ + r_ * r_, r_, r_) = length_ ? length_->U_ : U_;
    }

  private:
    static constexpr double kTiny = 1e-300;
    static constexpr double kGain = 1e-5;

    Vector taus() const {
        return (squares_above_.array() + (kLeastTau * above_.radius.array()).square() + kTiny).sqrt();
    }
    Vector by_radius(const Vector& squares) const {
        return (below_.radius.array() > 0).select(squares.array() / below_.radius.array(), 0.0);
    }
    Vector by_products(const RowMajor& products) const {
        return (products.array().square() + kink_ * kink_).sqrt().rowwise().sum() / total_;
    }
    /// The lower bounds on |z_i u|, without rounding of kinks.
    Vector lower() const {
        Vector out = by_radius(squares_below_);
        if (factors_) out = out.cwiseMax(products_.cwiseAbs().rowwise().sum() / total_);
        return out;
    }
    double attained(const Vector& lower) const {
        return 0.5 * (c_.dot(u_) + above_.weight.dot(squares_above_.cwiseSqrt()) - below_.weight.dot(lower));
    }

    /// The bound that the multipliers give, from themselves alone, and where it is attained.
    TrustRegion maximum(const Vector& tau, const Vector& share) {
        const double n = static_cast<double>(above_.size() + below_.size());
        Matrix M = Matrix::Zero(r_, r_);
        const Vector up = above_.weight.array() / (2 * tau.array());
        M.selfadjointView<Eigen::Lower>().rankUpdate((up.cwiseSqrt().asDiagonal() * above_.rows).transpose());
        const Vector down =
            (below_.radius.array() > 0)
                .select((1 - share.array()) * below_.weight.array() / below_.radius.array(), 0.0);
        M.selfadjointView<Eigen::Lower>().rankUpdate(
            (down.cwiseSqrt().asDiagonal() * below_.rows).transpose(), -1.0);
        // The entries of M and c may be off by this.
        double size = up.dot(above_.radius.cwiseAbs2()) + down.dot(below_.radius.cwiseAbs2());
        double count = n;
        if (factors_) {
            const RowMajor weighted = (share.cwiseProduct(below_.weight) / total_).asDiagonal() * below_.rows;
            const RowMajor inner = signs_ * weighted_;
            Matrix product = weighted.transpose() * inner;
            M.triangularView<Eigen::Lower>() -= 0.5 * (product + product.transpose());
            size += share.cwiseProduct(below_.weight).dot(below_.radius) *
                    factors_->weight.dot(factors_->radius) / total_;
            count += static_cast<double>(factors_->size());
        }
        M.triangularView<Eigen::StrictlyUpper>() = M.transpose();
        TrustRegion found(c_, M);
        const double constant = 0.5 * above_.weight.dot(tau);
        const double linear = above_.weight.dot(above_.radius) + below_.weight.dot(below_.radius);
        const double margin = 2 * kEps * (count + 16) * (size + linear + constant) + 8 * kEps * found.value;
        const double bound = 0.5 * (found.value + constant + margin);
        stalled_ = bound < bound_ - kGain * std::abs(bound) ? 0 : stalled_ + 1;
        bound_ = std::min(bound_, bound);
        return found;
    }

    /// Moves (u, U) towards the point found, as far as F grows.
    void advance(const TrustRegion& found) {
        const Vector new_above = above_.squares(found), new_below = below_.squares(found);
        RowMajor new_products;
        if (factors_) {
            new_products.noalias() = (below_.rows * found.u) * (weighted_ * found.u).transpose();
            if (found.rest > 0)
                new_products.noalias() +=
                    (found.rest * (below_.rows * found.leading)) * (weighted_ * found.leading).transpose();
        }
        const double from = c_.dot(u_), to = c_.dot(found.u);
        const auto F = [&](double s) {
            double sum = from + s * (to - from);
            sum += above_.weight.dot(((1 - s) * squares_above_.array() + s * new_above.array() +
                                      (kLeastTau * above_.radius.array()).square())
                                         .sqrt()
                                         .matrix());
            const Vector radius = by_radius((1 - s) * squares_below_ + s * new_below);
            if (!factors_) return sum - below_.weight.dot(radius);
            const Vector product = by_products((1 - s) * products_ + s * new_products);
            // A maximum of the two, rounded off.
            const double h = mean_ + kTiny;
            const Eigen::ArrayXd high = radius.cwiseMax(product).array(),
                                 distance = (radius - product).cwiseAbs().array();
            return sum - below_.weight.dot((high + h * (-distance / h).exp().log1p()).matrix());
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
        if (factors_) products_ += s * (new_products - products_);
        value_ = std::max(value_, attained(lower()));
    }

    Part above_, below_;
    Vector c_;
    Index r_;
    std::unique_ptr<Part> factors_;
    std::unique_ptr<Ascent> length_;
    RowMajor weighted_;  // a_j z_j
    double total_ = 0;   // N
    Vector u_;
    Matrix U_;
    Vector squares_above_, squares_below_;
    RowMajor products_, signs_;  // a_j z_i U z_j
    double kink_ = 0, mean_ = 0;
    double bound_ = kInfinity, value_ = -kInfinity;
    Index steps_ = 0, stalled_ = 0;
};

}  // namespace

RelaxedCorrelation relaxed_correlation(MatView<const double> rows, VecView<const double> theta,
                                       const RelaxationOptions& options, VecView<const double> start,
                                       const Poll& poll) {
    const Index n = rows.rows, r = rows.cols, moments = r + 2 * r * r;
    require_size("theta", theta, n);
    require(r >= 1, "rows has 0 columns; expected at least 1");
    if (start.size > 0) require_size("start", start, 2 * moments);
    Vector c = Vector::Zero(r);
    for (Index i = 0; i < n; ++i) c += theta[i] * Eigen::Map<const Vector>(rows.row(i), r);

    std::vector<Ascent> sides;
    for (const double sign : {1.0, -1.0})
        sides.emplace_back(Part(rows, theta, sign), Part(rows, theta, -sign), sign * c, options.products,
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
        for (Index k = 0; k < kFactorSteps; ++k) each([](Ascent& side) { side.improve_length(); });
        each([](Ascent& side) { side.use_length(); });
        for (Index k = 0; k < options.max_steps; ++k) {
            each([&](Ascent& side) {
                if (!side.done(options.tol)) side.step();
            });
            if (sides[0].done(options.tol) && sides[1].done(options.tol)) break;
        }
    });
    (void)complete;  // what was found until then is a bound too

    RelaxedCorrelation out;
    out.bound = std::max(sides[0].bound(), sides[1].bound());
    out.points.assign(2 * n, 0.0);
    out.moments.resize(2 * moments);
    for (Index k = 0; k < 2; ++k) {
        const Ascent& side = sides[k];
        const double sign = k == 0 ? 1.0 : -1.0;
        const Vector above = side.outputs_above(), below = side.outputs_below();
        Index a = 0, b = 0;
        for (Index i = 0; i < n; ++i) {
            double& point = out.points[k * n + i];
            if (sign * theta[i] > 0)
                point = above[a++];
            else if (sign * theta[i] < 0)
                point = below[b++];
            else
                point = std::max(0.0, Eigen::Map<const Vector>(rows.row(i), r).dot(side.mean()));
        }
        out.values.push_back(side.value());
        out.units.insert(out.units.end(), side.mean().begin(), side.mean().end());
        side.store(out.moments.data() + k * moments);
    }
    return out;
}

}  // namespace pathrelu
