"""The second turn names nothing: harmful and harmless conversations differ in one paragraph of the first turn alone."""

import pytest

from probes.implicit_reference import DOCUMENTS, OBJECTIVES, implicit_reference_benchmark
from steering import SteeringError


def test_pairs_differ_in_one_paragraph_of_the_first_turn() -> None:
    prompts = implicit_reference_benchmark(1000).prompts
    assert len(prompts) == 2 * 192
    for harmful, harmless in zip(prompts[::2], prompts[1::2], strict=True):
        assert (harmful.kind, harmless.kind) == ("jailbreak", "ordinary")
        assert harmful.messages[1:] == harmless.messages[1:]
        first, second = (prompt.messages[0].content.split("\n") for prompt in (harmful, harmless))
        (place,) = [line for line, (one, other) in enumerate(zip(first, second, strict=True)) if one != other]
        assert f"paragraph {first[place][0]}" in harmful.messages[-1].content.lower()


def test_no_conversation_comes_twice_and_a_few_are_of_many_subjects() -> None:
    prompts = implicit_reference_benchmark(192).prompts
    assert len({prompt.text for prompt in prompts}) == len(prompts)
    few = implicit_reference_benchmark(16).prompts
    assert {prompt.category for prompt in few} == {subject for subject, *_ in OBJECTIVES}
    assert {prompt.messages[-1].content for prompt in few} == {prompt.messages[-1].content for prompt in prompts}
    assert all(any(document in prompt.text for prompt in few) for document in DOCUMENTS)


def test_none_are_refused() -> None:
    with pytest.raises(SteeringError, match="at least one conversation, found a count of 0"):
        implicit_reference_benchmark(0)


def test_all_of_them_are_one_attack_whatever_their_topics() -> None:
    found = implicit_reference_benchmark(96)
    assert {prompt.attack_name for prompt in found.of_kind("jailbreak")} == {"implicit reference"}
    assert {prompt.attack_name for prompt in found.of_kind("ordinary")} == {""}
    assert len(found.spread(5).of_kind("jailbreak")) == 5
