"""A few hundred arbitrary inputs; `python -m benchmarks.fuzz --inputs N` tries many."""

import pytest

from benchmarks.fuzz import one

INPUTS, BLOCK = 400, 50


@pytest.mark.parametrize("block", range(INPUTS // BLOCK))
def test_arbitrary_input_ends_well(block):
    findings = [one((1, block * BLOCK + i))[2] for i in range(BLOCK)]
    report = [f"{f.seed}: {f.what}\n    {f.call}" for f in findings if f]
    assert not report, "\n".join(report)


@pytest.mark.parametrize("seed", [(78, 5960), (78, 9108), (79, 9715)])
def test_inputs_that_ended_badly_once(seed):
    """A mean of 1e308; 3,000 columns of five values with "auto"; an excess beyond float64."""
    finding = one(seed)[2]
    assert not finding, f"{finding.what}\n    {finding.call}"


@pytest.mark.slow
def test_much_arbitrary_input_ends_well():
    findings = [one((2, i))[2] for i in range(5000)]
    report = [f"{f.seed}: {f.what}\n    {f.call}" for f in findings if f]
    assert not report, "\n".join(report)
