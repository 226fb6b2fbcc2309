"""`maxent compile` leaves nothing to compile, and compiles nothing twice."""

import subprocess
import sys

import pytest

from maxent import compiling
from tests.test_architecture import files, kernels_named, room_of

SIGNATURES = """
import importlib, pkgutil
from numba.core.dispatcher import Dispatcher
import maxent._kernels as rooms
from maxent import compiling

for part in compiling.PARTS:
    part()
for room in pkgutil.iter_modules(rooms.__path__):
    module = importlib.import_module(f"{rooms.__name__}.{room.name}")
    for name, kernel in vars(module).items():
        ours = isinstance(kernel, Dispatcher) and kernel.__module__ == module.__name__
        if ours and not kernel.targetoptions.get("no_cpython_wrapper"):
            print(room.name, name, len(kernel.signatures))
"""


def test_the_parts_together_compile_every_kernel_once():
    done = subprocess.run(
        [sys.executable, "-c", SIGNATURES], capture_output=True, text=True, check=True
    )
    found = {tuple(line.split()[:2]): int(line.split()[2]) for line in done.stdout.splitlines()}
    outside = [path for path in files("maxent") if room_of(path) != "_kernels"]
    called = {name for path in outside for name in kernels_named(path)} & set(found)
    assert ("certain", "attempt") in called and ("inversion", "points_for") in called
    assert {name: found[name] for name in called if found[name] != 1} == {}
    # one that only kernels call stays at 0 where its callers come from the disk
    assert {name: n for name, n in found.items() if n > 1} == {}


def test_the_command_says_how_far_it_is():
    done = subprocess.run(
        [sys.executable, "-m", "maxent.cli", "compile", "--jobs", "1"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 6 and lines[0].startswith("maxent: 0 of 5 parts compiled")
    assert lines[-1].startswith("maxent: 5 of 5 parts compiled")


def test_no_process_is_an_error():
    with pytest.raises(ValueError, match="0 processes"):
        compiling.compile_all(0)
