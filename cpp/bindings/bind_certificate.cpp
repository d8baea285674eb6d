#include <pathrelu/certificate.hpp>
#include <pathrelu/losses.hpp>

#include "numpy.hpp"

namespace pathrelu {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();

/// Runs work(poll) without the GIL: (bound, values (k), points (k, r), signs (k), n_nodes).
template <class Work>
py::tuple correlation(Index r, double seconds, Work work) {
    const Observer observer = observer_for(py::none(), {nullptr, seconds});
    Correlation found;
    {
        const WithoutGil nogil;
        found = work(observer.poll);
    }
    const Index k = static_cast<Index>(found.values.size());
    return py::make_tuple(found.bound, copy_of(found.values, std::vector<Index>{k}),
                          copy_of(found.points, std::vector<Index>{k, r}),
                          copy_of(found.signs, std::vector<Index>{k}), found.n_nodes);
}

}  // namespace

void register_certificate(py::module_& m) {
    m.def(
        "exact_correlation",
        [](const Array<double>& z, const Array<double>& theta, int threads, double seconds) {
            const auto rows = matrix(z, "rows");
            const auto t = vector(theta, "theta");
            return correlation(rows.cols, seconds,
                               [&](const Poll& poll) { return exact_correlation(rows, t, threads, poll); });
        },
        py::arg("rows").noconvert(), py::arg("theta").noconvert(), py::arg("threads"),
        py::arg("seconds") = kNever,
        "Largest |theta . (rows u)_+| over unit u: (bound, values, points, signs, 0).");
    m.def(
        "branch_and_bound",
        [](const Array<double>& z, const Array<double>& theta, double floor, double tol, Index max_nodes,
           bool until_found, int threads, double seconds) {
            const auto rows = matrix(z, "rows");
            const auto t = vector(theta, "theta");
            const BranchOptions options{floor, tol, max_nodes, until_found, threads};
            return correlation(rows.cols, seconds,
                               [&](const Poll& poll) { return branch_and_bound(rows, t, options, poll); });
        },
        py::arg("rows").noconvert(), py::arg("theta").noconvert(), py::arg("floor"), py::arg("tol"),
        py::arg("max_nodes"), py::arg("until_found"), py::arg("threads"), py::arg("seconds") = kNever,
        "Bound on |theta . (rows u)_+| over unit u: (bound, values, points, signs, n_nodes).");
    m.def(
        "dual_point",
        [](const Array<double>& f, const Array<double>& y, const Array<double>& w, const LossSpec& loss,
           bool fit_intercept) {
            const auto predictions = matrix(f, "f"), targets = matrix(y, "y");
            require_shape("f", predictions, targets.rows, targets.cols);
            const auto l = make_loss(loss, targets, vector(w, "w"), 1);
            std::vector<double> shifted(predictions.data, predictions.data + predictions.size());
            std::vector<double> b(targets.cols, 0.0);
            if (fit_intercept) l->optimal_intercept(predictions.data, b.data());
            for (Index i = 0; i < targets.rows; ++i)
                for (Index c = 0; c < targets.cols; ++c) shifted[i * targets.cols + c] += b[c];
            Array<double> theta({targets.rows, targets.cols});
            l->dual_point(shifted.data(), theta.mutable_data());
            if (fit_intercept) l->balance(theta.mutable_data());
            return theta;
        },
        py::arg("f").noconvert(), py::arg("y").noconvert(), py::arg("w").noconvert(), py::arg("loss"),
        py::arg("fit_intercept"), "theta = -(1/n) w loss'(f) (n, C), at the best intercept if there is one.");
    m.def(
        "dual_bound",
        [](const Array<double>& theta, const Array<double>& y, const Array<double>& w, const LossSpec& loss,
           double cap) {
            const auto t = matrix(theta, "theta"), targets = matrix(y, "y");
            require_shape("theta", t, targets.rows, targets.cols);
            const auto l = make_loss(loss, targets, vector(w, "w"), 1);
            return l->dual_value(t.data, l->best_scale(t.data, cap));
        },
        py::arg("theta").noconvert(), py::arg("y").noconvert(), py::arg("w").noconvert(), py::arg("loss"),
        py::arg("cap"), "Dual objective at the best multiple of theta up to cap.");
}

}  // namespace pathrelu
