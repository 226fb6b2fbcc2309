"""Every public name explains itself: a docstring, an example that runs, the errors it raises."""

import dataclasses
import doctest
import inspect
import math

import numpy as np
import pytest

import maxent

PUBLIC = [(maxent, name) for name in maxent.__all__]
try:
    import torch

    import torch_bridge
    from torch_bridge import functional
except ImportError:
    torch = torch_bridge = functional = None
else:
    PUBLIC += [(torch_bridge, name) for name in torch_bridge.__all__ if name != "functional"]
    PUBLIC += [(functional, name) for name in functional.__all__]

NAMES = {"maxent": maxent, "np": np, "math": math, "torch": torch}
NAMES |= {"torch_bridge": torch_bridge, "functional": functional}

EXPLAINED = [
    pytest.param(getattr(module, name), id=f"{module.__name__}.{name}")
    for module, name in PUBLIC
    if inspect.isclass(getattr(module, name)) or inspect.isfunction(getattr(module, name))
]


@pytest.mark.parametrize("thing", EXPLAINED)
def test_example_runs(thing):
    examples = doctest.DocTestFinder(recurse=False).find(thing, globs=dict(NAMES))
    assert examples and examples[0].examples, "no example"
    said = []
    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(examples[0], out=said.append)
    assert not said, "".join(said)


@pytest.mark.parametrize("thing", EXPLAINED)
def test_public_methods_say_what_they_do(thing):
    own = vars(thing).items() if inspect.isclass(thing) else ()
    for name, member in own:
        if inspect.isfunction(member) and not name.startswith("_"):
            assert inspect.getdoc(getattr(thing, name)), name


@pytest.mark.parametrize("thing", EXPLAINED)
def test_what_it_raises_is_said(thing):
    """Of every function, and of every class whose constructor raises."""
    own = vars(thing) if inspect.isclass(thing) else {}
    made = "__post_init__" if dataclasses.is_dataclass(thing) else "__init__"
    if inspect.isfunction(thing) or (made in own and "raise " in inspect.getsource(own[made])):
        assert "rais" in thing.__doc__.lower()
