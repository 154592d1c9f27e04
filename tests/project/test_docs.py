"""The documentation builds without a warning, and every link inside it leads somewhere."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.helpers.paths import ROOT

pytestmark = pytest.mark.slow


class Page(HTMLParser):
    """A page's links and the places in it that can be linked to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.anchors.add(value)
            if name in ("href", "src") and value:
                self.links.append(value)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "sphinx",
            "-W",
            "--keep-going",
            "-q",
            ROOT / "docs",
            folder / "html",
            "-d",
            folder / "state",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return folder / "html"


def test_every_link_inside_the_site_leads_somewhere(site: Path) -> None:
    pages = {path: Page(path) for path in site.rglob("*.html")}
    checked = 0
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            assert target.exists(), f"{path.name}: {link}"
            if parts.fragment and target in pages:
                assert unquote(parts.fragment) in pages[target].anchors, f"{path.name}: {link}"
            checked += 1
    assert checked > 500


def test_every_page_is_reached_from_the_front_page(site: Path) -> None:
    written = {path.stem for path in (ROOT / "docs").glob("*.md")} - {"index"}
    linked = {Path(urlsplit(link).path).stem for link in Page(site / "index.html").links}
    assert written <= linked


def test_relative_links_of_the_other_texts_lead_somewhere() -> None:
    for text in [*ROOT.glob("*.md"), *ROOT.glob("vectors/*/README.md")]:
        for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text.read_text(encoding="utf-8")):
            if not urlsplit(link).scheme:
                assert (text.parent / link).exists(), f"{text.name}: {link}"
