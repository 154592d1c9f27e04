"""The studio without a browser: what the page gets for what it asks."""

import json
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch

from tests.helpers.contrast_pairs import answer_pairs
from tests.helpers.known_vectors import DOSE, slider_of
from tests.helpers.planted_reports import leaky, planted
from tests.helpers.scripted import writing
from tests.helpers.tiny import LAYERS, OPENED_TEMPLATE, random_vector, thinking_lm, tiny_lm

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

from fastapi import FastAPI
from fastapi.testclient import TestClient

from probes import contrast_score
from probes.token_monitor import monitor
from steering import (
    ContrastSet,
    LanguageModel,
    Sliders,
    SteeringError,
    SteeringVector,
    extract,
    load,
    preference_margin,
    refusal_score,
)
from steering.data.chats import as_chat
from steering.display.slider_grid import slider_grid
from steering.explore.gate_readings import gates_line
from steering.explore.token_readings import axis_readout
from steering.formats import EXPORTS
from steering.interventions.gates import Gate
from steering.recipes.balanced_pair import pair_at_hand
from steering.vectors.provenance import Profile
from tests.helpers.studio_server import AUTHORIZED, TOKEN, studio, write_garbage
from trimtab.cli import main
from trimtab.options import ModelOptions
from trimtab.studio.session import DOWNLOADS, Session
from trimtab.studio.slider_view import axis_view

PROFILE = Profile(auroc=(0.5, 0.9, 0.8, 0.7), pair_cosine=(0.1,) * LAYERS, residual_norm=(9.0,) * LAYERS)
AXES = {"safety": replace(random_vector(1), profile=PROFILE), "helpfulness": random_vector(2)}
HARM = Gate(0, torch.randn(32, generator=torch.Generator().manual_seed(5)), reads="harm", threshold=9.0)
GATED = slider_of(random_vector(3), gate=Gate(0, torch.ones(32)))


@pytest.fixture(scope="module")
def tiny() -> LanguageModel:
    return tiny_lm()


@pytest.fixture(scope="module")
def url(tiny: LanguageModel) -> Iterator[str]:
    with studio(tiny, AXES) as url:
        yield url


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def ask(url: str, path: str, body: Any) -> httpx.Response:
    headers = AUTHORIZED | {"Content-Type": "application/json"}
    return httpx.post(f"{url}/api/{path}", content=json.dumps(body), timeout=60, headers=headers)


def get(url: str, path: str) -> httpx.Response:
    return httpx.get(f"{url}/api/{path}", timeout=60, headers=AUTHORIZED)


def put(url: str, path: str, content: bytes) -> httpx.Response:
    headers = AUTHORIZED | {"Content-Type": "application/octet-stream"}
    return httpx.put(f"{url}/api/{path}", content=content, timeout=60, headers=headers)


def refusal(response: httpx.Response) -> str:
    """The sentence of a refused request."""
    assert response.status_code in range(400, 500)
    (sentence,) = response.json().values()
    assert "Traceback" not in sentence
    assert "\n" not in sentence
    return str(sentence)


def test_a_batch_answers_every_row_as_chat_does_under_its_setting(url: str) -> None:
    history = [user("Hi"), {"role": "assistant", "content": "Yes?"}, user("Why is the sky blue?")]
    settings: list[dict[str, float]] = [{}, {"safety": 0.5}, {"safety": -1.0, "helpfulness": 1.0}]
    chats = [history, history, [user("Break the lock")]]
    rows = [{"chat": chat, "setting": setting} for chat, setting in zip(chats, settings, strict=True)]
    response = ask(url, "answers", {"rows": rows, "max_new_tokens": 12})
    steps = [json.loads(line)["texts"] for line in response.text.splitlines()]
    assert len(steps) > 1
    fresh = tiny_lm()
    with Sliders(**AXES).attach(fresh) as dial:
        for row, (chat, setting) in enumerate(zip(chats, settings, strict=True)):
            dial.set(**{axis: setting.get(axis, 0.0) for axis in AXES})
            assert steps[-1][row] == fresh.chat(chat, max_new_tokens=12)
    assert len(set(steps[-1])) == 3


