#pragma once
#include <pathrelu/types.hpp>

#include <vector>

namespace pathrelu {

/// Few factors m >= 0 that are not zero, with F m = F 1 and costs^T m <= costs^T 1, for F (n, K) and positive
/// costs (K): at most rank(F), all ones if the columns are independent (Caratheodory's theorem for cones).
///
/// Where more columns than rank(F) are left, they have a null vector z. Moving m along z leaves their sum as
/// it is. In the direction in which the cost does not rise some factor reaches zero, since costs are
/// positive, and its column goes. Costs O((n + K) min(n, K)^2) for every min(n, K) columns, and no copy of F
/// beyond 2 n columns.
std::vector<double> fewest_columns(MatView<const double> F, VecView<const double> costs);

}  // namespace pathrelu
