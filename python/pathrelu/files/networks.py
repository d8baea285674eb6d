"""Networks as a header and arrays, for a file of its own or inside that of an estimator."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

import numpy as np

from pathrelu._registry import NETWORKS
from pathrelu._version import __version__
from pathrelu.encoding import TableEncoder
from pathrelu.files.archive import Arrays, Header, check_entries, check_version, from_plain

FORMAT = "pathrelu-network"
VERSION = 3
SKIP_VERSION = 2  # from which on there may be a skip connection
RELEASE_VERSION = 3  # from which on a file names the release that wrote it
ENCODER_VERSION = 3  # from which on there may be an encoder
WEIGHTS_VERSION = 3  # from which on sub-networks have weights to all outputs, in place of one and its sign

ONE_OUTPUT = {"output_sign", "output_index"}  # what files had before

DTYPES: dict[str, tuple[type[np.generic], ...]] = {
    "leaf_weights": (np.float64, np.float32),
    "leaf_bias": (np.float64, np.float32),
    "gates": (np.float64, np.float32),
    "gate_bias": (np.float64, np.float32),
    "skip_weights": (np.float64, np.float32),
    "skip_bias": (np.float64, np.float32),
    "edge_signs": (np.int8,),
    "output_sign": (np.int8,),
    "output_index": (np.int64,),
}


class StoredNetwork(Protocol):
    """What a file holds of a network."""

    kind: ClassVar[str]
    arrays: ClassVar[tuple[str, ...]]
    skip_arrays: ClassVar[tuple[str, ...]]
    width: tuple[int, ...]
    bias_scale: float
    classes: list[str | int | float | bool] | None
    feature_names: list[str] | None
    target: str | None

    encoder: TableEncoder | None

    @property
    def skip_connection(self) -> bool: ...


def network_parts(network: StoredNetwork) -> tuple[Header, Arrays]:
    """Header and arrays of a network; `network_from_parts` takes them."""
    header = {
        "format": FORMAT,
        "version": VERSION,
        "pathrelu_version": __version__,
        "kind": network.kind,
        "width": list(network.width),
        "bias_scale": network.bias_scale,
        "classes": network.classes,
        "feature_names": network.feature_names,
        "target": network.target,
    }
    if network.encoder is not None:
        header["encoder"] = network.encoder.to_dict()
    names = network.arrays + (network.skip_arrays if network.skip_connection else ())
    return header, {name: getattr(network, name) for name in names}


def array_names() -> set[str]:
    """Names of the arrays that the file of a network may have."""
    return ONE_OUTPUT | {name for _, cls in NETWORKS.items() for name in (*cls.arrays, *cls.skip_arrays)}


def network_from_dict(content: Header) -> Any:
    """The network that `to_dict` described."""
    if not isinstance(content, dict) or not isinstance(content.get("arrays"), dict):
        raise ValueError("it has no arrays")
    header = {key: value for key, value in content.items() if key != "arrays"}
    stored = {name: from_plain(plain, name) for name, plain in content["arrays"].items()}
    return network_from_parts(header, stored)


def network_from_parts(header: Header, stored: Arrays) -> Any:
    """The network whose parts these are."""
    header = dict(header)
    if header.pop("format", None) != FORMAT:
        raise ValueError("its header is not that of a network")
    check_version(header, range(1, VERSION + 1))
    version = header.pop("version")
    entries = {"width", "bias_scale", "classes", "feature_names", "target"}
    if version >= RELEASE_VERSION:
        entries.add("pathrelu_version")
    kind = header.pop("kind", None)
    cls = NETWORKS.get(kind)
    if cls is None:
        known = ", ".join(name for name, _ in NETWORKS.items())
        raise ValueError(f"it holds a network of the kind {kind!r}; this release knows {known}")
    skip = version >= SKIP_VERSION and not stored.keys().isdisjoint(cls.skip_arrays)
    if version >= ENCODER_VERSION and "encoder" in header:
        entries.add("encoder")
    check_entries(set(header), entries)
    arrays = {*cls.arrays, *(cls.skip_arrays if skip else ())}
    if version < WEIGHTS_VERSION:
        arrays = arrays - {"output_weights"} | ONE_OUTPUT
    check_entries(set(stored), arrays)
    header.pop("pathrelu_version", None)
    for name, array in stored.items():
        wanted = DTYPES.get(name, (np.float64,))
        if array.dtype not in wanted:
            raise ValueError(f"{name} has dtype {array.dtype}; expected {np.dtype(wanted[0])}")
    if not isinstance(header["width"], list):
        raise ValueError(f"width is {header['width']!r}; expected a list")
    if "encoder" in header:
        header["encoder"] = TableEncoder.from_dict(header["encoder"])
    return cls(**stored, **header)
