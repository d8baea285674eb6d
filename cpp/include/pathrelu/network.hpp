#pragma once
#include <vector>

#include <pathrelu/arrangements.hpp>

namespace pathrelu {

/// K trees of one shape:  f(x) = b + sum_k tree_k((x - center) / scale) a_k with output weights a_k (C), and
/// with a skip connection a linear map of the scaled row more.
///
/// Leaf p of tree k has the pre-activation W_kp . z + bias_kp. With gates (gated networks) the units are on
/// where the tree of gate weights is on, and the tree is the sum of its paths' linear maps. Everything is
/// read in place.
struct NetworkView {
    TreeShape shape;
    VecView<const double> center;          ///< (d)
    VecView<const double> scale;           ///< (d)
    MatView<const double> W;               ///< (K * paths, d)
    VecView<const double> bias;            ///< (K * paths)
    MatView<const double> gates;           ///< (K * paths, d), or no rows
    VecView<const double> gate_bias;       ///< (K * paths), or empty
    MatView<const std::int8_t> signs;      ///< (K, edges)
    MatView<const double> output_weights;  ///< (K, C)
    VecView<const double> intercept;       ///< (C)

    MatView<const double> skip = {};       ///< (C, d), or no rows
    VecView<const double> skip_bias = {};  ///< (C), or empty
};

/// out (n, C) <- the network at the rows, summed in the rows' precision; gates are always computed in double,
/// in the order that arrangements_from_trees uses. False if an entry of the rows is not finite; then the
/// outputs mean nothing.
///
/// A row for which that overflows is computed in double, whatever the rows around it. Throws
/// std::invalid_argument with the first row whose outputs are beyond the numbers of X, or which overflows in
/// double too.
template <class X>
bool predict(Rows<X> rows, const NetworkView& network, MatView<X> out, int threads);

}  // namespace pathrelu
