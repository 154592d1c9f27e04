"""Where a transformers model keeps its decoder blocks: the one thing about its architecture that steering needs."""

from torch import Tensor, nn
from transformers import PreTrainedModel

from steering.errors import SteeringError, quoted


def find_blocks(model: PreTrainedModel, path: str | None = None) -> nn.ModuleList:
    """The decoder blocks of a causal language model, in order: at a path such as `"transformer.h"`, or else searched.

    They are the one `ModuleList` of the text decoder (not a vision or audio tower, not a list inside a block) that has
    `num_hidden_layers` entries. Raises SteeringError when none or several fit, naming every list that was looked at.
    """
    n_layers = getattr(model.config.get_text_config(decoder=True), "num_hidden_layers", None)
    if n_layers is None:
        raise SteeringError(
            f"Expected a model whose config says its 'num_hidden_layers', found {type(model).__name__!r}, whose config "
            "doesn't; steer a causal language model with one list of decoder blocks."
        )
    if path is None:
        if model.config.is_encoder_decoder:
            raise SteeringError(
                f"Expected a decoder-only language model, found the encoder-decoder {type(model).__name__!r}; "
                "load a causal language model."
            )
        decoder = model.get_decoder()  # type: ignore[no-untyped-call]
        if not _module_lists(decoder):  # ModernBERT calls its LM head so
            decoder = model.base_model
        return only_list_of(n_layers, decoder, "name it, as in blocks='model.layers'")
    blocks = dict(model.named_modules()).get(path)
    if isinstance(blocks, nn.ModuleList) and len(blocks) == n_layers:
        return blocks
    kind = "nothing" if blocks is None else type(blocks).__name__
    found = f"a list of {len(blocks)}" if isinstance(blocks, nn.ModuleList) else kind
    raise SteeringError(
        f"Expected the {n_layers} decoder blocks of {type(model).__name__!r} at {path!r}, found {found}; the lists are "
        f"{_names_and_lengths(_module_lists(model))}."
    )


def only_list_of(n_layers: int, decoder: nn.Module, remedy: str) -> nn.ModuleList:
    """The one outermost `ModuleList` with an entry a layer. Raises SteeringError where there is none, or several."""
    lists = _module_lists(decoder)
    outermost = [blocks for name, blocks in lists.items() if not any(name.startswith(f"{other}.") for other in lists)]
    found = [blocks for blocks in outermost if len(blocks) == n_layers]
    if len(found) != 1:
        raise SteeringError(
            f"Expected one list of {n_layers} decoder blocks in {type(decoder).__name__!r}, "
            f"found {len(found)} among {_names_and_lengths(lists)}; {remedy}."
        )
    return found[0]


def _module_lists(module: nn.Module) -> dict[str, nn.ModuleList]:
    return {name: part for name, part in module.named_modules() if isinstance(part, nn.ModuleList)}


def _names_and_lengths(lists: dict[str, nn.ModuleList]) -> str:
    return quoted(f"{name} ({len(blocks)} entries)" for name, blocks in lists.items())


def block_output(output: object) -> Tensor:
    """The residual stream (batch, seq, d_model) in what a block's forward returned, a tensor or a sequence."""
    hidden = output[0] if isinstance(output, tuple | list) and output else output
    if not isinstance(hidden, Tensor) or hidden.ndim != 3:
        found = f"a tensor of shape {tuple(hidden.shape)}" if isinstance(hidden, Tensor) else type(hidden).__name__
        raise SteeringError(
            f"Expected a decoder block to return a residual stream (batch, seq, d_model), found {found}; "
            "this architecture can't be steered at its blocks."
        )
    return hidden


def with_block_output(output: object, hidden: Tensor) -> object:
    """`output` of the same kind, with the residual stream replaced."""
    return type(output)((hidden, *output[1:])) if isinstance(output, tuple | list) else hidden


def check_places(hidden: Tensor, expected: tuple[int, int]) -> None:
    """Raise SteeringError unless a residual stream has the rows and tokens that the model was given."""
    found = tuple(hidden.shape[:2])
    if found != expected:
        raise SteeringError(
            f"Expected decoder blocks to see the model's own {expected[0]} rows of {expected[1]} tokens, found "
            f"{found[0]} of {found[1]}; tokens can't be told apart in this architecture, only attach with "
            "tokens='all' and sliders without a gate."
        )
