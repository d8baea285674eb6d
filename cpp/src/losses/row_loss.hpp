#pragma once
#include <pathrelu/losses.hpp>

#include <algorithm>
#include <limits>
#include <vector>

#include "parallel.hpp"

namespace pathrelu {

/// Rows whose terms are summed together; the partial sums are then added in order.
constexpr Index kBlock = 2048;

/// A sum and, for its rounding, that of the sizes of its terms.
struct Sum {
    double value = 0, size = 0;
    /// What the sum is at least: each term and each partial sum is off by some of its last digit, in either
    /// direction.
    double least() const { return value - 2 * std::numeric_limits<double>::epsilon() * size; }
};

/// A loss that is a sum over the rows of f (n, C), in fixed blocks of rows.
class RowLoss : public Loss {
  public:
    using Loss::balance;
    void balance(double* theta) const override { balance(0, y_.rows, theta, imbalance(theta)); }
    using Loss::curvature;
    void curvature(const double* f, double* h) const override {
        each_block([&](Index, Index begin, Index end) {
            curvature(begin, end - begin, f + begin * y_.cols, h + begin * y_.cols);
        });
    }

  protected:
    RowLoss(MatView<const double> y, VecView<const double> w, int threads)
        : y_(y), w_(w), threads_(threads_for(20 * y.size(), threads)) {}

    double n() const { return static_cast<double>(y_.rows); }

    /// visit(block, begin, end) for every block of rows.
    template <class Visit>
    void each_block(Visit visit) const {
        in_team(threads_, blocks(), [&](Tasks& tasks) {
            for (Index block; tasks.take(block);)
                visit(block, block * kBlock, std::min((block + 1) * kBlock, y_.rows));
        });
    }

    /// (1/n) times the sum of term(i) over all rows.
    template <class Term>
    double sum(Term term) const {
        std::vector<double> partial(blocks());
        each_block([&](Index block, Index begin, Index end) {
            double total = 0;
            for (Index i = begin; i < end; ++i) total += term(i);
            partial[block] = total;
        });
        double total = 0;
        for (const double p : partial) total += p;
        return total / n();
    }

    Index blocks() const { return (y_.rows + kBlock - 1) / kBlock; }

    MatView<const double> y_;
    VecView<const double> w_;
    int threads_;
};

}  // namespace pathrelu
