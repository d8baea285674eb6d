#pragma once
#include <pathrelu/losses.hpp>

#include <limits>

namespace pathrelu {

constexpr double kUnbounded = std::numeric_limits<double>::infinity();

using LossPointer = std::unique_ptr<Loss>;
using SmoothingPointer = std::unique_ptr<Smoothing>;

/// One line for each loss: what it is called and takes, and how it is made.
struct LossEntry {
    LossTraits traits;
    LossPointer (*make)(const LossSpec&, MatView<const double> y, VecView<const double> w, int threads);
    /// Rounds its kinks off; null for a loss that has none.
    SmoothingPointer (*smooth)(const LossSpec&, MatView<const double> y, VecView<const double> w,
                               int threads) = nullptr;
};

std::vector<LossEntry> entrywise_losses();
std::vector<LossEntry> multinomial_losses();

}  // namespace pathrelu
