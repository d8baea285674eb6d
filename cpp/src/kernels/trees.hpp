#pragma once
#include "kernels/simd.hpp"
#include "kernels/table.hpp"

namespace pathrelu {
namespace PATHRELU_ISA {
namespace {

#if PATHRELU_VECTORS
template <class T>
inline Vec<T> positive_part(Vec<T> v) {
    const Vec<T> zero = broadcast(T(0));
    return v > zero ? v : zero;
}
#else
template <class T>
inline Vec<T> positive_part(Vec<T> v) {
    for (int l = 0; l < kLanes<T>; ++l) v.a[l] = v.a[l] > 0 ? v.a[l] : T(0);
    return v;
}
#endif

// Trees on rows side by side, for predictions.

/// Vectors of one block of rows, and leaves whose products are computed together: their accumulators and the
/// rows fill the registers there are (32 with AVX-512, else 16).
constexpr int kAcross = kVectorBytes == 64 ? 4 : 2;
constexpr int kTogether = 4;
template <class T>
constexpr Index kBlock = kAcross * kLanes<T>;

template <class T>
bool scale_block(const T* x, Index d, Index count, const double* center, const double* inverse, T* z) {
    for (Index r = 0; r < count; ++r)
        for (Index j = 0; j < d; ++j) z[j * kBlock<T> + r] = x[r * d + j];
    for (Index r = count; r < kBlock<T>; ++r)
        for (Index j = 0; j < d; ++j) z[j * kBlock<T> + r] = T(0);
    Vec<T> nothing = broadcast(T(0));  // not zero where an entry is not finite
    for (Index j = 0; j < d; ++j) {
        const double middle = center[j], factor = inverse[j];
        T* const column = z + j * kBlock<T>;
        for (int v = 0; v < kAcross; ++v) nothing += load(column + v * kLanes<T>) * broadcast(T(0));
        for (Index r = 0; r < kBlock<T>; ++r)
            column[r] = static_cast<T>((static_cast<double>(column[r]) - middle) * factor);
    }
    T total[kLanes<T>];
    store(total, nothing);
    bool finite = true;
    for (const T value : total) finite = finite && value == T(0);
    return finite;
}

/// acc <- bias_l + w_l . z for L leaves with their weights at W (L, d).
template <class T, int L>
inline void leaf_products(const T* W, const T* bias, const T* z, Index d, Vec<T> (&acc)[L][kAcross]) {
    for (int l = 0; l < L; ++l)
        for (int v = 0; v < kAcross; ++v) acc[l][v] = broadcast(T(0));
    for (Index j = 0; j < d; ++j) {
        Vec<T> row[kAcross];
        for (int v = 0; v < kAcross; ++v) row[v] = load(z + j * kBlock<T> + v * kLanes<T>);
        for (int l = 0; l < L; ++l) {
            const Vec<T> w = broadcast(W[l * d + j]);
            for (int v = 0; v < kAcross; ++v) acc[l][v] += w * row[v];
        }
    }
    for (int l = 0; l < L; ++l)
        for (int v = 0; v < kAcross; ++v) acc[l][v] += broadcast(bias[l]);
}

/// Calls `take` with the index of the leaf and its pre-activations (kAcross vectors), leaf by leaf.
template <class T, class Take>
inline void for_each_leaf(const T* W, const T* bias, const T* z, Index d, Index count, Take take) {
    Index p = 0;
    for (; p + kTogether <= count; p += kTogether) {
        Vec<T> acc[kTogether][kAcross];
        leaf_products<T, kTogether>(W + p * d, bias + p, z, d, acc);
        for (int l = 0; l < kTogether; ++l) take(p + l, acc[l]);
    }
    if (p + 2 <= count) {
        Vec<T> acc[2][kAcross];
        leaf_products<T, 2>(W + p * d, bias + p, z, d, acc);
        for (int l = 0; l < 2; ++l) take(p + l, acc[l]);
        p += 2;
    }
    if (p < count) {
        Vec<T> acc[1][kAcross];
        leaf_products<T, 1>(W + p * d, bias + p, z, d, acc);
        take(p, acc[0]);
    }
}

template <class T>
void add_trees(const Index* width, Index layers, Index paths, const T* z, Index d, const T* W, const T* bias,
               Index K, const std::int8_t* signs, OutputEdges<T> edges, T* scratch, T* f) {
    const auto add = [&](Index k, const auto& root) {
        Vec<T> value[kAcross];
        for (int v = 0; v < kAcross; ++v) value[v] = positive_part<T>(root[v]);
        for (Index e = edges.first[k]; e < edges.first[k + 1]; ++e)
            for (int v = 0; v < kAcross; ++v) {
                T* const place = f + edges.output[e] * kBlock<T> + v * kLanes<T>;
                store(place, load(place) + broadcast(edges.weight[e]) * value[v]);
            }
    };
    if (layers == 1) {
        for_each_leaf<T>(W, bias, z, d, K, add);
        return;
    }
    for (Index k = 0; k < K; ++k) {
        for_each_leaf<T>(W + k * paths * d, bias + k * paths, z, d, paths, [&](Index p, const auto& leaf) {
            for (int v = 0; v < kAcross; ++v) store(scratch + p * kBlock<T> + v * kLanes<T>, leaf[v]);
        });
        const T* child = scratch;
        T* above = scratch + paths * kBlock<T>;
        Index size = paths;
        for (Index l = 0; l + 1 < layers; ++l) {
            size /= width[l];
            for (Index u = 0; u < size; ++u, above += kBlock<T>) {
                Vec<T> sum[kAcross];
                for (int v = 0; v < kAcross; ++v) sum[v] = broadcast(T(0));
                for (Index c = 0; c < width[l]; ++c, child += kBlock<T>) {
                    const Vec<T> sign = broadcast(static_cast<T>(*signs++));
                    for (int v = 0; v < kAcross; ++v)
                        sum[v] += sign * positive_part<T>(load(child + v * kLanes<T>));
                }
                for (int v = 0; v < kAcross; ++v) store(above + v * kLanes<T>, sum[v]);
            }
        }
        Vec<T> root[kAcross];
        for (int v = 0; v < kAcross; ++v) root[v] = load(child + v * kLanes<T>);
        add(k, root);
    }
}

/// Leaves whose values wait for the other tree: a multiple of kTogether.
constexpr Index kLeavesAtOnce = 16;

/// Trees whose units are switched by those of other trees, the gates, which are computed in double.
template <class T>
void add_gated(const Index* width, Index layers, Index paths, const T* z, const double* wide, Index d,
               const T* W, const T* bias, const double* G, const double* gate_bias, Index K,
               const std::int8_t* signs, OutputEdges<T> edges, T* values, double* gates, T* f) {
    constexpr Index kRowsOfGates = kBlock<double>;
    const Index per_pass = paths < kLeavesAtOnce ? kLeavesAtOnce / paths : 1;
    for (Index first = 0; first < K; first += per_pass) {
        const Index trees = least(per_pass, K - first), leaves = trees * paths;
        for_each_leaf<T>(W + first * paths * d, bias + first * paths, z, d, leaves,
                         [&](Index p, const auto& leaf) {
                             for (int v = 0; v < kAcross; ++v)
                                 store(values + p * kBlock<T> + v * kLanes<T>, leaf[v]);
                         });
        for (Index part = 0; part < kBlock<T> / kRowsOfGates; ++part)
            for_each_leaf<double>(
                G + first * paths * d, gate_bias + first * paths, wide + part * kRowsOfGates * d, d, leaves,
                [&](Index p, const auto& leaf) {
                    for (int v = 0; v < kAcross; ++v)
                        store(gates + p * kBlock<T> + part * kRowsOfGates + v * kLanes<double>, leaf[v]);
                });
        for (Index k = 0; k < trees; ++k) {
            const T* value = values + k * paths * kBlock<T>;
            const double* gate = gates + k * paths * kBlock<T>;
            T* value_above = values + leaves * kBlock<T>;
            double* gate_above = gates + leaves * kBlock<T>;
            Index size = paths;
            for (Index l = 0; l + 1 < layers; ++l) {
                size /= width[l];
                for (Index u = 0; u < size; ++u, value_above += kBlock<T>, gate_above += kBlock<T>) {
                    for (Index r = 0; r < kBlock<T>; ++r) value_above[r] = gate_above[r] = 0;
                    for (Index c = 0; c < width[l]; ++c, value += kBlock<T>, gate += kBlock<T>) {
                        const int sign = *signs++;
                        for (Index r = 0; r < kBlock<T>; ++r) {
                            value_above[r] += gate[r] > 0 ? static_cast<T>(sign) * value[r] : T(0);
                            gate_above[r] += gate[r] > 0 ? sign * gate[r] : 0.0;
                        }
                    }
                }
                value = value_above - size * kBlock<T>;
                gate = gate_above - size * kBlock<T>;
            }
            for (Index e = edges.first[first + k]; e < edges.first[first + k + 1]; ++e) {
                T* const out = f + edges.output[e] * kBlock<T>;
                const T factor = edges.weight[e];
                for (Index r = 0; r < kBlock<T>; ++r) out[r] += gate[r] > 0 ? factor * value[r] : T(0);
            }
        }
    }
}

template <class T>
Index gated_scratch(Index units, Index paths) {
    return (units + (paths < kLeavesAtOnce ? kLeavesAtOnce : 0)) * kBlock<T>;
}

template <class T>
void add_linear(const T* z, Index d, const T* W, const T* bias, Index C, T* f) {
    for_each_leaf<T>(W, bias, z, d, C, [&](Index c, const auto& value) {
        for (int v = 0; v < kAcross; ++v) {
            T* const place = f + c * kBlock<T> + v * kLanes<T>;
            store(place, load(place) + value[v]);
        }
    });
}

}  // namespace
}  // namespace PATHRELU_ISA
}  // namespace pathrelu
