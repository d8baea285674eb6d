#pragma once
#include <memory>
#include <string>

#include <pathrelu/types.hpp>

namespace pathrelu {

/// Mean weighted loss  (1/n) sum_i w_i loss(f_i, y_i)  of predictions f (n, C), and what its dual needs.
///
/// theta = -(1/n) w * loss'(f) is the dual variable. Sums run over fixed blocks of rows, so they do not
/// depend on the number of threads.
class Loss {
  public:
    virtual ~Loss() = default;

    /// Throws std::invalid_argument for a target the loss is not defined for.
    virtual void check_targets(MatView<const double> y) const = 0;
    virtual double value(const double* f) const = 0;
    virtual void dual_point(const double* f, double* theta) const = 0;
    /// h (n, C) <- (1/n) w * loss''(f), the Hessian's diagonal; it has no other entries. Where the outputs of
    /// a row are coupled, the row's Hessian is diag(h) - h h^T / sum(h).
    virtual void curvature(const double* f, double* h) const = 0;
    virtual bool coupled() const { return false; }
    /// Bound on loss'', or on the norm of a row's Hessian, without the weights.
    virtual double smoothness() const = 0;
    /// -(1/n) sum_i w_i loss*(-n s theta_i / w_i, y_i): the dual objective at s * theta.
    virtual double dual_value(const double* theta, double s) const = 0;
    /// The s in [0, cap] that maximises the dual objective at s * theta, or a good one.
    virtual double best_scale(const double* theta, double cap) const = 0;
    /// Adds to b (C) the shift that minimises the loss of f + b over b, starting at b; f is without it.
    virtual void optimal_intercept(const double* f, double* b) const = 0;
};

/// "squared_error": (f - y)^2 / 2.  "huber": the same up to |f - y| = 1, then |f - y| - 1/2.
/// For y = -1 or +1, "log_loss": log(1 + exp(-y f)); "squared_hinge": max(0, 1 - y f)^2 / 2.
/// For rows y of one 1 and zeros, "multinomial": log sum_c exp(f_c) - sum_c y_c f_c; coupled.
/// y (n, C) and w (n), of mean 1, are read in place. Throws std::invalid_argument for an unknown name.
std::unique_ptr<Loss> make_loss(const std::string& name, MatView<const double> y, VecView<const double> w,
                                int threads);

}  // namespace pathrelu
