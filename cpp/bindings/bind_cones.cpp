#include <pathrelu/cones.hpp>

#include "numpy.hpp"

namespace pathrelu {
namespace {

template <class X>
void bind(py::module_& m) {
    m.def(
        "project",
        [](const Array<X>& x, const Arrangements& arrangements, Index group, const Array<double>& z,
           const std::optional<Array<std::int8_t>>& monotone, double output_sign, bool patterned) {
            const auto directions = monotone ? vector(*monotone, "monotone") : VecView<const std::int8_t>{};
            const Cones<X> cones(matrix(x, "X"), arrangements, directions, patterned);
            const auto v = vector(z, "z");
            require_size("z", v, cones.dim());
            require(group >= 0 && group < arrangements.size(), "group is ", group, "; expected 0 .. ",
                    arrangements.size() - 1);
            Array<double> out(v.size);
            Facets facets;
            cones.project(group, v.data, 0, facets, out.mutable_data(), Cones<X>::kAllChecks, output_sign);
            return out;
        },
        py::arg("X").noconvert(), py::arg("arrangements"), py::arg("group"), py::arg("z").noconvert(),
        py::arg("monotone") = py::none(), py::arg("output_sign") = 1.0, py::arg("patterned") = true,
        "Projection of z (paths * d) on the cone of one group; with `monotone` (d) of a block that feeds one "
        "output with this sign.");
    m.def(
        "cone_slack",
        [](const Array<X>& x, const Arrangements& arrangements, Index group, const Array<double>& v) {
            const Cones<X> cones(matrix(x, "X"), arrangements);
            const auto point = vector(v, "v");
            require_size("v", point, cones.dim());
            require(group >= 0 && group < arrangements.size(), "group is ", group, "; expected 0 .. ",
                    arrangements.size() - 1);
            Array<double> out({arrangements.shape.units(), arrangements.n_rows});
            cones.slack(group, point.data, out.mutable_data());
            return out;
        },
        py::arg("X").noconvert(), py::arg("arrangements"), py::arg("group"), py::arg("v").noconvert(),
        "Left sides of the cone's constraints, (units, n).");
}

}  // namespace

void register_cones(py::module_& m) {
    bind<double>(m);
    bind<float>(m);
}

}  // namespace pathrelu
