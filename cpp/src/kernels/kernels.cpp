// Compiled once per instruction set with PATHRELU_ISA naming the level and Eigen renamed. Raw pointers only:
// an inline function of the standard library would be shared between the levels by the linker.
#include <Eigen/Cholesky>
#include <Eigen/Core>

#if defined(__AVX__)
#include <immintrin.h>
#endif

#include "kernels/table.hpp"
#include "parallel.hpp"

namespace pathrelu {
namespace PATHRELU_ISA {
namespace {

// Without the vectors of GCC and Clang, loops over plain arrays do the same; the level "plain" tests them.
#if defined(__GNUC__) && !defined(PATHRELU_PLAIN)
#define PATHRELU_VECTORS 1
#else
#define PATHRELU_VECTORS 0
#endif

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
#elif defined(__AVX__)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif

template <class T>
constexpr int kLanes = kVectorBytes / static_cast<int>(sizeof(T));

#if PATHRELU_VECTORS
template <class T>
struct Simd;
// Alignment of one element, so that a load from any address is allowed.
template <>
struct Simd<float> {
    typedef float type __attribute__((vector_size(kVectorBytes), aligned(4), may_alias));
};
template <>
struct Simd<double> {
    typedef double type __attribute__((vector_size(kVectorBytes), aligned(8), may_alias));
};
template <class T>
using Vec = typename Simd<T>::type;
template <class T>
inline Vec<T> load(const T* p) {
    return *reinterpret_cast<const Vec<T>*>(p);
}
template <class T>
inline void store(T* p, Vec<T> v) {
    *reinterpret_cast<Vec<T>*>(p) = v;
}
template <class T>
inline Vec<T> broadcast(T a) {
    return a - Vec<T>{};
}
/// As many X as a vector has T, converted.
template <class T, class X>
inline Vec<T> load_as(const X* p) {
    typedef X Source __attribute__((vector_size(kLanes<T> * sizeof(X)), aligned(alignof(X)), may_alias));
    return __builtin_convertvector(*reinterpret_cast<const Source*>(p), Vec<T>);
}
/// The first `count` entries of v, then zeros.
template <class T>
inline Vec<T> head(Vec<T> v, Index count) {
    auto place = v < v;
    for (int l = 0; l < kLanes<T>; ++l) place[l] = l;
    return place < static_cast<decltype(place[0] + 0)>(count) ? v : Vec<T>{};
}
#else
template <class T>
struct Vec {
    T a[kLanes<T>];
    Vec& operator+=(const Vec& b) {
        for (int l = 0; l < kLanes<T>; ++l) a[l] += b.a[l];
        return *this;
    }
};
template <class T>
inline Vec<T> operator+(Vec<T> a, const Vec<T>& b) {
    return a += b;
}
template <class T>
inline Vec<T> operator*(Vec<T> a, const Vec<T>& b) {
    for (int l = 0; l < kLanes<T>; ++l) a.a[l] *= b.a[l];
    return a;
}
template <class T>
inline Vec<T> load(const T* p) {
    Vec<T> v;
    for (int l = 0; l < kLanes<T>; ++l) v.a[l] = p[l];
    return v;
}
template <class T>
inline void store(T* p, Vec<T> v) {
    for (int l = 0; l < kLanes<T>; ++l) p[l] = v.a[l];
}
template <class T>
inline Vec<T> broadcast(T a) {
    Vec<T> v;
    for (int l = 0; l < kLanes<T>; ++l) v.a[l] = a;
    return v;
}
template <class T, class X>
inline Vec<T> load_as(const X* p) {
    Vec<T> v;
    for (int l = 0; l < kLanes<T>; ++l) v.a[l] = static_cast<T>(p[l]);
    return v;
}
template <class T>
inline Vec<T> head(Vec<T> v, Index count) {
    for (Index l = count; l < kLanes<T>; ++l) v.a[l] = 0;
    return v;
}
#endif

inline Index least(Index a, Index b) {
    return a < b ? a : b;
}

/// Scratch that is aligned to a cache line and freed at the end of its scope.
template <class T>
class Scratch {
  public:
    explicit Scratch(Index size) : raw_(new char[static_cast<std::size_t>(size) * sizeof(T) + 64]) {
        const auto address = reinterpret_cast<std::uintptr_t>(raw_);
        data = reinterpret_cast<T*>((address + 63) / 64 * 64);
    }
    ~Scratch() { delete[] raw_; }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
    T* data;

