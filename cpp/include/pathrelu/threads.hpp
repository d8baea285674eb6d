#pragma once
#include <pathrelu/types.hpp>

namespace pathrelu {

/// Multiplications below which work is done by the calling thread alone, whatever number of threads it is
/// allowed.
Index serial_threshold();

/// Uses another threshold from now on, for tests and measurements: with 0 all work is shared. Not to be
/// called while work is under way. Throws std::invalid_argument if negative.
void use_serial_threshold(Index work);

/// Whether the last task of a team is taken first from now on, for tests: what depends on the order in which
/// tasks end then shows on one thread already. Not to be called while work is under way.
void use_last_task_first(bool last_first);

/// Threads of the largest team that has shared work since the last reset; 1 if none has.
int largest_team();
void reset_largest_team();

}  // namespace pathrelu
