"""Every public function refuses what it cannot use, before any work, saying what came and what was wanted."""

import inspect

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array

import pathrelu as pr

N, D = 12, 3
RNG = np.random.default_rng(0)
X = RNG.standard_normal((N, D))
Y = RNG.standard_normal(N)
LABELS = np.arange(N) % 2
GATES = RNG.standard_normal((6, D))
ARRANGEMENTS = pr.Arrangements.from_gates(X, GATES)
NETWORK = pr.ParallelReLUNetwork(np.ones((2, 1, D)))

# name -> function of keyword arguments, and arguments that are fine
FUNCTIONS = {
    "from_gates": (pr.Arrangements.from_gates, {"X": X, "G": GATES}),
    "from_trees": (
        pr.Arrangements.from_trees,
        {"X": X, "W": RNG.standard_normal((5, 2, D)), "signs": [1, -1]},
    ),
    "sample_arrangements": (pr.sample_arrangements, {"X": X, "n_arrangements": 5, "random_state": 0}),
    "solve": (pr.solve, {"X": X, "y": Y, "arrangements": ARRANGEMENTS, "alpha": 0.1}),
    "solve_path": (pr.solve_path, {"X": X, "y": Y, "arrangements": ARRANGEMENTS, "n_alphas": 3}),
    "alpha_max": (pr.alpha_max, {"X": X, "y": Y, "arrangements": ARRANGEMENTS}),
    "search": (pr.search, {"X": X, "y": Y, "alpha": 0.2, "random_state": 0}),
    "predict": (NETWORK.predict, {"X": X}),
    "objective": (NETWORK.objective, {"X": X, "y": Y, "alpha": 0.1}),
    "ParallelReLUNetwork": (pr.ParallelReLUNetwork, {"leaf_weights": np.ones((2, 1, D))}),
    "GatedReLUNetwork": (
        pr.GatedReLUNetwork,
        {"leaf_weights": np.ones((2, 1, D)), "gates": np.ones((2, 1, D))},
    ),
}
PROGRAMS = ("solve", "solve_path", "alpha_max", "search")


def having(parameter):
    """Names of the functions that have the parameter."""
    return [name for name, (call, _) in FUNCTIONS.items() if parameter in inspect.signature(call).parameters]


def refuse(name, error, message, **bad):
    call, good = FUNCTIONS[name]
    with pytest.raises(error, match=message):
        call(**good | bad)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_good_arguments_are_taken(name):
    call, good = FUNCTIONS[name]
    call(**good)


def cases(parameters, entries):
    return [
        pytest.param(name, entry, id=f"{name}-{k}")
        for name in (having(parameters) if isinstance(parameters, str) else parameters)
        for k, entry in enumerate(entries)
    ]


def with_entry(value, dtype=np.float64):
    table = X.astype(dtype)
    table[4, 1] = value
    return table


BAD_ROWS = [
    (X[0], ValueError, r"X has shape \(3,\); expected two dimensions \(rows, columns\)"),
    (X[None], ValueError, r"X has shape \(1, 12, 3\); expected two dimensions"),
    (X[:0], ValueError, r"X has shape \(0, 3\); expected at least one row and one column"),
    (X[:, :0], ValueError, r"X has shape \(12, 0\); expected at least one row and one column"),
    (
        with_entry(np.nan),
        ValueError,
        r"X has missing values \(NaN\) in column 1 \(1 of 12 rows, first in row 4\)",
    ),
    (with_entry(-np.inf, np.float32), ValueError, r"X has infinite values in column 1 .*first in row 4\)"),
    (with_entry("a", object), TypeError, "X holds something that is not a number: .*'a'"),
    (with_entry(None, object), ValueError, r"X has missing values \(NaN\) in column 1"),
    (X.astype(str), TypeError, "X has dtype <U32; expected numbers"),
    (X + 1j, TypeError, "X has dtype complex128; expected numbers"),
    ([[1, 2], [3]], ValueError, "X is not an array"),
    ("rows.csv", TypeError, "X has dtype <U8; expected numbers"),
    (None, TypeError, "X is None; expected an array of numbers"),
]


