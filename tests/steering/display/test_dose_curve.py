"""The dose curve shows what was measured, and marks the present value where it lies on the line."""

from xml.etree import ElementTree

import pytest
import torch

from steering.display.dose_curve import dose_curve_svg, effect_at, interpolated
from steering.vectors.summary import dose_text
from tests.helpers.known_vectors import DOSE

SVG = "{http://www.w3.org/2000/svg}"


def drawn(now: float, label: str = "change") -> ElementTree.Element:
    return ElementTree.fromstring(dose_curve_svg(DOSE.values, DOSE.effects, label, now))


def points(svg: ElementTree.Element) -> list[tuple[float, float]]:
    (line,) = svg.findall(f"{SVG}polyline")
    return [(float(x), float(y)) for x, y in (pair.split(",") for pair in str(line.get("points")).split())]


def test_the_curve_is_linear_in_values_and_effects() -> None:
    found = torch.tensor(points(drawn(0.0)), dtype=torch.float64)
    for column, given in zip(found.T, (DOSE.values, DOSE.effects), strict=True):
        ends = torch.tensor(given, dtype=torch.float64)
        scale = (column[-1] - column[0]) / (ends[-1] - ends[0])
        torch.testing.assert_close(column, column[0] + scale * (ends - ends[0]), atol=0.02, rtol=0)


@pytest.mark.parametrize(("now", "before", "share"), [(-1.0, 0, 0.0), (0.1, 1, 0.4), (0.25, 2, 0.0), (1.0, 2, 1.0)])
def test_the_mark_is_on_the_line(now: float, before: int, share: float) -> None:
    svg = drawn(now)
    (mark,) = (path for path in svg.findall(f"{SVG}path") if path.get("class") == "now")
    (x, y), (next_x, next_y) = points(svg)[before : before + 2]
    found = [float(number) for number in str(mark.get("transform"))[len("translate(") : -1].split()]
    assert found == pytest.approx([x + share * (next_x - x), y + share * (next_y - y)], abs=0.02)


def test_beyond_the_measured_values_nothing_is_marked() -> None:
    (mark,) = (path for path in drawn(1.5).findall(f"{SVG}path") if path.get("class") == "now")
    assert mark.get("visibility") == "hidden"
    assert interpolated(DOSE.values, DOSE.effects, 1.5) is None
    assert effect_at(DOSE.values, DOSE.effects, 1.5) == "at 1.5: not measured"


def test_words_say_the_effect_and_what_it_is() -> None:
    outcome = "change in share of harmful prompts whose answer begins as refusals do (64 prompts)"
    assert dose_text(DOSE, -0.5) == f"at −0.5: −0.10, {outcome}"
    assert dose_text(DOSE, 1.0) == f"at 1: +0.70, {outcome}"


def test_any_label_is_text_in_the_picture() -> None:
    hostile = "<script>alert('x')</script> & " * 4
    svg = drawn(0.0, hostile)
    assert svg.findall(f".//{SVG}script") == []
    assert "".join(hostile.split()) in "".join("".join(svg.itertext()).split())


def test_a_slider_without_effect_is_a_level_line() -> None:
    svg = ElementTree.fromstring(dose_curve_svg((0.0, 1.0), (0.0, 0.0), "change", 0.5))
    (_, left), (_, right) = points(svg)
    assert left == right
