#pragma once
#include <pybind11/pybind11.h>

#include <chrono>
#include <thread>

#ifdef __GLIBCXX__
#include <cxxabi.h>
// What unwinds is no C++ object: the reference that its handler names is to nothing, and is never read.
#define PATHRELU_HANDLES_FORCED_UNWIND __attribute__((no_sanitize("null")))
#else
#define PATHRELU_HANDLES_FORCED_UNWIND
#endif

namespace pathrelu {

/// Runs body(), which takes the GIL or runs Python code, and returns what it does. Once the interpreter is
/// shutting down, CPython before 3.14 ends every other thread that asks for the GIL, and glibc does so by
/// unwinding its stack, which C++ destructors turn into an abort of the process. Such a thread sleeps here
/// until the process has ended, as CPython itself does from 3.14 on.
template <class Body>
PATHRELU_HANDLES_FORCED_UNWIND auto or_sleep_at_exit(Body body) {
#ifdef __GLIBCXX__
    try {
        return body();
    } catch (const abi::__forced_unwind&) {
        for (;;) std::this_thread::sleep_for(std::chrono::hours(1));
    }
#else
    return body();
#endif
}

/// Holds no GIL while it lives; made by a thread that holds it.
class WithoutGil {
  public:
    WithoutGil() : state_(PyEval_SaveThread()) {}
    ~WithoutGil() {
        or_sleep_at_exit([this] { PyEval_RestoreThread(state_); });
    }
    WithoutGil(const WithoutGil&) = delete;
    WithoutGil& operator=(const WithoutGil&) = delete;

  private:
    PyThreadState* state_;
};

/// body() with the GIL, where `WithoutGil` has given it up.
template <class Body>
void with_gil(Body body) {
    struct Gil {
        PyGILState_STATE state = or_sleep_at_exit(PyGILState_Ensure);
        ~Gil() { PyGILState_Release(state); }
    };
    const Gil gil;
    or_sleep_at_exit(body);
}

}  // namespace pathrelu
