#include "numpy.hpp"

PYBIND11_MODULE(_core, m, pybind11::mod_gil_not_used()) {
    m.doc() = "Compiled core of pathrelu; the Python package is its documented face.";
    pathrelu::register_kernels(m);
    pathrelu::register_arrangements(m);
    pathrelu::register_enumeration(m);
    pathrelu::register_operators(m);
    pathrelu::register_cones(m);
    pathrelu::register_solver(m);
    pathrelu::register_search(m);
    pathrelu::register_network(m);
    pathrelu::register_caratheodory(m);
    pathrelu::register_certificate(m);
    pathrelu::register_relaxation(m);
    pathrelu::register_linear_algebra(m);
    pathrelu::register_rows(m);
}