@pytest.mark.parametrize(("name", "entry"), cases("X", BAD_ROWS))
def test_bad_rows_are_refused(name, entry):
    bad, error, message = entry
    refuse(name, error, message, X=bad)


@pytest.mark.parametrize("name", [name for name in having("X") if name != "predict"])
def test_sparse_rows_are_refused(name):
    refuse(name, TypeError, r"X is sparse; expected a dense array \(try X\.toarray\(\)\)", X=csr_array(X))


@pytest.mark.parametrize("name", having("X"))
def test_rows_of_any_order_and_number_are_taken(name):
    call, good = FUNCTIONS[name]
    good = {key: value for key, value in good.items() if key != "X"}
    for rows in (
        np.asfortranarray(X),
        X[::-1][::-1],
        X.astype(">f8"),
        pd.DataFrame(X),
        X.tolist(),
        X.astype(object),
    ):
        call(X=rows, **good)
    read_only = X.copy()
    read_only.flags.writeable = False
    call(X=read_only, **good)


@pytest.mark.parametrize(
    "name", [name for name in having("X") if name not in ("predict", "from_gates", "from_trees")]
)
def test_integers_booleans_and_float32_are_taken(name):
    call, good = FUNCTIONS[name]
    for dtype in (np.int32, np.bool_, np.uint8, np.float16, np.float32):
        table = (X * 10).astype(dtype)
        extra = {"arrangements": pr.Arrangements.from_gates(table, GATES)} if "arrangements" in good else {}
        call(**good | {"X": table} | extra)


BAD_TARGETS = [
    (Y[:4], ValueError, r"y has shape \(4,\); expected \(12,\) or \(12, outputs\)"),
    (Y[None], ValueError, r"y has shape \(1, 12\); expected \(12,\)"),
    (np.ones((12, 0)), ValueError, r"y has shape \(12, 0\)"),
    (
        np.where(np.arange(N) == 3, np.nan, Y),
        ValueError,
        r"y has the value nan at index 3; expected finite numbers",
    ),
    (Y.astype(str), TypeError, r"y has dtype <U32; expected numbers"),
    (None, TypeError, "y is None; expected an array of numbers"),
]


@pytest.mark.parametrize(("name", "entry"), cases("y", BAD_TARGETS))
def test_bad_targets_are_refused(name, entry):
    bad, error, message = entry
    refuse(name, error, message, y=bad)


@pytest.mark.parametrize("name", PROGRAMS)
def test_bad_labels_are_refused(name):
    refuse(
        name,
        ValueError,
        r"y has the values 0, 0.5, 1; log_loss expects two values .*, or more than two whole numbers",
        loss="log_loss",
        y=np.arange(N) % 3 / 2,
    )
    refuse(name, ValueError, "0, 1, 2; squared_hinge expects", loss="squared_hinge", y=np.arange(N) % 3)
    refuse(name, ValueError, r"y has the values 1, 2; log_loss expects", loss="log_loss", y=LABELS + 1)
    refuse(name, ValueError, r"y has only the value 1; log_loss expects both", loss="log_loss", y=np.ones(N))
    two = np.stack([LABELS, LABELS], axis=1)
    refuse(name, ValueError, r"y has shape \(12, 2\); squared_hinge expects", loss="squared_hinge", y=two)
    hot = np.eye(3)[np.arange(N) % 3]
    for bad in (two, 2 * hot - 1, hot + hot[::-1], 0.5 * hot):
        refuse(
            name, ValueError, r"columns and the row .* log_loss expects rows of one 1", loss="log_loss", y=bad
        )
    empty = np.insert(hot, 1, 0, axis=1)
    refuse(
        name, ValueError, "y has no row of class 1; log_loss expects each of the 4", loss="log_loss", y=empty
    )


@pytest.mark.parametrize("name", PROGRAMS)
def test_both_codings_of_labels_are_the_same(name):
    call, good = FUNCTIONS[name]
    results = [call(**good | {"loss": "log_loss", "y": y}) for y in (LABELS, LABELS == 1, 2 * LABELS - 1)]
    values = [getattr(r, "objective", getattr(r, "objectives", r)) for r in results]
    np.testing.assert_array_equal(values[0], values[1])
    np.testing.assert_array_equal(values[0], values[2])


