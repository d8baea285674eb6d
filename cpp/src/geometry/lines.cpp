#include "geometry/lines.hpp"

#include <Eigen/Core>

namespace pathrelu {
namespace {

using Vector = Eigen::VectorXd;

/// Where in the generic sequence a direction begins: past what rotations take.
constexpr std::uint64_t kDirection = 1000;

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
    for (Index k = 0; k < r; ++k) direction[k] = generic(kDirection + k);
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

}  // namespace pathrelu
