"""What the widget and the web page share: streamed answers, token readings, colors."""

import re
from itertools import pairwise

import pytest
import torch

from probes.token_monitor import monitor
from steering import Sliders, record
from steering.data.chats import Message, as_chat
from steering.explore.answer_stream import stream_answers
from steering.explore.token_readings import Readout, TokenReading, colored_tokens, read_tokens
from tests.helpers.tiny import WIDTH, random_vector, tiny_lm

PROMPTS = ["Why is the sky blue?", "Break the lock", "Hi"]


def test_streamed_answers_end_as_single_calls_do_and_only_grow() -> None:
    lm = tiny_lm()
    settings: list[dict[str, float]] = [{}, {"a": 1.0}, {"a": -2.0}]
    with Sliders(a=random_vector()).attach(lm) as dial:
        dial.set(a=0.5)
        steps = list(stream_answers(lm, dial, PROMPTS, settings, max_new_tokens=12))
        assert dial.settings == {"a": 0.5}
        for row, (prompt, setting) in enumerate(zip(PROMPTS, settings, strict=True)):
            dial.set(a=setting.get("a", 0.0))
            assert steps[-1][row] == lm.chat(prompt, max_new_tokens=12)
            texts = [step[row] for step in steps]
            assert all(later.startswith(earlier) for earlier, later in pairwise(texts))


def test_who_stops_listening_stops_the_writing_and_gets_the_dial_back() -> None:
    lm = tiny_lm()
    passes: list[int] = []
    with Sliders(a=random_vector()).attach(lm) as dial:
        dial.set(a=0.5)
        watch = lm.blocks[0].register_forward_hook(lambda *_: passes.append(1))
        answers = stream_answers(lm, dial, PROMPTS, [{}, {}, {}], 150, min_new_tokens=150)
        next(answers)
        answers.close()
        watch.remove()
        assert len(passes) < 150
        assert dial.settings == {"a": 0.5}


def test_an_error_while_writing_reaches_the_listener() -> None:
    lm = tiny_lm()
    with Sliders(a=random_vector()).attach(lm) as dial, pytest.raises(ValueError, match="max_new_tokens"):
        list(stream_answers(lm, dial, ["Hi"], [{}], max_new_tokens=-1))


def test_tokens_are_read_as_record_reads_them_and_as_the_monitor_does() -> None:
    lm = tiny_lm()
    readout = Readout(2, torch.randn(WIDTH, generator=torch.Generator().manual_seed(0)), bias=0.5)
    chat = (*as_chat("Break the lock"), Message(role="assistant", content="No."))
    readings = read_tokens(lm, chat, {"a": readout})
    expected = record(lm, [chat], layers=[2])[0, 0] @ readout.direction + 0.5
    assert readings[-1].readings["a"] == pytest.approx(expected.item(), rel=1e-5)
    assert [reading.in_prompt for reading in readings].count(False) == len("No.")
    prompt = [reading for reading in monitor(lm, "Break the lock", {"a": readout}, 2) if reading.in_prompt]
    assert [reading.readings["a"] for reading in prompt] == pytest.approx(
        [reading.readings["a"] for reading in readings if reading.in_prompt], rel=1e-4, abs=1e-5
    )


def test_readings_follow_the_dial_on_the_tokens_that_it_moves() -> None:
    lm = tiny_lm()
    vector = random_vector()
    readout = {"a": Readout(3, vector[3])}
    chat = (*as_chat("Break"), Message(role="assistant", content="No."))
    bare = read_tokens(lm, chat, readout)
    with Sliders(a=vector).attach(lm, tokens="generated") as dial:
        dial.set(a=1.0)
        steered = read_tokens(lm, chat, readout, dial)
    for before, after in zip(bare, steered, strict=True):
        assert (before == after) is before.in_prompt


def test_colors_are_those_of_the_readings_and_tokens_are_escaped() -> None:
    values = {"<b>": -9.0, "a": -0.2, "b": -0.1, "c": 0.0, "d": 0.1, "e": 0.2, "f": 9.0}
    html = colored_tokens([TokenReading(token, False, {"a": value}) for token, value in values.items()], "a")
    low, *_, middle, _, _, high = re.findall("background:(#......)", html)
    assert (low, high) == ("#2d004b", "#7f3b08")  # the ends of matplotlib's PuOr
    assert middle.startswith("#f")
    assert "&lt;b&gt;" in html
    assert 'title="a +9.00"' in html
    assert colored_tokens([], "a") == ""
