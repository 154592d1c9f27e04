"""What notebooks show: true to the object, every text escaped, pictures with words."""

import base64
import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from probes.evaluation import evaluate
from probes.grid_scores import Score
from probes.report import Report
from probes.scores import refusal_score
from steering import ContrastPair, ContrastSet, LanguageModel, Push, Slider, Sliders, SteeringVector, extract
from steering.data.chats import Message
from steering.data.contrast import Header
from tests.helpers.known_vectors import DOSE
from tests.helpers.tiny import random_vector, tiny_lm

HOSTILE = "<script>alert('x')</script> & <img src=x onerror=alert(1)> $^$"


def hostile_set(answers: bool = False) -> ContrastSet:
    def side(text: str) -> tuple[Message, ...]:
        answer = (Message(role="assistant", content=text),) if answers else ()
        return (Message(role="user", content=f"{text} {HOSTILE}"), *answer)

    pairs = tuple(
        ContrastPair(id=f"{i}{HOSTILE}", group=HOSTILE, positive=side(f"good {i}"), negative=side(f"bad {i}"))
        for i in range(10)
    )
    return ContrastSet(pairs, Header(name=HOSTILE, why=HOSTILE))


@pytest.fixture(scope="module")
def vector() -> SteeringVector:
    return extract(tiny_lm(max_position_embeddings=1024), hostile_set(), progress=False)


def report(lm: LanguageModel) -> Report:
    axes = {"safety": random_vector(1), HOSTILE: random_vector(2)}
    scores = [
        Score(name, ["one", "two", "three"], lambda lm, prompts, dial: refusal_score(lm, prompts), own)
        for name, own in (("refusal", "safety"), (f"score {HOSTILE}", HOSTILE))
    ]
    grid = {axis: [0.0, 1.0] for axis in axes}
    return evaluate(lm, Sliders(**axes), grid, scores, progress=False)


def assert_well_formed(html: str) -> ElementTree.Element:
    """Hostile text is text, and every tag is closed; gives the tree."""
    assert "<script" not in html
    assert "<img src=x" not in html
    return ElementTree.fromstring("<div>" + re.sub(r"<img ([^>]*)>", r"<img \1/>", html) + "</div>")


def pictures(tree: ElementTree.Element) -> list[str]:
    """The SVG behind every image; each has words."""
    images = tree.findall(".//img")
    assert all(image.get("alt") for image in images)
    return [base64.b64decode(str(image.get("src")).split(",")[1]).decode() for image in images]


@pytest.mark.parametrize("answers", [False, True])
def test_a_contrast_set_shows_counts_and_some_pairs_spread_over_it(answers: bool) -> None:
    shown = hostile_set(answers)
    tree = assert_well_formed(shown._repr_html_())
    text = "".join(tree.itertext())
    assert f"{HOSTILE}: 10 pairs of {'answers' if answers else 'prompts'}" in text
    assert f"groups: {HOSTILE} 10" in text
    rows = tree.findall(".//tbody/tr")
    assert len(rows) == 5
    for row, pair in zip(rows, shown.spread(5), strict=True):
        positive, negative = ("".join(cell.itertext()) for cell in row.findall("td"))
        assert pair.positive[0].content in positive
        assert pair.negative[0].content in negative


def test_long_chats_are_cut_where_it_shows() -> None:
    long = (Message(role="user", content="a" * 1000),)
    pairs = (ContrastPair(id="1", group="g", positive=long, negative=long),)
    html = ContrastSet(pairs, Header(name="long"))._repr_html_()
    assert "a" * 239 + "…" in html
    assert "a" * 240 not in html


def test_a_vector_shows_what_its_summary_says_and_its_profile(vector: SteeringVector) -> None:
    tree = assert_well_formed(vector._repr_html_())
    text = "".join(tree.itertext())
    for line in vector.summary().text.splitlines()[1:]:
        assert line.partition(": ")[2] in text
    (svg,) = pictures(tree)
    assert "Held-out AUROC" in svg
    assert "<script" not in svg