BAD_WEIGHTS = [
    (np.ones(4), ValueError, r"sample_weight has shape \(4,\); expected \(12,\)"),
    (np.ones((12, 1)), ValueError, r"sample_weight has shape \(12, 1\); expected \(12,\)"),
    (np.zeros(12), ValueError, "sample_weight is zero for every sample; expected at least one above 0"),
    (np.arange(12) - 1.0, ValueError, "sample_weight has the value -1; expected none below 0"),
    (np.full(12, np.inf), ValueError, "sample_weight has the value inf at index 0; expected finite numbers"),
    (["a"] * 12, TypeError, "sample_weight has dtype <U1; expected numbers"),
]


@pytest.mark.parametrize(("name", "entry"), cases("sample_weight", BAD_WEIGHTS))
def test_bad_weights_are_refused(name, entry):
    bad, error, message = entry
    refuse(name, error, message, sample_weight=bad)


NUMBERS = [
    ("alpha", 0, ValueError, r"alpha is 0; expected a finite number > 0: without the penalty"),
    ("alpha", -1, ValueError, r"alpha is -1; expected a finite number > 0"),
    ("alpha", np.nan, ValueError, r"alpha is nan; expected a finite number > 0"),
    ("alpha", "1", TypeError, r"alpha is '1'; expected a finite number > 0"),
    ("alpha", None, TypeError, r"alpha is None; expected a finite number > 0"),
    ("tol", -1.0, ValueError, r"tol is -1; expected a finite number > 0"),
    ("tol", 0, ValueError, r"tol is 0; expected a finite number > 0$"),
    ("tol", np.inf, ValueError, r"tol is inf; expected a finite number > 0"),
    ("tol", "small", TypeError, r"tol is 'small'; expected a finite number > 0"),
    ("max_iter", 0, ValueError, r"max_iter is 0; expected an integer >= 1"),
    ("max_iter", 1.5, TypeError, r"max_iter is 1\.5; expected an integer >= 1"),
    ("max_iter", 2**40, ValueError, r"max_iter is 1099511627776; expected an integer"),
    ("n_threads", 0, ValueError, r"n_threads is 0; expected an integer from 1 to 1024"),
    ("n_threads", True, TypeError, r"n_threads is True; expected an integer from 1 to 1024"),
    ("depth", 1, ValueError, r"depth is 1; expected an integer from 2 to 64"),
    ("depth", 10**9, ValueError, r"depth is 1000000000; expected an integer from 2 to 64"),
    ("n_arrangements", 0, ValueError, r"n_arrangements is 0; expected an integer >= 1"),
    ("n_starts", 0, ValueError, r"n_starts is 0; expected an integer >= 1"),
    ("max_rounds", -3, ValueError, r"max_rounds is -3; expected an integer >= 1"),
    ("n_alphas", 0, ValueError, r"n_alphas is 0; expected an integer >= 1"),
    ("eps", 1.0, ValueError, r"eps is 1; expected a number between 0 and 1"),
    ("eps", 0, ValueError, r"eps is 0; expected a number between 0 and 1"),
    ("eps", "x", TypeError, r"eps is 'x'; expected a number between 0 and 1"),
    ("random_state", -1, ValueError, r"random_state is -1; expected an integer >= 0"),
    (
        "random_state",
        0.5,
        TypeError,
        r"random_state is 0\.5; expected None, an integer, a RandomState or a Generator",
    ),
    ("fit_intercept", 1, TypeError, r"fit_intercept is 1; expected True or False"),
    ("activation", "tanh", ValueError, r"activation is 'tanh'; expected 'relu' or 'gated'"),
    ("activation", None, TypeError, r"activation is None; expected 'relu' or 'gated'"),
    (
        "loss",
        "mae",
        ValueError,
        r"loss is 'mae'; expected 'squared_error' or 'absolute_error' or .* or 'log_loss' or 'squared_hinge'",
    ),
    ("callback", 1, TypeError, r"callback is 1; expected None or a function of one record"),
    ("alphas", [0.1, 0.0], ValueError, r"an entry of alphas is 0; expected a finite number > 0"),
    ("alphas", [], ValueError, r"alphas is empty; expected at least one value"),
    ("alphas", ["a"], TypeError, r"an entry of alphas is 'a'"),
    ("arrangements", X, TypeError, r"arrangements has type ndarray; expected Arrangements"),
    (
        "arrangements",
        pr.Arrangements.from_gates(X[:5], GATES),
        ValueError,
        r"arrangements are of 5 rows; expected 12",
    ),
    ("init", np.zeros((2, 2, 1, 3)), ValueError, r"init has shape \(2, 2, 1, 3\); expected \(\d+, 2, 1, 3\)"),
    ("init", np.full((len(ARRANGEMENTS), 2, 1, 3), np.nan), ValueError, r"init has the value nan at index"),
]


