"""The notebook's sliders: what they show is what the model does under the dial."""

import gc
import html
import re
import weakref
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch

from probes import contrast_score
from steering import ContrastSet, Gate, LanguageModel, Push, Slider, Sliders, SteeringError, extract
from steering.explore.gate_readings import gates_line
from steering.explore.tendencies import PASS_PAIRS
from steering.explore.text_view import TextView
from steering.explore.token_readings import axis_readout, read_tokens
from steering.explore.widget import SAME, WidgetView
from steering.scoring.answer_likelihood import preference_margin
from steering.scoring.next_token import refusal_score
from tests.helpers.contrast_pairs import answer_pairs, prompt_pairs
from tests.helpers.known_vectors import DOSE, slider_of
from tests.helpers.scripted import writing
from tests.helpers.tiny import OPENED_TEMPLATE, random_vector, thinking_lm, tiny_lm

PROMPT = "Break the lock <b>"
TOKENS = 12


@pytest.fixture(scope="module")
def model() -> LanguageModel:
    return tiny_lm(max_position_embeddings=1024)


@pytest.fixture
def sliders() -> Sliders:
    return Sliders(safety=random_vector(), calm=Slider((Push(random_vector(2)),), range=(0.0, 0.73)))


@pytest.fixture
def view(sliders: Sliders, model: LanguageModel) -> Iterator[WidgetView]:
    opened = sliders.widget(model, PROMPT, TOKENS)
    assert isinstance(opened, WidgetView)
    yield opened
    opened.close()


def hooks(lm: LanguageModel) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in lm.model.modules())


def words(pane: str) -> str:
    """A pane's text under its title."""
    return html.unescape(re.sub("<[^>]+>", "", pane.split("<br>", 1)[1]))


def test_sliders_offer_their_own_ranges_and_reach_zero(view: WidgetView) -> None:
    ends = {name: (slider.min, slider.max, slider.value) for name, slider in view.sliders.items()}
    assert ends["safety"] == (-1.0, 1.0, 0.0)
    assert ends["calm"] == (0.0, pytest.approx(0.73), 0.0)
    view.sliders["calm"].value = 5.0
    assert view.setting["calm"] == pytest.approx(0.73)


def test_a_slider_of_any_finite_range_is_shown(model: LanguageModel) -> None:
    for end in (1e308, 1e-320):
        view = Sliders(odd=slider_of(random_vector(), (-end, end))).widget(model, PROMPT, TOKENS)
        assert isinstance(view, WidgetView)
        assert -end <= view.sliders["odd"].min <= 0.0 <= view.sliders["odd"].max <= end
        view.close()


def test_a_slider_moves_the_dial_and_reset_brings_it_back(view: WidgetView) -> None:
    view.sliders["safety"].value = 0.5
    assert view.dial.settings == {"safety": 0.5, "calm": 0.0}
    view.reset_button.click()
    assert view.dial.settings == {"safety": 0.0, "calm": 0.0}


def test_answers_are_those_of_the_bare_and_of_the_steered_model(
    view: WidgetView, sliders: Sliders, model: LanguageModel
) -> None:
    view.sliders["safety"].value, view.sliders["calm"].value = -1.0, 0.5
    answers = view.answer()
    assert view.status.value == ""
    assert view.dial.settings == {"safety": -1.0, "calm": 0.5}
    assert answers[1] == model.chat(PROMPT, TOKENS)
    assert "safety -1, calm +0.5" in view.steered.value
    view.close()
    assert answers[0] == model.chat(PROMPT, TOKENS)
    assert answers[0] != answers[1]
    view.colors.value = "nothing"
    assert (words(view.bare.value), words(view.steered.value)) == answers


