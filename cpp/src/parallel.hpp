#pragma once
#include <pathrelu/types.hpp>

namespace pathrelu {

/// Threads worth waking for so many multiplications: all that are allowed, or one below the serial threshold.
int threads_for(Index work, int threads);

/// The threads a team may have in this process: one in a child forked after a team had opened in its parent,
/// for the runtime (GNU's) would wait there for threads that only the parent has.
int allowed_team(int threads);

/// Called by every thread of a team that has just opened.
void note_team();

/// Whether this is the thread that opened the team around.
bool on_calling_thread();

/// Runs body() on every thread of a team; `omp for` in it shares loops. All teams open here.
template <class Body>
void in_team(int threads, const Body& body) {
    const int team = allowed_team(threads);
#pragma omp parallel num_threads(team) if (team > 1)
    {
        note_team();
        body();
    }
}

}  // namespace pathrelu
