"""Hooks that tell the watches of answers what passes, a row of the batch each."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial

from jaxtyping import Float
from torch import Tensor, nn

from steering.models.decoder_blocks import block_output
from steering.models.language_model import LanguageModel
from trimtab.serve.answer import Answer
from trimtab.serve.watch import Watch


@contextmanager
def watched_rows(lm: LanguageModel, answers: Sequence[Answer]) -> Iterator[None]:
    """Watch the passes inside.

    Args:
        lm: the model, with its sliders attached.
        answers: the rows of its batches, left-padded.
    """
    rows = [(row, answer, answer.watch) for row, answer in enumerate(answers) if answer.watch is not None]

    def here(h: Float[Tensor, "rows seq d_model"]) -> Iterator[tuple[Answer, Watch, int, Float[Tensor, "tokens d"]]]:
        """Answers under way with their watch, and the index and activations of their tokens in this pass."""
        for row, answer, watch in rows:
            if answer.ending is None:
                count = min(len(answer.tokens), h.shape[1])  # all, or the newest
                yield answer, watch, len(answer.tokens) - count, h[row, -count:]

    def read_axes(layer: int, _block: nn.Module, _inputs: object, output: object) -> None:
        for _, watch, first, activations in here(block_output(output)):
            if layer in watch.layers:
                watch.take(layer, first, activations)

    def read_gates(layer: int, _block: nn.Module, _inputs: object, output: object) -> None:
        for answer, watch, first, activations in here(block_output(output)):
            for gate in watch.gates:
                if gate.layer == layer and gate not in watch.gate_scores:
                    places = [answer.prompt_length - token - first for token in gate.tokens]
                    watch.gate_scores[gate] = float(gate.score(activations[places].unsqueeze(0)))

    with ExitStack() as hooks:
        for layer in {layer for _, _, watch in rows for layer in watch.layers}:
            hooks.callback(lm.blocks[layer].register_forward_hook(partial(read_axes, layer)).remove)
        for layer in {gate.layer for _, _, watch in rows for gate in watch.gates}:  # before the sliders move it there
            hook = partial(read_gates, layer)
            hooks.callback(lm.blocks[layer].register_forward_hook(hook, prepend=True).remove)
        yield
