"""Is a density ever wrong without a word? Random problems of known truth, counted.

    python -m benchmarks.fails_safely --problems 20000
                                      [--seed 0] [--jobs 2] [--families spikes,junk] [--json OUT]
                                      [--table OUT] [--progress]

Families and their truths: `families.py`. Judging of what comes back as SOLVED: `judge.py`.

    solved          SOLVED, and the returned density (its public logpdf, integrated by the judge)
    has
                    the mass and the moments to 1e-10 in the normalised basis, and the entropy too
                    where that is known, to 1e-9 and what the rounding of the moments, and the error
                    just measured, may move it
    right refusal   no answer exists, and the status says why; or the rounding of the moments leaves
                    open whether one exists, and the status is ATOMIC or ILL_CONDITIONED
    other reason    no answer exists, refused, with another status than the deserved one
    wrong refusal   an answer exists and was not given (or the input is undecided and the status
                    claims a proof)
    WRONG           SOLVED where there is no answer, or with a density that the judge rejects
    raised          an exception other than SolveError, or a warning

Undecided: in the Chebyshev basis (interval), or with unit diagonal (half line, line), a matrix of
moments that must be positive definite has an eigenvalue within n * 2^-53 of 0, n its size: the
rounding of the input is as large.
Blurred: half a unit in the last place of each moment, the worst signs, moves log p by more than
1e-2 (root mean square under the known answer, or under the measure that the moments came from):
less than two digits of the density are left (a refusal is looked at twice, by a slow independent
solution). Or, on the half line and line, moves the last coefficient of log p by more than itself:
whether there is a maximum is left open. ATOMIC and ILL_CONDITIONED are right refusals there
too; and ILL_CONDITIONED on the line where |skew| < 0.02 and kurtosis > 2.98 (exponents of 1e5 and
more).
"""

from __future__ import annotations

import argparse
import collections
import concurrent.futures
import contextlib
import dataclasses
import json
import math
import os
import sys
import time
import traceback
import warnings

TOLERANCE = 1e-10
ENTROPY_TOLERANCE = 1e-9
CHUNK = 20
DESERVED = {"infeasible": "INFEASIBLE", "atomic": "ATOMIC", "no-maximum": "NO_MAXIMUM"}
OUTCOMES = ("solved", "right refusal", "other reason", "wrong refusal", "WRONG", "raised")


@dataclasses.dataclass(frozen=True)
class Outcome:
    family: str
    seed: tuple[int, ...]
    k: int
    verdict: str
    truth: str
    undecided: bool
    status: str
    error: float  # of the moments, as judged; nan where nothing was solved
    seconds: float
    headline: bool
    blurred: bool
    note: str


def examine(family: str, seed: tuple[int, ...]) -> Outcome:
    """Draw one problem, solve it, judge the answer."""
    import numpy as np

    import maxent
    from benchmarks.families import draw, second_look

    case = draw(family, seed)
    support = maxent.Discrete(case.support) if case.discrete else case.support
    start = time.perf_counter()
    error, note = math.nan, case.note
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            density = maxent.solve(
                np.array(case.moments), support=support, kind=case.kind, throw=False
            )
            status = density.certificate.status.name
            seconds = time.perf_counter() - start
            if status == "SOLVED":
                verdict, error, why = judge_solved(case, density)
                note = f"{note}; {why}" if why else note
            else:
                verdict = judge_refusal(case, status)
                doubtful = status in ("ATOMIC", "ILL_CONDITIONED") and case.kind == "chebyshev"
                if verdict == "wrong refusal" and doubtful and second_look(case):
                    case = dataclasses.replace(case, blurred=True)
                    verdict = judge_refusal(case, status)
    except Exception as reason:  # anything at all is a finding here
        seconds = time.perf_counter() - start
        place = traceback.extract_tb(reason.__traceback__)[-1]
        verdict, status = "raised", type(reason).__name__
        note = f"{note}; {reason} ({os.path.basename(place.filename)}:{place.lineno})"
    return Outcome(
        family,
        seed,
        case.k,
        verdict,
        case.truth,
        case.undecided,
        status,
        error,
        seconds,
        case.headline,
        case.blurred,
        note,
    )


def judge_refusal(case, status: str) -> str:
    honest = set(case.honest)
    if case.undecided or case.blurred:
        honest |= {"ATOMIC", "ILL_CONDITIONED"}
    if case.truth != "solvable":
        honest.add(DESERVED[case.truth])
        return "right refusal" if status in honest else "other reason"
    return "right refusal" if status in honest else "wrong refusal"


