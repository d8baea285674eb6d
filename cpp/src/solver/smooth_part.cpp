#include "solver/smooth_part.hpp"

#include <Eigen/Dense>
#include <cmath>

namespace pathrelu {
namespace {

/// Shares of the targets' spread by which kinks are rounded off: at first, a tenth, as the first programs
/// only have to find the groups; times the decay wherever a shift does not narrow the gap; and the least,
/// whose program has the other's objective up to what single digits of `tol` can tell.
constexpr double kFirstShare = 0.1, kShareDecay = 0.25, kLeastShare = 1e-9;
constexpr double kFlat = 1e-13;  ///< eigenvalue of a matrix of unit diagonal that rounding leaves of zero

}  // namespace

void LossModel::apply_curvature(std::vector<double>& q) const {
    if (coupled) return apply_coupled_curvature(q);
    const Index C = static_cast<Index>(h_sum.size()), n = static_cast<Index>(h.size()) / C;
    for (Index c = 0; c < C; ++c) {
        double mean = 0;
        if (fit_intercept && h_sum[c] > 0) {
            for (Index i = 0; i < n; ++i) mean += h[i * C + c] * q[i * C + c];
            mean /= h_sum[c];
        }
        for (Index i = 0; i < n; ++i) q[i * C + c] = h[i * C + c] * (q[i * C + c] - mean);
    }
}

/// q_i <- H_i (q_i - shift), H_i = diag(h_i) - h_i h_i^T / sum(h_i), with the shift for which they sum to
/// zero.
void LossModel::apply_coupled_curvature(std::vector<double>& q) const {
    const Index C = static_cast<Index>(h_sum.size()), n = static_cast<Index>(h.size()) / C;
    const auto apply = [&](const Vector& shift) {
        Vector sum = Vector::Zero(C);
        for (Index i = 0; i < n; ++i) {
            const ConstMap h_i(h.data() + i * C, C);
            Map row(q.data() + i * C, C);
            const double total = h_i.sum();
            row -= shift;
            if (total > 0) row.array() -= h_i.dot(row) / total;
            sum += h_i.cwiseProduct(row);
        }
        return sum;
    };
    const Vector sum = apply(Vector::Zero(C));
    if (fit_intercept) apply(inverse_sum * sum);
    Map(q.data(), n * C).array() *= ConstMap(h.data(), n * C).array();
}

SmoothPart::SmoothPart(const LossSpec& spec, MatView<const double> y, VecView<const double> w,
                       bool fit_intercept, int threads)
    : intercept(y.cols, 0.0),
      n_(y.rows),
      C_(y.cols),
      fit_intercept_(fit_intercept),
      stated_(make_loss(spec, y, w, threads)),
      smoothing_(make_smoothing(spec, y, w, threads)),
      share_(kFirstShare),
      shifted_(y.size()) {
    round_off(share_);
}

void SmoothPart::shift_outputs(const double* f) {
    if (fit_intercept_) loss().optimal_intercept(f, intercept.data());
    for (Index i = 0; i < n_; ++i)
        for (Index c = 0; c < C_; ++c) shifted_[i * C_ + c] = f[i * C_ + c] + intercept[c];
}

double SmoothPart::value(const double* f) {
    shift_outputs(f);
    return loss().value(shifted_.data());
}

std::vector<double> SmoothPart::dual_point(const double* f) {
    shift_outputs(f);
    std::vector<double> theta(n_ * C_);
    loss().dual_point(shifted_.data(), theta.data());
    return theta;
}

double SmoothPart::value_and_dual_point(const double* f, double* theta) {
    const double at = value(f);
    loss().dual_point(shifted_.data(), theta);
    return at;
}

LossModel SmoothPart::model_at(const double* f) {
    LossModel model{dual_point(f),
                    std::vector<double>(n_ * C_),
                    std::vector<double>(C_, 0.0),
                    loss().coupled(),
                    fit_intercept_,
                    {}};
    loss().curvature(shifted_.data(), model.h.data());
    for (Index i = 0; i < n_; ++i)
        for (Index c = 0; c < C_; ++c) model.h_sum[c] += model.h[i * C_ + c];
    if (fit_intercept_ && model.coupled) model.inverse_sum = inverse_of_sum(model.h);
    return model;
}

std::vector<double> SmoothPart::feasible(std::vector<double> theta) const {
    if (fit_intercept_) loss().balance(theta.data());
    return theta;
}

SmoothPart::Stated SmoothPart::stated_at(const double* f) {
    shift_outputs(f);
    if (!kinked()) return {stated_->value(shifted_.data()), intercept};
    Stated out{0, intercept};
    if (fit_intercept_) stated_->optimal_intercept(f, out.intercept.data());
    std::vector<double> outputs(f, f + n_ * C_);
    for (Index i = 0; i < n_; ++i)
        for (Index c = 0; c < C_; ++c) outputs[i * C_ + c] += out.intercept[c];
    out.value = stated_->value(outputs.data());
    return out;
}

void SmoothPart::round_off(double share) {
    if (smoothing_) smoothing_->center(share);
}

void SmoothPart::round_off_least() {
    round_off(kLeastShare);
}

void SmoothPart::round_off_next(const double* f, bool finer) {
    shift_outputs(f);
    if (finer && share_ > kLeastShare) share_ *= kShareDecay;
    smoothing_->center(share_, shifted_.data());
}

/// A generalised inverse of the sum of the rows' coupled Hessians, which is singular: the same shift of all
/// outputs changes nothing.
Matrix SmoothPart::inverse_of_sum(const std::vector<double>& h) const {
    Matrix sum = Matrix::Zero(C_, C_);
    for (Index i = 0; i < n_; ++i) {
        const ConstMap row(h.data() + i * C_, C_);
        const double total = row.sum();
        if (!(total > 0)) continue;
        sum.diagonal() += row;
        sum.selfadjointView<Eigen::Lower>().rankUpdate(row, -1 / total);
    }
    const Vector scale = sum.diagonal().unaryExpr([](double s) { return s > 0 ? 1 / std::sqrt(s) : 0.0; });
    const Eigen::SelfAdjointEigenSolver<Matrix> scaled(scale.asDiagonal() * sum * scale.asDiagonal());
    const Vector inverse = scaled.eigenvalues().unaryExpr([](double e) { return e > kFlat ? 1 / e : 0.0; });
    const Matrix root = scale.asDiagonal() * scaled.eigenvectors();
    return root * inverse.asDiagonal() * root.transpose();
}

}  // namespace pathrelu
