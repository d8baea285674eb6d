#pragma once
#include <limits>
#include <vector>

#include <pathrelu/arrangements.hpp>

namespace pathrelu {

/// Facets of a cone K on which a projection lies, with the factorisation N = Q R of their unit normals
/// N (dim, k). Kept between projections of one block, it is their warm start.
struct Facets {
    std::vector<Index> rows;  ///< unit * n + row of X; beyond units * n of single weights
    std::vector<double> Q;    ///< (dim, k) column-major, orthonormal
    std::vector<double> R;    ///< upper triangle by columns: column j starts at j (j + 1) / 2

    Index size() const { return static_cast<Index>(rows.size()); }
    void clear() { *this = {}; }
};

/// The cones K_g = {V : every unit's pre-activation on the rows of X has the sign of its pattern}.
///
/// For unit u of group g and row i the constraint is
///   (2 D_u(i) - 1) * sum over leaves p below u of s_(p below u) * (patterns below u)(i) * x_i . v_p >= 0.
/// The cone of a linear group is the whole space, and so is that of any other whose patterns need not be the
/// true ones. Columns in which outputs have to be monotone fix the signs of weights, of linear groups too:
/// in the cone of a block whose sub-network has the output sign sigma,
///   sigma * s_p * direction_j * v_pj >= 0.
/// Where patterns count, keeps a copy of X in double, packed for products with few vectors: n * d * 8 bytes.
template <class X>
class Cones {
  public:
    /// All must outlive the object. `monotone` (d) has +1 for columns in which outputs must not fall, -1
    /// where they must not rise, else 0, or is empty; without `patterned` it is all there is.
    Cones(Rows<X> rows, const Arrangements& arrangements, VecView<const std::int8_t> monotone = {},
          bool patterned = true);

    Index dim() const { return arrangements_.shape.paths() * rows_.cols; }

    /// v <- projection of z on K_g, and its norm. Dual active set of Goldfarb and Idnani (1983) with rows
    /// brought in lazily; v is on the facets returned to rounding and violates no row by more than 1e-13
    /// |x_i| |z|. The norm falls along the way, so where only norms above `stop_norm` matter the work ends as
    /// soon as the norm is known not to exceed it, and after `checks` products with all rows; v is then not a
    /// projection and the norm returned is an upper bound. Where rounding gets the better of the facets, v is
    /// the origin and the norm an upper bound too. Signs of weights are met exactly.
    double project(Index group, const double* z, double stop_norm, Facets& facets, double* v,
                   Index checks = kAllChecks, double output_sign = 1) const;
    static constexpr Index kAllChecks = std::numeric_limits<Index>::max();

    /// Whether v lies in K_g as a projection does: no row is violated by more than 1e-13 |x_i| |v|.
    bool contains(Index group, const double* v, double output_sign = 1) const;
    /// v <- v without weights of the wrong sign.
    void clip(Index group, double* v, double output_sign) const;

    /// out (units, n) <- the left sides of the constraints; zeros for a linear group, which has none.
    void slack(Index group, const double* v, double* out) const;

  private:
    struct Violated {
        double depth;  // slack / |x_i|, negative
        Index row;
    };
    /// A weight whose sign is fixed.
    struct Signed {
        Index place;
        int sign;
    };
    std::vector<Signed> signed_weights(Index group, double output_sign) const;
    bool is_patterned(Index group) const { return patterned_ && !arrangements_.is_linear(group); }
    double project_on_signs(const std::vector<Signed>& weights, const double* z, Facets& facets,
                            double* v) const;
    double project_lazily(Index group, const std::vector<Signed>& weights, const double* z, double stop_norm,
                          Facets& facets, double* v, Index checks) const;
    /// Of a weight among the rows of facets.
    Index row_of(const Signed& weight) const {
        return arrangements_.shape.units() * rows_.rows + 2 * weight.place + (weight.sign > 0);
    }
    void find_violated(Index group, const std::vector<Signed>& weights, const double* v, double threshold,
                       std::vector<Violated>& out) const;
    void normal(Index group, Index row, double* out) const;
    template <class Visit>
    void visit_slacks(Index group, const double* v, Visit visit) const;

    Rows<X> rows_;
    const Arrangements& arrangements_;
    VecView<const std::int8_t> monotone_;
    bool patterned_;
    std::vector<double> packed_;
    std::vector<double> inverse_norm_;  // 1 / |x_i|, 0 for a zero row
};

}  // namespace pathrelu
