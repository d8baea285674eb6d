"""Suite `predict`: the predictions of a network against onnxruntime on the network it exports.

onnxruntime gets the network with what scales rows folded into the weights, so that its graph is products and
ReLUs alone; we scale rows. At depth 3 it is given two graphs, that of `to_onnx` and one whose second layer is
a product with a block-diagonal matrix, and the faster one counts.
"""

import json
import sys
import tempfile
import time

import numpy as np
from common import (
    COLOURS,
    Store,
    Worker,
    dates,
    figure,
    geometric_mean,
    legend_above,
    of_threads,
    plain_ticks,
    plots,
    save,
    table,
)

KEYS = ("shape", "dtype", "threads")
ROWS, QUICK_ROWS = 1_000_000, 50_000
# Columns, sub-networks, width, gated: shallow networks small and large, trees of four leaves.
SHAPES = {
    "d=10, K=20": (10, 20, (), False),
    "d=30, K=50": (30, 50, (), False),
    "d=64, K=200": (64, 200, (), False),
    "d=30, K=50, depth 3": (30, 50, (4,), False),
    "d=30, K=50, gated": (30, 50, (), True),
}
GOAL = 1
GATE_ROUNDINGS = 1e-4  # share of the rows where roundings may decide whether a gate is open


def random_network(d, K, width, gated, scaled):
    import pathrelu as pr

    rng = np.random.default_rng(0)
    paths = int(np.prod(width))
    center, scale = rng.standard_normal(d), rng.random(d) + 0.5
    leaves = rng.standard_normal((K, paths, d))
    bias = rng.standard_normal((K, paths))
    options = {
        "output_sign": rng.choice([-1, 1], K),
        "edge_signs": rng.choice([-1, 1], (K, paths if width else 0)),
        "width": width,
        "intercept": 0.5,
    }
    layers = {"": (leaves, bias)}
    if gated:
        layers["gate"] = rng.standard_normal((K, paths, d)), rng.standard_normal((K, paths))
    if scaled:
        options |= {"center": center, "scale": scale}
    else:
        layers = {name: (w / scale, b - w @ (center / scale)) for name, (w, b) in layers.items()}
    options["leaf_bias"] = layers[""][1]
    if gated:
        gates, gate_bias = layers["gate"]
        return pr.GatedReLUNetwork(layers[""][0], gates=gates, gate_bias=gate_bias, **options)
    return pr.ParallelReLUNetwork(layers[""][0], **options)


def with_dense_layers(model):
    """The same graph with sums over children as products with a block-diagonal matrix."""
    import onnx
    from onnx import helper, numpy_helper

    constants = {c.name: numpy_helper.to_array(c) for c in model.graph.initializer}
    nodes, initializers, ends = [], [], {}
    for node in model.graph.node:
        if node.op_type == "Mul":
            signs = constants[node.input[1]].ravel()
            ends[node.output[0]] = (node.input[0], signs)
        elif node.op_type == "Reshape":
            source, signs = ends[node.input[0]]
            ends[node.output[0]] = (source, signs, int(constants[node.input[1]][2]))
        elif node.op_type == "ReduceSum":
            source, signs, units = ends[node.input[0]]
            matrix = signs[:, None] * (np.arange(len(signs))[:, None] % units == np.arange(units))
            name = f"{node.name}_matrix"
            initializers.append(numpy_helper.from_array(np.ascontiguousarray(matrix), name))
            nodes.append(helper.make_node("MatMul", [source, name], list(node.output), name=node.name))
        else:
            nodes.append(node)
    used = {name for node in nodes for name in node.input}
    initializers += [c for c in model.graph.initializer if c.name in used]
    graph = helper.make_graph(nodes, "dense", model.graph.input, model.graph.output, initializers)
    dense = helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
    onnx.checker.check_model(dense)
    return dense


