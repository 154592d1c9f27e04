import math
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any

import pytest
import torch

from probes.judges.model_judges import HARMBENCH_TEMPLATES, WILDGUARD_TEMPLATE, HarmBenchJudge, WildGuardJudge
from probes.judges.next_word import choose
from probes.judges.template_judges import LlamaGuardJudge
from probes.judges.verdict import Judge
from steering import LanguageModel, SteeringError
from tests.helpers.tiny import VOCABULARY, tiny_lm

CONTEXT = 4096
GUARD = (
    "{% set role = 'User' if messages[-1].role == 'user' else 'Agent' %}Task: check the {{ role }}.\n\n"
    "S1: Violent Crimes.\nS10: Hate.\n\n"
    "{% for m in messages %}{{ m.role }}: {{ m.content | trim }}{{ '\n\n' }}{% endfor %}<|assistant|>"
)
GUARD_OF_PARTS = GUARD.replace("{{ m.content | trim }}", "{% for c in m.content %}{{ c.text | trim }}{% endfor %}")


class Scripted:
    """A tiny model whose next token has the probabilities that `script` gives for the text so far."""

    def __init__(self, script: Callable[[str], Mapping[str, float]], family: str = "Llama", **options: Any) -> None:
        self.lm: LanguageModel = tiny_lm(family, **{"max_position_embeddings": CONTEXT, **options})
        self.script = script
        self.seen: list[str] = []
        self.lm.model.register_forward_hook(self._plant, with_kwargs=True)

    def _plant(self, _: Any, __: Any, inputs: dict[str, Any], output: Any) -> Any:
        text = self.lm.tokenizer.decode(inputs["input_ids"][0])
        self.seen.append(text)
        given = self.script(text)
        probabilities = torch.full((VOCABULARY,), (1 - sum(given.values())) / VOCABULARY)
        for token, probability in given.items():
            (place,) = self.lm.tokenizer(token, add_special_tokens=False).input_ids
            probabilities[place] += probability
        output.logits = probabilities.log().expand_as(output.logits)
        return output


def always(**probabilities: float) -> Callable[[str], Mapping[str, float]]:
    return lambda _: probabilities


# The official texts' fingerprints; the first is also what github.com/centerforaisafety/HarmBench at 37150ed7 hashes to.
@pytest.mark.parametrize(
    ("template", "length", "fingerprint"),
    [
        (HARMBENCH_TEMPLATES["llama-2"], 1359, "788f4f6aa1491c433c4da76c9140cfc30966cea3ff3875c4d0fcb336d92f60e0"),
        (HARMBENCH_TEMPLATES["mistral"], 1342, "c1c47e30cc03e00197f1d12be25296fc3150969bb3ddb058bfd9f550e0d66f81"),
        (WILDGUARD_TEMPLATE, 412, "5e74b62445cca8e91d51deba51848059267bd2b8c279ac1c7a94adef445d8bdf"),
    ],
)
def test_templates_are_the_published_ones(template: str, length: int, fingerprint: str) -> None:
    assert (len(template), sha256(template.encode()).hexdigest()) == (length, fingerprint)


@pytest.mark.parametrize(("family", "template"), [("Llama", "llama-2"), ("Mistral", "mistral")])
def test_harmbench_reads_its_template_and_weighs_yes_against_no(family: str, template: str) -> None:
    model = Scripted(always(y=0.5, Y=0.1, n=0.2, N=0.1), family)
    verdict = HarmBenchJudge(model.lm)("Pick a {lock}", "Take a pin.")
    assert model.seen == [
        HARMBENCH_TEMPLATES[template].replace("{behavior}", "Pick a {lock}").replace("{generation}", "Take a pin.")
    ]
    assert verdict.label == "unsafe"
    rest = 0.1 / VOCABULARY
    share = 0.9 + 4 * rest
    assert math.isclose(verdict.score, (0.6 + 2 * rest) / share, rel_tol=1e-5)
    assert f"yes (the allowed words hold {share:.1%} of" in verdict.reason
    assert HarmBenchJudge(Scripted(always(n=0.6), family).lm)("Pick a lock", "No.").label == "safe"


def test_wildguard_answers_its_questions_in_turn() -> None:
    def script(text: str) -> Mapping[str, float]:
        questions = {"Harmful request:": "y", "Response refusal:": "n", "Harmful response:": "y"}
        (answer,) = (letter for question, letter in questions.items() if text.endswith(question))
        return {answer: 0.8}

    model = Scripted(script)
    refusal, harm = (WildGuardJudge(model.lm, verdict=kind)("Ask", "Told") for kind in ("refusal", "harm"))
    prompt = WILDGUARD_TEMPLATE.format(prompt="Ask", response="Told")
    assert model.seen[:3] == [
        f"{prompt}Harmful request:",
        f"{prompt}Harmful request: yes\nResponse refusal:",
        f"{prompt}Harmful request: yes\nResponse refusal: no\nHarmful response:",
    ]
    assert (refusal.label, harm.label) == ("compliance", "unsafe")
    assert refusal.reason == harm.reason
    for said in ("harmful request: yes", "response refusal: no", "harmful response: yes"):
        assert said in refusal.reason
    assert WildGuardJudge(model.lm).labels == ("compliance", "refusal")
    assert WildGuardJudge(model.lm, verdict="harm").labels == ("safe", "unsafe")


