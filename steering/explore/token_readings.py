"""What directions or probes find in the activation at every token."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from steering.data.chats import ChatLike
from steering.display.token_colors import colored_spans
from steering.hooks.dial import Dial
from steering.models.hook_points import reading_hook, temporary_hooks
from steering.models.language_model import LanguageModel
from steering.vectors.slider import Slider, as_slider
from steering.vectors.steering_vector import SteeringVector


@dataclass(frozen=True, eq=False)
class Readout:
    """What is read at one block: `direction·h + bias`."""

    layer: int
    direction: Float[Tensor, " d_model"]
    bias: float = 0.0

    def read(self, activations: Float[Tensor, "tokens d_model"]) -> list[float]:
        """The reading of each token.

        Args:
            activations: what the block put out there.
        """
        direction = self.direction.to(activations.device, torch.float32)
        return (activations.float() @ direction + self.bias).tolist()


def axis_readout(axis: Slider | SteeringVector) -> Readout:
    """Read along an axis, at the moved layer that tells held-out pairs apart best.

    Args:
        axis: a vector, or a slider, whose first push counts.

    Returns:
        The readout, in the residual stream's units; at the first moved layer where nothing is known of them.

    Example:
        >>> from steering import axis_readout
        >>> axis_readout(vector).layer == vector.recommended_layers[0]
        True
    """
    push = as_slider(axis).pushes[0]
    layer = push.layers[0] if push.vector.profile is None else max(push.layers, key=push.vector.auroc_at)
    return Readout(layer, torch.nn.functional.normalize(push.vector[layer], dim=0))


@dataclass(frozen=True)
class TokenReading:
    """One token, and what each readout found in the activation there."""

    token: str
    in_prompt: bool
    readings: dict[str, float]


@torch.inference_mode()
def read_tokens(
    lm: LanguageModel, chat: ChatLike, readouts: Mapping[str, Readout], dial: Dial | None = None
) -> list[TokenReading]:
    """Every token of a chat, the template's too, read in one pass. An attached dial is in force.

    Args:
        lm: the model.
        chat: a text or a chat.
        readouts: what is read, by the names that readings have.
        dial: the attached dial, where what it moves depends on where answers begin.

    Returns:
        The tokens in their order, each with its readings.

    Example:
        >>> from steering import axis_readout, read_tokens
        >>> readings = read_tokens(lm, "Hi", {"safety": axis_readout(vector)})
        >>> [reading.token for reading in readings]
        ['<|user|>', 'H', 'i', '<|end|>', '<|assistant|>']
    """
    tokenized = lm.tokenize(chat)
    declared = nullcontext() if dial is None else dial.prompt_lengths([tokenized.generation_start])
    with watched(lm, readouts) as found, declared:
        lm.model(input_ids=torch.tensor([tokenized.ids], device=lm.input_device), use_cache=False, logits_to_keep=1)
    return as_readings(lm, tokenized.ids, tokenized.prompt_length, found)


@contextmanager
def watched(lm: LanguageModel, readouts: Mapping[str, Readout]) -> Iterator[dict[str, list[float]]]:
    """Collects the readings of every token of a batch of one that passes the model's blocks inside."""
    found: dict[str, list[float]] = {name: [] for name in readouts}

    def read(name: str, activations: Float[Tensor, "1 seq d_model"]) -> None:
        found[name] += readouts[name].read(activations[0])

    hooks = [reading_hook(lm.blocks[one.layer], "resid_post", partial(read, name)) for name, one in readouts.items()]
    with temporary_hooks(hooks):
        yield found


def as_readings(
    lm: LanguageModel, ids: list[int], prompt_length: int, found: Mapping[str, list[float]]
) -> list[TokenReading]:
    """The tokens that have been read, with their text."""
    count = min([len(values) for values in found.values()], default=0)
    return [
        TokenReading(
            token=str(lm.tokenizer.decode([token])),
            in_prompt=place < prompt_length,
            readings={name: values[place] for name, values in found.items()},
        )
        for place, token in enumerate(ids[:count])
    ]


def colored_tokens(readings: Sequence[TokenReading], name: str, beside: Sequence[TokenReading] | None = None) -> str:
    """The tokens as HTML spans, colored by one readout; its figure shows on hovering.

    Args:
        readings: of `read_tokens`.
        name: the readout.
        beside: tokens that share one scale of colors; the readings themselves when not given. Texts that are to be
            compared need one scale: give the tokens of all of them.

    Returns:
        HTML.
    """
    values, compared = ([reading.readings[name] for reading in some] for some in (readings, beside or readings))
    return colored_spans([reading.token for reading in readings], values, name, compared)
