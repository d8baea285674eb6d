#include <pathrelu/enumeration.hpp>
#include <pathrelu/error.hpp>

#include <Eigen/Core>

#include <cmath>
#include <numeric>

#include "parallel.hpp"
#include "support/random.hpp"

namespace pathrelu {
namespace {

using Vector = Eigen::VectorXd;
using Matrix = Eigen::MatrixXd;

/// Takes from v its part in the span of orthonormal columns: twice, which makes what is left orthogonal to
/// rounding (Giraud, Langou, Rozloznik & van den Eshof 2005).
void orthogonalise(Vector& v, const Matrix& columns, Index count) {
    for (int pass = 0; pass < 2; ++pass)
        for (Index k = 0; k < count; ++k) v -= columns.col(k).dot(v) * columns.col(k);
}

class Rays {
  public:
    Rays(const Lines& lines, double tol) : lines_(lines), tol_(tol), order_(lines.size()) {
        planes_.resize(lines.dim, lines.dim);
    }

    /// A point of a cell that has the ray on which the planes of lines drawn by chance meet.
    Vector point(Random& random) {
        const Vector ray = draw_ray(random);
        const Vector inwards = gaussian(random).normalized();
        // On the segment from the ray to a random direction, up to the first plane without the ray.
        double share = 1;
        for (Index j = 0; j < lines_.size(); ++j) {
            const Eigen::Map<const Vector> normal(lines_.normal(j), lines_.dim);
            const double at_ray = normal.dot(ray), at_end = normal.dot(inwards);
            if (std::abs(at_ray) > tol_ && (at_ray > 0) != (at_end > 0))
                share = std::min(share, std::abs(at_ray) / (std::abs(at_ray) + std::abs(at_end)));
        }
        const double reach = share * random.uniform();
        // The units above compare the sizes of leaves, so these are random too.
        return std::abs(random.normal()) * ((1 - reach) * ray + reach * inwards);
    }

  private:
    Vector draw_ray(Random& random) {
        std::iota(order_.begin(), order_.end(), Index(0));
        Index found = 0;
        for (Index k = 0; k < lines_.size() && found < lines_.dim - 1; ++k) {
            std::swap(order_[k], order_[k + random.below(lines_.size() - k)]);
            Vector normal = Eigen::Map<const Vector>(lines_.normal(order_[k]), lines_.dim);
            orthogonalise(normal, planes_, found);
            const double norm = normal.norm();
            if (norm > tol_) planes_.col(found++) = normal / norm;
        }
        for (;;) {
            Vector ray = gaussian(random);
            const double before = ray.norm();
            orthogonalise(ray, planes_, found);
            const double after = ray.norm();
            if (after > tol_ * before) return ray / after;
        }
    }

    Vector gaussian(Random& random) const {
        Vector out(lines_.dim);
        for (double& x : out) x = random.normal();
        return out;
    }

    const Lines& lines_;
    const double tol_;
    std::vector<Index> order_;
    Matrix planes_;  ///< orthonormal columns that span the normals of the planes taken
};

}  // namespace

std::vector<double> points_of_cells_at_rays(MatView<const double> rows, Index first, Index count,
                                            std::uint64_t seed, double tol, int threads) {
    require(rows.cols >= 1, "rows has shape (", rows.rows, ", ", rows.cols, "); expected a column");
    const Lines lines = distinct_lines(rows, tol);
    const Index r = rows.cols;
    std::vector<double> points(count * r);
    // A ray takes 2 r^3 multiplications, and the way along its cell 2 r for each line.
    const Index work = count * r * (2 * r * r + 2 * lines.size());
    in_team(threads_for(work, threads), count, [&](Tasks& tasks) {
        Rays rays(lines, tol);
        Index k;
        while (tasks.take(k)) {
            Random random(seed, static_cast<std::uint64_t>(first + k));
            Eigen::Map<Vector>(points.data() + k * r, r) = rays.point(random);
        }
    });
    return points;
}

}  // namespace pathrelu
