"""Where a transformers model keeps its decoder blocks: the one thing about its architecture that steering needs."""

from torch import Tensor, nn
from transformers import PreTrainedModel

from steering.errors import SteeringError, quoted


def find_blocks(model: PreTrainedModel, path: str | None = None) -> nn.ModuleList:
    """The decoder blocks of a causal language model, in order.

    They are the one `ModuleList` of the text decoder (not a vision or audio tower, not a list inside a block) that has
    `num_hidden_layers` entries. `path`, such as `"transformer.h"`, overrides the search.

    Raises SteeringError when none or several fit, naming every list that was looked at.
    """
    if path is not None:
        return _blocks_at(model, path)
    if model.config.is_encoder_decoder:
        raise SteeringError(
            f"Expected a decoder-only language model, found the encoder-decoder {type(model).__name__!r}; "
            "load a causal language model."
        )
    config = model.config.get_text_config(decoder=True)
    decoder = model.get_decoder()  # type: ignore[no-untyped-call]
    return only_list_of(config.num_hidden_layers, decoder, "name it, as in blocks='model.layers'")


def only_list_of(n_layers: int, decoder: nn.Module, remedy: str) -> nn.ModuleList:
    """The one outermost `ModuleList` with an entry a layer. Raises SteeringError where there is none, or several."""
    lists = {name: module for name, module in decoder.named_modules() if isinstance(module, nn.ModuleList)}
    outermost = [blocks for name, blocks in lists.items() if not any(name.startswith(f"{other}.") for other in lists)]
    found = [blocks for blocks in outermost if len(blocks) == n_layers]
    if len(found) != 1:
        looked_at = quoted(f"{name} ({len(blocks)} entries)" for name, blocks in lists.items())
        raise SteeringError(
            f"Expected one list of {n_layers} decoder blocks in {type(decoder).__name__!r}, "
            f"found {len(found)} among {looked_at}; {remedy}."
        )
    return found[0]


def _blocks_at(model: PreTrainedModel, path: str) -> nn.ModuleList:
    modules = dict(model.named_modules())
    blocks = modules.get(path)
    if not isinstance(blocks, nn.ModuleList):
        lists = quoted(name for name, module in modules.items() if isinstance(module, nn.ModuleList))
        raise SteeringError(
            f"Expected a list of decoder blocks at {path!r} of {type(model).__name__!r}, "
            f"found {type(blocks).__name__ if blocks is not None else 'nothing'}; the lists are {lists}."
        )
    expected = model.config.get_text_config(decoder=True).num_hidden_layers
    if len(blocks) != expected:
        raise SteeringError(
            f"Expected the {expected} decoder blocks of {type(model).__name__!r} at {path!r}, found a list of "
            f"{len(blocks)}; name the list of the text decoder's blocks."
        )
    return blocks


def block_output(output: object) -> Tensor:
    """The residual stream (batch, seq, d_model) in what a block's forward returned, a tensor or a tuple."""
    hidden = output[0] if isinstance(output, tuple) else output
    if not isinstance(hidden, Tensor) or hidden.ndim != 3:
        found = f"a tensor of shape {tuple(hidden.shape)}" if isinstance(hidden, Tensor) else type(hidden).__name__
        raise SteeringError(
            f"Expected a decoder block to return a residual stream (batch, seq, d_model), found {found}; "
            "this architecture can't be steered at its blocks."
        )
    return hidden


def with_block_output(output: object, hidden: Tensor) -> object:
    """`output` of the same kind, with the residual stream replaced."""
    return (hidden, *output[1:]) if isinstance(output, tuple) else hidden
