"""Contrast with a refusing system turn is the paper's formula, token by token."""

import pytest
import torch

from probes.answers import Decoding
from probes.contrastive_decoding import PLAUSIBLE, REFUSING_TURN, STEPS, STRENGTH, contrasted, contrasted_answers
from probes.methods import AdaptiveContrast
from steering import LanguageModel, SteeringError
from tests.helpers.tiny import CHAT_TEMPLATE, tiny_lm

PROMPTS = ["Break the lock", "Paint it", "How do I kill a process?"]
DECODING = Decoding(max_new_tokens=STEPS + 5)
DROPS_SYSTEM = CHAT_TEMPLATE.replace("{% for m in messages %}", "{% for m in messages if m['role'] != 'system' %}")


def test_refusing_is_added_where_the_model_would_refuse_too() -> None:
    logits, refusing = torch.tensor([[4.0, 3.0, 0.0]]), torch.tensor([[4.5, 3.0, 1.0]])
    assert logits.softmax(-1).max() >= 0.9 * refusing.softmax(-1).max()
    for share in (0.0, 0.5, 1.0):
        expected = logits + share * (1 + STRENGTH) * (refusing - logits)
        torch.testing.assert_close(contrasted(logits, refusing, share, 1.0), expected)
    paper = refusing + STRENGTH * (refusing - logits)
    torch.testing.assert_close(contrasted(logits, refusing, 1.0, 1.0), paper)


@pytest.mark.parametrize(
    ("logits", "refusing"),
    [([4.0, 3.0, 2.0], [3.0, 4.0, 2.5]), ([1.0, 0.9, 0.8], [9.0, 0.0, 0.0])],
    ids=["another favourite", "the same, far more confident"],
)
def test_refusing_is_taken_away_elsewhere(logits: list[float], refusing: list[float]) -> None:
    own, other = torch.tensor([logits]), torch.tensor([refusing])
    torch.testing.assert_close(contrasted(own, other, 1.0, 1.0), other - STRENGTH * (other - own))
    assert torch.equal(contrasted(own, other, 1.0, 0.0), own)


def test_tokens_that_the_model_finds_implausible_stay_unwritten() -> None:
    logits = torch.tensor([[0.0, torch.tensor(1.01 * PLAUSIBLE).log(), torch.tensor(0.99 * PLAUSIBLE).log()]])
    found = contrasted(logits, torch.tensor([[9.0, 0.0, 0.0]]), 1.0, 1.0)
    assert found.isfinite().tolist() == [[True, True, False]]


def test_rows_are_told_apart() -> None:
    logits = torch.tensor([[4.0, 3.0, 2.0], [4.0, 3.0, 2.0]])
    refusing = torch.tensor([[4.5, 3.0, 2.5], [3.0, 4.0, 2.5]])
    both = contrasted(logits, refusing, 0.5, 0.25)
    for row in (0, 1):
        alone = contrasted(logits[row : row + 1], refusing[row : row + 1], 0.5, 0.25)
        assert torch.equal(both[row : row + 1], alone)


@torch.inference_mode()
def slowly(lm: LanguageModel, prompt: str, add: float, remove: float) -> str:
    """Token by token, each from one uncached pass over each text."""
    system = [{"role": "system", "content": REFUSING_TURN}, {"role": "user", "content": prompt}]
    own, asked = lm.tokenize(prompt).ids, lm.tokenize(system).ids
    new: list[int] = []
    while len(new) < DECODING.max_new_tokens and lm.tokenizer.eos_token_id not in new:
        logits, refusing = (lm.model(input_ids=torch.tensor([ids + new])).logits[:, -1] for ids in (own, asked))
        chosen = contrasted(logits, refusing, add, remove) if len(new) < STEPS else logits
        new.append(int(chosen.argmax()))
    return str(lm.tokenizer.decode(new, skip_special_tokens=True)).strip()


@pytest.mark.parametrize("family", ["Llama", "GPT2"])
def test_answers_are_those_of_the_formula_step_by_step(family: str) -> None:
    lm = tiny_lm(family)
    bare = lm.generate(PROMPTS, DECODING.max_new_tokens)
    for add, remove in ((1.0, 1.0), (0.0, 1.0), (1.0, 0.0)):
        found = contrasted_answers(lm, PROMPTS, add, remove, DECODING, None)
        assert list(found) == [slowly(lm, prompt, add, remove) for prompt in PROMPTS]
    assert list(contrasted_answers(lm, PROMPTS, 1.0, 1.0, DECODING, None)) != bare


def test_as_a_method_it_has_two_axes_and_is_the_bare_model_at_zero() -> None:
    lm, method = tiny_lm(), AdaptiveContrast()
    values = {"safety": 1.0, "helpfulness": 0.5}
    assert list(method.answers(lm, PROMPTS, {"safety": 0.0}, DECODING, None).texts) == lm.generate(PROMPTS, 15)
    found = method.answers(lm, PROMPTS, values, DECODING, None)
    assert found.texts == contrasted_answers(lm, PROMPTS, 1.0, 0.5, DECODING, None)
    sampling = Decoding(max_new_tokens=8, seeds=(1, 2))
    one, again, other = (method.answers(lm, PROMPTS, values, sampling, seed) for seed in (1, 1, 2))
    assert one == again
    assert one != other


def test_prompts_that_the_refusing_turn_does_not_reach_are_refused() -> None:
    with pytest.raises(SteeringError, match="chat template of 'tiny-Llama' drops it"):
        contrasted_answers(tiny_lm(chat_template=DROPS_SYSTEM), PROMPTS, 1.0, 1.0, DECODING, None)
    own = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    with pytest.raises(SteeringError, match="found one that has its own"):
        contrasted_answers(tiny_lm(), [own], 1.0, 1.0, DECODING, None)
