"""How the loops are compiled: `kernel` is called from Python too, `inner` by other kernels only.

For what Python may call, numba also compiles a function that unpacks the arguments and packs the
results: for a function of many arrays that takes longer than its loops do. `inner` goes without,
and must not be called from Python, which would end the process; `tests/test_architecture.py` sees
to it that nothing outside of this folder names one.

Division by zero gives infinity, as in NumPy.
"""

from functools import partial

import numpy as np
from numba import njit

kernel = partial(njit, cache=True, nogil=True, error_model="numpy", no_cfunc_wrapper=True)
inner = partial(kernel, no_cpython_wrapper=True)
# For a literal argument numba compiles a function once more; this one it does not take for that.
ZERO = np.int64(0)