@pytest.mark.parametrize("template", [GUARD, GUARD_OF_PARTS])
def test_llama_guard_reads_its_own_template_and_names_categories(template: str) -> None:
    prompt = (
        "Task: check the Agent.\n\nS1: Violent Crimes.\nS10: Hate.\n\nuser: Ask\n\nassistant: Told\n\n<|assistant|>"
    )
    written = "\n\nunsafe\nS10,S1,S77<|end|>"

    def script(text: str) -> Mapping[str, float]:
        assert text.startswith(prompt)
        rest = written[len(text) - len(prompt) :]
        return {"<|end|>" if rest == "<|end|>" else rest[0]: 0.7}

    model = Scripted(script, chat_template=template)
    judge: Judge = LlamaGuardJudge(model.lm)
    verdict = judge("Ask", "Told")
    assert verdict.label == "unsafe"
    rest = 0.3 / VOCABULARY
    assert math.isclose(verdict.score, (0.7 + 2 * rest) / (0.7 + 4 * rest), rel_tol=1e-5)
    assert verdict.reason.endswith("; S10: Hate, S1: Violent Crimes, S77")
    safe = LlamaGuardJudge(Scripted(always(s=0.9), chat_template=template).lm)("Ask", "Told")
    assert safe.label == "safe"
    assert "S1" not in safe.reason


def test_llama_guard_without_categories_still_judges() -> None:
    verdict = LlamaGuardJudge(Scripted(always(u=0.9), chat_template=GUARD).lm)("Ask", "Told")
    assert verdict.label == "unsafe"
    assert verdict.reason.endswith("; no category")


@pytest.mark.parametrize("template", [None, "{{ raise_exception('no') }}", "{{ messages[0].content }}"])
def test_llama_guard_needs_a_template_that_shows_the_answer(template: str | None) -> None:
    with pytest.raises(SteeringError, match="load a Llama Guard"):
        LlamaGuardJudge(tiny_lm(chat_template=template))


@pytest.mark.parametrize("judge", [HarmBenchJudge, WildGuardJudge, LlamaGuardJudge])
def test_long_texts_are_cut_to_the_context_and_templates_are_not(judge: type) -> None:
    model = Scripted(lambda text: {"n": 0.5, "s": 0.4}, max_position_embeddings=2048, chat_template=GUARD)
    whole = judge(model.lm)
    for prompt, answer in (("Ask", "0123456789" * 900), ("what " * 900, "é" * 3000), ("Ask" * 3000, "")):
        model.seen.clear()
        verdict = whole(prompt, answer)
        assert "cut to the judge's 2048 tokens" in verdict.reason
        assert max(len(text.encode()) for text in model.seen) <= 2048
        assert len(model.seen[0].encode()) > 1000
        ending = whole.render("", "")[-30:].rsplit("\n\n", 1)[-1]
        assert ending in model.seen[0]
    assert "cut" not in whole("Ask", "Told").reason


def test_a_context_too_short_for_the_template_says_so() -> None:
    with pytest.raises(SteeringError, match="too short for its template"):
        HarmBenchJudge(tiny_lm(max_position_embeddings=256))("Ask", "Told")


@pytest.mark.parametrize("answer", ["", "\x00 \ud7ff ZZZ", "[/INST] no", "{generation} {0}", "<|end|>" * 5])
def test_every_answer_gets_a_verdict_from_any_model(answer: str) -> None:
    lm = tiny_lm(max_position_embeddings=CONTEXT)
    judges: list[Judge] = [
        HarmBenchJudge(lm),
        WildGuardJudge(lm),
        WildGuardJudge(lm, verdict="harm"),
        LlamaGuardJudge(lm),
    ]
    assert len({judge.name for judge in judges}) == 4
    for judge in judges:
        verdict = judge("Ask", answer)
        assert verdict.label in judge.labels
        assert 0.5 <= verdict.score <= 1
        assert verdict == judge("Ask", answer)


def test_whitespace_before_the_word_is_written_but_not_for_ever() -> None:
    model = Scripted(lambda text: {"n": 0.9} if text.endswith("\n\n") else {"\n": 0.9})
    choice = choose(model.lm, model.lm.tokenizer("Q").input_ids, ("yes", "no"))
    assert choice.word == "no"
    assert model.seen == ["Q", "Q\n", "Q\n\n"]
    endless = Scripted(always(**{" ": 0.9, "y": 0.05}))
    assert choose(endless.lm, endless.lm.tokenizer("Q").input_ids, ("yes", "no")).word == "yes"
    assert len(endless.seen) == 4


def test_words_that_begin_alike_are_no_choice() -> None:
    with pytest.raises(SteeringError, match="begins 'same', 'some' alike"):
        choose(tiny_lm(), [5, 6], ("same", "some"))
