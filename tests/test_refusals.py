"""Whatever comes for any parameter of any public function is taken, or refused by the parameter's name."""

import inspect
import re

import numpy as np
import pytest

import pathrelu as pr
from pathrelu.dependence import partial_dependence
from pathrelu.inspection import subnetwork_formulas

N, D = 12, 3
RNG = np.random.default_rng(0)
X = RNG.standard_normal((N, D))
Y = RNG.standard_normal(N)
LABELS = np.arange(N) % 2
GATES = RNG.standard_normal((6, D))
ARRANGEMENTS = pr.Arrangements.from_gates(X, GATES)
NETWORK = pr.ParallelReLUNetwork(np.ones((2, 1, D)))
PARTS = {"leaf_weights": np.ones((2, 1, D))}
NAMED_NETWORK = pr.ParallelReLUNetwork(**PARTS, feature_names=["a", "b", "c"])
FEW = {"max_iter": 5, "max_seconds": 5.0}  # where any value of the other parameters will do


def fitted_with(estimator, y):
    """A fit as a function of the estimator's parameters."""

    def fit(**parameters):
        return estimator(**parameters).fit(X, y)

    fit.__signature__ = inspect.signature(estimator)
    return fit


def encoded_with(**parameters):
    return pr.TableEncoder(**parameters).fit(TABLE)


encoded_with.__signature__ = inspect.signature(pr.TableEncoder)

PROGRAM = {"X": X, "y": Y, "arrangements": ARRANGEMENTS}
REGRESSOR = pr.PathReLURegressor(alpha=0.1, random_state=0).fit(X, Y)
CLASSIFIER = pr.PathReLUClassifier(alpha=0.1, random_state=0).fit(X, LABELS)
TABLE = [[1.0, "a"], [2.0, "b"], [None, "a"]]
ENCODER = pr.TableEncoder().fit(TABLE)
CROSS_VALIDATION = {"alphas": [0.1], "cv": 2}
# What every public callable is given where nothing is wrong; a name of its own for each.
CALLS = {
    "PathReLURegressor": (fitted_with(pr.PathReLURegressor, Y), {"alpha": 0.1} | FEW),
    "PathReLUClassifier": (fitted_with(pr.PathReLUClassifier, LABELS), {"alpha": 0.1} | FEW),
    "PathReLURegressorCV": (fitted_with(pr.PathReLURegressorCV, Y), CROSS_VALIDATION | FEW),
    "PathReLUClassifierCV": (fitted_with(pr.PathReLUClassifierCV, LABELS), CROSS_VALIDATION | FEW),
    "PathReLURegressor.fit": (pr.PathReLURegressor(alpha=0.1, **FEW).fit, {"X": X, "y": Y}),
    "PathReLUClassifier.fit": (pr.PathReLUClassifier(alpha=0.1, **FEW).fit, {"X": X, "y": LABELS}),
    "PathReLURegressorCV.fit": (pr.PathReLURegressorCV(**CROSS_VALIDATION | FEW).fit, {"X": X, "y": Y}),
    "PathReLUClassifierCV.fit": (
        pr.PathReLUClassifierCV(**CROSS_VALIDATION | FEW).fit,
        {"X": X, "y": LABELS},
    ),
    "PathReLURegressor.predict": (REGRESSOR.predict, {"X": X}),
    "PathReLUClassifier.predict": (CLASSIFIER.predict, {"X": X}),
    "PathReLUClassifier.predict_proba": (CLASSIFIER.predict_proba, {"X": X}),
    "PathReLUClassifier.predict_log_proba": (CLASSIFIER.predict_log_proba, {"X": X}),
    "PathReLUClassifier.decision_function": (CLASSIFIER.decision_function, {"X": X}),
    "PathReLURegressor.save": (REGRESSOR.save, {"path": "model"}),
    "PathReLURegressor.to_onnx": (REGRESSOR.to_onnx, {"path": "model"}),
    "PathReLURegressor.to_text": (REGRESSOR.to_text, {}),
    "solve": (pr.solve, PROGRAM | {"alpha": 0.1} | FEW),
    "solve_path": (pr.solve_path, PROGRAM | {"n_alphas": 2} | FEW),
    "alpha_max": (pr.alpha_max, PROGRAM),
    "search": (pr.search, {"X": X, "y": Y, "alpha": 0.2} | FEW),
    "solve_low_rank": (pr.solve_low_rank, {"X": X, "y": Y, "alpha": 0.2, "rank": 2} | FEW),
    "relaxation": (pr.relaxation, {"X": X, "y": Y, "alpha": 0.1, "max_rounds": 2}),
    "certify": (pr.certify, {"net": NETWORK, "X": X, "y": Y, "alpha": 0.1, "max_nodes": 10}),
    "sample_arrangements": (pr.sample_arrangements, {"X": X, "n_arrangements": 5}),
    "enumerate_arrangements": (pr.enumerate_arrangements, {"X": X}),
    "Arrangements.from_gates": (pr.Arrangements.from_gates, {"X": X, "G": GATES}),
    "Arrangements.from_trees": (
        pr.Arrangements.from_trees,
        {"X": X, "W": RNG.standard_normal((5, 2, D)), "signs": [1, -1]},
    ),
    "ParallelReLUNetwork": (pr.ParallelReLUNetwork, PARTS),
    "GatedReLUNetwork": (pr.GatedReLUNetwork, PARTS | {"gates": np.ones((2, 1, D))}),
    "ParallelReLUNetwork.predict": (NETWORK.predict, {"X": X}),
    "ParallelReLUNetwork.prune": (NETWORK.prune, {"X": X}),
    "ParallelReLUNetwork.objective": (NETWORK.objective, {"X": X, "y": Y, "alpha": 0.1}),
    "ParallelReLUNetwork.save": (NETWORK.save, {"path": "model"}),
    "ParallelReLUNetwork.to_onnx": (NETWORK.to_onnx, {"path": "model"}),
    "ParallelReLUNetwork.to_torch": (NETWORK.to_torch, {}),
    "PathReLURegressor.summary": (REGRESSOR.summary, {}),
    "ParallelReLUNetwork.summary": (NETWORK.summary, {}),
    "ParallelReLUNetwork.to_text": (NAMED_NETWORK.to_text, {"language": "sql"}),
    "partial_dependence": (partial_dependence, {"model": NETWORK, "X": X, "columns": 0}),
    "subnetwork_formulas": (subnetwork_formulas, {"model": NETWORK}),
    "ParallelReLUNetwork.from_dict": (pr.ParallelReLUNetwork.from_dict, {"content": NETWORK.to_dict()}),
    "TableEncoder": (encoded_with, {}),
    "TableEncoder.fit": (pr.TableEncoder().fit, {"X": TABLE}),
    "TableEncoder.transform": (ENCODER.transform, {"X": TABLE}),
    "load": (pr.load, {"path": "model"}),
}
NAMED = [
    (name, parameter)
    for name, (call, _) in CALLS.items()
    for parameter, about in inspect.signature(call).parameters.items()
    if about.kind not in (about.VAR_KEYWORD, about.VAR_POSITIONAL)
]


