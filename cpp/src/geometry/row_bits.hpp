#pragma once
#include <numeric>
#include <vector>

#include <pathrelu/enumeration.hpp>

namespace pathrelu {

using Bits = std::vector<std::uint64_t>;

/// Rows that lie on each line, to set their bits from the side of the line's hyperplane.
class RowBits {
  public:
    explicit RowBits(const Lines& lines) : begin_(lines.size() + 1, 0) {
        const Index n = static_cast<Index>(lines.line.size());
        words_ = (n + 63) / 64;
        for (const Index j : lines.line)
            if (j >= 0) ++begin_[j + 1];
        std::partial_sum(begin_.begin(), begin_.end(), begin_.begin());
        rows_.resize(begin_.back());
        std::vector<Index> next(begin_.begin(), begin_.end() - 1);
        used_.assign(words_, 0);
        for (Index i = 0; i < n; ++i) {
            if (lines.line[i] < 0) continue;
            rows_[next[lines.line[i]]++] = {i, lines.factor[i] > 0};
            used_[i / 64] |= std::uint64_t{1} << (i % 64);
        }
    }
    Index words() const { return words_; }
    /// Changes the bits of a line's rows to those of the other side.
    void flip(Index line, std::uint64_t* bits) const {
        for (Index k = begin_[line]; k < begin_[line + 1]; ++k)
            bits[rows_[k].row / 64] ^= std::uint64_t{1} << (rows_[k].row % 64);
    }
    /// Sets the bits of a line's rows, which are zero.
    void set(Index line, bool positive, std::uint64_t* bits) const {
        for (Index k = begin_[line]; k < begin_[line + 1]; ++k)
            if (rows_[k].same == positive) bits[rows_[k].row / 64] |= std::uint64_t{1} << (rows_[k].row % 64);
    }
    /// out <- the bits at -u, given those at u.
    void opposite(const std::uint64_t* bits, std::uint64_t* out) const {
        for (Index w = 0; w < words_; ++w) out[w] = used_[w] & ~bits[w];
    }

  private:
    struct Row {
        Index row;
        bool same;  // as the unit vector of the line
    };
    Index words_;
    std::vector<Index> begin_;
    std::vector<Row> rows_;
    Bits used_;  // rows that are not zero
};

}  // namespace pathrelu
