#pragma once
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>

#include <pathrelu/threads.hpp>

// A failed check says where and what, and ends the test.
#define CHECK(condition)                                                         \
    do {                                                                         \
        if (!(condition)) {                                                      \
            std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            std::exit(1);                                                        \
        }                                                                        \
    } while (false)

#define CHECK_NEAR(a, b, tolerance)                                                                          \
    do {                                                                                                     \
        const double a_ = (a), b_ = (b), tolerance_ = (tolerance);                                           \
        if (!(std::abs(a_ - b_) <= tolerance_)) {                                                            \
            std::fprintf(stderr, "%s:%d: %s is %.17g, %s is %.17g, they differ by more than %g\n", __FILE__, \
                         __LINE__, #a, a_, #b, b_, tolerance_);                                              \
            std::exit(1);                                                                                    \
        }                                                                                                    \
    } while (false)

// The statement throws std::invalid_argument with exactly this text.
#define CHECK_REFUSED(statement, expected)                                                                 \
    do {                                                                                                   \
        std::string what_ = "nothing";                                                                     \
        try {                                                                                              \
            statement;                                                                                     \
        } catch (const std::invalid_argument& e) {                                                         \
            what_ = e.what();                                                                              \
        }                                                                                                  \
        if (what_ != (expected)) {                                                                         \
            std::fprintf(stderr, "%s:%d: %s threw '%s'\n", __FILE__, __LINE__, #statement, what_.c_str()); \
            std::exit(1);                                                                                  \
        }                                                                                                  \
    } while (false)

/// While it lives all work is shared, however little; at its end a team of at least `threads` has opened.
class SharedWork {
  public:
    explicit SharedWork(int threads) : threads_(threads), before_(pathrelu::serial_threshold()) {
        pathrelu::use_serial_threshold(0);
        pathrelu::reset_largest_team();
    }
    ~SharedWork() {
        pathrelu::use_serial_threshold(before_);
#ifdef _OPENMP
        CHECK(pathrelu::largest_team() >= threads_);
#endif
    }
    SharedWork(const SharedWork&) = delete;
    SharedWork& operator=(const SharedWork&) = delete;

  private:
    int threads_;
    pathrelu::Index before_;
};
