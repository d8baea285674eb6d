#pragma once
#include <cmath>
#include <cstdint>

#include <pathrelu/types.hpp>

namespace pathrelu {

/// The steps of the counter and the mixing of its bits in SplitMix (Steele, Lea & Flood 2014).
constexpr std::uint64_t kCounterStep = 0x9e3779b97f4a7c15u;

inline std::uint64_t mix(std::uint64_t z) {
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/// Number k of a fixed sequence that looks uniform in (-1, 1).
inline double generic(std::uint64_t k) {
    return static_cast<double>(mix((k + 1) * kCounterStep) >> 11) * 0x1p-52 - 1 + 0x1p-53;
}

/// Random numbers by counter: the same for any order of use.
class Random {
  public:
    Random(std::uint64_t seed, std::uint64_t stream) : state_(mix(seed ^ mix(stream))) {}
    std::uint64_t next() { return mix(state_ += kCounterStep); }
    double uniform() { return (static_cast<double>(next() >> 11) + 0.5) * 0x1p-53; }
    double normal() {
        return std::sqrt(-2 * std::log(uniform())) * std::cos(6.283185307179586477 * uniform());
    }
    Index below(Index count) { return static_cast<Index>(uniform() * static_cast<double>(count)); }

  private:
    std::uint64_t state_;
};

}  // namespace pathrelu
