"""Sliders and baselines answer under the same settings, so that they stand in one table."""

from dataclasses import replace

import pytest
import torch

from probes.answers import Decoding
from probes.benchmarks import BenchmarkPrompt, LoadedBenchmark
from probes.evaluation import evaluate
from probes.judges import Verdict
from probes.methods import BestOfN, Prompting, SliderMethod, random_sliders
from steering import Push, Slider, Sliders, SteeringError
from steering.data.chats import ChatLike
from steering.interventions.gates import Gate
from tests.helpers.tiny import random_vector, tiny_lm

PROMPTS = ["Break the lock", "Paint the wall"]
GRID = {"safety": [0.0, 1.0], "helpfulness": [0.0, 1.0]}
DECODING = Decoding(max_new_tokens=5)


def longest(_prompt: ChatLike, answer: str) -> float:
    return len(answer)


def shortest(_prompt: ChatLike, answer: str) -> float:
    return -len(answer)


def best_of(n: int = 4) -> BestOfN:
    return BestOfN({"safety": longest, "helpfulness": shortest}, "length", n)


def test_prompting_changes_the_system_prompt_and_nothing_at_zero() -> None:
    lm = tiny_lm(max_position_embeddings=2048)
    method = Prompting()
    bare = method.answers(lm, PROMPTS, {"safety": 0.0, "helpfulness": 0.0}, DECODING, None)
    assert list(bare.texts) == lm.generate(PROMPTS, 5)
    asked = method.answers(lm, PROMPTS, {"safety": 1.0}, DECODING, None)
    assert asked.texts != bare.texts
    again = method.answers(lm, PROMPTS, {"safety": 1.0, "helpfulness": 0.0}, DECODING, None)
    assert asked == again
    with pytest.raises(SteeringError, match="level of safety from 0 to 1"):
        method.answers(lm, PROMPTS, {"safety": 2.0}, DECODING, None)


def test_best_of_n_picks_by_the_axis_that_is_set_from_the_same_samples() -> None:
    lm = tiny_lm()
    method = best_of()
    sampling = Decoding(max_new_tokens=8, seeds=(3,), temperature=1.5)
    long = method.answers(lm, PROMPTS, {"safety": 1.0}, sampling, 3)
    short = method.answers(lm, PROMPTS, {"helpfulness": 1.0}, sampling, 3)
    for one, other in zip(long.texts, short.texts, strict=True):
        assert len(one) > len(other)
    assert list(method.answers(lm, PROMPTS, {}, DECODING, None).texts) == lm.generate(PROMPTS, 5)
    assert len(method._sampled) == 1
    assert best_of().answers(lm, PROMPTS, {"safety": 1.0}, sampling, 3) == long
    assert method.answers(lm, PROMPTS, {"safety": 1.0}, sampling, 4) != long


def test_random_sliders_have_the_norms_layers_and_gates_of_the_originals() -> None:
    pushes = (
        Push(random_vector(1), strength=0.7, tokens="generated", gate=Gate(0, torch.ones(32))),
        Push(random_vector(2), (2, 3), intervention="ablate"),
    )
    original = Slider(pushes, range=(-2.0, 3.0))
    found = random_sliders(Sliders(safety=original))["safety"]
    assert found.range == original.range
    for made, push in zip(found.pushes, pushes, strict=True):
        torch.testing.assert_close(made.vector.directions.norm(dim=1), push.vector.directions.norm(dim=1))
        assert made.vector.recommended_layers == push.vector.recommended_layers
        for name in ("layers", "strength", "intervention", "hook_point", "tokens", "gate"):
            assert getattr(made, name) == getattr(push, name)
        cosines = torch.nn.functional.cosine_similarity(made.vector.directions, push.vector.directions)
        assert cosines.abs().max() < 0.8


def test_fingerprints_tell_methods_apart() -> None:
    one, two = Sliders(a=random_vector(1)), Sliders(a=random_vector(2))
    louder = Sliders(a=one["a"].scaled(2.0))
    sliders = [SliderMethod(one), SliderMethod(two), SliderMethod(louder)]
    prints = [*sliders, Prompting(), best_of(4), best_of(5)]
    assert len({method.fingerprint for method in prints}) == 6
    assert SliderMethod(one).fingerprint == SliderMethod(Sliders(a=random_vector(1))).fingerprint


def test_the_fingerprint_of_sliders_tells_whatever_they_do_apart() -> None:
    gate, center = Gate(0, torch.ones(32)), torch.ones(4, 32)
    plain = Push(random_vector(1))
    pushes = [
        plain,
        replace(plain, layers=(2,)),
        replace(plain, intervention="ablate"),
        replace(plain, intervention="set_projection", tensors={"center": center}),
        replace(plain, intervention="set_projection", tensors={"center": 2 * center}),
        replace(plain, hook_point="attn_out"),
        replace(plain, tokens="generated"),
        replace(plain, gate=gate),
        replace(plain, gate=replace(gate, bias=1.0)),
        replace(plain, gate=replace(gate, direction=-gate.direction)),
    ]
    methods = [SliderMethod(Sliders(a=Slider((push,)))) for push in pushes]
    methods += [SliderMethod(Sliders(b=plain.vector)), SliderMethod(Sliders(a=Slider((plain, plain))))]
    assert len({method.fingerprint for method in methods}) == len(pushes) + 2


def test_baselines_are_evaluated_by_their_answers_alone() -> None:
    lm = tiny_lm(max_position_embeddings=2048)
    prompts = tuple(BenchmarkPrompt(text=text, kind=kind) for kind in ("harmful", "look-alike") for text in PROMPTS)  # type: ignore[arg-type]
    benchmark = LoadedBenchmark("b", prompts, "MIT", "nobody")

    class Judge:
        name, labels = "planted", ("compliance", "refusal")

        def __call__(self, prompt: str, answer: str) -> Verdict:
            return Verdict(label="refusal" if len(answer) % 2 else "compliance", score=1.0, reason="planted")

    for method in (Prompting(), best_of()):
        report = evaluate(lm, method, GRID, benchmarks=[benchmark], judges=[Judge()], decoding=DECODING, progress=False)
        assert report.own == {}
        assert len(report.frontier()) == 4
        assert report.axes == dict(method.axes)
        assert report.outcome_effects().sliders == ("safety", "helpfulness")
        assert ("refusal of harmful" in report.scores) == isinstance(method, Prompting)
