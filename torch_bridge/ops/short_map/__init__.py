"""Maps of `monotone_table` behind the squash as one polynomial a column, where that is as good.

    fits        which polynomial, on which window, and how far it is from the table
    operators   evaluation in torch operations, and in one pass on the CPU
    kernels     the loops of that pass
"""

from torch_bridge.ops.short_map.fits import DEGREE, TOLERANCES, Fit, fit
from torch_bridge.ops.short_map.operators import apply, rows_of

__all__ = ["DEGREE", "TOLERANCES", "Fit", "apply", "fit", "rows_of"]
