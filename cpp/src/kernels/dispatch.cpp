#include <atomic>

#include <pathrelu/error.hpp>
#include <pathrelu/kernels.hpp>

#include "kernels/table.hpp"

#ifdef PATHRELU_X86_LEVELS
#include <cpuid.h>
#endif

namespace pathrelu {

namespace base {
extern const KernelTable table;
}
#ifdef PATHRELU_PLAIN_LEVEL
namespace plain {
extern const KernelTable table;
}
#endif
#ifdef PATHRELU_X86_LEVELS
namespace v3 {
extern const KernelTable table;
}
namespace v4 {
extern const KernelTable table;
}
#endif

namespace {

#ifdef PATHRELU_X86_LEVELS
/// All that the compiler may use for x86-64-v3, as the psABI lists it. Not every compiler knows the last four
/// by name (Intel SDM 2A, CPUID; AMD APM 3, E.4.2).
bool runs_v3() {
    constexpr unsigned kMovbe = 1u << 22, kOsxsave = 1u << 27, kF16c = 1u << 29;  // leaf 1
    constexpr unsigned kLzcnt = 1u << 5;                                          // leaf 0x80000001
    constexpr unsigned kLeaf1 = kMovbe | kOsxsave | kF16c;
    unsigned a = 0, b = 0, c = 0, d = 0, extended = 0;
    return __builtin_cpu_supports("avx") && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
           __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("fma") &&
           __get_cpuid(1, &a, &b, &c, &d) && (c & kLeaf1) == kLeaf1 &&
           __get_cpuid(0x80000001, &a, &b, &extended, &d) && (extended & kLzcnt);
}

bool runs_v4() {
    return runs_v3() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl");
}
#endif

std::vector<const KernelTable*> usable() {
    std::vector<const KernelTable*> tables;
#ifdef PATHRELU_PLAIN_LEVEL
    tables.push_back(&plain::table);
#endif
    tables.push_back(&base::table);
#ifdef PATHRELU_X86_LEVELS
    __builtin_cpu_init();
    if (runs_v3()) tables.push_back(&v3::table);
    if (runs_v4()) tables.push_back(&v4::table);
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
