#pragma once
#include <algorithm>

#include "kernels/table.hpp"

namespace pathrelu {

/// Rows whose sums are made together where each has `size` numbers: whole tiles of a pass, whatever the
/// number of threads. The sums of all blocks are kept, up to 32 MiB unless four blocks have more.
inline Index rows_of_block(Index n, Index size) {
    constexpr Index kLeast = 1024, kMostBlocks = 64, kLeastBlocks = 4, kMostKept = 4000000;
    const Index most = std::clamp(kMostKept / std::max<Index>(size, 1), kLeastBlocks, kMostBlocks);
    const Index block = std::max(kLeast, (n + most - 1) / most);
    return (block + kPassRows - 1) / kPassRows * kPassRows;
}

}  // namespace pathrelu