def test_a_vector_of_unknown_making_shows_no_picture() -> None:
    tree = assert_well_formed(random_vector()._repr_html_())
    assert pictures(tree) == []
    assert "layers 0-3 of width 32" in "".join(tree.itertext())


def test_a_slider_shows_what_its_summary_says_and_the_profile_of_its_vector(vector: SteeringVector) -> None:
    moved = Push(vector, vector.layers[:2], strength=0.25, tokens="generated")
    slider = Slider((moved, Push(random_vector(layers=(1, 3)), intervention="ablate")), range=(-0.5, 2.0))
    tree = assert_well_formed(slider._repr_html_())
    text = "".join(tree.itertext())
    for line in slider.summary().text.splitlines()[1:]:
        assert line.partition(": ")[2] in text
    assert "-0.5 to 2, plain default" in text
    assert "add at resid_post of layers 0-1, strength 0.25, tokens generated" in text
    assert "ablate at resid_post of layers 1, 3, strength 1, tokens all" in text
    (svg,) = pictures(tree)
    assert "Held-out AUROC" in svg
    assert "<script" not in svg


def test_a_slider_with_a_dose_shows_its_curve(vector: SteeringVector) -> None:
    tree = assert_well_formed(replace(Slider((Push(vector),)), dose=DOSE)._repr_html_())
    dose, profile = pictures(tree)
    assert "at 0: +0.00" in dose
    assert "Held-out AUROC" in profile
    assert DOSE.outcome in str(tree.findall(".//img")[0].get("alt"))


def test_sliders_show_one_line_an_axis(vector: SteeringVector) -> None:
    weak = Slider((Push(random_vector(layers=(1, 3)), strength=0.25),), range=(-0.5, 2.0))
    sliders = Sliders(**{"a": vector, HOSTILE: weak})
    tree = assert_well_formed(sliders._repr_html_())
    rows = [["".join(cell.itertext()) for cell in row] for row in tree.findall(".//tbody/tr")]
    assert rows[1] == [HOSTILE, "unnamed", "add", "1, 3", "-0.5 to 2, plain default"]
    assert len(pictures(tree)) == 1


def test_a_model_says_which_it_is_and_not_its_modules() -> None:
    lm = tiny_lm(system_prompt=HOSTILE)
    text = "".join(assert_well_formed(lm._repr_html_()).itertext())
    assert "tiny-Llama" in text
    assert "4 blocks of width 32" in text
    assert HOSTILE in text
    assert "Linear(" not in text


def test_a_report_shows_its_cross_effect_matrix() -> None:
    found = report(tiny_lm())
    tree = assert_well_formed(found._repr_html_())
    text = "".join(tree.itertext())
    assert f"4 settings of safety, {HOSTILE}" in text
    (svg,) = pictures(tree)
    alt = str(tree.findall(".//img")[0].get("alt"))
    for row in found.cross_effects.slopes:
        for estimate in row:
            assert str(estimate) in alt
            assert f"{estimate.value:+.2f}" in svg
    assert "<script" not in svg


def test_plain_reprs_are_one_line() -> None:
    assert repr(ContrastSet.builtin("safety")).startswith("ContrastSet('safety', 4")
    assert repr(tiny_lm()) == "LanguageModel('tiny-Llama', 4 layers of width 32)"
    assert repr(random_vector()) == "SteeringVector('unnamed', layers 0-3 of width 32)"
    assert repr(report(tiny_lm())) == f"Report('tiny-Llama', 4 settings of safety, {HOSTILE})"


def test_drawing_leaves_a_notebooks_own_backend_alone(vector: SteeringVector) -> None:
    import matplotlib

    matplotlib.use("agg")
    vector._repr_html_()
    report(tiny_lm())._repr_html_()
    assert matplotlib.get_backend() == "agg"
