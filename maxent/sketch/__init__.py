"""Samples to moments.

sample    arrays, checked, and their moments in the frame of a support
"""

from maxent.sketch.sample import Sample, real_array

__all__ = ["Sample", "real_array"]
