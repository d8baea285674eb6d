#pragma once
#include <Eigen/Core>
#include <cstdint>
#include <optional>
#include <vector>

#include <pathrelu/types.hpp>

namespace pathrelu {

using Vector = Eigen::VectorXd;
using Matrix = Eigen::MatrixXd;
using Bits = std::vector<std::uint64_t>;

/// A full-dimensional polyhedral cone by its extreme rays, each with the constraints it meets with equality.
struct PolyhedralCone {
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

/// The parts of a cone on the two sides of a hyperplane (double description, Motzkin et al. 1953); the part
/// without interior is left out.
struct ConeCut {
    std::optional<PolyhedralCone> positive, negative;
};

ConeCut cut(const PolyhedralCone& cone, const Vector& functional);

}  // namespace pathrelu
