#include <pathrelu/enumeration.hpp>

#include "numpy.hpp"

namespace pathrelu {

void register_enumeration(py::module_& m) {
    m.def(
        "enumerate_cells",
        [](const Array<double>& z, std::vector<Index> width, Index most, double tol, int threads,
           double seconds) {
            const auto rows = matrix(z, "rows");
            const TreeShape shape(std::move(width));
            const Observer observer = observer_for(py::none(), {nullptr, seconds});
            Cells cells;
            bool complete;
            {
                const WithoutGil nogil;
                complete = runs_to_its_end(
                    [&] { cells = enumerate_cells(rows, shape, most, tol, threads, observer.poll); });
            }
            if (!complete) {
                PyErr_SetString(PyExc_TimeoutError, "time is up before all arrangements are listed");
                throw py::error_already_set();
            }
            const Index P = cells.arrangements.size();
            auto weights = copy_of(cells.weights, std::vector<Index>{P, shape.paths() * rows.cols});
            return py::make_tuple(std::move(cells.arrangements), weights);
        },
        py::arg("rows").noconvert(), py::arg("width"), py::arg("most"), py::arg("tol"), py::arg("threads"),
        py::arg("seconds") = std::numeric_limits<double>::infinity(),
        "(arrangements, weights (P, paths * r)): all arrangements of rows (n, r) of rank r.");
    m.def(
        "points_of_cells_at_rays",
        [](const Array<double>& z, Index first, Index count, std::uint64_t seed, double tol, int threads) {
            const auto rows = matrix(z, "rows");
            std::vector<double> points;
            {
                const WithoutGil nogil;
                points = points_of_cells_at_rays(rows, first, count, seed, tol, threads);
            }
            return copy_of(points, std::vector<Index>{count, rows.cols});
        },
        py::arg("rows").noconvert(), py::arg("first"), py::arg("count"), py::arg("seed"), py::arg("tol"),
        py::arg("threads"),
        "Points (count, r) in cells at random rays on which r - 1 planes of rows (n, r) of rank r meet.");
    m.def("most_regions", &most_regions, py::arg("m"), py::arg("dim"),
          "Regions into which m hyperplanes through the origin in general position cut R^dim.");
}

}  // namespace pathrelu
