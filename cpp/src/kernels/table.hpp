#pragma once
#include <cstdint>

#include <pathrelu/types.hpp>

namespace pathrelu {

/// Path masks as the kernels read them: 32 binary entries to a word.
///
/// `by_rows` (ceil(n / 32), P): bit i of word (b, p) is the mask of path p at row 32 b + i.
/// `by_paths` (ceil(P / 32), n): bit q of word (c, i) is the mask of path 32 c + q at row i.
struct MaskWords {
    const std::uint32_t* by_rows;
    const std::uint32_t* by_paths;
    Index n;
    Index P;
};

/// The hot loops, compiled once per instruction set. X is the precision of the rows, T that of the sums.
template <class X, class T>
struct MaskedKernels {
    /// out (P, d) <- rows p of X^T (M_p * r) with X (n, d), r (n).
    void (*adjoint)(const X* x, Index d, MaskWords masks, const T* r, double* out, int threads);
    /// out (n) <- sum_p M_p * (X v_p) with V (P, d).
    void (*forward)(const X* x, Index d, MaskWords masks, const T* V, double* out, int threads);
};

template <class T>
struct DenseKernels {
    /// Number of T that `pack` writes for m rows of length k.
    Index (*packed_size)(Index m, Index k);
    /// Packs B (m, k), with rows `stride` apart, for `multiply`.
    void (*pack)(const T* B, Index m, Index k, Index stride, T* packed);
    /// C (rows, m) <- A (rows, k) B^T. Every entry is summed over k in order, so it does not depend on its
    /// place. C's rows are ldc apart and ldc >= m rounded up to `kPad`.
    void (*multiply)(const T* A, Index rows, Index k, Index lda, const T* packed, Index m, T* C, Index ldc);
};

/// Weights of the edges from K roots to outputs, none of them zero: those of root k are the edges first[k] ..
/// first[k + 1] - 1.
template <class T>
struct OutputEdges {
    const Index* first;   // (K + 1)
    const Index* output;  // of each edge
    const T* weight;
};

/// Networks of ReLU trees on `rows` rows at a time, which lie side by side: row r of a block has its entry j
/// at z[j * rows + r]. The value of a row is computed alike wherever it is and whatever the others are.
template <class T>
struct TreeKernels {
    Index rows;
    Index rows_of_gates;  ///< divides `rows`
    /// z (d, rows) <- (x - center) * inverse_scale for `count` rows of x (count, d), zeros after them;
    /// computed in double. False if an entry of x is not finite.
    bool (*scale)(const T* x, Index d, Index count, const double* center, const double* inverse_scale, T* z);
    /// f (C, rows) <- + the trees times the weights of their edges, in the order of the K trees. W (K *
    /// paths, d) and bias (K * paths) are those of the leaves, signs (K, units - 1) those of the edges; inner
    /// layers have `width` (layers - 1). scratch (units * rows).
    void (*add)(const Index* width, Index layers, Index paths, const T* z, Index d, const T* W, const T* bias,
                Index K, const std::int8_t* signs, OutputEdges<T> edges, T* scratch, T* f);
    /// The same for gated trees: units are on where those of the gates G (K * paths, d), trees with the same
    /// signs in double, are positive. wide holds z as blocks (d, rows_of_gates) after each other; values and
    /// gates are scratch of `gated_scratch(units, paths)` each.
    void (*add_gated)(const Index* width, Index layers, Index paths, const T* z, const double* wide, Index d,
                      const T* W, const T* bias, const double* G, const double* gate_bias, Index K,
                      const std::int8_t* signs, OutputEdges<T> edges, T* values, double* gates, T* f);
    Index (*gated_scratch)(Index units, Index paths);
    /// f (C, rows) <- f + W z + bias for W (C, d), bias (C).
    void (*add_linear)(const T* z, Index d, const T* W, const T* bias, Index C, T* f);
};

/// Columns of the product are padded to a multiple of this.
constexpr Index kPad = 32;

/// Rows of one tile of a pass: what trees give on them stays in a second-level cache.
constexpr Index kPassRows = 64;

/// Steps of a pass over kPassRows rows with K trees, entries of one row side by side: x (k, kPassRows).
template <class T>
struct PassKernels {
    /// out (m, kPassRows) <- W x for W (m, k).
    void (*product)(const T* W, Index m, Index k, const T* x, T* out);
    /// slope (K * paths, kPassRows), the pre-activations of the leaves, <- the derivatives of the roots in
    /// them: the sign of the path where it is on, else 0. root (K, kPassRows) <- outputs of the trees. signs
    /// (K, units - 1) those of the edges; inner layers have `width` (layers - 1); a linear tree is its first
    /// leaf. inner (units - paths, kPassRows) is scratch.
    void (*slopes)(const Index* width, Index layers, Index paths, Index K, const std::int8_t* signs,
                   const std::uint8_t* linear, T* inner, T* slope, T* root);
    /// slope (K * paths, kPassRows) <- each times the r (K, kPassRows) of its tree.
    void (*weigh)(const T* r, Index K, Index paths, T* slope);
    /// h (P / paths, kPassRows) <- the sums over the paths of each group of sign * mask * pre (P, kPassRows).
    /// Masks of the first and, if `halves` is 2, of the second 32 rows are at words (halves, P).
    void (*add_masked)(const std::uint32_t* words, Index halves, Index P, const std::int8_t* sign,
                       Index paths, const T* pre, T* h);
    /// out (P, kPassRows) <- sign * mask * r, for r (P / paths, kPassRows) of the groups.
    void (*spread_masked)(const std::uint32_t* words, Index halves, Index P, const std::int8_t* sign,
                          Index paths, const T* r, T* out);
    /// out (m, cols) <- out + a b with a (m, kPassRows) and b (kPassRows, padded(cols)), added up in double.
    void (*contract)(const T* a, Index m, const T* b, Index cols, double* out);
    Index (*padded)(Index cols);
};

struct KernelTable {
    const char* name;
    MaskedKernels<float, float> masked_ff;
    MaskedKernels<float, double> masked_fd;
    MaskedKernels<double, float> masked_df;
    MaskedKernels<double, double> masked_dd;
    DenseKernels<float> dense_f;
    DenseKernels<double> dense_d;
    TreeKernels<float> trees_f;
    TreeKernels<double> trees_d;
    PassKernels<float> passes_f;
    PassKernels<double> passes_d;
    /// Rows whose sign(bit) * pre * inverse_norm is below -threshold: their indices and those values; returns
    /// how many. Row 64 w + k belongs to bit k of bits[w]; pre and inverse_norm are readable up to a multiple
    /// of kPad.
    Index (*find_below)(const double* pre, const double* inverse_norm, const std::uint64_t* bits, Index n,
                        double threshold, Index* rows, double* values);
    /// H (m, m), lower triangle <- sum over rows of A^T A with A (rows, m) row-major; H is added to.
    void (*add_gram)(const double* A, Index rows, Index m, double* H, int threads);
    /// H (m, m), lower triangle <- (X^T X) o (M^T M) + P^T P - N^T N for X (d, m), M (k, m), P (p, m), N (q,
    /// m) row-major; o is the entrywise product.
    void (*masked_gram)(const double* X, Index d, const double* M, Index k, const double* P, Index p,
                        const double* N, Index q, Index m, double* H, int threads);
    /// H (m, m), lower triangle <- its Cholesky factor after `ridge` is added to the diagonal. False if not
    /// positive definite.
    bool (*cholesky)(double* H, Index m, double ridge);
    /// b <- H^-1 b for `count` b (m) after each other, H as `cholesky` leaves it.
    void (*cholesky_solve)(const double* H, Index m, double* b, Index count);