def judge_solved(case, density) -> tuple[str, float, str]:
    import numpy as np

    from benchmarks.judge import features, frame, judge

    if case.truth != "solvable" and not case.undecided:
        return "WRONG", math.nan, f"solved, but {case.truth}"
    if case.discrete:
        points = np.array(case.support)
        p = np.asarray(density.pdf(points), dtype=np.longdouble)
        ends = (float(points[0]), float(points[-1]))
        loc, scale, target = frame(ends, np.array(case.moments), case.kind)
        phi = features(ends, (points.astype(np.longdouble) - loc) / scale, case.k)
        worst = max(abs(float(a - float(b))) for a, b in zip(p @ phi, target, strict=True))
        entropy = float(-np.sum(np.where(p > 0, p * np.log(np.maximum(p, 1e-300)), 0)))
    else:
        found = judge(density.logpdf, case.support, np.array(case.moments), case.kind)
        worst, entropy = found.worst, found.entropy
    if not worst <= TOLERANCE:
        return "WRONG", worst, f"moments off by {worst:.1e}"
    if case.entropy is not None and not case.undecided:
        gap = abs(entropy - case.entropy)
        if not gap <= ENTROPY_TOLERANCE + case.slack + case.steep * worst:
            return "WRONG", worst, f"entropy off by {gap:.1e}"
    said = float(density.entropy())
    if not abs(said - entropy) <= 1e-8 * (1 + abs(said)):
        return "WRONG", worst, f"entropy() says {said!r}, its pdf has {entropy!r}"
    return "solved", worst, ""


def work(tasks: list[tuple[str, tuple[int, ...]]]) -> list[Outcome]:
    return [examine(family, seed) for family, seed in tasks]


def plan(problems: int, seed: int, chosen: list[str]) -> list[tuple[str, tuple[int, ...]]]:
    """`problems` tasks, shared among the families as FAMILIES says."""
    from benchmarks.families import FAMILIES

    names = list(FAMILIES)
    shares = [FAMILIES[name][2] for name in chosen]
    tasks = []
    for name, share in zip(chosen, shares, strict=True):
        count = max(1, round(problems * share / sum(shares)))
        tasks += [(name, (seed, names.index(name), i)) for i in range(count)]
    return tasks


