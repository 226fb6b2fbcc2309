"""The documentation builds without a warning, every figure of its gallery drawn anew."""

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import maxent

torch_bridge = pytest.importorskip("torch_bridge")  # the layers have pages too
from torch_bridge import functional  # noqa: E402

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
MODULES = maxent, torch_bridge, functional


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    for module in ("sphinx", "furo", "myst_parser", "sphinx_gallery", "sphinx_copybutton"):
        pytest.importorskip(module)
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-d", out / "cache"]
    made = subprocess.run(
        [*command, ROOT / "docs", out / "html"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr
    return out / "html"


def test_every_script_of_the_gallery_has_its_figure(site):
    scripts = sorted((ROOT / "docs" / "gallery").glob("plot_*.py"))
    assert len(scripts) >= 10
    for script in scripts:
        assert (site / "_images" / f"sphx_glr_{script.stem}_001.png").exists(), script.stem


def test_every_page_is_reached_from_the_first(site):
    home = (site / "index.html").read_text(encoding="utf-8")
    for page in (ROOT / "docs").glob("*.md"):
        assert f'href="{page.stem}.html' in home or page.stem == "index"


def test_every_public_name_is_in_the_reference_and_nothing_else(site):
    reference = (site / "api.html").read_text(encoding="utf-8")
    documented = set(re.findall(r'id="((?:maxent|torch_bridge)\.[\w.]+)"', reference))
    public = {f"{m.__name__}.{name}" for m in MODULES for name in m.__all__}
    public -= {"torch_bridge.functional"}
    assert public <= documented, public - documented
    for name in documented:
        assert resolved(name) is not None, name


def resolved(name):
    """The object that a dotted name stands for, or None."""
    parts = name.split(".")
    for i in range(len(parts), 0, -1):
        try:
            thing = importlib.import_module(".".join(parts[:i]))
        except ImportError:
            continue
        for part in parts[i:]:
            fields = getattr(thing, "__dataclass_fields__", {})
            thing = getattr(thing, part, fields.get(part))
        return thing
    return None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_page_mentions_a_name_that_does_not_exist(page):
    text = page.read_text(encoding="utf-8")
    for name in set(re.findall(r"\b((?:maxent|torch_bridge)(?:\.[A-Za-z_]\w*)+)", text)):
        if not re.search(r"\.(md|py|toml|csv|png|mx)$", name):
            assert resolved(name) is not None, name
