"""Control tokens: levels from scores, the published losses, a planted task that a tiny model learns, and no traces."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from probes import Decoding, compare
from probes.benchmarks import BenchmarkPrompt, LoadedBenchmark
from probes.trained.control_data import LEVELS, ControlData, ControlExample, controlled, self_generated
from probes.trained.control_tokens import ControlTokens
from probes.trained.losses import EXMATE_WEIGHT, answer_nll, clm, exmate
from probes.trained.training import Training, adapted, train_control_tokens
from steering import LanguageModel, SteeringError
from tests.helpers.tiny import tiny_lm

pytest.importorskip("peft")
ATTRIBUTES = ("safety", "helpfulness")


def planted() -> ControlData:
    """The answer's first letter tells the one level, its second the other."""
    examples = [
        ControlExample(prompt="Hi", answer="VWXYZ"[s] + "vwxyz"[h], levels={"safety": s, "helpfulness": h})
        for s in range(LEVELS)
        for h in range(LEVELS)
    ]
    return ControlData(examples=tuple(examples), scored_by="hand")


@pytest.fixture(scope="module")
def lm() -> LanguageModel:
    return tiny_lm()


@pytest.fixture(scope="module")
def folder(lm: LanguageModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("trained") / "control"
    training = Training("clm", epochs=120, learning_rate=1e-2, batch_size=25, rank=16)
    train_control_tokens(lm, planted(), path, training, progress=False)
    return path


def test_levels_are_fifths_of_all_answers_by_score(lm: LanguageModel) -> None:
    prompts = [f"Number {number}?" for number in range(15)]
    scorers = {"safety": lambda _, text: sum(map(ord, text)), "helpfulness": lambda _, text: -sum(map(ord, text))}
    data = self_generated(lm, prompts, scorers, "sums", n=4, decoding=Decoding(max_new_tokens=6))
    assert data.attributes == ATTRIBUTES
    scored = sorted((scorers["safety"]("", one.answer), one.levels["safety"]) for one in data.examples)
    levels = [level for _, level in scored]
    assert levels == sorted(levels)
    assert all(abs(levels.count(level) - len(levels) / LEVELS) <= 2 for level in range(LEVELS))
    assert {one.levels["safety"] + one.levels["helpfulness"] for one in data.examples} <= {3, 4, 5}


def test_data_that_cannot_teach_is_refused(lm: LanguageModel, tmp_path: Path) -> None:
    few = Decoding(max_new_tokens=2)
    with pytest.raises(SteeringError, match="Expected 50 answers at least, found"):
        self_generated(lm, ["Hi"], {"safety": lambda *_: 0.0}, "none", decoding=few)
    with pytest.raises(SteeringError, match="scores of 'safety' tie too often"):
        self_generated(lm, [f"{n}?" for n in range(20)], {"safety": lambda *_: 0.0}, "none", decoding=few)
    (tmp_path / "data.json").write_text("{}")
    with pytest.raises(SteeringError, match="holds no control data"):
        ControlData.load(tmp_path / "data.json")
    planted().save(tmp_path / "data.json")
    assert ControlData.load(tmp_path / "data.json") == planted()


def test_losses_are_the_published_formulas(lm: LanguageModel) -> None:
    prompts, answers = ["One", "Another one"], ["Yes, sir", "No"]
    found = answer_nll(lm, prompts, answers)
    for prompt, answer, nll in zip(prompts, answers, found, strict=True):
        chat = lm.tokenize([{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}])
        logits = lm.model(torch.tensor([chat.ids])).logits[0].log_softmax(-1)
        places = range(chat.prompt_length, len(chat.ids))
        expected = -sum(logits[at - 1, chat.ids[at]] for at in places) / len(places)  # type: ignore[operator]
        torch.testing.assert_close(nll, expected, atol=1e-5, rtol=1e-5)
    own, wrong = torch.tensor([1.0, 3.0]), torch.tensor([0.0, 2.0])
    assert clm(own) == 2.0
    own.requires_grad_()
    wrong.requires_grad_()
    exmate(own, wrong).backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(own.grad, torch.tensor([0.5, 0.5]))
    torch.testing.assert_close(wrong.grad, -EXMATE_WEIGHT / 2 * (-wrong).exp().detach())
    torch.testing.assert_close(exmate(own, wrong), 2.0 + EXMATE_WEIGHT * (1.0 + torch.tensor(-2.0).exp()) / 2)


def test_a_planted_task_is_learned(lm: LanguageModel, folder: Path) -> None:
    method = ControlTokens(folder)
    right = 0
    for s, safety in enumerate((-1.0, -0.5, 0.0, 0.5, 1.0)):
        for h, helpfulness in enumerate((-1.0, -0.5, 0.0, 0.5, 1.0)):
            if (s, h) != (2, 2):  # the bare model
                values = {"safety": safety, "helpfulness": helpfulness}
                (text,) = method.answers(lm, ["Hi"], values, Decoding(max_new_tokens=2), None).texts
                right += text == "VWXYZ"[s] + "vwxyz"[h]
    assert right >= 22
    assert method.record.losses[-1] < 0.5 * method.record.losses[0]


def test_the_model_is_left_as_it_was(lm: LanguageModel, folder: Path) -> None:
    ids, untouched = torch.tensor([lm.tokenize("Hello").ids]), tiny_lm()
    expected, identity = untouched.model(ids).logits, untouched.identity
    method, decoding = ControlTokens(folder), Decoding(max_new_tokens=4)
    trained = method.answers(lm, ["Hello"], {"safety": 1.0}, decoding, None)
    assert torch.equal(lm.model(ids).logits, expected)
    assert lm.identity == identity
    assert [name for name, _ in lm.model.named_modules()] == [name for name, _ in untouched.model.named_modules()]
    assert all(parameter.requires_grad for parameter in lm.model.parameters())
    bare = method.answers(lm, ["Hello"], {"safety": 0.0}, decoding, None)
    assert bare.texts[0] == untouched.chat("Hello", 4) != trained.texts[0]
    with pytest.raises(RuntimeError, match="mine"), adapted(lm, folder):
        raise RuntimeError("mine")
    assert torch.equal(lm.model(ids).logits, expected)


def test_training_begins_at_the_bare_models_loss_and_exmate_adds_to_it(lm: LanguageModel, tmp_path: Path) -> None:
    data, one_step = planted(), Training("clm", epochs=1, batch_size=25)
    asked = [controlled(one.prompt, one.levels) for one in data.examples]
    bare = float(answer_nll(lm, asked, [one.answer for one in data.examples]).mean().detach())
    found = {}
    for loss in ("clm", "exmate"):
        training = replace(one_step, loss=loss)  # type: ignore[arg-type]
        (found[loss],) = train_control_tokens(lm, data, tmp_path / loss, training, progress=False).losses
    assert found["clm"] == pytest.approx(bare, abs=1e-5)
    assert bare < found["exmate"] < bare + EXMATE_WEIGHT


def test_it_stands_in_the_report_of_other_methods(lm: LanguageModel, folder: Path) -> None:
    prompts = (BenchmarkPrompt(text="Do harm", kind="harmful"), BenchmarkPrompt(text="Kill time", kind="look-alike"))
    benchmark = LoadedBenchmark("two", prompts, "none", "none")
    decoding = Decoding(max_new_tokens=2)
    (report,) = compare(
        lm, {"trained": ControlTokens(folder)}, [0, 1], [benchmark], decoding=decoding, progress=False
    ).values()
    assert list(report.axes) == list(ATTRIBUTES)
    assert "trained with clm on scores of hand" in report.axes["safety"]
    assert len(report.settings) == 4


def test_what_is_no_trained_folder_is_refused(lm: LanguageModel, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SteeringError, match="is no record of training"):
        ControlTokens(tmp_path)
    with pytest.raises(SteeringError, match="Expected an adapter in safetensors"), adapted(lm, tmp_path):
        pass
    with pytest.raises(SteeringError, match="exists; name a new folder"):
        train_control_tokens(lm, planted(), folder)
    with pytest.raises(SteeringError, match="'safety' from -1 to 1, found 2"):
        ControlTokens(folder).answers(lm, ["Hi"], {"safety": 2.0}, Decoding(), None)
    other = tiny_lm(hidden_size=16)
    with pytest.raises(SteeringError, match="holds no adapter for this model"), adapted(other, folder):
        pass
    assert not [name for name, _ in other.model.named_modules() if "lora" in name]
    with pytest.raises(SteeringError, match=r"trained for another model: .*weights"):
        ControlTokens(folder).answers(tiny_lm(seed=1), ["Hi"], {"safety": 1.0}, Decoding(), None)
    with adapted(lm, folder) as trained, pytest.raises(SteeringError, match="without an adapter"):
        train_control_tokens(trained, planted(), tmp_path / "again")


@pytest.mark.parametrize(
    ("examples", "sentence"),
    [
        ([], "at least 1 item"),
        ([{"prompt": "Hi", "answer": "Ho", "levels": {"safety": 5}}], "less than 5, found 5"),
        (
            [{"prompt": "Hi", "answer": "Ho", "levels": {"safety": 1}}, {"prompt": "Hi", "answer": "Ho", "levels": {}}],
            "levels of the same attributes in every example",
        ),
    ],
)
def test_data_of_parts_that_do_not_fit_is_refused(examples: list[Any], sentence: str, tmp_path: Path) -> None:
    (tmp_path / "data.json").write_text(json.dumps({"examples": examples, "scored_by": "s"}), encoding="utf-8")
    with pytest.raises(SteeringError, match=sentence):
        ControlData.load(tmp_path / "data.json")
