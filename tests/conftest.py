import matplotlib
import pytest

matplotlib.use("Agg")  # where there is a screen too

pytest.register_assert_rewrite("support")
