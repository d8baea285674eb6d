#pragma once
#include "kernels/simd.hpp"
#include "kernels/table.hpp"
#include "kernels/trees.hpp"

namespace pathrelu {
namespace PATHRELU_ISA {
namespace {

// Passes over tiles of kPassRows rows, for the outputs of trees and for the sums of which gradients are made.

/// Rows of the left factor of a product that are taken together: their accumulators and what they are
/// multiplied with fill the registers.
constexpr int kPassTogether = 6;

#if PATHRELU_VECTORS
template <class T>
inline Vec<T> step(Vec<T> v) {
    const Vec<T> zero = broadcast(T(0)), one = broadcast(T(1));
    return v > zero ? one : zero;
}
#else
template <class T>
inline Vec<T> step(Vec<T> v) {
    for (int l = 0; l < kLanes<T>; ++l) v.a[l] = v.a[l] > 0 ? T(1) : T(0);
    return v;
}
#endif

template <class T, int R>
inline void pass_product_rows(const T* W, Index k, const T* x, T* out) {
    for (Index at = 0; at < kPassRows; at += kAcross * kLanes<T>) {
        Vec<T> acc[R][kAcross];
        for (int r = 0; r < R; ++r)
            for (int v = 0; v < kAcross; ++v) acc[r][v] = broadcast(T(0));
        for (Index j = 0; j < k; ++j) {
            Vec<T> b[kAcross];
            for (int v = 0; v < kAcross; ++v) b[v] = load(x + j * kPassRows + at + v * kLanes<T>);
            for (int r = 0; r < R; ++r) {
                const Vec<T> a = broadcast(W[r * k + j]);
                for (int v = 0; v < kAcross; ++v) acc[r][v] += a * b[v];
            }
        }
        for (int r = 0; r < R; ++r)
            for (int v = 0; v < kAcross; ++v) store(out + r * kPassRows + at + v * kLanes<T>, acc[r][v]);
    }
}

template <class T>
void pass_product(const T* W, Index m, Index k, const T* x, T* out) {
    Index i = 0;
    for (; i + kPassTogether <= m; i += kPassTogether)
        pass_product_rows<T, kPassTogether>(W + i * k, k, x, out + i * kPassRows);
    for (; i < m; ++i) pass_product_rows<T, 1>(W + i * k, k, x, out + i * kPassRows);
}

template <class T>
void pass_slopes(const Index* width, Index layers, Index paths, Index K, const std::int8_t* signs,
                 const std::uint8_t* linear, T* inner, T* slope, T* root) {
    constexpr int L = kLanes<T>;
    Index units = paths;
    for (Index l = 0, size = paths; l + 1 < layers; ++l) units += size /= width[l];
    for (Index k = 0; k < K; ++k) {
        T* const leaves = slope + k * paths * kPassRows;
        T* const out = root + k * kPassRows;
        if (linear[k]) {
            for (Index i = 0; i < kPassRows; ++i) out[i] = leaves[i];
            for (Index i = 0; i < paths * kPassRows; ++i) leaves[i] = i < kPassRows ? T(1) : T(0);
            continue;
        }
        const std::int8_t* sign = signs + k * (units - 1);
        T *child = leaves, *above = inner;
        Index size = paths;
        for (Index l = 0; l + 1 < layers; ++l) {
            size /= width[l];
            T* next = above;
            for (Index u = 0; u < size; ++u, above += kPassRows)
                for (Index i = 0; i < kPassRows; i += L) {
                    Vec<T> sum = broadcast(T(0));
                    for (Index c = 0; c < width[l]; ++c)
                        sum += broadcast(static_cast<T>(sign[u * width[l] + c])) *
                               positive_part<T>(load(child + (u * width[l] + c) * kPassRows + i));
                    store(above + i, sum);
                }
            sign += size * width[l];
            child = next;
        }
        for (Index i = 0; i < kPassRows; i += L) {
            const Vec<T> value = load(child + i);
            store(out + i, positive_part<T>(value));
            store(child + i, step<T>(value));
        }
        // Down the tree, the slope of a unit is its sign times that of its parent, where the unit is on.
        for (Index l = layers - 1, count = 1; l-- > 0;) {
            const T* parent = child;
            count *= width[l];
            sign -= count;
            child = l == 0 ? leaves : child - count * kPassRows;
            for (Index u = 0; u < count; ++u) {
                const Vec<T> side = broadcast(static_cast<T>(sign[u]));
                const T* of = parent + u / width[l] * kPassRows;
                T* own = child + u * kPassRows;
                for (Index i = 0; i < kPassRows; i += L)
                    store(own + i, side * load(of + i) * step<T>(load(own + i)));
            }
        }
    }
}

template <class T>
void pass_weigh(const T* r, Index K, Index paths, T* slope) {
    for (Index k = 0; k < K; ++k)
        for (Index p = 0; p < paths; ++p, slope += kPassRows)
            for (Index i = 0; i < kPassRows; i += kLanes<T>)
                store(slope + i, load(slope + i) * load(r + k * kPassRows + i));
}

/// Visits path p with T values (kWord) that are its sign on the rows where it is on, else 0.
template <class T, class Visit>
inline void each_mask(const std::uint32_t* words, Index halves, Index P, const std::int8_t* sign,
                      Visit visit) {
    T mask[kPassRows];
    for (Index p = 0; p < P; ++p) {
        const T side = static_cast<T>(sign[p]);
        for (Index half = 0; half < kPassRows / kWord; ++half) {
            const std::uint32_t word = half < halves ? words[half * P + p] : 0;
            for (int i = 0; i < kWord; ++i) mask[half * kWord + i] = (word >> i & 1u) != 0 ? side : T(0);
        }
        visit(p, mask);
    }
}

template <class T>
void pass_add_masked(const std::uint32_t* words, Index halves, Index P, const std::int8_t* sign, Index paths,
                     const T* pre, T* h) {
    for (Index i = 0; i < P / paths * kPassRows; ++i) h[i] = T(0);
    each_mask<T>(words, halves, P, sign, [&](Index p, const T* mask) {
        T* sum = h + p / paths * kPassRows;
        for (Index i = 0; i < kPassRows; i += kLanes<T>)
            store(sum + i, load(sum + i) + load(mask + i) * load(pre + p * kPassRows + i));
    });
}

template <class T>
void pass_spread_masked(const std::uint32_t* words, Index halves, Index P, const std::int8_t* sign,
                        Index paths, const T* r, T* out) {
    each_mask<T>(words, halves, P, sign, [&](Index p, const T* mask) {
        for (Index i = 0; i < kPassRows; i += kLanes<T>)
            store(out + p * kPassRows + i, load(mask + i) * load(r + p / paths * kPassRows + i));
    });
}

template <class T>
Index pass_padded(Index cols) {
    return (cols + kLanes<T> - 1) / kLanes<T> * kLanes<T>;
}

template <class T, int R, int NV>
inline void pass_contract_rows(const T* a, const T* b, Index ldb, Index used, double* out, Index ldo) {
    Vec<T> acc[R][NV];
    for (int r = 0; r < R; ++r)
        for (int v = 0; v < NV; ++v) acc[r][v] = broadcast(T(0));
    for (Index i = 0; i < kPassRows; ++i) {
        Vec<T> row[NV];
        for (int v = 0; v < NV; ++v) row[v] = load(b + i * ldb + v * kLanes<T>);
        for (int r = 0; r < R; ++r) {
            const Vec<T> factor = broadcast(a[r * kPassRows + i]);
            for (int v = 0; v < NV; ++v) acc[r][v] += factor * row[v];
        }
    }
    for (int r = 0; r < R; ++r) {
        T sums[NV * kLanes<T>];
        for (int v = 0; v < NV; ++v) store(sums + v * kLanes<T>, acc[r][v]);
        for (Index j = 0; j < used; ++j) out[r * ldo + j] += static_cast<double>(sums[j]);
    }
}

template <class T, int NV>
inline void pass_contract_columns(const T* a, Index m, const T* b, Index ldb, Index used, double* out,
                                  Index ldo) {
    Index i = 0;
    for (; i + kPassTogether <= m; i += kPassTogether)
        pass_contract_rows<T, kPassTogether, NV>(a + i * kPassRows, b, ldb, used, out + i * ldo, ldo);
    for (; i < m; ++i) pass_contract_rows<T, 1, NV>(a + i * kPassRows, b, ldb, used, out + i * ldo, ldo);
}

template <class T>
void pass_contract(const T* a, Index m, const T* b, Index cols, double* out) {
    const Index ldb = pass_padded<T>(cols), vectors = ldb / kLanes<T>;
    for (Index v = 0; v < vectors; v += kAcross) {
        const Index first = v * kLanes<T>, used = least(kAcross * kLanes<T>, cols - first);
        const Index count = least(kAcross, vectors - v);
        if (count == 1)
            pass_contract_columns<T, 1>(a, m, b + first, ldb, used, out + first, cols);
        else if (count == 2)
            pass_contract_columns<T, 2>(a, m, b + first, ldb, used, out + first, cols);
        else if (count == 3)
            pass_contract_columns<T, 3>(a, m, b + first, ldb, used, out + first, cols);
        else
            pass_contract_columns<T, 4>(a, m, b + first, ldb, used, out + first, cols);
    }
}

}  // namespace
}  // namespace PATHRELU_ISA
}  // namespace pathrelu
