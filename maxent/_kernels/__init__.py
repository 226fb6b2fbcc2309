"""The numba loops and nothing else: float64 in and out, shapes restored by the caller."""
