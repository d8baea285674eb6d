#pragma once
#include <pathrelu/enumeration.hpp>

namespace pathrelu {

/// Depth 2 with normals in R^3, by walks along the lines in which their planes meet a generic one.
Cells cells_of_chart(const Lines& lines, double tol, int threads, const Poll& poll);

}  // namespace pathrelu
