"""Samples to moments.

sample     arrays, checked, and their moments in the frame of a support
summary    Sketch: mergeable by widening, one pass
format     a sketch as bytes and as JSON
"""

from maxent.sketch import format
from maxent.sketch.sample import Sample, real_array
from maxent.sketch.summary import Sketch

__all__ = ["Sample", "Sketch", "format", "real_array"]
