// Compiled once per instruction set with PATHRELU_ISA naming the level and Eigen renamed. Raw pointers only:
// an inline function of the standard library would be shared between the levels by the linker.
#include <Eigen/Cholesky>
#include <Eigen/Core>

#include "kernels/table.hpp"

namespace pathrelu {
namespace PATHRELU_ISA {
namespace {

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
#elif defined(__AVX__)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif

template <class T>
constexpr int kLanes = kVectorBytes / static_cast<int>(sizeof(T));

#if defined(__GNUC__)
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

/// sums (count, NV vectors) += the table entries chosen by words (count).
template <class T, int NV>
inline void add_chosen(const T* tables, const std::uint32_t* words, Index count, T* sums) {
    constexpr int kWidth = NV * kLanes<T>;
    for (Index m = 0; m < count; ++m) {
        const std::uint32_t word = words[m];
        T* out = sums + m * kWidth;
        Vec<T> acc[NV];
        for (int v = 0; v < NV; ++v) acc[v] = load(out + v * kLanes<T>);
        for (int k = 0; k < kTables; ++k) {
            const T* entry = tables + (k * 16 + ((word >> (4 * k)) & 15)) * kWidth;
            for (int v = 0; v < NV; ++v) acc[v] += load(entry + v * kLanes<T>);
        }
        for (int v = 0; v < NV; ++v) store(out + v * kLanes<T>, acc[v]);
    }
}

/// source (32, width) <- scale_i * x_i for `count` rows, columns col .. col + used; the rest zero.
template <class X, class T>
inline void fill_source(const X* x, Index d, Index count, Index col, Index used, Index width, const T* scale,
                        T* source) {
    for (Index i = 0; i < kWord; ++i) {
        T* s = source + i * width;
        Index j = 0;
        if (i < count) {
            const X* xi = x + i * d + col;
            const T a = scale ? scale[i] : T(1);
            for (; j < used; ++j) s[j] = a * static_cast<T>(xi[j]);
        }
        for (; j < width; ++j) s[j] = 0;
    }
}

template <class X, class T, int NV>
void adjoint_chunk(const X* x, Index d, MaskWords M, const T* r, Index col, Index p0, Index count, T* source,
                   T* tables, T* sums, double* out) {
    constexpr Index kWidth = NV * kLanes<T>;
    const Index used = least(kWidth, d - col);
    for (Index k = 0; k < count * kWidth; ++k) sums[k] = 0;
    for (Index b = 0; b * kWord < M.n; ++b) {
        const Index i = b * kWord;
        fill_source(x + i * d, d, least(kWord, M.n - i), col, used, kWidth, r + i, source);
        build_tables<T, NV>(source, tables);
        add_chosen<T, NV>(tables, M.by_rows + b * M.P + p0, count, sums);
    }
    for (Index p = 0; p < count; ++p)
        for (Index j = 0; j < used; ++j)
            out[(p0 + p) * d + col + j] = static_cast<double>(sums[p * kWidth + j]);
}

template <class X, class T>
void adjoint(const X* x, Index d, MaskWords M, const T* r, double* out, int threads) {
    const Chunks<T> chunks(d);
    // Pieces of paths only where chunks of columns cannot occupy every thread alike: each builds the tables
    // anew.
    const Index pieces = chunks.count % threads == 0 ? 1 : least(threads, (M.P + 15) / 16);
    const Index per_piece = (M.P + pieces - 1) / pieces;
    constexpr Index kWidest = kMaxVectors * kLanes<T>;
#pragma omp parallel num_threads(threads) if (threads > 1)
    {
        Scratch<T> source(kWord * kWidest), tables(kTables * 16 * kWidest), sums(per_piece * kWidest);
#pragma omp for schedule(dynamic)
        for (Index task = 0; task < chunks.count * pieces; ++task) {
            const Index c = task / pieces, p0 = task % pieces * per_piece;
            const Index count = least(per_piece, M.P - p0);
            if (count <= 0) continue;
            const Index col = chunks.first(c) * kLanes<T>;
            const auto run = chunks.size(c) == 1   ? adjoint_chunk<X, T, 1>
                             : chunks.size(c) == 2 ? adjoint_chunk<X, T, 2>
                             : chunks.size(c) == 3 ? adjoint_chunk<X, T, 3>
                                                   : adjoint_chunk<X, T, 4>;
            run(x, d, M, r, col, p0, count, source.data, tables.data, sums.data, out);
        }
    }
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
        fill_source(V + p * d, d, least(kWord, M.P - p), col, used, kWidth, static_cast<const T*>(nullptr),
                    source);
        build_tables<T, NV>(source, tables);
        add_chosen<T, NV>(tables, M.by_paths + c * M.n + i0, count, sums);
    }
    for (Index i = 0; i < count; ++i) {
        const X* xi = x + (i0 + i) * d + col;
        const T* w = sums + i * kWidth;
        T total = 0;
        for (Index j = 0; j < used; ++j) total += static_cast<T>(xi[j]) * w[j];
        out[i0 + i] += static_cast<double>(total);
    }
}

template <class X, class T>
void forward(const X* x, Index d, MaskWords M, const T* V, double* out, int threads) {
    const Chunks<T> chunks(d);
    constexpr Index kWidest = kMaxVectors * kLanes<T>;
#pragma omp parallel num_threads(threads) if (threads > 1)
    {
        Scratch<T> source(kWord * kWidest), tables(kTables * 16 * kWidest), sums(kForwardRows * kWidest);
#pragma omp for schedule(dynamic)
        for (Index block = 0; block < (M.n + kForwardRows - 1) / kForwardRows; ++block) {
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
    }
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
constexpr Index kGramColumns = 64;

void add_gram(const double* a, Index rows, Index m, double* h, int threads) {
    const Eigen::Map<const RowMatrix> A(a, rows, m);
    Eigen::Map<Matrix> H(h, m, m);
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(dynamic)
    for (Index task = 0; task < (m + kGramColumns - 1) / kGramColumns; ++task) {
        const Index c = task * kGramColumns, count = least(kGramColumns, m - c);
        H.block(c, c, m - c, count).noalias() += A.rightCols(m - c).transpose() * A.middleCols(c, count);
    }
}

bool solve_cholesky(double* h, Index m, double ridge, double* b) {
    Eigen::Map<Matrix> H(h, m, m);
    H.diagonal().array() += ridge;
    const Eigen::LLT<Eigen::Ref<Matrix>, Eigen::Lower> llt(H);
    if (llt.info() != Eigen::Success) return false;
    Eigen::Map<Eigen::VectorXd> x(b, m);
    llt.solveInPlace(x);
    return true;
}

template <class X, class T>
constexpr MaskedKernels<X, T> masked_kernels() {
    return {adjoint<X, T>, forward<X, T>};
}

template <class T>
constexpr DenseKernels<T> dense_kernels() {
    return {packed_size<T>, pack<T>, multiply<T>};
}

#define PATHRELU_TEXT_(s) #s
#define PATHRELU_TEXT(s) PATHRELU_TEXT_(s)

}  // namespace

extern const KernelTable table;
const KernelTable table = {PATHRELU_TEXT(PATHRELU_ISA),
                           masked_kernels<float, float>(),
                           masked_kernels<float, double>(),
                           masked_kernels<double, double>(),
                           dense_kernels<float>(),
                           dense_kernels<double>(),
                           find_below,
                           add_gram,
                           solve_cholesky};

}  // namespace PATHRELU_ISA
}  // namespace pathrelu
