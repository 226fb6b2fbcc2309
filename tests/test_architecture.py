"""The house is what docs/architecture.md says: the rooms are there, in that order, and no others.

Two blocks of that page are read here: `rooms` (one a line, in order) and `doors` (the imports
inside a function that lead to a later room, as `room -> later room`).
"""

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def block(name):
    found = re.findall(rf"^```{name}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert len(found) == 1, f"docs/architecture.md should hold one block ```{name}"
    return [line.strip() for line in found[0].splitlines() if line.strip()]


ROOMS = [line.split()[0] for line in block("rooms")]
DOORS = {tuple(line.split(" -> ")) for line in block("doors")}
PLACE = {room: place for place, room in enumerate(ROOMS)}


def files(package):
    return sorted((ROOT / package).rglob("*.py"))


def room_of(path):
    """maxent/newton.py and maxent/newton/steps.py are in the room `newton`."""
    return path.relative_to(ROOT / "maxent").parts[0].removesuffix(".py")


def imports(path, package):
    """(dotted absolute name, whether inside a function) of everything that a file imports."""
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for node in ast.walk(function)
    }
    folder = path.relative_to(ROOT).parent.parts
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = folder[: len(folder) - node.level + 1] if node.level else ()
            module = ".".join([*start, *([node.module] if node.module else [])])
            names = [f"{module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            yield name, id(node) in inside


def room_imports():
    """(room, imported room, whether inside a function, file) for every import between rooms."""
    for path in files("maxent"):
        room = room_of(path)
        if room == "__init__":
            continue
        for name, inside in imports(path, "maxent"):
            parts = name.split(".")
            if parts[0] == "maxent" and len(parts) > 1 and parts[1] != room:
                yield room, parts[1], inside, path


def test_every_room_is_on_the_list_and_every_name_on_the_list_is_a_room():
    there = {room_of(path) for path in files("maxent")} - {"__init__"}
    assert there == set(ROOMS)
    assert len(ROOMS) == len(PLACE)


def test_rooms_import_only_from_rooms_before_them():
    upward = {
        f"{path.relative_to(ROOT)} imports {other}"
        for room, other, inside, path in room_imports()
        if PLACE.get(other, len(ROOMS)) > PLACE[room] and not (inside and (room, other) in DOORS)
    }
    assert not upward


def test_every_door_on_the_list_is_used_and_leads_to_a_later_room():
    used = {(room, other) for room, other, inside, _ in room_imports() if inside}
    assert used >= DOORS
    assert all(PLACE[room] < PLACE[other] for room, other in DOORS)


def test_rooms_do_not_import_the_front_door():
    """`from maxent import x` inside a room would run in a circle: name the room instead."""
    assert {other for _, other, _, _ in room_imports()} <= set(ROOMS)


def test_maxent_never_imports_torch_or_the_bridge():
    for path in files("maxent"):
        tops = {name.split(".")[0] for name, _ in imports(path, "maxent")}
        assert not tops & {"torch", "torch_bridge"}, path


@pytest.mark.parametrize("module", ["maxent", "maxent.cli"])
def test_import_is_light(module):
    heavy = ["torch", "matplotlib", "pandas", "scipy.stats", "pyarrow", "sklearn", "dask"]
    code = f"import sys, {module}; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "[]"


def test_an_adapter_imports_its_tool_and_no_other():
    tools = {"scipy", "sklearn", "dask"}
    for path in files("maxent/adapters"):
        tops = {name.split(".")[0] for name, _ in imports(path, "maxent")}
        allowed = {path.stem} | ({"scipy"} if path.stem == "sklearn" else set())
        assert tops & tools <= allowed, path


def test_contributing_names_every_room_that_a_table_row_points_to():
    """The which-room table of CONTRIBUTING.md points to rooms that exist."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| .* \| (.*) \|$", text, re.MULTILINE)[1:]
    named = set(re.findall(r"`([a-z_]+)`", " ".join(rows)))  # `newton.py` is a file, not a room
    assert named
    assert named <= set(ROOMS)


def kernels_named(path):
    """What a file outside of `_kernels` names of it: (module, function)."""
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    modules = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and "_kernels" in (node.module or "").split("."):
            for alias in node.names:
                place = node.module.split("_kernels")[1].strip(".")
                if place:
                    yield place, alias.name
                else:
                    modules[alias.asname or alias.name] = alias.name
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.value.id in modules:
                yield modules[node.value.id], node.attr


def test_python_names_no_kernel_that_only_kernels_can_call():
    """Called from Python, an `inner` one would end the process."""
    outside = [p for p in files("maxent") if room_of(p) != "_kernels"]
    named = {
        name
        for path in [*outside, *files("torch_bridge"), *files("tests"), *files("benchmarks")]
        for name in kernels_named(path)
    }
    assert ("fast", "solve_columns") in named

    def inner(module, name):
        found = getattr(importlib.import_module(f"maxent._kernels.{module}"), name)
        return getattr(found, "targetoptions", {}).get("no_cpython_wrapper", False)

    assert not {name for name in named if inner(*name)}
    assert inner("fast", "refresh")
