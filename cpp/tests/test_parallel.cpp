#include <limits>
#include <new>
#include <stdexcept>
#include <vector>

#include "check.hpp"
#include "parallel.hpp"

using namespace pathrelu;

namespace {

void each_task_is_taken_once(int threads) {
    std::vector<int> taken(1000, 0);
    in_team(threads, 1000, [&](Tasks& tasks) {
        for (Index i; tasks.take(i);) ++taken[i];
    });
    for (const int times : taken) CHECK(times == 1);
}

void tasks_are_taken_in_the_order_asked_for() {
    std::vector<Index> taken;
    const auto take_all = [&](Tasks& tasks) {
        for (Index i; tasks.take(i);) taken.push_back(i);
    };
    in_team(1, 3, take_all);
    use_last_task_first(true);
    in_team(1, 3, take_all);
    use_last_task_first(false);
    CHECK((taken == std::vector<Index>{0, 1, 2, 2, 1, 0}));
}

/// More tasks than can ever be done: the others end when one has failed.
constexpr Index kEndless = std::numeric_limits<Index>::max() / 2;

void what_a_task_throws_leaves_the_team(int threads) {
    std::string what;
    try {
        in_team(threads, kEndless, [](Tasks& tasks) {
            for (Index i; tasks.take(i);)
                if (i == 1000) throw std::runtime_error("task 1000");
        });
    } catch (const std::runtime_error& e) {
        what = e.what();
    }
    CHECK(what == "task 1000");
}

#ifdef _OPENMP
void what_another_thread_throws_leaves_on_the_calling_one(int threads) {
    bool thrown = false;
    try {
        in_team(threads, kEndless, [](Tasks& tasks) {
            if (!on_calling_thread()) throw std::bad_alloc();
            for (Index i; tasks.take(i);) {
            }
        });
    } catch (const std::bad_alloc&) {
        thrown = on_calling_thread();
    }
    CHECK(thrown);
}
#endif

void all_threads_may_throw(int threads) {
    bool thrown = false;
    try {
        in_team(threads, kEndless, [](Tasks&) { throw std::bad_alloc(); });
    } catch (const std::bad_alloc&) {
        thrown = true;
    }
    CHECK(thrown);
}

}  // namespace

int main() {
    tasks_are_taken_in_the_order_asked_for();
    for (const int threads : {1, 2, 4}) {
        const SharedWork shared(threads);
        each_task_is_taken_once(threads);
        use_last_task_first(true);
        each_task_is_taken_once(threads);
        use_last_task_first(false);
        what_a_task_throws_leaves_the_team(threads);
#ifdef _OPENMP
        if (threads > 1) what_another_thread_throws_leaves_on_the_calling_one(threads);
#endif
        all_threads_may_throw(threads);
        each_task_is_taken_once(threads);
    }
}
