"""exp in loops that vectorise, which calls of the C library's do not.

x = n log 2 + r with |r| <= log(2)/2, and Taylor's polynomial of degree 13 (4e-18 left over).
Adding SHIFTER rounds to an integer and leaves it in the low bits.
"""

import numpy as np

from .compiled import kernel

LOG2E = 1.4426950408889634
LN2_HIGH = 0.693147180369123816490
LN2_LOW = 1.90821492927058770002e-10
SHIFTER = 6755399441055744.0  # 1.5 * 2^52
LOWEST, HIGHEST = -700.0, 700.0


@kernel(fastmath={"contract"})
def exponential(x, out):
    """exp(x) into out, both (n,), in a loop that vectorises; x is held within ±700, nan is nan."""
    for i in range(x.shape[0]):
        v = min(max(x[i], LOWEST), HIGHEST)
        z = v * LOG2E + SHIFTER
        whole = z - SHIFTER
        r = v - whole * LN2_HIGH
        r = r - whole * LN2_LOW
        square = r * r
        fourth = square * square
        low = 0.5 + r * 1.6666666666666666e-01
        low += square * (4.1666666666666664e-02 + r * 8.333333333333333e-03)
        high = 1.388888888888889e-03 + r * 1.984126984126984e-04
        high += square * (2.48015873015873e-05 + r * 2.7557319223985893e-06)
        top = 2.755731922398589e-07 + r * 2.505210838544172e-08
        top += square * (2.08767569878681e-09 + r * 1.6059043836821613e-10)
        part = 1.0 + (r + square * (low + fourth * (high + fourth * top)))
        power = np.int64((np.float64(z).view(np.int64) + 1023) << 52)
        out[i] = part * power.view(np.float64)
