"""Greedy answers of the llama.cpp engine and of attached hooks, to be compared."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from steering import LanguageModel, Slider, Sliders
from steering.models.llama_cpp.context import GgufModel, Room
from steering.serving.llama_cpp.engine import Engine, Request

EXACT = Room(cells=1024, batch=128, sequences=4, outputs=4, threads=1, exact=True)
"""As PyTorch computes."""


def engine_of(
    lm: LanguageModel, path: Path, sliders: Mapping[str, Slider], room: Room = EXACT, **changes: int
) -> Engine:
    """An engine on a GGUF file of the model, which tells thoughts as the model does."""
    return Engine(GgufModel(path), sliders, replace(room, **changes), lm.response_tokens if lm.marks else None)


def written(engine: Engine, requests: Sequence[Request], new_tokens: int) -> list[Tensor]:
    """The logits behind every request's prompt and its greedy tokens, (new_tokens, vocabulary) each."""
    found: dict[Request, list[Tensor]] = {request: [] for request in requests}
    for request in requests:
        engine.add(request)
    while any(len(found[request]) < new_tokens and request.error is None for request in requests):
        for request, logits in engine.step().items():
            found[request].append(logits)
            if len(found[request]) < new_tokens:
                request.write(int(logits.argmax()))
    for request in requests:
        engine.remove(request)
        if request.error is not None:
            raise request.error
    return [torch.stack(rows) for rows in found.values()]


def hooked(
    lm: LanguageModel,
    sliders: Mapping[str, Slider],
    prompt: Sequence[int],
    values: Mapping[str, float],
    new_tokens: int,
    harm: float | None = None,
) -> Tensor:
    """The same of PyTorch's model with hooks."""
    with Sliders(**sliders).attach(lm) as dial:
        dial.set(harm=harm, **values)
        found, tokens, cache = [], list(prompt), None
        with torch.inference_mode():
            for _ in range(new_tokens):
                passed = lm.model(input_ids=torch.tensor([tokens]), past_key_values=cache, use_cache=True)
                cache = passed.past_key_values
                found.append(passed.logits[0, -1])
                tokens = [int(found[-1].argmax())]
    return torch.stack(found)