    template <class X, class T>
    const MaskedKernels<X, T>& masked() const;
    template <class T>
    const DenseKernels<T>& dense() const;
    template <class T>
    const TreeKernels<T>& tree() const;
    template <class T>
    const PassKernels<T>& passes() const;
};

template <>
inline const MaskedKernels<float, float>& KernelTable::masked() const {
    return masked_ff;
}
template <>
inline const MaskedKernels<float, double>& KernelTable::masked() const {
    return masked_fd;
}
template <>
inline const MaskedKernels<double, float>& KernelTable::masked() const {
    return masked_df;
}
template <>
inline const MaskedKernels<double, double>& KernelTable::masked() const {
    return masked_dd;
}
template <>
inline const DenseKernels<float>& KernelTable::dense() const {
    return dense_f;
}
template <>
inline const DenseKernels<double>& KernelTable::dense() const {
    return dense_d;
}

template <>
inline const TreeKernels<float>& KernelTable::tree() const {
    return trees_f;
}
template <>
inline const TreeKernels<double>& KernelTable::tree() const {
    return trees_d;
}

template <>
inline const PassKernels<float>& KernelTable::passes() const {
    return passes_f;
}
template <>
inline const PassKernels<double>& KernelTable::passes() const {
    return passes_d;
}

/// The kernels in use: the best this processor runs, or the level `use_kernels` chose.
const KernelTable& kernels();

}  // namespace pathrelu