def test_the_same_answers_are_said_to_be_the_same(model: LanguageModel) -> None:
    view = Sliders(faint=slider_of(random_vector(), strength=1e-6)).widget(model, PROMPT, TOKENS)
    assert isinstance(view, WidgetView)
    for value, told in ((0.0, ""), (1.0, SAME)):
        view.sliders["faint"].value = value
        bare, steered = view.answer()
        assert bare == steered
        assert view.status.value == told
    view.close()


def test_the_button_writes_in_the_background_and_moving_stops_it(view: WidgetView, model: LanguageModel) -> None:
    view._max_new_tokens = 900
    model.model.generation_config.eos_token_id, before = None, model.model.generation_config.eos_token_id
    try:
        view.answer_button.click()
        assert view.stop_button.disabled is False
        view.sliders["safety"].value = 0.25
    finally:
        model.model.generation_config.eos_token_id = before
    assert view.stop_button.disabled is True
    assert view.status.value == "Stopped."
    assert view.dial.settings["safety"] == 0.25
    assert "bare" in view.steered.value  # the setting that it was written under


def test_scores_are_those_under_the_sliders(view: WidgetView, model: LanguageModel) -> None:
    def found(place: int) -> tuple[float, float]:
        text = re.search('alt="([^"]*)"', view.scores.value)
        assert text is not None
        refusal, helpfulness = re.findall(r"[-+]\d+\.\d+", text[1].split(";")[place])
        return float(refusal), float(helpfulness)

    pairs = ContrastSet.builtin("helpfulness").split()[1].spread(4)

    def expected() -> tuple[float, float]:
        margin = preference_margin(model, pairs, view.dial).mean().item()
        return refusal_score(model, [PROMPT]).item(), margin

    bare = expected()
    view.sliders["safety"].value = 1.0
    assert found(0) == pytest.approx(bare, abs=0.006)
    assert found(1) == pytest.approx(expected(), abs=0.006)
    assert found(0) != found(1)


@pytest.mark.parametrize("pairs", [answer_pairs(40, alike=False), prompt_pairs(40)], ids=["answers", "prompts"])
def test_an_axis_of_ones_own_has_the_score_that_evaluate_gives_it(model: LanguageModel, pairs: ContrastSet) -> None:
    sliders = Sliders(toy=extract(model, pairs, progress=False), calm=random_vector(2))
    score = contrast_score(model, pairs.split()[1].spread(8), "toy")
    view = sliders.widget(model, PROMPT, TOKENS, pairs={"toy": pairs})
    assert isinstance(view, WidgetView)
    margins = []
    for value in (0.0, 1.0):
        view.sliders["toy"].value = value
        margin = score.measure(model, score.items, view.dial).mean().item()
        assert view._pairs.read(model, view.dial, PROMPT).own == {score.name: margin}
        margins.append(margin)
    bare, now = (f"{score.name} {margin:+.2f} nats a token" for margin in margins)
    assert margins[0] != margins[1]
    told = html.unescape(view.scores.value)
    assert f"{bare}; now: " in told
    assert f'{now}"' in told
    view.close()
    text = TextView(sliders, model, PROMPT, TOKENS, {"toy": pairs}).compare(toy=1.0)
    assert [line.endswith(f", {end}") for end in (bare, now) for line in text.splitlines()].count(True) == 2


def test_an_axis_without_its_pairs_says_that_they_would_give_it_a_score(model: LanguageModel) -> None:
    toy = extract(model, answer_pairs(40, alike=False), progress=False)
    sliders = Sliders(
        toy=toy,
        safety=random_vector(),
        calm=extract(model, ContrastSet.builtin("helpfulness"), layers=[2], progress=False),
    )
    view = sliders.widget(model, PROMPT, TOKENS)
    assert isinstance(view, WidgetView)
    shown = dict(zip(sliders, [child.value for child in lines(view) if "<small>" in str(child.value)], strict=True))
    assert {axis for axis, text in shown.items() if PASS_PAIRS in text} == {"toy"}
    view.close()
    text = TextView(sliders, model, PROMPT, TOKENS, {}).compare(toy=0.5, safety=1.0)
    assert text.count(PASS_PAIRS) == text.count(f"toy: {PASS_PAIRS}") == 1


