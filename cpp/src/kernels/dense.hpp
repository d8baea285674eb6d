#pragma once
#include "kernels/simd.hpp"
#include "kernels/table.hpp"

namespace pathrelu {
namespace PATHRELU_ISA {
namespace {

// Dense product whose entries do not depend on their place.

/// Vectors of one packed panel. Panels are interleaved over k, so one step loads kPanel vectors of B.
constexpr int kPanel = 2;
template <class T>
constexpr Index kPanelWidth = kPanel * kLanes<T>;
static_assert(kPad % kPanelWidth<float> == 0, "products are padded to whole panels");
constexpr int kRows = 6;  // accumulators of one step: 6 x 2 vectors, and 16 registers suffice

template <class T>
Index packed_size(Index m, Index k) {
    return (m + kPanelWidth<T> - 1) / kPanelWidth<T> * kPanelWidth<T> * k;
}

template <class T>
void pack(const T* B, Index m, Index k, Index stride, T* packed) {
    for (Index m0 = 0; m0 < m; m0 += kPanelWidth<T>) {
        T* panel = packed + m0 * k;
        for (Index j = 0; j < k; ++j)
            for (Index l = 0; l < kPanelWidth<T>; ++l)
                panel[j * kPanelWidth<T> + l] = m0 + l < m ? B[(m0 + l) * stride + j] : T(0);
    }
}

template <class T, int R>
inline void multiply_rows(const T* A, Index k, Index lda, const T* panel, T* C, Index ldc) {
    Vec<T> acc[R][kPanel];
    for (int r = 0; r < R; ++r)
        for (int v = 0; v < kPanel; ++v) acc[r][v] = broadcast(T(0));
    for (Index j = 0; j < k; ++j) {
        Vec<T> b[kPanel];
        for (int v = 0; v < kPanel; ++v) b[v] = load(panel + j * kPanelWidth<T> + v * kLanes<T>);
        for (int r = 0; r < R; ++r) {
            const Vec<T> a = broadcast(A[r * lda + j]);
            for (int v = 0; v < kPanel; ++v) acc[r][v] += a * b[v];
        }
    }
    for (int r = 0; r < R; ++r)
        for (int v = 0; v < kPanel; ++v) store(C + r * ldc + v * kLanes<T>, acc[r][v]);
}

template <class T>
void multiply(const T* A, Index rows, Index k, Index lda, const T* packed, Index m, T* C, Index ldc) {
    for (Index m0 = 0; m0 < m; m0 += kPanelWidth<T>) {
        const T* panel = packed + m0 * k;
        Index i = 0;
        for (; i + kRows <= rows; i += kRows)
            multiply_rows<T, kRows>(A + i * lda, k, lda, panel, C + i * ldc + m0, ldc);
        for (; i < rows; ++i) multiply_rows<T, 1>(A + i * lda, k, lda, panel, C + i * ldc + m0, ldc);
    }
}

}  // namespace
}  // namespace PATHRELU_ISA
}  // namespace pathrelu
