"""README.md and the pages of docs/ keep their promises: code runs and prints what it says.

A ```python block runs as it stands, in a namespace of its own. Where a line ends in `# some text`
after a print, that text is what it must print; so must lines that are nothing but a comment. A
```console block holds `$ maxent ...` lines and what they print, if anything is shown.
"""

import re
import shlex
from pathlib import Path

import pytest

import maxent
from maxent.cli import main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
MADE = r"auto_gallery/(?:images/sphx_glr_(plot_\w+?)_\d+\.png|index\.rst)"


def blocks(kind):
    """One parameter a block: (text of the block), named by page and place."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        parts = re.findall(rf"^```{kind}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
        found += [pytest.param(part, id=f"{page.stem}-{i}") for i, part in enumerate(parts)]
    return found


@pytest.mark.parametrize("code", blocks("python"))
def test_python_block_runs_and_prints_what_it_says(code, tmp_path, monkeypatch, capsys):
    for module in re.findall(r"^(?:import|from) (torch|dask|sklearn)\b", code, re.MULTILINE):
        pytest.importorskip(module)
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "page", "exec"), {"__name__": "page"})
    said = re.findall(r"^(?: *print\(.*\)  )?# (.*)$", code, re.MULTILINE)
    assert capsys.readouterr().out.split("\n")[:-1] == said


@pytest.mark.parametrize("text", blocks("console"))
def test_console_block_prints_what_it_says(text, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, said = part.split("\n", 1)
        words = shlex.split(command)
        assert words[0] == "maxent"
        code = main(words[1:])
        if not said.strip():
            continue
        assert code == 0
        assert without_rounding(capsys.readouterr().out) == without_rounding(said)


def without_rounding(text):
    """What a machine may change: the sizes of rounding errors, the count of steps, blank ends."""
    text = re.sub(r"\d\.\de[-+]\d\d|in \d+ steps", "~", text)
    return [line.rstrip() for line in text.strip().splitlines()]


def test_set_up_commands_are_one_line_each_and_name_what_exists():
    first, second = re.findall(r"^pip install .*$", README, re.MULTILINE)[:2]
    assert "maxent fit --example faithful --degree 8 --plot fit.png" in first
    assert second.endswith("&& pytest")
    assert "-c constraints.txt" in second
    extras = set(re.findall(r"\[([a-z,]+)\]", first + second))
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for extra in ",".join(extras).split(","):
        assert re.search(rf"^{extra} = \[", project, re.MULTILINE)


def heading_anchors(page):
    """The anchors of a page's headings, as they are made on the site."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()).strip() for heading in headings)
    return {heading.replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", page.read_text()):
        made = re.fullmatch(MADE, target)
        if made:  # by the site, from a script
            assert list((ROOT / "docs" / "gallery").glob(f"{made[1] or 'README'}.*")), target
            continue
        there = page.parent / target if target else page
        assert there.exists(), target
        if anchor and there.suffix == ".md":
            assert anchor in heading_anchors(there), f"{target}#{anchor}"


def test_every_status_is_explained():
    faq = (ROOT / "docs" / "faq.md").read_text(encoding="utf-8")
    for status in maxent.Status:
        assert re.search(rf"^### {status.name}\b", faq, re.MULTILINE)
        assert f"| `{status.name}` |" in README