def lines(view: WidgetView) -> Iterator[Any]:
    """The sliders and what is said under them."""
    moved = view.box.children[2]
    yield from moved.children[0].children


def test_pairs_of_no_axis_of_another_vector_or_too_few_are_refused(model: LanguageModel) -> None:
    pairs, few = answer_pairs(40, alike=False), answer_pairs(10, alike=False)
    sliders = Sliders(toy=extract(model, pairs, progress=False), few=extract(model, few, progress=False))
    for given, problem in (
        ({"tone": pairs}, "^Expected pairs for 'toy', 'few', found some for 'tone'; leave them out"),
        ({"toy": few}, "which pairs it has not seen can't be known"),
        ({"few": few}, "at least 4 pairs to measure 'few' on, found 2; write more, 20 in all"),
    ):
        with pytest.raises(SteeringError, match=problem):
            sliders.widget(model, PROMPT, TOKENS, pairs=given)
        assert hooks(model) == 0


def test_tokens_are_colored_by_what_the_chosen_axis_reads(
    view: WidgetView, sliders: Sliders, model: LanguageModel
) -> None:
    view.sliders["safety"].value = 1.0
    view.colors.value = "calm"
    _, steered = view.answer()
    chat = [{"role": "user", "content": PROMPT}, {"role": "assistant", "content": steered}]
    read = read_tokens(model, chat, {"calm": axis_readout(sliders["calm"])}, view.dial)
    figures = [f"{reading.readings['calm']:+.2f}" for reading in read if not reading.in_prompt]
    assert re.findall('title="calm ([^"]+)"', view.steered.value) == figures
    view.colors.value = "nothing"
    assert "background" not in view.steered.value


def test_an_axis_reads_along_its_unit_direction_at_the_best_layer_it_moves() -> None:
    readout = axis_readout(random_vector(layers=(1, 2)))
    assert readout.layer == 1
    assert readout.direction.norm().item() == pytest.approx(1.0)
    assert torch.nn.functional.cosine_similarity(readout.direction, random_vector()[1], dim=0) > 0.9999


def test_gates_and_doses_are_shown_and_follow_the_prompt_and_the_sliders() -> None:
    lm = tiny_lm(max_position_embeddings=1024)
    gate = Gate(0, torch.randn(32, generator=torch.Generator().manual_seed(1)), reads="harm", threshold=9.0)
    sliders = Sliders(safety=replace(slider_of(random_vector(), gate=gate), dose=DOSE), calm=random_vector(2))
    view = sliders.widget(lm, PROMPT, TOKENS)
    assert isinstance(view, WidgetView)
    assert set(view.doses) == {"safety"}
    for value, told in ((0.0, "at 0: +0.00"), (0.25, "at 0.25: +0.30"), (1.0, "at 1: +0.70")):
        view.sliders["safety"].value = value
        assert f'alt="{told}, change in {DOSE.outcome} (64 prompts)"' in view.doses["safety"].value
    for prompt in (PROMPT, "Why?"):
        view.prompt.value = prompt
        assert html.unescape(view.gates.value) == f"<small>{gates_line(lm, sliders, prompt)}</small>"
    assert view.dial.settings == {"safety": 1.0, "calm": 0.0}
    view.close()
    text = TextView(sliders.axes, lm, PROMPT, TOKENS, {}).compare(safety=0.25)
    assert text.startswith(
        f"prompt: {PROMPT}\n{gates_line(lm, sliders, PROMPT)}\nsafety at 0.25: +0.30, change in {DOSE.outcome}"
    )


def test_closing_takes_every_hook_off_and_forgets_the_model() -> None:
    lm = tiny_lm(max_position_embeddings=1024)
    view = Sliders(a=random_vector()).widget(lm)
    assert hooks(lm) > 0
    view.close()
    assert hooks(lm) == 0
    kept = weakref.ref(view)
    del view
    gc.collect()
    assert kept() is None


