#pragma once
#include <sstream>
#include <stdexcept>
#include <string>

#include <pathrelu/types.hpp>

namespace pathrelu {

template <class... Parts>
std::string text(const Parts&... parts) {
    std::ostringstream out;
    (out << ... << parts);
    return out.str();
}

/// Throws std::invalid_argument (ValueError in Python) with the parts joined, unless `ok`.
template <class... Parts>
void require(bool ok, const Parts&... parts) {
    if (!ok) throw std::invalid_argument(text(parts...));
}

template <class T>
void require_shape(const char* name, const MatView<T>& a, Index rows, Index cols) {
    require(a.rows == rows && a.cols == cols, name, " has shape (", a.rows, ", ", a.cols, "); expected (",
            rows, ", ", cols, ")");
}

template <class T>
void require_size(const char* name, const VecView<T>& a, Index size) {
    require(a.size == size, name, " has shape (", a.size, ",); expected (", size, ",)");
}

}  // namespace pathrelu