@pytest.mark.parametrize(("parameter", "value", "error", "message"), NUMBERS)
def test_bad_settings_are_refused_wherever_they_are_taken(parameter, value, error, message):
    names = [name for name in having(parameter) if not (name == "objective" and parameter == "alpha")]
    assert names
    for name in names:
        refuse(name, error, message, **{parameter: value})


@pytest.mark.parametrize("name", PROGRAMS)
def test_nothing_is_computed_before_all_is_checked(name, monkeypatch):
    """The last argument is as bad as the first: no call reaches the core."""

    def unreachable(*_):
        raise AssertionError("the core was called")

    for function in ("solve", "search", "alpha_max"):
        monkeypatch.setattr(pr._core, function, unreachable)
    for parameter in ("X", "y", "sample_weight", "n_threads", "loss", "callback", "max_iter"):
        if parameter in inspect.signature(FUNCTIONS[name][0]).parameters:
            refuse(name, (ValueError, TypeError), parameter, **{parameter: "bad"})


def test_trees_must_fit_their_shape():
    refuse(
        "from_gates",
        ValueError,
        r"G has shape \(6, 2\); expected \(P, 3\), one column per column of X",
        G=GATES[:, :2],
    )
    refuse(
        "from_gates", ValueError, r"G has missing values \(NaN\) in columns 0 .*", G=np.full((2, 3), np.nan)
    )
    W = np.ones((5, 2, D))
    for bad, message in (
        ({"W": W[:, :, :2]}, r"W has shape \(5, 2, 2\); expected \(P, paths, 3\)"),
        ({"W": W[0]}, r"W has shape \(2, 3\); expected \(P, paths, 3\)"),
        ({"W": W[:0]}, r"W has shape \(0, 2, 3\)"),
        ({"W": W * np.inf}, r"W has the value inf at index \(0, 0, 0\)"),
        ({"signs": None}, r"signs is None; expected the shape \(2,\) or \(5, 2\)"),
        ({"signs": [1, 1, 1]}, r"signs has shape \(3,\); expected \(2,\) or \(5, 2\)"),
        ({"signs": np.ones((4, 2))}, r"signs has shape \(4, 2\); expected \(2,\) or \(5, 2\)"),
        ({"signs": [1, 0]}, r"signs has an entry other than \+1 and -1"),
        ({"width": (3,)}, r"width is \(3,\), which has 3 paths; W has 2"),
        ({"width": (2, 0)}, r"width is 0; expected an integer >= 1"),
    ):
        refuse("from_trees", ValueError, message, **bad)
    refuse("from_trees", TypeError, "width is '2'; expected an integer >= 1", width="2")


def test_widths_must_fit_the_depth():
    for name in ("sample_arrangements", "search"):
        refuse(name, ValueError, r"width has 1 entries; expected 2 for depth 4", depth=4, width=(2,))
        refuse(
            name, ValueError, r"width gives trees of \d+ leaves; expected at most 1048576", depth=12, width=9
        )
        refuse(name, TypeError, r"width is 2\.0; expected an integer >= 1", depth=3, width=2.0)


def test_an_init_of_another_program_is_refused():
    solution = pr.solve(X, Y, ARRANGEMENTS, 0.1)
    refuse("solve", ValueError, r"init\.blocks has shape", init=solution, activation="gated")
    refuse("solve", ValueError, r"init\.blocks has shape", init=solution, arrangements=ARRANGEMENTS[:2])


