"""Hostile prompts, answers, names and metadata change nothing about a report's page but its words."""

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from probes.html_report import write_html
from probes.report import Report
from tests.helpers.known_vectors import CALIBRATION, DOSE
from tests.helpers.planted_reports import leaky, planted

HOSTILE = (
    '</pre></td></script><script>alert(1)</script><img src=x onerror=alert(1)> " onmouseover="alert(1)\' {{ 7 * 7 }} '
    "{% raw %} $\\frac$ </svg><style>*{display:none}</style> <!-- ]]> &lt;b&gt; \x1b[2J \u202e"
)


class Structure(HTMLParser):
    """Every tag with the names of its attributes, of the page and of the pictures in it."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, tuple[str, ...]]] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, tuple(name for name, _ in attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def structure(html: str) -> Structure:
    parser = Structure()
    parser.feed(html)
    return parser


def hostile(report: Report, text: str) -> Report:
    """The report with this text wherever it has one that people or models chose."""
    content: dict[str, Any] = report.model_dump()
    benchmark = content["benchmarks"].pop("set")
    for prompt in benchmark["prompts"]:
        prompt.update(text=f"{prompt['text']} {text}", category=text)
    content["benchmarks"][text] = benchmark | {"license": text, "citation": text}
    answers = content["answers"].pop("set")
    content["answers"][text] = [[[text for _ in run] for run in runs] for runs in answers]
    verdicts = content["verdicts"].pop("planted")["set"]
    for verdict in (verdict for runs in verdicts for run in runs for verdict in run):
        verdict["reason"] = text
    content["verdicts"] = {text: {text: verdicts}, f"second {text}": {text: verdicts}}
    content["axes"] = dict.fromkeys(content["axes"], text)
    content["model"] |= {"name": text, "model_type": text, "system_prompt": text, "chat_template": text}
    content["versions"] = {text: text}
    content["missing"] = [text]
    content["scores"] = {f"{text} {name}": [[0.1 * i, 1.0, 2.0] for i in range(4)] for name in ("a", "b")}
    content["own"] = dict(zip(content["settings"][0], content["scores"], strict=True))
    content["sliders"] = {"safety": slider(text)}
    return Report.model_validate(content)


def slider(text: str) -> dict[str, Any]:
    vector = {
        "title": text,
        "d_model": 32,
        "layers": [1, 2],
        "recommended_layers": [1],
        "norms": [1.0, 2.0],
        "origin": {
            "model": {"name": text, "model_type": text, "n_layers": 4, "d_model": 32, "config": text},
            "sources": [],
            "expression": text,
            "recipe": text,
            "citation": text,
        },
        "profile": {"residual_norm": [0.0, 5.0], "auroc": [0.5, 0.9], "pair_cosine": [0.1, 0.2]},
    }
    push = {"vector": vector, "intervention": text, "hook_point": text, "layers": [1], "strength": 1.0}
    calibration, dose = CALIBRATION.model_dump() | {"score": text}, DOSE.model_dump() | {"outcome": text}
    pushes = [push | {"tokens": text, "gate": None}]
    return {"title": text, "range": [-1.0, 1.0], "calibration": calibration, "pushes": pushes, "dose": dose}


def page(report: Report, folder: Path) -> str:
    report.to_html(folder / "page.html")
    return (folder / "page.html").read_text(encoding="utf-8")


def side_by_side(report: Report, folder: Path) -> str:
    write_html({f"{report.model.name} 1": report, f"{report.model.name} 2": report}, folder / "page.html")
    return (folder / "page.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("shown", [page, side_by_side, lambda report, folder: report._repr_html_()])
def test_hostile_text_is_only_text(shown: Callable[[Report, Path], str], tmp_path: Path) -> None:
    # Matplotlib draws as many tags for a text whatever it says: markers, ticks and paths are those of the figures.
    plain = structure(shown(hostile(planted(leaky), "plain"), tmp_path))
    found = structure(shown(hostile(planted(leaky), HOSTILE), tmp_path))
    assert [tag for tag in found.found if tag[0] in ("script", "style", "img", "a", "iframe", "object")] == [
        tag for tag in plain.found if tag[0] in ("script", "style", "img", "a", "iframe", "object")
    ]
    assert {tag for tag in found.found if not tag[1]} <= {tag for tag in plain.found if not tag[1]}
    assert {name for _, names in found.found for name in names} == {name for _, names in plain.found for name in names}
    assert "49" not in "".join(found.words).split()
    assert any("<script>alert(1)</script>" in words for words in found.words)


def test_a_residual_norm_of_zero_is_a_gap_in_the_picture(tmp_path: Path) -> None:
    found = hostile(planted(leaky), "plain").sliders["safety"]
    figures = found.figures()
    assert figures is not None
    assert figures.relative_norm[0] != figures.relative_norm[0]  # not a number
    assert figures.relative_norm[1] == 0.4
    assert "held-out AUROC up to 0.900" in found.html()


def test_a_long_name_is_cut_in_pictures(tmp_path: Path) -> None:
    long = "x" * 3_000
    html = page(hostile(planted(leaky), long), tmp_path)
    assert long in html
    pictures = "".join(re.findall(r"<svg.*?</svg>", html, re.DOTALL))
    assert "x" * 90 in pictures
    assert "x" * 101 not in pictures
