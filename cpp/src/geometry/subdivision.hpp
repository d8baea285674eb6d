#pragma once
#include <pathrelu/enumeration.hpp>

namespace pathrelu {

/// Trees of any shape on lines of any dimension, by cutting cones by one hyperplane at a time. Throws
/// std::invalid_argument where there are more than `most`.
Cells cells_of_subdivision(const Lines& lines, const TreeShape& shape, Index most, const Poll& poll);

}  // namespace pathrelu