@pytest.mark.parametrize("name", PROGRAMS)
def test_entries_whose_products_leave_the_range_of_floats_are_refused(name):
    for bad, message in (
        ({"y": Y * 1e200}, r"y has entries up to .*e\+200; expected at most 1e\+140 in float64: rescale"),
        ({"X": X * 1e80}, r"X has entries up to .*e\+80; expected at most 1e\+70 in float64: rescale"),
        ({"X": (X * 1e20).astype(np.float32)}, r"X has entries up to .*e\+20; expected at most 1e\+15 in fl"),
        ({"y": Y * 1e-200}, r"y has no entry above .*e-200; expected at least 1e-140: rescale"),
        ({"X": X * 1e-80}, r"X has no entry above .*e-80; expected at least 1e-70: rescale"),
    ):
        refuse(name, ValueError, message, **bad)


def test_arrangements_are_not_made_by_hand():
    with pytest.raises(
        TypeError, match=r"core has type ndarray; make arrangements with Arrangements\.from_gates"
    ):
        pr.Arrangements(X)


def test_predictions_need_the_columns_of_the_network():
    refuse("predict", ValueError, r"X has 2 columns; expected 3", X=X[:, :2])
    refuse("objective", ValueError, r"y has shape \(12, 2\); expected \(12, 1\)", y=np.ones((12, 2)))
    refuse("objective", ValueError, r"alpha is -1; expected a finite number >= 0", alpha=-1)
    refuse("objective", ValueError, r"loss is 'mae'; expected 'squared_error' or ", loss="mae")


def test_a_gated_network_needs_gates():
    core = pr._core.Arrangements.from_patterns(np.ones((1, N), np.uint8), np.empty((1, 0), np.int8), [])
    solution = pr.solve(X, Y, pr.Arrangements(core), 0.01, activation="gated")
    with pytest.raises(ValueError, match="arrangements came without gates, and a gated network needs them"):
        solution.network()


NETWORKS = ("ParallelReLUNetwork", "GatedReLUNetwork")
BAD_PARTS = [
    (
        {"leaf_weights": np.ones((2, 3))},
        r"leaf_weights has shape \(2, 3\); expected \(K, paths, n_features\)",
    ),
    ({"leaf_weights": np.full((2, 1, 3), np.nan)}, r"leaf_weights has the value nan"),
    ({"leaf_bias": np.ones(2)}, r"leaf_bias has shape \(2,\); expected \(2, 1\)"),
    ({"edge_signs": np.ones((2, 1))}, r"edge_signs has shape \(2, 1\); expected \(2, 0\)"),
    ({"output_sign": [1, 2]}, r"output_sign has an entry other than \+1 and -1"),
    ({"output_index": [0, 1]}, r"output_index has an entry other than 0 to 0"),
    ({"output_index": [0, 0.5], "intercept": [0, 0]}, r"output_index has an entry other than 0 to 1"),
    ({"intercept": [np.inf]}, r"intercept has the value inf"),
    ({"intercept": []}, r"intercept has shape \(0,\); expected \(n_outputs,\)"),
    ({"center": [0, 0]}, r"center has shape \(2,\); expected \(3,\)"),
    ({"scale": [1, 1, 0]}, r"scale has the value 0; expected all above 0"),
    ({"bias_scale": 0}, r"bias_scale is 0"),
    ({"width": (2,)}, r"width is \(2,\), which has 2 paths; leaf_weights has 1"),
    ({"classes": ["a"]}, r"classes has 1 labels; expected 2 for 1 outputs"),
    ({"classes": ["a", "a"]}, r"classes has a label twice"),
    ({"feature_names": ["a"]}, r"feature_names has 1 entries; expected 3 strings"),
]


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(("bad", "message"), BAD_PARTS)
def test_bad_parts_of_networks_are_refused(name, bad, message):
    refuse(name, ValueError, message, **bad)


def test_bad_gates_of_networks_are_refused():
    refuse(
        "GatedReLUNetwork",
        ValueError,
        r"gates has shape \(1, 1, 3\); expected \(2, 1, 3\)",
        gates=np.ones((1, 1, 3)),
    )
    refuse(
        "GatedReLUNetwork", ValueError, r"gate_bias has shape \(2,\); expected \(2, 1\)", gate_bias=np.ones(2)
    )
    for name in NETWORKS:
        call, good = FUNCTIONS[name]
        with pytest.raises(ValueError, match=r"edge_signs is None; expected the shape \(2, 2\)"):
            call(**{key: np.ones((2, 2, 3)) for key in good})