class Odd:
    """Nothing that any parameter takes."""


NEVER = [Odd(), 1j, {1, 2}, np.datetime64("2020"), b"\0", {"no such": Odd()}]
RARELY = [
    "no such", b"bytes", "", [], {}, [None], ("x",), [[1, "a"]], [[1], [1, 2]], [[[]]], range(3), {"a": 1},
    None, True, np.nan, np.inf, -np.inf, -5, 0, 2.5, 10**30, 1e308, 5e-324, np.float32(np.nan),
    np.array(["a"]), np.full(3, np.nan), np.ones((2, 2, 2)), np.array(3), np.array([2.0]), np.ma.masked,
]  # fmt: skip
# Other words for the parameter, in messages of scikit-learn or about what goes with it.
ALSO = {
    "X": "X|array|data|samples|features",
    "y": "y|target|labels?|samples?|array|data|Complex",
    "leaf_weights": "leaf_weights|edge_signs",
    "scoring": "scoring|score",
}


def refused(name, parameter, value):
    """The error that names the parameter, or None if the value is taken."""
    call, good = CALLS[name]
    try:
        call(**good | {parameter: value})
    except TimeoutError:
        assert parameter == "max_seconds"
        return None
    except OSError:
        assert parameter == "path"
        return None
    except ImportError:  # PyTorch, after all has been checked
        assert name.endswith("to_torch")
        return None
    except (TypeError, ValueError) as error:
        caught = error
    else:
        return None
    assert re.search(rf"\b({ALSO.get(parameter, parameter)})\b", str(caught)), (value, caught)
    return caught


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("name", "parameter"), NAMED)
def test_what_no_parameter_takes_is_refused_before_any_work(name, parameter, monkeypatch):
    def unreachable(*_):
        raise AssertionError("the core was called")

    for function in ("solve", "search", "alpha_max"):
        monkeypatch.setattr(pr._core, function, unreachable)
    for value in NEVER:
        if not (parameter == "path" and isinstance(value, bytes)):
            assert refused(name, parameter, value) is not None, value


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "parameter"), NAMED)
def test_every_value_is_taken_or_refused_by_name(name, parameter):
    if parameter == "callback":
        pytest.skip("functions of the caller raise what they will")
    for value in RARELY:
        refused(name, parameter, value)


def test_every_public_callable_is_tried():
    public = {name for name in pr.__all__ if callable(getattr(pr, name))}
    results = {"Arrangements", "Certificate", "LowRank", "Relaxation", "Solution"}  # which functions make
    assert public - results <= CALLS.keys()
