"""Kernels that only kernels may call, made callable from Python: `FromPython("fast").means`."""

import importlib

from numba import njit
from numba.core.dispatcher import Dispatcher


class FromPython:
    """A module of `maxent._kernels` whose functions are each written into one of their own."""

    def __init__(self, module):
        self._module = importlib.import_module(f"maxent._kernels.{module}")

    def __getattr__(self, name):
        found = getattr(self._module, name)
        if isinstance(found, Dispatcher):

            @njit(error_model="numpy")
            def call(*args):
                return found(*args)

            setattr(self, name, call)
            return call
        return found