def test_another_widget_on_the_same_model_closes_the_first(view: WidgetView, model: LanguageModel) -> None:
    view.sliders["safety"].value = 1.0
    before = hooks(model)
    bare = Sliders(safety=random_vector()).widget(model, PROMPT, TOKENS)
    assert hooks(model) <= before
    assert isinstance(bare, WidgetView)
    answers = bare.answer()
    assert answers[0] == answers[1]
    bare.close()
    assert hooks(model) == 0


def test_an_empty_prompt_is_one_sentence(view: WidgetView) -> None:
    view.prompt.value = " "
    with pytest.raises(SteeringError, match=r"^The prompt is empty; type one\.$"):
        view.answer()
    view.answer_button.click()
    view._writer.join()
    assert view.status.value == "The prompt is empty; type one."
    assert view.answer_button.disabled is False


def test_without_ipywidgets_the_view_says_so_and_compares_in_text(
    sliders: Sliders, model: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("steering.sliders.find_spec", lambda _name: None)
    view = sliders.widget(model, PROMPT, TOKENS)
    assert isinstance(view, TextView)
    assert "pip install 'trimtab[notebook]'" in repr(view)
    assert "calm: 0 to 0.73, plain default" in repr(view)
    text = view.compare(safety=1.0)
    assert hooks(model) == 0
    assert model.chat(PROMPT, TOKENS) in text
    with sliders.attach(model) as dial:
        dial.set(safety=1.0)
        assert f"safety +1: refusal score {refusal_score(model, [PROMPT]).item():+.2f} nats" in text
        assert model.chat(PROMPT, TOKENS) in text
    with pytest.raises(SteeringError, match="no axis 'mood'"):
        view.compare(mood=1.0)


def test_a_thought_is_folded_above_the_answer(sliders: Sliders) -> None:
    lm = writing(thinking_lm(OPENED_TEMPLATE), PROMPT, "Hm, <b>.\n</think>\n\nYes.")
    view = sliders.widget(lm, PROMPT, 40)
    assert isinstance(view, WidgetView)
    assert view.answer() == ("<think>\nHm, <b>.\n</think>\n\nYes.",) * 2
    for color in ("safety", "nothing"):
        view.colors.value = color
        folded, answer = re.fullmatch("(.*<details>.*</details>)(.*)", view.steered.value).groups()  # type: ignore[union-attr]
        assert "<summary>Thought</summary>" in folded
        assert "Hm, &lt;b&gt;.</div>" in folded
        assert html.unescape(re.sub("<[^>]+>", "", answer)) == "Yes."
    view.close()
    view = sliders.widget(lm, PROMPT, 3)
    assert isinstance(view, WidgetView)
    view.answer()
    assert "<summary>Thinking …</summary>" in view.bare.value
    view.close()


def test_hostile_names_and_answers_are_words() -> None:
    hostile = "<img src=x onerror=alert(1)>"
    dosed = replace(Slider((Push(random_vector()),)), dose=DOSE.model_copy(update={"outcome": f'" {hostile}'}))
    lm = writing(thinking_lm(OPENED_TEMPLATE), hostile, f"{hostile}\n</think>\n\n{hostile}")
    view = Sliders(**{hostile: dosed}).widget(lm, hostile, 80)
    assert isinstance(view, WidgetView)
    view.sliders[hostile].value = 0.5
    view.answer()
    for color in (hostile, "nothing"):
        view.colors.value = color
        panes = [view.bare, view.steered, view.gates, view.status, view.scores, view.legend, *view.doses.values()]
        shown = "".join(pane.value for pane in panes)
        assert "<img src=x" not in shown
        assert "onerror" in html.unescape(re.sub("<[^>]+>", "", shown))
    assert not view.sliders[hostile].description_allow_html
    view.close()
