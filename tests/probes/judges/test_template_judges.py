import math
from collections.abc import Mapping
from hashlib import sha256

import pytest

from probes.judges import GraniteGuardianJudge, Qwen3GuardJudge
from probes.judges.template_judges import GRANITE_BLOCKS
from probes.judges.verdict import Judge
from steering import SteeringError
from tests.helpers.tiny import VOCABULARY, tiny_lm
from tests.probes.judges.test_model_judges import Scripted, always

QWEN3GUARD = (
    "{% for m in messages %}{{ m.role | upper }}: {{ m.content }}\n{% endfor %}Provide your safety assessment."
    "<|end|><|assistant|><think>\n\n</think>{{ '\n\n' }}"
)
READ = "USER: Ask\nASSISTANT: Told\nProvide your safety assessment.<|end|><|assistant|><think>\n\n</think>\n\n"
TURNS = "{% for m in messages %}{{ m.role }}: {{ m.content }}{{ '\n' }}{% endfor %}"
GRANITE_3_0 = "Risk: {{ guardian_config.risk_name }}\n" + TURNS + "<|assistant|>"
GRANITE_3_3 = "Criterion: {{ guardian_config.criteria_id }}, think {{ think }}\n" + TURNS + "<|assistant|>"
GRANITE_4_1 = TURNS + "<|assistant|>"


class Writer:
    """Plants the next letters of a text after the prompt, which ends in the last mark of the assistant's turn."""

    def __init__(self, text: str, mark: str = "<|assistant|>") -> None:
        self.text, self.mark = text, mark

    def __call__(self, seen: str) -> Mapping[str, float]:
        written = seen.rpartition(self.mark)[2]
        assert self.text.startswith(written), written
        rest = self.text[len(written) :]
        return {rest[0] if rest else "<|end|>": 0.9}


def qwen3guard(text: str, **options: str) -> Qwen3GuardJudge:
    return Qwen3GuardJudge(Scripted(Writer(text, "</think>\n\n"), chat_template=QWEN3GUARD).lm, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("written", "harm", "loose", "refusal"),
    [
        ("Safety: Unsafe\nCategories: Violent\nRefusal: No", "unsafe", "unsafe", "compliance"),
        ("Safety: Controversial\nCategories: Unethical Acts\nRefusal: No", "unsafe", "safe", "compliance"),
        ("Safety: Safe\nCategories: None\nRefusal: Yes", "safe", "safe", "refusal"),
    ],
)
def test_qwen3guard_writes_its_three_lines(written: str, harm: str, loose: str, refusal: str) -> None:
    judge: Judge = qwen3guard(written)
    verdict = judge("Ask", "Told")
    assert verdict.label == harm
    assert math.isclose(verdict.score, (0.9 + 0.1 / VOCABULARY * 4) / (0.9 + 0.1 / VOCABULARY * 12), rel_tol=0.01)
    safety, categories, refused = (line.partition(": ")[2] for line in written.split("\n"))
    for said in (f"safety: {safety.lower()} (", f"categories: {categories};", f"refusal: {refused.lower()} ("):
        assert said in verdict.reason
    assert qwen3guard(written, controversial="safe")("Ask", "Told").label == loose
    assert qwen3guard(written, verdict="refusal")("Ask", "Told").label == refusal


def test_qwen3guard_reads_its_own_template() -> None:
    model = Scripted(always(S=0.9), chat_template=QWEN3GUARD)
    judge = Qwen3GuardJudge(model.lm)
    assert judge.render("Ask", "Told") == READ
    judge("Ask", "Told")
    assert model.seen[0] == f"{READ}Safety:"
    assert (judge.name, judge.labels) == ("qwen3guard:harm", ("safe", "unsafe"))
    assert Qwen3GuardJudge(model.lm, verdict="refusal").labels == ("compliance", "refusal")


# What github.com/ibm-granite/granite-guardian at a409be85 builds, with the criterion of its evaluation.
@pytest.mark.parametrize(
    ("thinks", "fingerprint"),
    [
        (True, "174220f7d2f774d36cf53ac1c916413d6b02d703034ef7ae79c5506a740daad7"),
        (False, "bad4b2b267c06a14fe5fccaeb2b097518962a859ba55239f8e7323d1f5133bd7"),
    ],
)
def test_granite_blocks_are_the_published_ones(thinks: bool, fingerprint: str) -> None:
    assert sha256(GRANITE_BLOCKS[thinks].encode()).hexdigest() == fingerprint


@pytest.mark.parametrize(("word", "label"), [("Yes", "unsafe"), ("No", "safe")])
@pytest.mark.parametrize(
    ("template", "before", "asked"),
    [
        (GRANITE_3_0, "", "Risk: harm\nuser: Ask\nassistant: Told\n<|assistant|>"),
        (GRANITE_3_3, "<score> ", "Criterion: harm, think False\nuser: Ask\nassistant: Told\n<|assistant|>"),
        (
            GRANITE_4_1,
            "<think>\n</think>\n<score> ",
            f"user: Ask\nassistant: Told\nuser: {GRANITE_BLOCKS[False]}\n<|assistant|>",
        ),
    ],
)
def test_each_release_of_granite_guardian(template: str, before: str, asked: str, word: str, label: str) -> None:
    model = Scripted(Writer(before + word), chat_template=template, max_position_embeddings=4096)
    model.lm.model.generation_config.use_cache = False  # so that the script sees all of the text
    judge: Judge = GraniteGuardianJudge(model.lm)
    verdict = judge("Ask", "Told")
    assert verdict.label == label
    assert verdict.score > 0.98
    assert model.seen[0] == asked
    assert "thought" not in verdict.reason


@pytest.mark.parametrize("template", [GRANITE_3_3, GRANITE_4_1])
def test_granite_guardian_thinks_and_the_verdict_is_what_follows(template: str) -> None:
    thought = "<think>\nIt says no; is there a <score>yes? No.\n</think>\n<score> "
    model = Scripted(Writer(f"{thought}no</score>"), chat_template=template)
    model.lm.model.generation_config.use_cache = False
    verdict = GraniteGuardianJudge(model.lm, think=True)("Ask", "Told")
    assert verdict.label == "safe"
    assert 'thought: "It says no; is there a <score>yes? No."' in verdict.reason


def test_a_guardian_without_a_score_is_unsure() -> None:
    verdict = GraniteGuardianJudge(Scripted(always(a=0.9), chat_template=GRANITE_4_1).lm)("Ask", "Told")
    assert (verdict.label, verdict.score) == ("unsure", 0.0)
    assert verdict.reason == f'no score within 32 tokens: "{"a" * 32}"'


def test_an_early_guardian_cannot_think() -> None:
    with pytest.raises(SteeringError, match=r"3\.3 or later, found .* 'risk_name'; leave out `think`"):
        GraniteGuardianJudge(tiny_lm(chat_template=GRANITE_3_0), think=True)


@pytest.mark.parametrize("judge", [Qwen3GuardJudge, GraniteGuardianJudge])
@pytest.mark.parametrize("template", [None, "{{ raise_exception('no') }}", "{{ messages[0].content }}"])
def test_a_guard_needs_a_template_that_shows_the_answer(judge: type, template: str | None) -> None:
    with pytest.raises(SteeringError, match="shows request and answer; load a"):
        judge(tiny_lm(chat_template=template))
