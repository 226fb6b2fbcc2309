"""Without torch there is nothing to collect here."""

import importlib.util

import pytest

if importlib.util.find_spec("torch") is None:
    collect_ignore_glob = ["test_*.py"]


def pytest_collection_modifyitems(items):
    """torch's own forward-mode rules call torch.jit.script, which warns; lazy modules always do."""
    for item in items:
        if "tests/torch" in item.path.as_posix():
            for message in ("`torch.jit.script` is deprecated", "Lazy modules are a new feature"):
                item.add_marker(pytest.mark.filterwarnings(f"ignore:{message}"))
