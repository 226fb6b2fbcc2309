"""Without torch there is nothing to collect here."""

import importlib.util

import pytest

if importlib.util.find_spec("torch") is None:
    collect_ignore_glob = ["test_*.py"]


def pytest_collection_modifyitems(items):
    """What torch warns of in its own code: forward-mode rules call torch.jit.script, the compiler
    instantiates autograd Functions, lazy modules are always new.
    """
    messages = (
        "`torch.jit.script` is deprecated",
        ".*should not be instantiated",
        "Lazy modules are a new feature",
    )
    for item in items:
        if "tests/torch" in item.path.as_posix():
            for message in messages:
                item.add_marker(pytest.mark.filterwarnings(f"ignore:{message}"))
