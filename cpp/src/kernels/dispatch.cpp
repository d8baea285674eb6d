#include <atomic>

#include <pathrelu/error.hpp>
#include <pathrelu/kernels.hpp>

#include "kernels/table.hpp"

namespace pathrelu {

namespace base {
extern const KernelTable table;
}
#ifdef PATHRELU_X86_LEVELS
namespace v3 {
extern const KernelTable table;
}
namespace v4 {
extern const KernelTable table;
}
#endif

namespace {

std::vector<const KernelTable*> usable() {
    std::vector<const KernelTable*> tables{&base::table};
#ifdef PATHRELU_X86_LEVELS
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2")) {
        tables.push_back(&v3::table);
        if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
            __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
            __builtin_cpu_supports("avx512vl"))
            tables.push_back(&v4::table);
    }
#endif
    return tables;
}

std::atomic<const KernelTable*>& chosen() {
    static std::atomic<const KernelTable*> table{usable().back()};
    return table;
}

}  // namespace

const KernelTable& kernels() {
    return *chosen().load(std::memory_order_relaxed);
}

std::string kernel_level() {
    return kernels().name;
}

std::vector<std::string> kernel_levels() {
    std::vector<std::string> names;
    for (const KernelTable* t : usable()) names.emplace_back(t->name);
    return names;
}

void use_kernels(const std::string& level) {
    std::string known;
    for (const KernelTable* t : usable()) {
        if (level == t->name) {
            chosen().store(t);
            return;
        }
        known += std::string(known.empty() ? "" : ", ") + t->name;
    }
    require(false, "kernel level is '", level, "'; this machine runs ", known);
}

}  // namespace pathrelu
