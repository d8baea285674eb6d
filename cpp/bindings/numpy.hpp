#pragma once
#include <pybind11/functional.h>
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <pathrelu/error.hpp>
#include <pathrelu/pass_rows.hpp>
#include <pathrelu/solver.hpp>

#include <chrono>
#include <limits>
#include <optional>
#include <variant>

#include "gil.hpp"

namespace pathrelu {

namespace py = pybind11;

// A C-ordered array of exactly this dtype. Bound with .noconvert(), so the wrong dtype, order or a list is a
// TypeError, never a silent copy.
template <class T>
using Array = py::array_t<T, py::array::c_style>;

template <class T>
MatView<const T> matrix(const Array<T>& a, const char* name) {
    require(a.ndim() == 2, name, " has ", a.ndim(), " dimensions; expected 2");
    return {a.data(), a.shape(0), a.shape(1)};
}

template <class T>
VecView<const T> vector(const Array<T>& a, const char* name) {
    require(a.ndim() == 1, name, " has ", a.ndim(), " dimensions; expected 1");
    return {a.data(), a.shape(0)};
}

template <class T>
VecView<T> mutable_vector(Array<T>& a, const char* name) {
    require(a.ndim() == 1, name, " has ", a.ndim(), " dimensions; expected 1");
    return {a.mutable_data(), a.shape(0)};
}

/// New array that owns a copy of the values.
template <class T, class Shape>
Array<T> copy_of(const std::vector<T>& values, Shape shape) {
    Array<T> out(shape);
    std::copy(values.begin(), values.end(), out.mutable_data());
    return out;
}

/// Rows by their nonzeros, less a vector. Bound as "SparseRows", which holds the arrays.
struct SparseArrays {
    Array<std::int64_t> begin;
    Array<std::int32_t> columns;
    std::variant<Array<double>, Array<float>> values;
    Array<double> offset;

    template <class T>
    PassRows<T> rows(const Array<T>& of_them) const {
        return PassRows<T>(SparseRows<T>{vector(begin, "begin"), vector(columns, "columns"),
                                         vector(of_them, "values"), vector(offset, "offset")});
    }
};

using RowArrays = std::variant<Array<double>, Array<float>, SparseArrays>;

/// function(PassRows) of rows of any kind.
template <class Function>
auto on_rows(const RowArrays& X, Function function) {
    return std::visit(
        [&](const auto& rows) {
            if constexpr (std::is_same_v<std::decay_t<decltype(rows)>, SparseArrays>)
                return std::visit([&](const auto& values) { return function(rows.rows(values)); },
                                  rows.values);
            else
                return function(PassRows(matrix(rows, "X")));
        },
        X);
}

/// function(array) of dense rows.
template <class Function>
auto on_dense_rows(const RowArrays& X, Function function) {
    require(!std::holds_alternative<SparseArrays>(X), "X is sparse; expected dense rows");
    const auto* wide = std::get_if<Array<double>>(&X);
    return wide ? function(*wide) : function(std::get<Array<float>>(X));
}

/// What all programs over the same rows share. Bound as "Problem", which holds the arrays.
struct ProblemArrays {
    RowArrays X;
    Array<double> y, w;
    LossSpec loss;
    bool relu;
    std::optional<Array<std::int8_t>> monotone = std::nullopt;

    VecView<const std::int8_t> directions_of_columns() const {
        return monotone ? vector(*monotone, "monotone") : VecView<const std::int8_t>{};
    }
    template <class T>
    Program<T> program(const Array<T>& rows, const Arrangements& arrangements, double alpha,
                       const std::optional<Array<double>>& directions) const {
        Program<T> result{matrix(rows, "X"), matrix(y, "y"), vector(w, "w"), arrangements, alpha, loss, relu};
        if (directions) result.directions = matrix(*directions, "directions");
        result.monotone = directions_of_columns();
        return result;
    }
};

/// What makes a solve or a search end early with what it has, instead of with an exception.
struct Stopping {
    /// A function that says so, or none; with it KeyboardInterrupt does too. A pointer, for observers are
    /// copied without the GIL.
    const py::object* wanted = nullptr;
    double seconds = std::numeric_limits<double>::infinity();
};

/// Lets Ctrl-C and the caller's function stop the work: by their exception, or with the best so far where
/// `stopping` or StopIteration says so.
inline Observer observer_for(const py::object& callback, const Stopping& stopping = {}) {
    using Clock = std::chrono::steady_clock;
    Observer observer;
    observer.poll = [stopping, begin = Clock::now()] {
        if (std::chrono::duration<double>(Clock::now() - begin).count() >= stopping.seconds) throw Stop();
        with_gil([&stopping] {
            if (PyErr_CheckSignals() == 0) {
                if (stopping.wanted && (*stopping.wanted)().cast<bool>()) throw Stop();
                return;
            }
            if (!stopping.wanted || !PyErr_ExceptionMatches(PyExc_KeyboardInterrupt))
                throw py::error_already_set();
            PyErr_Clear();
            throw Stop();
        });
    };
    if (!callback.is_none())
        observer.record = [&callback, stopping](const Record& record) {
            with_gil([&] {
                try {
                    callback(record);
                } catch (const py::error_already_set& error) {
                    if (error.matches(PyExc_StopIteration) ||
                        (stopping.wanted && error.matches(PyExc_KeyboardInterrupt)))
                        throw Stop();
                    throw;
                }
            });
        };
    return observer;
}

/// What a caller sees of a solve or a search, and what ends it. Bound as "Watch".
struct CallerWatch {
    py::object callback, stop;  // or None
    double seconds;

    Observer observer() const { return observer_for(callback, {stop.is_none() ? nullptr : &stop, seconds}); }
};

void register_kernels(py::module_& m);
void register_arrangements(py::module_& m);
void register_enumeration(py::module_& m);
void register_operators(py::module_& m);
void register_cones(py::module_& m);
void register_solver(py::module_& m);
void register_search(py::module_& m);
void register_network(py::module_& m);
void register_caratheodory(py::module_& m);
void register_certificate(py::module_& m);
void register_relaxation(py::module_& m);
void register_linear_algebra(py::module_& m);
void register_rows(py::module_& m);

}  // namespace pathrelu
