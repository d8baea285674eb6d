#include <pathrelu/error.hpp>

#include "losses/table.hpp"

namespace pathrelu {
namespace {

std::vector<LossEntry> table() {
    std::vector<LossEntry> all = entrywise_losses();
    for (LossEntry& entry : multinomial_losses()) all.push_back(std::move(entry));
    return all;
}

/// The entry of the loss, whose parameters it can have.
LossEntry find(const LossSpec& spec, Index outputs) {
    std::string known;
    for (const LossEntry& entry : table()) {
        known += (known.empty() ? "'" : ", '") + entry.traits.name + "'";
        if (entry.traits.name != spec.name) continue;
        const LossParameter& own = entry.traits.parameter;
        const bool any = *own.name != '\0';
        const std::size_t given = spec.parameters.size();
        require(given == 0 || (any && given == static_cast<std::size_t>(outputs)), "loss '", spec.name,
                "' came with ", given, " parameters; expected ", any ? "one for each output" : "none");
        for (const double parameter : spec.parameters)
            require(parameter > 0 && parameter < own.below, own.name, " is ", parameter,
                    "; expected a number above 0 and below ", own.below);
        return entry;
    }
    require(false, "loss is '", spec.name, "'; expected one of ", known);
    return {};
}

}  // namespace

std::vector<LossTraits> losses() {
    std::vector<LossTraits> all;
    for (const LossEntry& entry : table()) all.push_back(entry.traits);
    return all;
}

std::unique_ptr<Loss> make_loss(const LossSpec& spec, MatView<const double> y, VecView<const double> w,
                                int threads) {
    require_size("w", w, y.rows);
    const LossEntry entry = find(spec, y.cols);
    std::unique_ptr<Loss> loss = entry.make(spec, y, w, threads);
    loss->check_targets(y);
    return loss;
}

std::unique_ptr<Smoothing> make_smoothing(const LossSpec& spec, MatView<const double> y,
                                          VecView<const double> w, int threads) {
    const LossEntry entry = find(spec, y.cols);
    return entry.smooth ? entry.smooth(spec, y, w, threads) : nullptr;
}

}  // namespace pathrelu
