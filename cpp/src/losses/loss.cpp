#include <pathrelu/error.hpp>

#include "losses/table.hpp"

namespace pathrelu {
namespace {

std::vector<LossEntry> table() {
    std::vector<LossEntry> all = entrywise_losses();
    for (LossEntry& entry : multinomial_losses()) all.push_back(std::move(entry));
    return all;
}

}  // namespace

std::unique_ptr<Loss> Loss::smoothed(double, MatView<const double>) const {
    return nullptr;
}

void Loss::shift_targets(const double*, const Loss&, MatView<const double>, double*) const {}

std::vector<LossTraits> losses() {
    std::vector<LossTraits> all;
    for (const LossEntry& entry : table()) all.push_back(entry.traits);
    return all;
}

std::unique_ptr<Loss> make_loss(const LossSpec& spec, MatView<const double> y, VecView<const double> w,
                                int threads) {
    require_size("w", w, y.rows);
    std::string known;
    for (const LossEntry& entry : table()) {
        known += (known.empty() ? "'" : ", '") + entry.traits.name + "'";
        if (entry.traits.name != spec.name) continue;
        const std::size_t given = spec.parameters.size();
        require(given == 0 || (!entry.traits.parameter.empty() && given == static_cast<std::size_t>(y.cols)),
                "loss '", spec.name, "' came with ", given, " parameters; expected ",
                entry.traits.parameter.empty() ? "none" : "one for each output");
        for (const double parameter : spec.parameters)
            require(parameter > 0 && parameter < entry.traits.below, entry.traits.parameter, " is ",
                    parameter, "; expected a number above 0 and below ", entry.traits.below);
        std::unique_ptr<Loss> loss = entry.make(spec, y, w, threads);
        loss->check_targets(y);
        return loss;
    }
    require(false, "loss is '", spec.name, "'; expected one of ", known);
    return nullptr;
}

}  // namespace pathrelu