def test_thoughts_come_beside_the_answers() -> None:
    lm = writing(thinking_lm(OPENED_TEMPLATE), "Hi", "Hm.\n</think>\n\nYes.")
    rows = [{"chat": [user("Hi")], "setting": {"safety": value}} for value in (0.0, 0.5)]
    with studio(lm, AXES) as url:
        lines = ask(url, "answers", {"rows": rows, "max_new_tokens": 40}).text.splitlines()
    assert json.loads(lines[1]) == {"texts": ["", ""], "thoughts": ["Hm", "Hm"]}
    assert json.loads(lines[-1]) == {"texts": ["Yes.", "Yes."], "thoughts": ["Hm.", "Hm."]}


def test_requests_wait_for_each_other_and_hanging_up_ends_the_answer(tiny: LanguageModel) -> None:
    lm = tiny_lm(max_position_embeddings=2000)
    lm.model.generation_config.eos_token_id = None
    passes: list[int] = []
    lm.blocks[0].register_forward_hook(lambda *_: passes.append(1))
    asked = {"rows": [{"chat": [user("Hi")], "setting": {}}], "max_new_tokens": 500}
    with studio(lm, AXES) as url:
        with httpx.stream("POST", f"{url}/api/answers", json=asked, timeout=60, headers=AUTHORIZED) as response:
            next(response.iter_lines())
            assert get(url, "state").status_code == 200
        asked["max_new_tokens"] = 3
        last = json.loads(ask(url, "answers", asked).text.splitlines()[-1])
        count = len(passes)
        time.sleep(0.2)
        assert len(passes) == count < 400
    assert "texts" in last


def test_scores_are_those_under_the_setting_with_the_axis_own_as_evaluate_gives_it() -> None:
    lm, pairs = tiny_lm(max_position_embeddings=2048), answer_pairs(40, alike=False)
    axes = AXES | {"toy": extract(lm, pairs, progress=False), "wit": random_vector(3)}
    settings: dict[str, dict[str, float]] = {"bare": {}, "now": {"safety": 0.5, "toy": 1.0}}
    with studio(lm, axes, pairs={"toy": pairs}) as url:
        found = ask(url, "scores", {"chat": [user("Hi")], "setting": settings["now"]}).json()
    own = contrast_score(lm, pairs.split()[1].spread(8), "toy")
    engaged = ContrastSet.builtin("helpfulness").split()[1].spread(4)
    expected = {}
    with Sliders(**axes).attach(lm) as dial:
        for side, setting in settings.items():
            dial.set(**(dict.fromkeys(axes, 0.0) | setting))
            expected[side] = [
                refusal_score(lm, [[user("Hi")]]).item(),
                preference_margin(lm, engaged, dial).mean().item(),
                own.measure(lm, own.items, dial).mean().item(),
            ]
    names = ["refusal of this prompt (nats)", "engaged over evasive (nats a token)", f"{own.name} (nats a token)"]
    assert [score["name"] for score in found["scores"]] == names
    assert {side: [score[side] for score in found["scores"]] for side in settings} == expected
    assert found["without"] == [
        "wit: for a score of its own, pass the pairs that it was made from, with --pairs wit=FILE.jsonl."
    ]


def test_pairs_of_no_slider_or_of_another_vector_are_refused(tiny: LanguageModel) -> None:
    pairs = answer_pairs(40, alike=False)
    with pytest.raises(SteeringError, match=r"^Expected pairs for 'safety', 'helpfulness', found some for 'tone'"):
        Session(tiny, Sliders(**AXES), pairs={"tone": pairs})
    with pytest.raises(SteeringError, match="names no contrast set, so which pairs it has not seen can't be known"):
        Session(tiny, Sliders(**AXES), pairs={"safety": pairs})


def test_pairs_wait_for_their_slider_while_another_model_has_none_of_that_name(tmp_path: Path) -> None:
    lm, pairs = tiny_lm(max_position_embeddings=2048), answer_pairs(40, alike=False)
    toy = extract(lm, pairs, progress=False)
    toy.save(tmp_path / "toy.safetensors")
    session = Session(lm, Sliders(toy=toy), pairs={"toy": pairs})
    before = session.scores(as_chat("Hi"), {"toy": 1.0})
    session.use(lm, {})
    session.add_file("toy", tmp_path / "toy.safetensors")
    assert session.scores(as_chat("Hi"), {"toy": 1.0}) == before
    assert len(before["scores"]) == 3
    random_vector().save(tmp_path / "other.safetensors")
    with pytest.raises(SteeringError, match="Expected for 'toy' the pairs that it was made from"):
        session.add_file("toy", tmp_path / "other.safetensors")


