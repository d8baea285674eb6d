#pragma once
#include <pathrelu/types.hpp>

namespace pathrelu {

/// Threads worth waking for so many multiplications: below some tens of microseconds of work a barrier costs more than it
/// saves, and very much more where other processes hold the cores.
inline int threads_for(Index work, int threads) {
    constexpr Index kSerial = 1000000;
    return work < kSerial ? 1 : threads;
}

}  // namespace pathrelu
