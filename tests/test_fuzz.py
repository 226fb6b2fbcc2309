"""A few hundred arbitrary inputs; `python -m benchmarks.fuzz --inputs N` tries many."""

import pytest

from benchmarks.fuzz import one

INPUTS, BLOCK = 400, 50


@pytest.mark.parametrize("block", range(INPUTS // BLOCK))
def test_arbitrary_input_ends_well(block):
    findings = [one((1, block * BLOCK + i))[2] for i in range(BLOCK)]
    report = [f"{f.seed}: {f.what}\n    {f.call}" for f in findings if f]
    assert not report, "\n".join(report)


@pytest.mark.slow
def test_much_arbitrary_input_ends_well():
    findings = [one((2, i))[2] for i in range(5000)]
    report = [f"{f.seed}: {f.what}\n    {f.call}" for f in findings if f]
    assert not report, "\n".join(report)