def test_scores_that_overflow_are_a_sentence(tiny: LanguageModel) -> None:
    asked = {"chat": [user("Hi")], "setting": {"safety": 1e18}}
    with studio(tiny, AXES) as url:
        assert "Expected slider values that leave the model's states in torch.float32 finite" in refusal(
            ask(url, "scores", asked)
        )


def test_tokens_are_those_of_the_steered_chat_at_the_axis_best_layer(url: str, tiny: LanguageModel) -> None:
    chat = [user("Break the lock"), {"role": "assistant", "content": "No."}]
    found = {
        value: ask(url, "tokens", {"chat": chat, "setting": {"safety": value}, "axis": "safety"}).json()
        for value in (0.0, 1.0)
    }
    readings = {value: [float(x) for x in re.findall(r'title="safety (\S+)"', f["html"])] for value, f in found.items()}
    assert found[0.0]["layer"] == 1  # of the two layers that it moves, the one of the higher AUROC
    read = axis_readout(AXES["safety"])
    prompt = [r for r in monitor(tiny_lm(), "Break the lock", {"a": read}, 1) if r.in_prompt]
    assert readings[0.0][: len(prompt)] == pytest.approx([r.readings["a"] for r in prompt], abs=0.006)
    push = AXES["safety"][1].norm().item()  # layer 1 is the first that moves: only its own push is in the state
    assert [a - b for a, b in zip(readings[1.0], readings[0.0], strict=True)] == pytest.approx(
        [push] * len(readings[0.0]), abs=0.02
    )


def test_a_download_is_what_the_export_writes(url: str, tmp_path: Path) -> None:
    setting = {"safety": 0.5, "helpfulness": -1.0}
    response = ask(url, "export", {"to": "npz", "setting": setting})
    assert response.headers["content-disposition"] == "attachment; filename*=UTF-8''setting.npz"
    (tmp_path / "setting.npz").write_bytes(response.content)
    from steering.formats import IMPORTS

    found = IMPORTS["npz"](tmp_path / "setting.npz", None)
    for layer in (1, 2):
        expected = sum(value * AXES[name][layer] for name, value in setting.items())
        torch.testing.assert_close(found[layer], expected)
    file = tmp_path / "v.safetensors"
    file.write_bytes(get(url, "vectors?axis=safety").content)
    assert torch.equal(SteeringVector.load(file).directions, AXES["safety"].directions)
    assert set(DOWNLOADS) == set(EXPORTS) - {"easysteer"}


def test_vectors_come_from_disk_or_upload_and_are_axes_then(tmp_path: Path) -> None:
    random_vector(7).save(tmp_path / "v.safetensors")
    with studio(tiny_lm(), {}) as url:
        assert (
            "There is no slider yet"
            in ask(url, "answers", {"rows": [{"chat": [user("Hi")], "setting": {}}], "max_new_tokens": 1}).text
        )
        state = ask(url, "vectors", {"axis": "one", "path": str(tmp_path / "v.safetensors")}).json()
        assert [axis["name"] for axis in state["axes"]] == ["one"]
        content = (tmp_path / "v.safetensors").read_bytes()
        state = put(url, "vectors?axis=two", content).json()
        assert [axis["name"] for axis in state["axes"]] == ["one", "two"]
        state = ask(url, "model", {"name": "tiny-1"}).json()
        assert state["axes"] == []  # nothing is shipped for it


