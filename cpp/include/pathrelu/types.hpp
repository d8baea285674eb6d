#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>

namespace pathrelu {

using Index = std::ptrdiff_t;

/// Contiguous vector that somebody else owns.
template <class T>
struct VecView {
    T* data = nullptr;
    Index size = 0;

    T& operator[](Index i) const { return data[i]; }
    T* begin() const { return data; }
    T* end() const { return data + size; }
};

/// Row-major contiguous matrix that somebody else owns: a C-ordered NumPy array as it is.
template <class T>
struct MatView {
    T* data = nullptr;
    Index rows = 0;
    Index cols = 0;

    T& operator()(Index i, Index j) const { return data[i * cols + j]; }
    T* row(Index i) const { return data + i * cols; }
    Index size() const { return rows * cols; }
};

/// The rows X (n, d) in their own precision.
template <class X>
using Rows = MatView<const X>;

/// Called on the calling thread between parallel regions, at least every 0.1 s or once per kernel call,
/// whichever is longer. It may throw to stop the work.
using Poll = std::function<void()>;

/// What an observer throws for the work to end soon with the best that it has, instead of with an error.
struct Stop {};

/// Runs `body`; false if it threw `Stop`.
template <class Body>
bool runs_to_its_end(Body body) {
    try {
        body();
        return true;
    } catch (const Stop&) {
        return false;
    }
}

}  // namespace pathrelu
