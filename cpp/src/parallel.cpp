#include "parallel.hpp"

#include <pathrelu/error.hpp>
#include <pathrelu/threads.hpp>

#ifdef _OPENMP
#include <omp.h>
#ifndef _WIN32
#include <pthread.h>
#endif
#endif

namespace pathrelu {
namespace {

/// Below some tens of microseconds of work a barrier costs more than it saves, and very much more where other
/// processes hold the cores.
constexpr Index kSerialThreshold = 8000000;

std::atomic<Index> threshold{kSerialThreshold};
std::atomic<int> largest{1};
std::atomic<bool> last_task_first{false};
std::atomic<bool> forked_after_team{false};

}  // namespace

Index serial_threshold() {
    return threshold.load(std::memory_order_relaxed);
}

void use_serial_threshold(Index work) {
    require(work >= 0, "work is ", work, "; expected 0 or more multiplications");
    threshold.store(work, std::memory_order_relaxed);
}

void use_last_task_first(bool last_first) {
    last_task_first.store(last_first, std::memory_order_relaxed);
}

int largest_team() {
    return largest.load(std::memory_order_relaxed);
}

void reset_largest_team() {
    largest.store(1, std::memory_order_relaxed);
}

int threads_for(Index work, int threads) {
    return work < serial_threshold() ? 1 : threads;
}

int allowed_team(int threads) {
    return forked_after_team.load(std::memory_order_relaxed) ? 1 : threads;
}

void note_team() {
#ifdef _OPENMP
    const int size = omp_get_num_threads();
    if (size == 1 || !on_calling_thread()) return;
    for (int seen = largest_team(); seen < size && !largest.compare_exchange_weak(seen, size);) {
    }
#ifndef _WIN32
    static const int watched = pthread_atfork(nullptr, nullptr, [] { forked_after_team = true; });
    static_cast<void>(watched);
#endif
#endif
}

Tasks::Tasks(Index count) : count_(count), next_(0), failed_(false) {}

Tasks::~Tasks() = default;

bool Tasks::take(Index& task) {
    if (failed_.load(std::memory_order_relaxed)) return false;
    const Index nth = next_.fetch_add(1, std::memory_order_relaxed);
    task = last_task_first.load(std::memory_order_relaxed) ? count_ - 1 - nth : nth;
    return nth < count_;
}

void Tasks::fail() noexcept {
    if (!failed_.exchange(true)) first_ = std::current_exception();
}

void Tasks::rethrow() const {
    if (first_) std::rethrow_exception(first_);
}

bool on_calling_thread() {
#ifdef _OPENMP
    return omp_get_thread_num() == 0;
#else
    return true;
#endif
}

}  // namespace pathrelu
