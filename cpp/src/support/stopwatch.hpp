#pragma once
#include <chrono>
#include <limits>
#include <utility>

#include <pathrelu/types.hpp>

namespace pathrelu {

/// The time since it was made, and whether somebody who is asked now and then has stopped the work by `Stop`.
class Stopwatch {
  public:
    explicit Stopwatch(Poll poll = {}) : poll_(std::move(poll)) {}

    double seconds() const {
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    }

    /// Polls if it is time, and has not been stopped. What the poll throws leaves.
    void poll() {
        if (!poll_ || stopped_ || seconds() - polled_ <= kPollEvery) return;
        polled_ = seconds();
        poll_();
    }

    /// Runs body(), which may be left by `Stop`: then there is no more polling, and the answer is false.
    template <class Body>
    bool until_stop(Body body) {
        if (runs_to_its_end(body)) return true;
        stop();
        return false;
    }
    void stop() {
        stopped_ = true;
        stopped_at_ = seconds();
    }

    bool stopped() const { return stopped_; }
    double seconds_since_stop() const { return stopped_ ? seconds() - stopped_at_ : 0; }

  private:
    /// Seconds: seldom enough to cost nothing, often enough for whoever waits for it.
    static constexpr double kPollEvery = 0.05;

    Poll poll_;
    std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
    double polled_ = -std::numeric_limits<double>::infinity(), stopped_at_ = 0;
    bool stopped_ = false;
};

}  // namespace pathrelu
