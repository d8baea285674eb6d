#pragma once
#include <pathrelu/types.hpp>

#include <atomic>
#include <exception>

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

/// The tasks 0, ..., count - 1 of a team, each for the thread that asks first. Nothing of it is inline:
/// kernels for several instruction sets share no inline function.
class Tasks {
  public:
    explicit Tasks(Index count);
    ~Tasks();
    Tasks(const Tasks&) = delete;
    Tasks& operator=(const Tasks&) = delete;

    /// The next task; false if all are taken or a thread has failed.
    bool take(Index& task);

    /// Called where an exception is handled: keeps the first one, and no more tasks are taken.
    void fail() noexcept;

    /// Throws the exception kept, if any.
    void rethrow() const;

  private:
    const Index count_;
    std::atomic<Index> next_;
    std::atomic<bool> failed_;
    std::exception_ptr first_;
};

/// Runs body(tasks) on every thread of a team. What the first of them throws leaves on the calling thread,
/// when all have ended. All teams open here.
template <class Body>
void in_team(int threads, Index count, const Body& body) {
    const int team = allowed_team(threads);
    Tasks tasks(count);
#pragma omp parallel num_threads(team) if (team > 1)
    {
        // An exception that left the region would end the process.
        try {
            note_team();
            body(tasks);
        } catch (...) {
            tasks.fail();
        }
    }
    tasks.rethrow();
}

}  // namespace pathrelu