def run(tasks: list, jobs: int, progress: bool) -> list[Outcome]:
    # neighbours in the list come from one family; deal them out so that the bar moves evenly
    step = max(1, len(tasks) // CHUNK)
    chunks = [tasks[i::step] for i in range(step)]
    out: list[Outcome] = []
    start = time.perf_counter()
    if jobs == 1:
        for chunk in chunks:
            out += work(chunk)
            show(len(out), len(tasks), start, out, progress)
    else:
        with concurrent.futures.ProcessPoolExecutor(jobs) as pool:
            for done in concurrent.futures.as_completed([pool.submit(work, c) for c in chunks]):
                out += done.result()
                show(len(out), len(tasks), start, out, progress)
    if progress:
        print(file=sys.stderr)
    return out


def show(done: int, total: int, start: float, out: list[Outcome], progress: bool) -> None:
    if not progress:
        return
    spent = time.perf_counter() - start
    left = spent / done * (total - done)
    wrong = sum(o.verdict == "WRONG" for o in out)
    bar = "#" * (30 * done // total)
    text = f"\r[{bar:30s}] {done}/{total}  {left:4.0f} s left  wrong: {wrong} "
    print(text, end="", file=sys.stderr)


BANDS = ((4, "1-4"), (8, "5-8"), (12, "9-12"), (16, "13-16"), (99, "17-20"))


def bands(k: int) -> str:
    return next(name for top, name in BANDS if k <= top)


def table(out: list[Outcome]) -> str:
    rows = collections.defaultdict(list)
    for o in out:
        rows[o.family, bands(o.k)].append(o)
    head = f"{'family':18s} {'k':>6s} {'n':>6s} " + " ".join(f"{name:>13s}" for name in OUTCOMES)
    lines = [head + f" {'worst error':>12s} {'median ms':>10s} {'slowest ms':>11s}", ""]
    names = dict.fromkeys(o.family for o in sorted(out, key=lambda o: o.seed))
    order = {name: i for i, name in enumerate(names)}

    def line(name, band, group):
        count = collections.Counter(o.verdict for o in group)
        errors = [o.error for o in group if o.verdict == "solved"]
        times = sorted(o.seconds * 1e3 for o in group)
        worst = f"{max(errors):12.1e}" if errors else f"{'-':>12s}"
        cells = " ".join(f"{count[v] or '.':>13}" for v in OUTCOMES)
        middle = times[len(times) // 2]
        begin = f"{name:18s} {band:>6s} {len(group):6d}"
        return f"{begin} {cells} {worst} {middle:10.2f} {times[-1]:11.1f}"

    for (name, band), group in sorted(
        rows.items(), key=lambda r: (order[r[0][0]], int(r[0][1].split("-")[0]))
    ):
        lines.append(line(name, band, group))
    lines += ["", line("all", "", out)]
    return "\n".join(lines)


def summary(out: list[Outcome]) -> list[str]:
    wrong = sum(o.verdict == "WRONG" for o in out)
    promised = [o for o in out if o.headline]
    headline = [o for o in promised if not o.blurred]
    good = sum(o.verdict == "solved" for o in headline)
    also = sum(o.verdict == "solved" for o in promised)
    refused = [o for o in out if o.truth != "solvable" and not o.undecided]
    right = sum(o.verdict == "right refusal" for o in refused)
    solvable = [o for o in out if o.truth == "solvable" and not o.undecided and not o.blurred]
    solved = sum(o.verdict == "solved" for o in solvable)
    undecided = [o for o in out if o.undecided or o.blurred]

    def share(a, b):
        return f"{a} of {len(b)} ({100 * a / max(1, len(b)):.2f} %)"

    left = collections.Counter(o.verdict for o in undecided)
    return [
        f"wrongly solved: {wrong} of {len(out)}",
        "interval, inside, k <= 16, spikes no narrower than 1e-3, Chebyshev moments: "
        f"solved {share(good, headline)}",
        f"    the blurred among them counted too: solved {share(also, promised)}",
        f"all that have an answer, neither undecided nor blurred: solved {share(solved, solvable)}",
        f"all that have none: refused with the deserved status {share(right, refused)}",
        f"undecided or blurred: {len(undecided)}, of which {left['solved']} solved and "
        f"{left['right refusal']} rightly refused",
    ]


def main(arguments: list[str] | None = None) -> int:
    from benchmarks.families import FAMILIES

    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.fails_safely", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--problems", type=int, default=2000, help="how many in all (default 2000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--families", default=",".join(FAMILIES), help="comma-separated; default all"
    )
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--json", metavar="FILE", help="write every outcome there")
    parser.add_argument("--table", metavar="FILE", help="write there what is printed")
    parser.add_argument(
        "--progress", action="store_true", help="a progress bar even where no terminal is"
    )
    parser.add_argument(
        "--failures", type=int, default=20, help="how many failures to print (default 20)"
    )
    parser.add_argument(
        "--only", metavar="FAMILY:SEED,...", help="one problem again, e.g. junk:0,10,17"
    )
    options = parser.parse_args(arguments)
    if options.only:
        family, seed = options.only.split(":")
        print(again(family, tuple(int(v) for v in seed.split(","))))
        return 0
    chosen = options.families.split(",")
    unknown = [name for name in chosen if name not in FAMILIES]
    if unknown:
        parser.error(f"no family {', '.join(unknown)}; there are {', '.join(FAMILIES)}")
    tasks = plan(options.problems, options.seed, chosen)
    start = time.perf_counter()
    out = run(tasks, options.jobs, options.progress or sys.stderr.isatty())
    minutes = (time.perf_counter() - start) / 60
    out.sort(key=lambda o: o.seed)
    lines = [
        __doc__.split("\n\n", 3)[3].rstrip(),
        "",
        f"{len(out)} problems, seed {options.seed}, {options.jobs} jobs, {minutes:.1f} minutes",
        "",
        table(out),
        "",
        *summary(out),
    ]
    bad = [o for o in out if o.verdict in ("WRONG", "raised", "wrong refusal", "other reason")]
    bad.sort(key=lambda o: ("WRONG", "raised", "wrong refusal", "other reason").index(o.verdict))
    if bad:
        lines += ["", f"{len(bad)} to look at; again with --only:"]
        for o in bad[: options.failures]:
            place = f"{o.family}:{','.join(map(str, o.seed))}"
            lines.append(
                f"  {o.verdict:14s} {place:28s} k = {o.k:2d}  {o.status:16s} {o.truth}  {o.note}"
            )
    print("\n".join(lines))
    if options.table:
        with open(options.table, "w") as file:
            file.write("\n".join(lines) + "\n")
    if options.json:
        with open(options.json, "w") as file:
            json.dump([dataclasses.asdict(o) for o in out], file)
    return 1 if any(o.verdict in ("WRONG", "raised") for o in out) else 0


def again(family: str, seed: tuple[int, ...]) -> str:
    """One problem with its moments, to be pasted into Python."""
    from benchmarks.families import draw

    case = draw(family, seed)
    with contextlib.redirect_stdout(sys.stderr):
        outcome = examine(family, seed)
    return f"{case}\n\n{outcome}"


if __name__ == "__main__":
    raise SystemExit(main())
