"""`python -m benchmarks --quick` runs and says what it should. Nothing is timed here."""

import itertools
import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import racing

ROOT = Path(__file__).parents[1]


def row(method, seconds, **more):
    return racing.Row("solve", "k = 6", method, seconds, **more)


def test_a_table_says_where_we_lose_and_what_was_missed():
    rows = [
        row("maxent", 2e-4, error=1e-15, goal=1e-4),
        row("slow", 3e-2, error=1e-9),
        row("fast", 1e-4),
        row("maxent, otherwise", 1e-4),
        row("not run", None, note="breaks down"),
    ]
    text = racing.table(rows, "One solve")
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len({len(line) for line in lines}) == 1
    _, _, ours, slow, fast, other, none = (
        [c.strip() for c in line.split("|")[1:-1]] for line in lines
    )
    assert ours == ["k = 6", "maxent", "200 µs a call", "1", "1.0e-15", "goal 100 µs: MISSED"]
    assert slow == ["", "slow", "30 ms a call", "150", "1.0e-09", ""]
    assert fast[3:] == ["0.5", "", "faster than ours"]
    assert other[3:] == ["0.5", "", ""]
    assert none[2:] == ["—", "", "", "breaks down"]


def test_the_machine_is_described_without_its_name():
    import platform

    said = racing.machine()
    assert {"date", "processor", "cores", "python", "numpy"} <= set(said)
    assert platform.node() not in said.values()


def test_contenders_take_turns():
    calls = []
    times = racing.race({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 1.0)
    assert set(times) == {"a", "b"}
    assert min(times.values()) > 0
    changes = sum(x != y for x, y in itertools.pairwise(calls))
    assert changes == 2 * racing.MOST_ROUNDS + 1


def run(*arguments):
    command = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


def test_an_unknown_section_is_refused():
    done = run("--sections", "solve,speed")
    assert done.returncode == 2
    assert "no section speed" in done.stderr


@pytest.mark.slow
def test_a_quick_run_measures_every_section(tmp_path):
    done = run("--quick", "--json", "--output", str(tmp_path))
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said == json.loads((tmp_path / "speed.json").read_text(encoding="utf-8"))
    assert (tmp_path / "speed.png").stat().st_size > 10_000
    sections = {r["section"] for r in said["rows"]}
    assert sections == {"solve", "batch", "hard", "data", "inversion", "sensitivity", "import"}
    ours = [r for r in said["rows"] if r["method"] == "maxent" and r["error"] is not None]
    assert all(r["error"] < 1e-9 for r in ours if r["section"] in ("solve", "batch", "hard"))
