#pragma once
#include <string>
#include <vector>

namespace pathrelu {

/// Instruction sets this build has kernels for and this processor runs, slowest first ("plain",
/// "base", "v3", "v4"); "plain" is what compilers without vector types make of them.
std::vector<std::string> kernel_levels();

/// The level in use.
std::string kernel_level();

/// Uses the named level from now on, for tests and measurements. Not to be called while work is under way.
/// Throws std::invalid_argument for a level that `kernel_levels` does not list.
void use_kernels(const std::string& level);

}  // namespace pathrelu
