"""
Rows on a cluster of Dask
=========================

Start a cluster on this machine, train on rows that its workers hold, and take the network home.
"""

import dask.array as da
import matplotlib.pyplot as plt
from distributed import Client, LocalCluster

from pathrelu.dask import DaskPathReLURegressor
from pathrelu.plotting import PartialDependenceDisplay


def main():
    rng = da.random.default_rng(0)
    X = rng.standard_normal((200_000, 6), chunks=(25_000, 6))
    y = da.maximum(X[:, 0], 0) - abs(X[:, 1]) + 0.1 * rng.standard_normal(200_000, chunks=25_000)

    # Elsewhere: Client("address-of-the-scheduler:8786"), with `processes=True` for workers of their own.
    with (
        LocalCluster(n_workers=1, processes=False, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster) as client,
    ):
        model = DaskPathReLURegressor(alpha=0.003, random_state=0, client=client).fit(X, y)
        print(f"{model.n_passes_} passes over {len(X):,} rows, {model.n_subnetworks_} sub-networks")
        predicted = model.predict(X)
        print(f"predictions: {predicted.dtype}, chunks of {predicted.chunks[0][0]:,} rows, not computed yet")
        print(f"mean squared error {float(((predicted - y) ** 2).mean().compute()):.4f}, noise 0.01")

        sample = X[:1000].compute()

    local = model.to_local()
    print(f"at home: {type(local).__name__}, {local.predict(sample[:3]).round(2)}")
    display = PartialDependenceDisplay.from_estimator(local, sample, [0, 1])
    display.figure_.suptitle("What the network has made of max(x0, 0) - |x1|")
    plt.show()


if __name__ == "__main__":
    main()
