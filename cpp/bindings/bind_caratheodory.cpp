#include <pathrelu/caratheodory.hpp>

#include "numpy.hpp"

namespace pathrelu {

void register_caratheodory(py::module_& m) {
    m.def(
        "fewest_columns",
        [](const Array<double>& f, const Array<double>& costs) {
            const auto F = matrix(f, "F");
            const auto c = vector(costs, "costs");
            std::vector<double> factors;
            {
                const WithoutGil nogil;
                factors = fewest_columns(F, c);
            }
            return copy_of(factors, std::vector<Index>{F.cols});
        },
        py::arg("F").noconvert(), py::arg("costs").noconvert(),
        "Few factors m >= 0 that are not zero, with F @ m == F.sum(axis=1) and costs @ m <= costs.sum().");
}

}  // namespace pathrelu
