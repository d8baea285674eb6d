#pragma once
#include "kernels/simd.hpp"
#include "kernels/table.hpp"
#include "parallel.hpp"

namespace pathrelu {
namespace PATHRELU_ISA {
namespace {

// Sums over subsets, by tables (Arlazarov, Dinic, Kronrod, Faradzev 1970).
//
// Both products add up vectors chosen by bits: rows r_i x_i chosen by a path's mask, or weights v_p chosen by
// a row's. Four vectors have 16 sums; a table of them turns four masked additions into one. Eight tables
// serve one 32-bit word.

constexpr int kTables = kWord / 4;
/// Widest chunk of columns, in vectors: eight tables of 16 sums then take 32 KiB with 64-byte vectors, which
/// a first-level cache still holds beside the accumulators.
constexpr int kMaxVectors = 4;

/// The chunks of columns that the tables are built for: as equal as whole vectors allow.
template <class T>
struct Chunks {
    explicit Chunks(Index d)
        : vectors((d + kLanes<T> - 1) / kLanes<T>), count((vectors + kMaxVectors - 1) / kMaxVectors) {}
    Index first(Index c) const { return c * (vectors / count) + least(c, vectors % count); }
    Index size(Index c) const { return first(c + 1) - first(c); }
    Index vectors;
    Index count;
};

/// Tables (kTables, 16, NV vectors) of the sums of source vectors 4k .. 4k+3; bit b of the index chooses 4k +
/// b.
template <class T, int NV>
inline void build_tables(const T* source, T* tables) {
    constexpr int kWidth = NV * kLanes<T>;
    for (int k = 0; k < kTables; ++k) {
        T* table = tables + k * 16 * kWidth;
        for (int v = 0; v < NV; ++v) {
            const T* s = source + k * 4 * kWidth + v * kLanes<T>;
            T* t = table + v * kLanes<T>;
            Vec<T> sums[16];
            sums[0] = broadcast(T(0));
            for (int b = 0; b < 4; ++b) {
                const Vec<T> x = load(s + b * kWidth);
                for (int i = 0; i < (1 << b); ++i) sums[(1 << b) + i] = sums[i] + x;
            }
            for (int i = 0; i < 16; ++i) store(t + i * kWidth, sums[i]);
        }
    }
}

/// sums (count, NV vectors) += the entries of the first K tables chosen by words (count).
template <class T, int NV, int K>
inline void add_chosen(const T* tables, const std::uint32_t* words, Index count, T* sums) {
    constexpr int kWidth = NV * kLanes<T>;
    for (Index m = 0; m < count; ++m) {
        const std::uint32_t word = words[m];
        T* out = sums + m * kWidth;
        Vec<T> acc[NV];
        for (int v = 0; v < NV; ++v) acc[v] = load(out + v * kLanes<T>);
        for (int k = 0; k < K; ++k) {
            const T* entry = tables + (k * 16 + ((word >> (4 * k)) & 15)) * kWidth;
            for (int v = 0; v < NV; ++v) acc[v] += load(entry + v * kLanes<T>);
        }
        for (int v = 0; v < NV; ++v) store(out + v * kLanes<T>, acc[v]);
    }
}

/// The v-th vector of a row with `used` columns at x, zero beyond them. `readable` entries follow x, so that
/// only the last rows of an array cannot be read past their end.
template <class T, class X>
inline Vec<T> load_row(const X* x, int v, Index used, Index readable) {
    const Index j = v * kLanes<T>;
    if (j + kLanes<T> <= used) return load_as<T>(x + j);
    if (j + kLanes<T> <= readable) return head<T>(load_as<T>(x + j), used - j);
    T part[kLanes<T>];
    for (Index l = 0; l < kLanes<T>; ++l) part[l] = j + l < used ? static_cast<T>(x[j + l]) : T(0);
    return load(part);
}

/// source (32, NV vectors) <- scale_i * x_i for `count` rows of d entries, columns col .. col + used; the
/// rest zero. `rows` rows follow x.
template <class T, int NV, class X>
inline void fill_source(const X* x, Index d, Index rows, Index count, Index col, Index used, const T* scale,
                        T* source) {
    constexpr int kWidth = NV * kLanes<T>;
    for (Index i = 0; i < count; ++i) {
        const Vec<T> a = broadcast(scale ? scale[i] : T(1));
        for (int v = 0; v < NV; ++v)
            store(source + i * kWidth + v * kLanes<T>,
                  a * load_row<T>(x + i * d + col, v, used, (rows - i) * d - col));
    }
    for (Index k = count * kWidth; k < kWord * kWidth; ++k) source[k] = 0;
}

/// out rows p0 .. p0 + count <- their sums over the rows i0 .. i1 of X, for some columns.
template <class X, class T, int NV>
void adjoint_chunk(const X* x, Index d, MaskWords M, const T* r, Index col, Index i0, Index i1, Index p0,
                   Index count, T* source, T* tables, T* sums, double* out) {
    constexpr Index kWidth = NV * kLanes<T>;
    const Index used = least(kWidth, d - col);
    for (Index k = 0; k < count * kWidth; ++k) sums[k] = 0;
    for (Index i = i0; i < i1; i += kWord) {
        fill_source<T, NV>(x + i * d, d, M.n - i, least(kWord, i1 - i), col, used, r + i, source);
        build_tables<T, NV>(source, tables);
        add_chosen<T, NV, kTables>(tables, M.by_rows + i / kWord * M.P + p0, count, sums);
    }
    for (Index p = 0; p < count; ++p)
        for (Index j = 0; j < used; ++j)
            out[(p0 + p) * d + col + j] = static_cast<double>(sums[p * kWidth + j]);
}

/// Rows that are summed apart where threads share the rows of a product: fixed, and the partial sums are
/// added in order, so that the bits do not depend on the number of threads.
constexpr Index kPartRows = 1024;
constexpr Index kMostParts = 8;

template <class X, class T>
void adjoint(const X* x, Index d, MaskWords M, const T* r, double* out, int threads) {
    if (M.P == 0) return;
    const Chunks<T> chunks(d);
    const Index parts = least(kMostParts, (M.n + kPartRows - 1) / kPartRows);
    const Index words = (M.n + kWord - 1) / kWord;
    // Pieces of paths only where there is too little else to share: each builds the tables anew.
    const Index pieces = chunks.count * parts >= threads ? 1 : least(threads, (M.P + 15) / 16);
    const Index per_piece = (M.P + pieces - 1) / pieces;
    constexpr Index kWidest = kMaxVectors * kLanes<T>;
    Scratch<double> partial((parts - 1) * M.P * d);
    in_team(threads, chunks.count * parts * pieces, [&](Tasks& tasks) {
        Scratch<T> source(kWord * kWidest), tables(kTables * 16 * kWidest), sums(per_piece * kWidest);
        for (Index task; tasks.take(task);) {
            const Index c = task / pieces / parts, part = task / pieces % parts;
            const Index p0 = task % pieces * per_piece, count = least(per_piece, M.P - p0);
            if (count <= 0) continue;
            const Index i0 = words * part / parts * kWord;
            const Index i1 = least(M.n, words * (part + 1) / parts * kWord);
            const auto run = chunks.size(c) == 1   ? adjoint_chunk<X, T, 1>
                             : chunks.size(c) == 2 ? adjoint_chunk<X, T, 2>
                             : chunks.size(c) == 3 ? adjoint_chunk<X, T, 3>
                                                   : adjoint_chunk<X, T, 4>;
            run(x, d, M, r, chunks.first(c) * kLanes<T>, i0, i1, p0, count, source.data, tables.data,
                sums.data, part == 0 ? out : partial.data + (part - 1) * M.P * d);
        }
    });
    if (parts == 1) return;
    in_team(threads, (M.P + kWord - 1) / kWord, [&](Tasks& tasks) {
        for (Index word; tasks.take(word);) {
            const Index begin = word * kWord * d, end = least(M.P, (word + 1) * kWord) * d;
            for (Index part = 1; part < parts; ++part) {
                const double* more = partial.data + (part - 1) * M.P * d;
                for (Index k = begin; k < end; ++k) out[k] += more[k];
            }
        }
    });
}

/// Rows of one task of the forward product: building tables then costs 15/512 of using them, and the row sums
/// stay in a second-level cache.
constexpr Index kForwardRows = 512;

template <class X, class T, int NV>
void forward_chunk(const X* x, Index d, MaskWords M, const T* V, Index col, Index i0, Index count, T* source,
                   T* tables, T* sums, double* out) {
    constexpr Index kWidth = NV * kLanes<T>;
    const Index used = least(kWidth, d - col);
    for (Index k = 0; k < count * kWidth; ++k) sums[k] = 0;
    for (Index c = 0; c * kWord < M.P; ++c) {
        const Index p = c * kWord;
        fill_source<T, NV>(V + p * d, d, M.P - p, least(kWord, M.P - p), col, used,
                           static_cast<const T*>(nullptr), source);
        build_tables<T, NV>(source, tables);
        const auto add = M.P - p > kWord / 2 ? add_chosen<T, NV, kTables> : add_chosen<T, NV, kTables / 2>;
        add(tables, M.by_paths + c * M.n + i0, count, sums);
    }
    for (Index i = 0; i < count; ++i) {
        const X* xi = x + (i0 + i) * d + col;
        Vec<T> product = broadcast(T(0));
        for (int v = 0; v < NV; ++v)
            product +=
                load_row<T>(xi, v, used, (M.n - i0 - i) * d - col) * load(sums + i * kWidth + v * kLanes<T>);
        T total[kLanes<T>];
        store(total, product);
        for (int half = kLanes<T> / 2; half > 0; half /= 2)
            for (int l = 0; l < half; ++l) total[l] += total[l + half];
        out[i0 + i] += static_cast<double>(total[0]);
    }
}

template <class X, class T>
void forward(const X* x, Index d, MaskWords M, const T* V, double* out, int threads) {
    const Chunks<T> chunks(d);
    constexpr Index kWidest = kMaxVectors * kLanes<T>;
    in_team(threads, (M.n + kForwardRows - 1) / kForwardRows, [&](Tasks& tasks) {
        Scratch<T> source(kWord * kWidest), tables(kTables * 16 * kWidest), sums(kForwardRows * kWidest);
        for (Index block; tasks.take(block);) {
            const Index i0 = block * kForwardRows, count = least(kForwardRows, M.n - i0);
            for (Index i = 0; i < count; ++i) out[i0 + i] = 0;
            for (Index c = 0; c < chunks.count; ++c) {
                const Index col = chunks.first(c) * kLanes<T>;
                const auto run = chunks.size(c) == 1   ? forward_chunk<X, T, 1>
                                 : chunks.size(c) == 2 ? forward_chunk<X, T, 2>
                                 : chunks.size(c) == 3 ? forward_chunk<X, T, 3>
                                                       : forward_chunk<X, T, 4>;
                run(x, d, M, V, col, i0, count, source.data, tables.data, sums.data, out);
            }
        }
    });
}

}  // namespace
}  // namespace PATHRELU_ISA
}  // namespace pathrelu
