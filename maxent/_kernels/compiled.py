"""How the loops are compiled: `kernel` is called from Python too, `inner` by other kernels only,
and `inlined` is written into the kernel that calls it.

For what Python may call, numba also compiles a function that unpacks the arguments and packs the
results: for a function of many arrays that takes longer than its loops do. `inner` goes without,
and must not be called from Python, which would end the process; `tests/test_architecture.py` sees
to it that nothing outside of this folder names one.

Every function is compiled with all those that it calls, however deep, so what is called five levels
down is optimised six times. `inlined` is one level less, and one function less. It pays for what is
called in one place or is short. For a large one it does not: numba copies it with all of its
variables for every block. It takes its caller's `fastmath`.

References to arrays are counted, at a nanosecond or two each, except in a function that calls no
other and has no `if` around a loop over them; an array bound to another name within a loop is
counted every time.

Division by zero gives infinity, as in NumPy.
"""

from functools import partial

import numpy as np
from numba import njit

kernel = partial(njit, cache=True, nogil=True, error_model="numpy", no_cfunc_wrapper=True)
inner = partial(kernel, no_cpython_wrapper=True)
inlined = partial(inner, inline="always")
# For a literal argument numba compiles a function once more; these it does not take for that.
ZERO, TRUE, FALSE = np.int64(0), np.bool_(True), np.bool_(False)