def test_what_is_wrong_is_one_sentence_and_changes_nothing(url: str, tmp_path: Path) -> None:
    before = get(url, "state").json()
    garbage = str(write_garbage(tmp_path / "garbage.safetensors"))
    row = {"chat": [user("Hi")], "setting": {}}
    sentences = {
        "Can't read '/no/such': No such file or directory": ask(url, "vectors", {"axis": "a", "path": "/no/such"}),
        "is not a safetensors file": ask(url, "vectors", {"axis": "a", "path": garbage}),
        "'b.safetensors' is not a safetensors file": put(url, "vectors?axis=b", b"x"),
        "Expected an axis name": put(url, "vectors?axis=a%20b", b"x"),
        "'report.json' is no report": put(url, "report", b"{}"),
        "is no report": ask(url, "report", {"path": garbage}),
        "There is no folder": ask(url, "model", {"name": "./nowhere"}),
        "Expected a slider that isn't at 0": ask(url, "export", {"to": "gguf", "setting": {}}),
        "There is no download 'pickle'": ask(url, "export", {"to": "pickle", "setting": {}}),
        "There is no axis 'x'": ask(url, "tokens", {**row, "axis": "x"}),
        "There is no built-in axis": ask(url, "extract/x", {}),
        "body.rows: tuple should have at most 9": ask(url, "answers", {"rows": [row] * 10, "max_new_tokens": 1}),
    }
    huge = {**row, "setting": {"safety": 1e38}, "axis": "safety"}
    sentences["whose pushes stay shorter than 1.8e+19"] = ask(url, "tokens", huge)
    for expected, response in sentences.items():
        assert expected in refusal(response)
    for text in ("Hi \ud800", "\udfff"):
        half = {"chat": [user(text)], "setting": {}}
        for path, body in (("gates", {"chat": [user(text)]}), ("answers", {"rows": [half], "max_new_tokens": 1})):
            assert "surrogates not allowed" in refusal(ask(url, path, body))
    streamed = {
        "There is no axis 'x'": {"chat": [user("Hi")], "setting": {"x": 1.0}},
        "Expected a chat of 255 tokens at most": {"chat": [user("Hi" * 200)], "setting": {}},
    }
    for expected, row in streamed.items():
        (line,) = ask(url, "answers", {"rows": [row], "max_new_tokens": 1}).text.splitlines()
        assert expected in json.loads(line)["error"]
    assert get(url, "state").json() == before


def test_an_exports_refusal_is_its_sentence(url: str) -> None:
    with studio(tiny_lm(), {"gated": GATED}) as gated:
        setting = {"setting": {"gated": 1.0}}
        sentence = refusal(ask(gated, "export", {"to": "gguf", **setting}))
        assert ask(gated, "refusals", setting).json()["gguf"] == sentence
    assert "Expected a plain addition at blocks for" in sentence


def test_refusals_are_known_before_anything_is_exported(url: str) -> None:
    for setting in ({"safety": 0.5}, {}):
        found = ask(url, "refusals", {"setting": setting}).json()
        assert set(found) == set(DOWNLOADS)
        for to, sentence in found.items():
            response = ask(url, "export", {"to": to, "setting": setting})
            assert sentence == (None if response.status_code == 200 else refusal(response))


def test_a_report_is_the_page_that_the_command_writes(url: str, tmp_path: Path) -> None:
    report = planted(leaky)
    report.save(tmp_path / "report.json")
    report.to_html(tmp_path / "report.html")
    expected = (tmp_path / "report.html").read_text()
    assert ask(url, "report", {"path": str(tmp_path / "report.json")}).text == expected
    assert put(url, "report", (tmp_path / "report.json").read_bytes()).text == expected


def test_plots_are_drawn_where_there_are_figures(url: str) -> None:
    axes = {axis["name"]: axis["plots"] for axis in get(url, "state").json()["axes"]}
    assert [set(axes[name]) for name in ("safety", "helpfulness")] == [{"auroc", "push"}, {"push"}]
    drawn = axes["safety"]["auroc"]["svg"]
    assert drawn.startswith("<svg ")
    assert "held-out AUROC" in drawn
    assert "layer (output of block)" in drawn


@pytest.mark.parametrize(
    ("limits", "grid"),
    [
        ((-1.0, 1.0), (-1.0, 1.0, 0.05)),
        ((0.0, 1.0), (0.0, 1.0, 0.05)),
        ((-0.73, 1.21), (-0.7, 1.2, 0.05)),
        ((0.5, 2.0), (0.0, 2.0, 0.05)),
        ((-30.0, 10.0), (-30.0, 10.0, 0.5)),
        ((0.0, 0.0), (0.0, 0.0, 0.05)),
        ((-1e-20, 1e-20), (-1e-20, 1e-20, 1e-21)),
        ((-1e308, 1e308), (-1e308, 1e308, 5e306)),
    ],
)
def test_a_slider_has_round_values_inside_its_range_and_zero(
    limits: tuple[float, float], grid: tuple[float, float, float]
) -> None:
    assert slider_grid(limits) == pytest.approx(grid)


