#pragma once
#include <pathrelu/enumeration.hpp>

namespace pathrelu {

/// None yet, of this shape on these rows.
Cells empty_cells(const Lines& lines, const TreeShape& shape);

/// Throws std::invalid_argument if the count, introduced by `how`, is more than `most`.
void refuse_more_than(double count, Index most, const char* how);

}  // namespace pathrelu
