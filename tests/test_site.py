"""The documentation builds without a warning, every figure of its gallery drawn anew."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BELOW = {"soft_rank"}  # pages under another page


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    for module in ("sphinx", "furo", "myst_parser", "sphinx_gallery", "sphinx_copybutton", "torch"):
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
        assert f'href="{page.stem}.html' in home or page.stem == "index" or page.stem in BELOW
