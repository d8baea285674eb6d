#pragma once
#include <pathrelu/types.hpp>

#ifdef _OPENMP
#include <omp.h>
#endif

namespace pathrelu {

/// Threads worth waking for so many multiplications: below some tens of microseconds of work a barrier costs
/// more than it saves, and very much more where other processes hold the cores.
inline int threads_for(Index work, int threads) {
    constexpr Index kSerial = 8000000;
    return work < kSerial ? 1 : threads;
}

/// Whether this is the thread that opened the parallel region around.
inline bool on_calling_thread() {
#ifdef _OPENMP
    return omp_get_thread_num() == 0;
#else
    return true;
#endif
}

}  // namespace pathrelu
