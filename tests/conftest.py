import os

import matplotlib
import pytest
from hypothesis import settings

from pathrelu import _core

matplotlib.use("Agg")  # where there is a screen too

# The same examples in every run; --hypothesis-profile=default looks for new ones.
settings.register_profile("same", derandomize=True, deadline=None)
settings.load_profile("same")

pytest.register_assert_rewrite("support")


def pytest_addoption(parser):
    parser.addoption(
        "--kernels",
        help="instruction set of the compiled part, one of _core.kernel_levels(), also in the processes that "
        "tests start; by default the best that the processor runs",
    )


def pytest_configure(config):
    level = config.getoption("kernels")
    if level is not None:
        if level not in _core.kernel_levels():
            raise pytest.UsageError(
                f"--kernels={level}: this machine runs {', '.join(_core.kernel_levels())}"
            )
        from support import environment_of_kernels

        _core.use_kernels(level)
        os.environ.update(environment_of_kernels(level))


def pytest_report_header(config):
    return f"kernels: {_core.kernel_level()} of {', '.join(_core.kernel_levels())}"
