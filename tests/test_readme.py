"""README.md keeps its promises: its Python runs, prints what it says, and its commands exist.

A ```python block runs as it stands, in a namespace of its own. Where a line ends in `# some text`
after a print, that text is what it must print. A ```console block holds `$ maxent ...` lines and
what they print.
"""

import re
import shlex
from pathlib import Path

import pytest

import maxent
from maxent.cli import main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(kind):
    return re.findall(rf"^```{kind}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


PYTHON = blocks("python")
CONSOLE = blocks("console")


@pytest.mark.parametrize("code", PYTHON, ids=range(len(PYTHON)))
def test_python_block_runs_and_prints_what_it_says(code, tmp_path, monkeypatch, capsys):
    if "torch" in code:
        pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {"__name__": "readme"})
    said = re.findall(r"^ *print\(.*\)  # (.*)$", code, re.MULTILINE)
    assert capsys.readouterr().out.split("\n")[:-1] == said


@pytest.mark.parametrize("text", CONSOLE, ids=range(len(CONSOLE)))
def test_console_block_prints_what_it_says(text, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, said = part.split("\n", 1)
        words = shlex.split(command)
        assert words[0] == "maxent"
        assert main(words[1:]) == 0
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


def test_links_to_files_lead_somewhere():
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", README):
        assert (ROOT / target).exists(), target


def test_every_status_is_explained():
    faq = (ROOT / "docs" / "faq.md").read_text(encoding="utf-8")
    for status in maxent.Status:
        assert re.search(rf"^### {status.name}\b", faq, re.MULTILINE)
        assert f"| `{status.name}` |" in README
