// Compiled once per instruction set with PATHRELU_ISA naming the level and Eigen renamed. Raw pointers only:
// an inline function of the standard library would be shared between the levels by the linker.
#include "kernels/algebra.hpp"
#include "kernels/dense.hpp"
#include "kernels/masked.hpp"
#include "kernels/passes.hpp"
#include "kernels/table.hpp"
#include "kernels/trees.hpp"

namespace pathrelu {
namespace PATHRELU_ISA {
namespace {

template <class X, class T>
constexpr MaskedKernels<X, T> masked_kernels() {
    return {adjoint<X, T>, forward<X, T>};
}

template <class T>
constexpr DenseKernels<T> dense_kernels() {
    return {packed_size<T>, pack<T>, multiply<T>};
}

template <class T>
constexpr TreeKernels<T> tree_kernels() {
    return {kBlock<T>,    kBlock<double>,   scale_block<T>, add_trees<T>,
            add_gated<T>, gated_scratch<T>, add_linear<T>};
}

template <class T>
constexpr PassKernels<T> pass_kernels() {
    return {pass_product<T>,       pass_slopes<T>,   pass_weigh<T>, pass_add_masked<T>,
            pass_spread_masked<T>, pass_contract<T>, pass_padded<T>};
}

#define PATHRELU_TEXT_(s) #s
#define PATHRELU_TEXT(s) PATHRELU_TEXT_(s)

}  // namespace

extern const KernelTable table;
const KernelTable table = {PATHRELU_TEXT(PATHRELU_ISA),
                           masked_kernels<float, float>(),
                           masked_kernels<float, double>(),
                           masked_kernels<double, float>(),
                           masked_kernels<double, double>(),
                           dense_kernels<float>(),
                           dense_kernels<double>(),
                           tree_kernels<float>(),
                           tree_kernels<double>(),
                           pass_kernels<float>(),
                           pass_kernels<double>(),
                           find_below,
                           add_gram,
                           masked_gram,
                           cholesky,
                           cholesky_solve};

}  // namespace PATHRELU_ISA
}  // namespace pathrelu
