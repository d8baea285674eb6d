#include <pathrelu/network.hpp>

#include <optional>

#include "numpy.hpp"

namespace pathrelu {
namespace {

template <class X>
std::optional<Array<X>> predict_arrays(const Array<X>& x, const Array<double>& center,
                                       const Array<double>& scale, const Array<double>& W,
                                       const Array<double>& bias, const Array<double>& gates,
                                       const Array<double>& gate_bias, const Array<std::int8_t>& signs,
                                       const Array<double>& output_weights, const Array<double>& intercept,
                                       std::vector<Index> width, const Array<double>& skip,
                                       const Array<double>& skip_bias, int threads) {
    const auto rows = matrix(x, "X");
    NetworkView network{TreeShape(std::move(width)),
                        vector(center, "center"),
                        vector(scale, "scale"),
                        matrix(W, "W"),
                        vector(bias, "bias"),
                        matrix(gates, "gates"),
                        vector(gate_bias, "gate_bias"),
                        matrix(signs, "signs"),
                        matrix(output_weights, "output_weights"),
                        vector(intercept, "intercept")};
    network.skip = matrix(skip, "skip");
    network.skip_bias = vector(skip_bias, "skip_bias");
    Array<X> out({rows.rows, network.intercept.size});
    const MatView<X> f{out.mutable_data(), rows.rows, network.intercept.size};
    {
        const WithoutGil nogil;
        if (predict<X>(rows, network, f, threads)) return out;
    }
    return std::nullopt;
}

template <class X>
void bind(py::module_& m) {
    m.def("network_predict", &predict_arrays<X>, py::arg("X").noconvert(), py::arg("center").noconvert(),
          py::arg("scale").noconvert(), py::arg("W").noconvert(), py::arg("bias").noconvert(),
          py::arg("gates").noconvert(), py::arg("gate_bias").noconvert(), py::arg("signs").noconvert(),
          py::arg("output_weights").noconvert(), py::arg("intercept").noconvert(), py::arg("width"),
          py::arg("skip").noconvert(), py::arg("skip_bias").noconvert(), py::arg("threads"),
          "Outputs (n, C) of K trees in X's dtype, or None if X has an entry that is not finite.");
}

}  // namespace

void register_network(py::module_& m) {
    bind<double>(m);
    bind<float>(m);
}

}  // namespace pathrelu
