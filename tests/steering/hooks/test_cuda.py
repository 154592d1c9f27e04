"""On a CUDA device: what holds exactly on the CPU holds there, in the dtypes that GPUs are run in."""

import pytest
import torch

from steering import ContrastSet, Gate, LanguageModel, Push, Slider, Sliders, extract, record, refusal_score, sweep
from tests.helpers.tiny import random_vector, tiny_lm

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
DTYPES = [torch.float32, torch.bfloat16, torch.float16]
PROMPTS = ["Why is the sky blue?", "Hi", "How do I kill a Python process?"]
GATE = Gate(1, torch.randn(2, 32, generator=torch.Generator().manual_seed(3)), tokens=(1, 2))


def on_cuda(dtype: torch.dtype = torch.float32) -> LanguageModel:
    lm = tiny_lm()
    lm.model.to("cuda", dtype)
    return lm


def sliders() -> Sliders:
    """A plain addition, one on generated tokens, and a gated one."""
    gated = Slider((Push(random_vector(3), tokens="answer", gate=GATE),))
    written = Slider((Push(random_vector(2), tokens="generated"),))
    return Sliders(a=random_vector(1), b=written, c=gated)


@pytest.mark.parametrize("dtype", DTYPES)
def test_sliders_at_0_are_bitwise_the_bare_model(dtype: torch.dtype) -> None:
    lm = on_cuda(dtype)
    ids = torch.tensor([lm.tokenize(PROMPTS[0]).ids], device="cuda")
    bare = lm.model(ids).logits
    with sliders().attach(lm) as dial:
        assert torch.equal(lm.model(ids).logits, bare)
        dial.set(a=1.0, b=1.0, c=1.0)
        assert not torch.equal(lm.model(ids).logits, bare)
    assert torch.equal(lm.model(ids).logits, bare)


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_addition_is_the_dtypes_own(dtype: torch.dtype) -> None:
    lm, vector = on_cuda(dtype), random_vector(1, layers=(2,))
    bare = record(lm, [PROMPTS[0]], layers=[2])
    with Sliders(a=vector).attach(lm) as dial:
        dial.set(a=0.7)
        moved = record(lm, [PROMPTS[0]], layers=[2])
    delta = (torch.tensor(0.7) * vector[2]).to(dtype)
    assert torch.equal(moved[0, 0].to(dtype), bare[0, 0].to(dtype) + delta)


def test_answers_are_those_of_the_cpu() -> None:
    there, here = on_cuda(), tiny_lm()
    settings = [{}, {"a": 1.0}, {"b": 1.0}, {"c": 1.0}]
    found = [sweep(lm, sliders(), PROMPTS, settings, max_new_tokens=12, progress=False) for lm in (there, here)]
    assert found[0] == found[1]


def test_rows_beams_and_padding_keep_their_values() -> None:
    lm = on_cuda()
    with sliders().attach(lm) as dial:
        for beams in (1, 3):
            dial.set(a=[0.0, 1.0, -1.0], b=[1.0, 0.0, 0.5], c=[1.0, 1.0, 0.0])
            together = lm.generate(PROMPTS, 8, num_beams=beams)
            alone = []
            for prompt, a, b, c in zip(PROMPTS, (0.0, 1.0, -1.0), (1.0, 0.0, 0.5), (1.0, 1.0, 0.0), strict=True):
                dial.set(a=a, b=b, c=c)
                alone += lm.generate([prompt], 8, num_beams=beams)
            assert together == alone


def test_vectors_and_scores_are_those_of_the_cpu() -> None:
    there, here, pairs = on_cuda(), tiny_lm(), ContrastSet.builtin("safety")[:24]
    vectors = [extract(lm, pairs, progress=False).directions for lm in (there, here)]
    torch.testing.assert_close(vectors[0], vectors[1], rtol=1e-4, atol=1e-5)
    scores = [refusal_score(lm, PROMPTS) for lm in (there, here)]
    torch.testing.assert_close(scores[0], scores[1], rtol=1e-4, atol=1e-4)
