#pragma once
#include <memory>
#include <string>
#include <vector>

#include <pathrelu/types.hpp>

namespace pathrelu {

/// A loss by name, and its parameters: none for the default, or one for each output.
struct LossSpec {
    std::string name;
    std::vector<double> parameters;

    LossSpec(const char* name) : name(name) {}
    LossSpec(std::string name, std::vector<double> parameters = {})
        : name(std::move(name)), parameters(std::move(parameters)) {}
};

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
    /// Of `count` rows from `begin`, at their outputs f (count, C): the sum of w_i loss(f_i, y_i), and theta
    /// (count, C) <- their part of the dual point.
    virtual double value_and_dual_point(Index begin, Index count, const double* f, double* theta) const = 0;
    /// h (n, C) <- (1/n) w * loss''(f), the Hessian's diagonal; it has no other entries. Where the outputs of
    /// a row are coupled, the row's Hessian is diag(h) - h h^T / sum(h).
    virtual void curvature(const double* f, double* h) const = 0;
    /// Of `count` rows from `begin`.
    virtual void curvature(Index begin, Index count, const double* f, double* h) const = 0;
    virtual bool coupled() const { return false; }
    /// Bound on loss'', or on the norm of a row's Hessian, without the weights; infinite if there is none.
    virtual double smoothness() const = 0;
    /// The same where outputs are as large as the targets': what a first step is measured by.
    virtual double typical_curvature() const { return smoothness(); }
    /// Bound on the norm of a row's gradient, without the weight; infinite if there is none.
    virtual double lipschitz() const = 0;
    /// -(1/n) sum_i w_i loss*(-n s theta_i / w_i, y_i): the dual objective at s * theta, less what rounding
    /// can have added to it.
    virtual double dual_value(const double* theta, double s) const = 0;
    /// What `balance` has to know of theta (n, C), a dual point of this loss: sums over its rows times n, so
    /// that those of parts of the rows add up.
    virtual std::vector<double> imbalance(const double* theta) const = 0;
    /// Makes the columns of theta sum to zero up to the rounding of the sum, inside the domain of the dual:
    /// what a bound needs where the intercept is free. Here of `count` rows from `begin`, theta (count, C),
    /// where all rows together have that imbalance. Weights that differ by more than 1e16 leave theta without
    /// a digit of its sum.
    virtual void balance(Index begin, Index count, double* theta,
                         const std::vector<double>& imbalance) const = 0;
    /// Of all rows.
    virtual void balance(double* theta) const = 0;
    /// The s in [0, cap] that maximises the dual objective at s * theta, or a good one.
    virtual double best_scale(const double* theta, double cap) const = 0;
    /// Adds to b (C) the shift that minimises the loss of f + b over b, starting at b; f is without it.
    virtual void optimal_intercept(const double* f, double* b) const = 0;
};

/// A loss with kinks as a sequence of smooth ones: the proximal point method on its dual (Rockafellar 1976).
/// Each has the term  -mu |u - u_0|^2 / 2  in its dual around slopes u_0, mu a share of the spread of each
/// output's targets: the conjugate with mu u^2 / 2 and targets less mu u_0.
class Smoothing {
  public:
    virtual ~Smoothing() = default;
    /// The present smooth loss; there is none before `center`.
    virtual const Loss& loss() const = 0;
    /// Around slopes of zero, where it is below the loss with kinks.
    virtual void center(double share) = 0;
    /// Around the slopes of the present smooth loss at outputs f, which the next one has nearer to its
    /// targets.
    virtual void center(double share, const double* f) = 0;
};

/// What targets a loss takes.
enum class Targets { real, signs, one_hot, nonnegative, positive };

/// Whether an entry is such a target; of one_hot, whose rows are what counts, all are.
bool takes(Targets targets, double y);
/// "numbers above 0".
const char* in_words(Targets targets);

/// The parameter of a loss.
struct LossParameter {
    const char* name = "";  ///< empty if there is none
    double default_value = 0;
    double below = 0;         ///< it is above 0 and below this
    bool in_spreads = false;  ///< it is in units of targets
};

/// What there is to know of a loss without data.
struct LossTraits {
    std::string name;
    LossParameter parameter;
    Targets targets;
    bool kinked;    ///< its derivative jumps
    bool log_link;  ///< outputs are logarithms of means
};

/// All losses, by which name they are made.
std::vector<LossTraits> losses();

/// For the names and formulas see losses/entrywise.cpp and losses/multinomial.cpp. y (n, C) and w (n), of
/// mean 1, are read in place. Throws std::invalid_argument for an unknown name or a parameter out of range.
std::unique_ptr<Loss> make_loss(const LossSpec& spec, MatView<const double> y, VecView<const double> w,
                                int threads);

/// The same with its kinks to be rounded off; null for a loss without kinks.
std::unique_ptr<Smoothing> make_smoothing(const LossSpec& spec, MatView<const double> y,
                                          VecView<const double> w, int threads);

}  // namespace pathrelu
