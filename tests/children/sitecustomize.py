"""In processes that tests start: the kernels of `pytest --kernels`, as soon as the compiled part is there."""

import importlib.machinery
import os
import sys


class _Loader(importlib.machinery.ExtensionFileLoader):
    def exec_module(self, module):
        super().exec_module(module)
        module.use_kernels(os.environ["PATHRELU_TESTS_KERNELS"])


class _Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name != "pathrelu._core":
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.origin is not None:
            spec.loader = _Loader(name, spec.origin)
        return spec


sys.meta_path.insert(0, _Finder)
