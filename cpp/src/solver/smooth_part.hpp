#pragma once
#include <pathrelu/losses.hpp>

#include <Eigen/Core>
#include <limits>
#include <memory>
#include <vector>

namespace pathrelu {

using Vector = Eigen::VectorXd;
using Matrix = Eigen::MatrixXd;
using ConstMap = Eigen::Map<const Vector>;
using Map = Eigen::Map<Vector>;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// The quadratic model of the smooth part at predictions, whose Hessian has the intercept minimised out.
struct LossModel {
    std::vector<double> theta;  ///< dual point there, (n, C)
    std::vector<double> h;      ///< curvature, (n, C)
    std::vector<double> h_sum;  ///< per output
    bool coupled, fit_intercept;
    Matrix inverse_sum;  ///< (C, C) inverse of the sum of the rows' Hessians, if they are coupled

    /// q (n, C) <- h * (q - mean_h(q)): the Hessian's product.
    void apply_curvature(std::vector<double>& q) const;

  private:
    void apply_coupled_curvature(std::vector<double>& q) const;
};

/// The smooth part of a program's objective in the predictions f (n, C) of its blocks: the loss of f + b,
/// minimised over the intercept b if there is one, with its kinks rounded off.
class SmoothPart {
  public:
    SmoothPart(const LossSpec& spec, MatView<const double> y, VecView<const double> w, bool fit_intercept,
               int threads);

    /// What the steps descend on.
    const Loss& loss() const { return smoothing_ ? smoothing_->loss() : *stated_; }
    /// The program's own, with its kinks.
    const Loss& stated() const { return *stated_; }
    bool kinked() const { return smoothing_ != nullptr; }

    double value(const double* f);
    /// theta (n, C) at f; sums to zero where the intercept is free.
    std::vector<double> dual_point(const double* f);
    double value_and_dual_point(const double* f, double* theta);
    LossModel model_at(const double* f);
    /// A dual point that gives a bound: it sums to zero where the intercept is free.
    std::vector<double> feasible(std::vector<double> theta) const;

    /// The value of the program's own loss at f, and its best intercept.
    struct Stated {
        double value;
        std::vector<double> intercept;
    };
    Stated stated_at(const double* f);

    /// Rounds the kinks off around slopes of zero, by a share of the spread of targets.
    void round_off(double share);
    /// The same, as little as ever.
    void round_off_least();
    /// The next smooth loss of the proximal point method, around the slopes at f; `finer` if this one was too
    /// coarse.
    void round_off_next(const double* f, bool finer);

    /// Where the next minimisation over the intercept starts.
    std::vector<double> intercept;

  private:
    void shift_outputs(const double* f);
    Matrix inverse_of_sum(const std::vector<double>& h) const;

    Index n_, C_;
    bool fit_intercept_;
    std::unique_ptr<Loss> stated_;
    std::unique_ptr<Smoothing> smoothing_;  // null for a loss without kinks
    double share_;
    std::vector<double> shifted_;  // f + b
};

}  // namespace pathrelu