  private:
    char* raw_;
};

// ---- Sums over subsets, by tables (Arlazarov, Dinic, Kronrod, Faradzev 1970)
// --------------------------------
//
// Both products add up vectors chosen by bits: rows r_i x_i chosen by a path's mask, or weights v_p chosen by
// a row's. Four vectors have 16 sums; a table of them turns four masked additions into one. Eight tables
// serve one 32-bit word.

constexpr int kWord = 32;
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

// ---- Dense product whose entries do not depend on their place
// ------------------------------------------------

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

// ---- Trees on 32 rows
// --------------------------------------------------------------------------------

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

/// Bit i is set where v[i] > 0.
inline std::uint32_t positive_bits(const double* v) {
    std::uint32_t word = 0;
#if defined(__AVX512F__)
    for (int i = 0; i < kWord; i += 8)
        word |= static_cast<std::uint32_t>(
                    _mm512_cmp_pd_mask(_mm512_loadu_pd(v + i), _mm512_setzero_pd(), _CMP_GT_OQ))
                << i;
#elif defined(__AVX__)
    for (int i = 0; i < kWord; i += 4)
        word |= static_cast<std::uint32_t>(_mm256_movemask_pd(
                    _mm256_cmp_pd(_mm256_loadu_pd(v + i), _mm256_setzero_pd(), _CMP_GT_OQ)))
                << i;
#else
    for (int i = 0; i < kWord; ++i) word |= static_cast<std::uint32_t>(v[i] > 0) << i;
#endif
    return word;
}

void trees(const Index* width, Index layers, Index paths, const double* pre, Index ldc, Index K,
           const std::int8_t* signs, const double* sigma, double* scratch, double* f, double* roots,
           Index root_stride, std::uint32_t* words) {
    constexpr int L = kLanes<double>;
    Index units = paths;
    for (Index l = 0, size = paths; l + 1 < layers; ++l) units += size /= width[l];
    double* const inner = scratch;  // (units - paths, 32)
    std::uint32_t* const on = reinterpret_cast<std::uint32_t*>(scratch + kWord * units);
    for (Index k = 0; k < K; ++k) {
        const double* below = pre + k * paths * ldc;
        Index stride = ldc, size = paths;
        const std::int8_t* sign = signs + k * (units - 1);
        double* above = inner;
        for (Index p = 0; p < paths; ++p) on[p] = positive_bits(below + p * ldc);
        std::uint32_t* bits = on + paths;
        for (Index l = 0; l + 1 < layers; ++l) {
            size /= width[l];
            const double* child = below;
            below = above;
            for (Index u = 0; u < size; ++u, above += kWord) {
                for (int i = 0; i < kWord; i += L) {
                    Vec<double> sum = broadcast(0.0);
                    for (Index c = 0; c < width[l]; ++c)
                        sum += broadcast(static_cast<double>(sign[c])) *
                               positive_part<double>(load(child + c * stride + i));
                    store(above + i, sum);
                }
                *bits++ = positive_bits(above);
                child += width[l] * stride;
                sign += width[l];
            }
            stride = kWord;
        }
        // `below` is the root now. Down the tree, a unit's bits become those of all units above it as well.
        const Vec<double> factor = broadcast(sigma[k]);
        for (int i = 0; i < kWord; i += L) {
            const Vec<double> root = positive_part<double>(load(below + i));
            store(f + i, load(f + i) + factor * root);
            if (roots) store(roots + k * root_stride + i, root);
        }
        Index end = units;
        for (Index l = layers - 1, count = 1; l-- > 0;) {
            const Index parents = end - count;
            count *= width[l];
            const Index first = parents - count;
            for (Index u = 0; u < count; ++u) on[first + u] &= on[parents + u / width[l]];
            end = parents;
        }
        for (Index p = 0; p < paths; ++p) words[k * paths + p] = on[p];
    }
}

// ---- Trees on rows side by side, for predictions
// -----------------------------------------------------

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
               Index K, const std::int8_t* signs, const T* coef, const std::int64_t* output, T* scratch,
               T* f) {
    const auto add = [&](Index k, const auto& root) {
        T* const out = f + output[k] * kBlock<T>;
        for (int v = 0; v < kAcross; ++v) {
            T* const place = out + v * kLanes<T>;
            store(place, load(place) + broadcast(coef[k]) * positive_part<T>(root[v]));
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
               const std::int8_t* signs, const T* coef, const std::int64_t* output, T* values, double* gates,
               T* f) {
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
            T* const out = f + output[first + k] * kBlock<T>;
            const T factor = coef[first + k];
            for (Index r = 0; r < kBlock<T>; ++r) out[r] += gate[r] > 0 ? factor * value[r] : T(0);
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

// ---- Search for violated rows
// --------------------------------------------------------------------------------

Index find_below(const double* pre, const double* inverse_norm, const std::uint64_t* bits, Index n,
                 double threshold, Index* rows, double* values) {
    Index found = 0;
    double depth[kPad];
    for (Index i0 = 0; i0 < n; i0 += kPad) {
        const std::uint64_t word = bits[i0 / 64] >> (i0 % 64);
        int any = 0;
        for (Index k = 0; k < kPad; ++k) {
            const double side = (word >> k & 1u) != 0 ? 1.0 : -1.0;
            depth[k] = side * pre[i0 + k] * inverse_norm[i0 + k];
            any |= depth[k] < -threshold;
        }
        if (!any) continue;
        for (Index k = 0; k < least(kPad, n - i0); ++k)
            if (depth[k] < -threshold) {
                rows[found] = i0 + k;
                values[found++] = depth[k];
            }
    }
    return found;
}

// ---- Small dense algebra of the Newton step
// ------------------------------------------------------------------

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic>;
using RowMatrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// Columns of one task: fixed, so that the bits do not depend on the number of threads.
constexpr Index kGramColumns = 128;

void add_gram(const double* a, Index rows, Index m, double* h, int threads) {
    const Eigen::Map<const RowMatrix> A(a, rows, m);
    Eigen::Map<Matrix> H(h, m, m);
    in_team(threads, (m + kGramColumns - 1) / kGramColumns, [&](Tasks& tasks) {
        for (Index task; tasks.take(task);) {
            const Index c = task * kGramColumns, count = least(kGramColumns, m - c);
            H.block(c, c, m - c, count).noalias() += A.rightCols(m - c).transpose() * A.middleCols(c, count);
        }
    });
}

void masked_gram(const double* x, Index d, const double* masks, Index k, const double* plus, Index p,
                 const double* minus, Index q, Index m, double* h, int threads) {
    using Rows = Eigen::Map<const RowMatrix>;
    const Rows X(x, d, m), M(masks, k, m), P(plus, p, m), N(minus, q, m);
    Eigen::Map<Matrix> H(h, m, m);
    in_team(threads, (m + kGramColumns - 1) / kGramColumns, [&](Tasks& tasks) {
        Matrix part;
        for (Index task; tasks.take(task);) {
            const Index c = task * kGramColumns, count = least(kGramColumns, m - c), rest = m - c;
            auto block = H.block(c, c, rest, count);
            block.noalias() = X.rightCols(rest).transpose() * X.middleCols(c, count);
            part.noalias() = M.rightCols(rest).transpose() * M.middleCols(c, count);
            block.array() *= part.array();
            block.noalias() += P.rightCols(rest).transpose() * P.middleCols(c, count);
            block.noalias() -= N.rightCols(rest).transpose() * N.middleCols(c, count);
        }
    });
}

bool cholesky(double* h, Index m, double ridge) {
    Eigen::Map<Matrix> H(h, m, m);
    H.diagonal().array() += ridge;
    return Eigen::LLT<Eigen::Ref<Matrix>, Eigen::Lower>(H).info() == Eigen::Success;
}

void cholesky_solve(const double* h, Index m, double* b, Index count) {
    const Eigen::Map<const Matrix> L(h, m, m);
    Eigen::Map<Matrix> x(b, m, count);
    L.triangularView<Eigen::Lower>().solveInPlace(x);
    L.triangularView<Eigen::Lower>().adjoint().solveInPlace(x);
}

template <class X, class T>
constexpr MaskedKernels<X, T> masked_kernels() {
    return {adjoint<X, T>, forward<X, T>};
}

template <class T>
constexpr DenseKernels<T> dense_kernels() {
    return {packed_size<T>, pack<T>, multiply<T>};
}

template <class T>
constexpr TreeKernels<T> tree_kernels() {
    return {kBlock<T>,    kBlock<double>,   scale_block<T>, add_trees<T>,
            add_gated<T>, gated_scratch<T>, add_linear<T>};
}

#define PATHRELU_TEXT_(s) #s
#define PATHRELU_TEXT(s) PATHRELU_TEXT_(s)

}  // namespace

extern const KernelTable table;
const KernelTable table = {PATHRELU_TEXT(PATHRELU_ISA),
                           masked_kernels<float, float>(),
                           masked_kernels<float, double>(),
                           masked_kernels<double, float>(),
                           masked_kernels<double, double>(),
                           dense_kernels<float>(),
                           dense_kernels<double>(),
                           tree_kernels<float>(),
                           tree_kernels<double>(),
                           trees,
                           find_below,
                           add_gram,
                           masked_gram,
                           cholesky,
                           cholesky_solve};

}  // namespace PATHRELU_ISA
}  // namespace pathrelu