def test_a_summary_says_on_which_prompts_a_slider_acts() -> None:
    guarded = slider_of(random_vector(), gate=replace(HARM, reads="harmlessness", threshold=0.5))
    acts = [axis_view("a", slider)["acts"] for slider in (guarded, GATED, slider_of(random_vector()))]
    assert acts == ["acts on prompts that read as harmful below 0.38", "acts on the prompts that its gate picks", ""]


def test_a_summary_has_the_dose_to_draw() -> None:
    dose = axis_view("a", replace(GATED, dose=DOSE))["dose"]
    assert dose["svg"].startswith("<svg ")
    assert (dose["values"], dose["effects"], dose["prompts"]) == (DOSE.values, DOSE.effects, 64)
    assert axis_view("a", GATED)["dose"] is None


def test_gates_say_why_a_slider_does_nothing_once_a_chat() -> None:
    passes: list[int] = []
    lm = tiny_lm()
    lm.blocks[0].register_forward_hook(lambda *_: passes.append(1))
    chat = [user("Hi"), {"role": "assistant", "content": "Yes?"}, user("Why is the sky blue?")]
    axes = {"safety": slider_of(random_vector(3), gate=HARM), "helpfulness": slider_of(random_vector(2))}
    with studio(lm, axes) as url:
        found = [ask(url, "gates", {"chat": chat}).json()["text"] for _ in range(2)]
        assert len(passes) == 1
        assert "Expected a chat of" in refusal(ask(url, "gates", {"chat": [user("Hi" * 200)]}))
        ask(url, "model", {"name": "tiny-1"})
        assert ask(url, "gates", {"chat": chat}).json() == {"text": ""}  # there are no sliders now
    assert found == [gates_line(tiny_lm(), axes, chat)] * 2
    assert found[0].startswith("This prompt reads as harmful: ")


@pytest.mark.real
def test_the_default_model_has_its_vectors_at_hand() -> None:
    lm = load("smollm2-135m-instruct")
    axes = pair_at_hand(lm)
    assert list(axes) == ["safety", "helpfulness"]
    Sliders(**axes).attach(lm).detach()
    assert pair_at_hand(tiny_lm()) == {}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["-m", "/no/model", "--port", "0", "--no-browser"], "There is no folder '/no/model'"),
        (
            ["-m", "/no/model", "--port", "0", "--host", "0.0.0.0"],
            "Warning: what you and the studio at 0.0.0.0 send each other, its token too, can be read on the way",
        ),
        (["--host", "no.such.host.invalid"], "Can't listen on no.such.host.invalid port 8321"),
    ],
)
def test_the_command_says_what_is_wrong(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["studio", *arguments])
    assert exit_.value.code == 2
    assert sentence in capsys.readouterr().err


def test_the_command_takes_the_pairs_of_an_axis_of_ones_own_as_evaluate_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lm, pairs = tiny_lm(max_position_embeddings=2048), answer_pairs(20, alike=False)
    vector, made, other = (tmp_path / name for name in ("toy.safetensors", "toy.jsonl", "other.jsonl"))
    extract(lm, pairs, progress=False).save(vector)
    pairs.save(made)
    answer_pairs(21, alike=False).save(other)
    served: list[FastAPI] = []
    monkeypatch.setattr(ModelOptions, "load", lambda _: lm)
    monkeypatch.setattr("secrets.token_urlsafe", lambda _: TOKEN)
    monkeypatch.setattr("trimtab.serve.server.run", lambda app, *_, **__: served.append(app))
    for entry, sentence in (
        (f"toy={other}", "which pairs it has not seen can't be known"),
        (f"tone={made}", "found some for 'tone'"),
        ("toy", "Expected NAME=FILE.jsonl once for each slider"),
        (f"toy={made}", ""),
    ):
        with pytest.raises(SystemExit) as exit_:
            main(["studio", "--port", "0", "--no-browser", "--vector", f"toy={vector}", "--pairs", entry])
        assert (exit_.value.code or 0) == (2 if sentence else 0)
        assert sentence in capsys.readouterr().err
    (app,) = served
    asked = {"chat": [user("Hi")], "setting": {}}
    found = TestClient(app, "http://127.0.0.1").post("/api/scores", json=asked, headers=AUTHORIZED).json()
    assert found["scores"][2]["name"] == "toy: positive over negative answers (nats a token)"
