#pragma once
#include <cstdint>

#include <pathrelu/types.hpp>

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

constexpr int kWord = 32;  // rows whose masks share a word

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

}  // namespace
}  // namespace PATHRELU_ISA
}  // namespace pathrelu