def test_float32_rows_with_a_tolerance_they_cannot_hold_warn():
    from sklearn.exceptions import ConvergenceWarning

    narrow = X.astype(np.float32)
    arrangements = pr.Arrangements.from_gates(narrow, GATES)
    with pytest.warns(ConvergenceWarning, match="tol is 1e-08, and X is float32") as caught:
        pr.solve(narrow, Y, arrangements, 0.1, tol=1e-8)
    assert caught[0].filename == __file__
    assert pr.solve(narrow, Y, arrangements, 0.1).blocks.dtype == np.float32


def test_alphas_are_solved_from_the_largest_down():
    path = pr.solve_path(X, Y, ARRANGEMENTS, [0.01, 0.3, 0.1])
    assert path.alphas.tolist() == [0.3, 0.1, 0.01]
    assert [solution.alpha for solution in path.solutions] == [0.3, 0.1, 0.01]
    assert (np.diff(path.objectives) < 0).all()
    assert len(path) == len(path.gaps) == 3


def test_a_path_that_does_not_converge_warns_once():
    from sklearn.exceptions import ConvergenceWarning

    with pytest.warns(
        ConvergenceWarning, match=r"\d of 5 programs did not converge; the worst: duality gap"
    ) as caught:
        pr.solve_path(X, Y, ARRANGEMENTS, n_alphas=5, max_iter=1, tol=1e-12)
    assert len(caught) == 1
    assert caught[0].filename == __file__


def test_a_missing_extension_is_explained(tmp_path):
    import shutil
    import subprocess
    import sys
    from pathlib import Path

    package = tmp_path / "pathrelu"
    shutil.copytree(
        Path(pr.__file__).parent,
        package,
        ignore=shutil.ignore_patterns("_core*.so", "_core*.pyd", "__pycache__"),
    )
    done = subprocess.run(
        [sys.executable, "-c", "import pathrelu"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "The compiled part of pathrelu did not load" in done.stderr


OPTIONAL = ["click", "matplotlib", "onnx", "pandas", "polars", "pyarrow", "rich", "skl2onnx", "torch"]


def test_numpy_and_scikit_learn_are_enough():
    """Every module but those of the exports and the command line, a fit of each kind, and files."""
    import subprocess
    import sys

    script = f"""
import importlib.machinery, pkgutil, tempfile, warnings
warnings.simplefilter("error")
find = importlib.machinery.PathFinder.find_spec
importlib.machinery.PathFinder.find_spec = lambda name, *rest: (
    None if name.partition(".")[0] in {OPTIONAL} else find(name, *rest)
)
import numpy as np, pathrelu as pr
missing = {{}}
for info in pkgutil.walk_packages(pr.__path__, "pathrelu."):
    if info.name != "pathrelu.__main__":
        try:
            importlib.import_module(info.name)
        except ModuleNotFoundError as error:
            missing[info.name] = error.name
commands = {{f"pathrelu.cli.{{name}}" for name in ("commands", "figures", "tables", "tasks")}}
assert set(missing) == commands | {{"pathrelu.dask", "pathrelu.export._trees"}}, missing
X = np.random.default_rng(0).standard_normal((40, 2))
for model in (
    pr.PathReLURegressor(alpha=0.1, verbose=1, random_state=0).fit(X, X[:, 0]),
    pr.PathReLUClassifier(alpha=0.1, random_state=0).fit(X, X[:, 0] > 0),
):
    assert model.score(X, model.predict(X)) == 1
    with tempfile.TemporaryDirectory() as folder:
        model.network_.save(folder + "/model.npz")
        assert (pr.load(folder + "/model.npz").predict(X) == model.network_.predict(X)).all()
print("done")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout == "done\n", done.stderr
    progress = done.stderr.splitlines()  # of `verbose`
    assert progress
    assert all(line.startswith("pathrelu  ") for line in progress)
