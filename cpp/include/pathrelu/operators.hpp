#pragma once
#include <vector>

#include <pathrelu/arrangements.hpp>

namespace pathrelu {

/// The linear map  B V = sum_g sum_p s_p M_p * (X v_p)  over groups of paths, never formed as a matrix.
///
/// X (n, d) is read in place and must outlive the operator. V has one row of d weights per path, groups in
/// order. Products are done by tables of subset sums (see kernels/masked.hpp), in double, or in float with
/// `Sums::fast`. Results are the same bits for any number of threads: parts of
/// the rows are fixed, and their sums are added in order.
template <class X>
class MaskedOperator {
  public:
    /// Precision of the sums inside the products: single or double.
    enum class Sums { fast, exact };

    MaskedOperator(Rows<X> rows, const Arrangements& arrangements, int threads);
    /// Only the given groups.
    MaskedOperator(Rows<X> rows, const Arrangements& arrangements, const std::vector<Index>& groups,
                   int threads);

    Index n_rows() const { return rows_.rows; }
    Index n_paths() const { return static_cast<Index>(sign_.size()); }
    Index dim() const { return rows_.cols; }

    /// out (n) <- B V with V (n_paths, d).
    void forward(const double* V, double* out, Sums sums = Sums::exact) const;
    /// out (n_paths, d) <- B^T r with r (n).
    void adjoint(const double* r, double* out, Sums sums = Sums::exact) const;

    /// f (n, C) <- sum_g (B_g V_g) omega_g^T for directions omega (groups, C), each of as many paths.
    void forward(const double* V, MatView<const double> omega, double* f, Sums sums = Sums::exact) const;
    /// out (n_paths, d) <- B_g^T theta omega_g for every group, with theta (n, C).
    void adjoint(const double* theta, MatView<const double> omega, double* out,
                 Sums sums = Sums::exact) const;

    bool mask(Index path, Index row) const {
        return by_rows_[(row / 32) * n_paths() + path] >> (row % 32) & 1u;
    }
    /// Share of the rows on which the path is on.
    double density(Index path) const { return density_[path]; }
    int sign(Index path) const { return sign_[path]; }

  private:
    template <class T>
    void forward_in(const double* V, double* out) const;
    template <class T>
    void adjoint_in(const double* r, double* out) const;
    template <class T>
    void forward_directed(const double* V, MatView<const double> omega, double* f) const;
    template <class T>
    void adjoint_directed(const double* theta, MatView<const double> omega, double* out) const;

    Rows<X> rows_;
    int threads_;
    std::vector<std::int8_t> sign_;
    std::vector<double> density_;
    std::vector<std::uint32_t> by_rows_;   // (ceil(n / 32), paths)
    std::vector<std::uint32_t> by_paths_;  // (ceil(paths / 32), n)
};

}  // namespace pathrelu
