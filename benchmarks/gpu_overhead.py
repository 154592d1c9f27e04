"""What sliders cost on a GPU, on a random-weight model of 8 billion parameters in bfloat16: docs/speed.md's figures.

    python benchmarks/gpu_overhead.py

Decoding by `generate`, batch 1 and 16, bare and steered in turn. The gated pair is shaped like the balanced one: a
gate half-way up, a few blocks moved on the answer's tokens by safety, and a third of all blocks by helpfulness.
"""

from functools import partial
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from steering import ContrastSet, Gate, LanguageModel, Push, Slider, Sliders, SteeringVector, extract
from tests.helpers.tiny import tiny_tokenizer
from trimtab.bench import PUSH, machine, paired

TOKENS, ROUNDS, PAIRS = 64, 5, 128
PROMPT = "Why is the sky blue?"
SIZES: dict[str, Any] = {
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "max_position_embeddings": 4096,
    "pad_token_id": 0,
    "bos_token_id": None,
    "eos_token_id": 1,
}
"""Llama 3 8B's."""


def random_model() -> LanguageModel:
    """Made on the GPU, with a tokenizer of one token a byte."""
    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    with torch.device("cuda"):
        model = LlamaForCausalLM(LlamaConfig(**SIZES)).eval()
    torch.set_default_dtype(before)
    return LanguageModel(model, tiny_tokenizer(), name="random Llama of 8B")


def plain_sliders(lm: LanguageModel) -> Sliders:
    """Two axes on all layers."""
    vectors = torch.randn(2, lm.n_layers, lm.d_model, generator=torch.Generator().manual_seed(0)) * PUSH
    every = tuple(range(lm.n_layers))
    return Sliders(**{name: SteeringVector(one, every, every) for name, one in zip(("a", "b"), vectors, strict=True)})


def gated_sliders(lm: LanguageModel) -> Sliders:
    """Two axes behind open gates, of the balanced pair's kinds of pushes."""
    depth, every = lm.n_layers // 2, tuple(range(lm.n_layers))
    directions = torch.randn(lm.n_layers, lm.d_model, generator=torch.Generator().manual_seed(0)) * PUSH
    vector, zeros = SteeringVector(directions, every, every), torch.zeros(lm.n_layers, lm.d_model)
    opened = Gate(depth, torch.zeros(4, lm.d_model), bias=1.0, tokens=(1, 2, 3, 4))
    few, many = tuple(range(depth, depth + 3)), tuple(range(depth, depth + lm.n_layers // 3))
    lowering = Push(vector, many, 1.0, "lower_projection", {"ceiling": zeros}, tokens="last_prompt_token", gate=opened)
    engaging = Push(vector, few, tokens="generated", gate=opened)
    return Sliders(
        a=Slider((Push(vector, few, tokens="answer:16", gate=opened),), (0.0, 1.0)), b=Slider((lowering, engaging))
    )


def steered(lm: LanguageModel, sliders: Sliders, value: float, work: Any) -> None:
    """The work under sliders, attached and detached."""
    with sliders.attach(lm) as dial:
        dial.set(a=value, b=value)
        work()
        torch.cuda.synchronize()


def show(name: str, ours: Any, reference: Any, rounds: int = ROUNDS) -> None:
    """Print a line of the table."""
    found = paired(name, ours, reference, rounds)
    spread = f"{found.lowest:.3f} to {found.highest:.3f}"
    times = f"{found.ours_seconds:.2f} | {found.reference_seconds:.2f}"
    print(f"| {found.name} | {found.ratio:.3f} | {spread} | {times} |", flush=True)


def timed(work: Any) -> float:
    """Median seconds of several runs."""
    return paired("", work, lambda: None, ROUNDS).ours_seconds


@torch.inference_mode()
def exactness(lm: LanguageModel, plain: Sliders, gated: Sliders) -> None:
    """At 0 the logits are the bare model's to the last bit; an addition is the dtype's own."""
    ids = torch.tensor([lm.tokenize(PROMPT).ids], device="cuda")
    bare = lm.model(ids).logits
    for name, sliders in (("plain", plain), ("gated", gated)):
        with sliders.attach(lm) as dial:
            zero = torch.equal(lm.model(ids).logits, bare)
            dial.set(a=1.0, b=1.0)
            moved = not torch.equal(lm.model(ids).logits, bare)
        print(
            f"{name}: at 0 equal to the last bit: {zero}; at 1 moved: {moved}; detached equal: "
            f"{torch.equal(lm.model(ids).logits, bare)}",
            flush=True,
        )


def main() -> None:
    """Print all of it."""
    lm = random_model()
    plain, gated = plain_sliders(lm), gated_sliders(lm)
    print(f"{machine()}, torch {torch.__version__}", flush=True)
    exactness(lm, plain, gated)
    print("| ours / reference | times as fast | lowest to highest | ours, s | reference, s |\n|---|---|---|---|---|")
    for count in (1, 16):
        bare = partial(lm.generate, [PROMPT] * count, TOKENS, min_new_tokens=TOKENS)
        for name, sliders, value in (
            ("plain", plain, 1.0),
            ("gated pair", gated, 1.0),
            ("gated pair at 0", gated, 0.0),
        ):
            show(
                f"decoding {TOKENS} tokens, batch {count}, {name} / bare",
                partial(steered, lm, sliders, value, bare),
                bare,
            )
    pairs = ContrastSet.builtin("safety")[:PAIRS]
    print(f"extraction of {PAIRS} pairs: {timed(lambda: extract(lm, pairs, progress=False)):.2f} s", flush=True)


if __name__ == "__main__":
    main()