def sessions(network, dtype, threads):
    import onnx
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        network.to_onnx(f"{folder}/network.onnx", dtype=dtype)
        model = onnx.load(f"{folder}/network.onnx")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    graphs = {"exported": model} | ({"dense": with_dense_layers(model)} if network.width else {})
    return {
        name: onnxruntime.InferenceSession(
            graph.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        for name, graph in graphs.items()
    }


def batched(session, X, size):
    """What onnxruntime predicts for parts of the rows, whose inner layers then fit the caches."""
    out = np.empty((len(X), 1), X.dtype)
    for begin in range(0, len(X), size):
        out[begin : begin + size] = session.run(None, {"X": X[begin : begin + size]})[0]
    return out


def measure(job):
    """Least seconds of each side, the sides in turn. Runs in a process of its own."""
    import onnxruntime

    from pathrelu import _core

    d, *shape = SHAPES[job["shape"]]
    n, threads = job["rows"], job["threads"]
    X = np.random.default_rng(1).standard_normal((n, d)).astype(job["dtype"])
    ours = random_network(d, *shape, scaled=True)
    runs = {"pathrelu": lambda: ours.predict(X, n_threads=threads)}
    for name, session in sessions(random_network(d, *shape, scaled=False), job["dtype"], threads).items():
        runs[f"onnxruntime, {name} graph"] = lambda session=session: session.run(None, {"X": X})[0]
        for size in (1024, 16384):
            runs[f"onnxruntime, {name} graph, {size} rows at a time"] = lambda session=session, size=size: (
                batched(session, X, size)
            )
    tolerance = 1e-4 if job["dtype"] == "float32" else 1e-9
    expected = runs["pathrelu"]().ravel()
    for name, run in runs.items():
        differs = np.abs(run().ravel() - expected) > tolerance * np.abs(expected).max()
        if differs.mean() > (GATE_ROUNDINGS if shape[-1] else 0):
            raise AssertionError(f"{name} predicts something else")
    seconds = {name: [] for name in runs}
    clocks = {"seconds": time.perf_counter, "processor": time.process_time}
    clock = clocks[job["clock"]]
    for _ in range(job["repeats"]):
        for name, run in runs.items():
            start = clock()
            run()
            seconds[name].append(clock() - start)
    return {
        "runs": {name: min(values) for name, values in seconds.items()},
        "kernels": _core.kernel_level(),
        "onnxruntime": onnxruntime.__version__,
    }


def run(suite, options, interpreters):
    store = Store(options.results, suite, KEYS, options.resume)
    rows = QUICK_ROWS if options.quick else ROWS
    for shape in SHAPES:
        if not options.wants(shape):
            continue
        for dtype in ("float32", "float64"):
            for threads in options.thread_counts:
                key = {"shape": shape, "dtype": dtype, "threads": threads}
                if store.fresh(**key):
                    continue
                job = {**key, "rows": rows, "repeats": max(7, options.repeats), "clock": "seconds"}
                for event in Worker(sys.executable, "predict.py", job, threads).events(lambda _: 600):
                    if event["event"] != "done":
                        raise RuntimeError(f"{shape}: {event}")
                    store.put(**key, rows=rows, **event["result"])
                    ours, rival, _ = sides(event["result"])
                    print(
                        f"  {shape} {dtype} {of_threads(threads)}: {1e3 * ours:.1f} ms, onnxruntime "
                        f"{1e3 * rival:.1f} ms: {figure(rival / ours)} times",
                        flush=True,
                    )


def sides(record):
    """Our seconds, those of the fastest way of onnxruntime, and which one that is."""
    rivals = {name: value for name, value in record["runs"].items() if name != "pathrelu"}
    best = min(rivals, key=rivals.get)
    return record["runs"]["pathrelu"], rivals[best], best


def order(record):
    return list(SHAPES).index(record["shape"]), record["dtype"], record["threads"]


def section(suite, store):
    rows, ratios = [], []
    for r in sorted(store.records, key=order):
        ours, rival, best = sides(r)
        ratios.append(rival / ours)
        rows.append(
            [
                *(r["shape"], f"{r['rows']:,}", r["dtype"], r["threads"]),
                *(f"{1e3 * ours:.3g} ms", f"{1e3 * rival:.3g} ms", figure(rival / ours)),
                best.removeprefix("onnxruntime, "),
            ]
        )
    kinds = ", ".join(
        sorted({f"kernels {r['kernels']}, onnxruntime {r['onnxruntime']}" for r in store.records})
    )
    header = ["network", "rows", "dtype", "threads", "ours", "onnxruntime", "ratio", "its fastest way"]
    return f"""## Predictions

{dates(store.records)} {kinds[0].upper() + kinds[1:]}.

`network.predict` against onnxruntime on the exported network, the same C-ordered rows of the dtype, least
of the repeats, the sides in turn. onnxruntime gets scaling folded into the weights, all rows at once and in
parts of 1,024 and 16,384, at depth 3 a graph with dense layers too, and the fastest way counts. Goal: {GOAL}
time; geometric mean {figure(geometric_mean(ratios))}, least {figure(min(ratios))}.

{table(header, rows)}
![Predictions]({suite}.png)
"""


def draw(suite, store, path):
    plt = plots()
    records = sorted(store.records, key=order)
    plot, ax = plt.subplots(figsize=(7, 0.34 * len(records) + 1))
    places = np.arange(len(records))
    for k, (name, colour) in enumerate(
        (("pathrelu", COLOURS["pathrelu"]), ("onnxruntime", COLOURS["adelie"]))
    ):
        heights = [1e9 * sides(r)[k] / r["rows"] for r in records]
        ax.barh(places + (k - 0.5) * 0.4, heights, 0.4, color=colour, label=name)
    labels = [f"{r['shape']}: {r['dtype']}, {of_threads(r['threads'])}" for r in records]
    ax.set_yticks(places, labels)
    ax.margins(y=0.01)
    ax.invert_yaxis()
    ax.set_xscale("log")
    ax.set_xlabel("nanoseconds a row")
    plain_ticks(ax.xaxis)
    ax.grid(axis="y", visible=False)
    legend_above(plot)
    save(plot, path)
    plt.close(plot)


if __name__ == "__main__":
    print(json.dumps({"event": "done", "result": measure(json.load(sys.stdin))}), flush=True)
