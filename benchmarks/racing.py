"""Contenders take turns; the median of their rounds counts. Rows, tables, and the machine.

Times are processor time of this process, so that other work on the machine is not counted; what
runs on several threads is measured by the clock on the wall instead.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import importlib.metadata
import math
import os
import platform
import statistics
import time
from pathlib import Path

MOST_ROUNDS = 7
# A round repeats short work until it takes so long, in seconds.
ROUND = 4e-3
OURS = "maxent"
PACKAGES = ("numpy", "scipy", "numba", "scikit-learn")


@dataclasses.dataclass(frozen=True)
class Options:
    """budget: seconds that one contender may take in one case, roughly."""

    quick: bool = False
    budget: float = 2.0
    peer_path: Path | None = None


@dataclasses.dataclass(frozen=True)
class Row:
    """One contender in one case.

    seconds: per `per` ("call", "column", "value"); None where it was not run. error: by a rule
    independent of all contenders, of the kind that the section names; None where it means nothing.
    versus: the method whose time is 1 in this case. goal: seconds, from the plan.
    """

    section: str
    case: str
    method: str
    seconds: float | None
    per: str = "call"
    error: float | None = None
    note: str = ""
    versus: str = OURS
    goal: float | None = None


def race(works, budget, clock=time.process_time):
    """name -> work() into name -> seconds a call: warmed up, in turns, the median of the rounds."""
    repeats, rounds, spent = {}, {}, {}
    for name, work in works.items():
        work()
        start = clock()
        work()
        once = max(clock() - start, 1e-9)
        spent[name] = [once]
        repeats[name] = max(1, math.ceil(ROUND / once)) if once < ROUND else 1
        rounds[name] = min(MOST_ROUNDS, int(budget / max(once, ROUND)))
    for i in range(MOST_ROUNDS):
        for name, work in works.items():
            if i < rounds[name]:
                start = clock()
                for _ in range(repeats[name]):
                    work()
                spent[name].append((clock() - start) / repeats[name])
    # the first was for the size only, unless there was no time for another
    return {name: statistics.median(s[1:] or s) for name, s in spent.items()}


@contextlib.contextmanager
def threads(number):
    """The library's loops over columns on so many threads."""
    from numba import config

    before = config.NUMBA_NUM_THREADS
    config.NUMBA_NUM_THREADS = number
    try:
        yield
    finally:
        config.NUMBA_NUM_THREADS = before


def machine():
    """What the figures depend on, without the name of the host."""
    model = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next((s.split(":")[1].strip() for s in lines if s.startswith("model name")), model)
    found = {}
    for package in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else math.nan
    return {
        "date": datetime.date.today().isoformat(),
        "processor": model,
        "cores": os.cpu_count(),
        "load_at_start": round(load, 2),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **found,
    }


def spoken(seconds):
    """Three digits and a unit."""
    if seconds is None or not math.isfinite(seconds):
        return "—"
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9)):
        if seconds >= size or unit == "ns":
            return f"{seconds / size:.3g} {unit}"
    raise AssertionError


def references(rows):
    """(section, case) -> seconds of the row that the others are compared with."""
    return {(r.section, r.case): r.seconds for r in rows if r.method == r.versus}


def cells(row, base):
    """The row as text: case, method, time, ratio, error, remarks."""
    ratio, remark = "", [row.note] if row.note else []
    if row.method == row.versus:
        ratio = "1"
    elif base and row.seconds:
        ratio = f"{row.seconds / base:.3g}"
        if row.seconds < base and row.versus == OURS and not row.method.startswith(OURS):
            remark.insert(0, "faster than ours")
    if row.goal is not None and row.seconds is not None:
        met = "met" if row.seconds <= row.goal else "MISSED"
        remark.append(f"goal {spoken(row.goal)}: {met}")
    error = "" if row.error is None else f"{row.error:.1e}"
    taken = "—" if row.seconds is None else f"{spoken(row.seconds)} a {row.per}"
    return row.case, row.method, taken, ratio, error, "; ".join(remark)


def table(rows, title):
    """Markdown, columns padded so that it can be read as it is."""
    base = references(rows)
    head = ("case", "method", "time", "× ours", "error", "")
    body = [cells(row, base.get((row.section, row.case))) for row in rows]
    for i in range(len(body) - 1, 0, -1):
        if body[i][0] == body[i - 1][0]:
            body[i] = ("", *body[i][1:])
    width = [max(len(line[j]) for line in (head, *body)) for j in range(len(head))]
    lines = [
        "| " + " | ".join(text.ljust(w) for text, w in zip(line, width, strict=True)) + " |"
        for line in (head, tuple("-" * w for w in width), *body)
    ]
    return "\n".join([f"### {title}", "", *lines, ""])
