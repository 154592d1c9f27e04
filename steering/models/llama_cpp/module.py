"""A GGUF model as a transformers model: llama.cpp computes, and forward hooks on its blocks read and move.

Its blocks are modules that return what they are given. Behind a block that has hooks, llama.cpp's states go through the
module, and what comes out goes on to the next block. So all that is done to transformers' models is done to it: dials,
reading activations, `generate`. Blocks without hooks cost nothing.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import GenerationConfig, GenerationMixin, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast

from steering.errors import SteeringError
from steering.models.identity import GGUF_TENSORS, ModelIdentity, config_fingerprint
from steering.models.llama_cpp.bindings import library
from steering.models.llama_cpp.context import BlockStates, GgufModel, Room, Token
from steering.models.llama_cpp.runtime import Runtime
from steering.models.llama_cpp.sequence_cache import SequenceCache


class Block(nn.Module):
    """A decoder block's output, for hooks."""

    def forward(self, hidden_states: Float[Tensor, "rows seq d_model"]) -> Float[Tensor, "rows seq d_model"]:
        """What it was given."""
        return hidden_states


class LlamaCppModel(PreTrainedModel, GenerationMixin):  # type: ignore[no-untyped-call]
    """What `load(…, engine="llama.cpp")` puts into a `LanguageModel`.

    Args:
        config: the file's, as transformers reads it.
        generation_config: how it writes.
        model: the weights in llama.cpp.
        room: what the context is made for at first.
    """

    main_input_name = "input_ids"

    def __init__(
        self, config: PretrainedConfig, generation_config: GenerationConfig, model: GgufModel, room: Room
    ) -> None:
        config._attn_implementation = "eager"
        super().__init__(config)
        self.generation_config = generation_config
        self.blocks = nn.ModuleList(Block() for _ in range(model.n_layers))
        self.placement = nn.ParameterList([torch.empty(0)])
        """Says for transformers where token ids go, and in what dtype states come."""
        self.runtime = Runtime(model, room)
        self._last: int | None = None

    def get_decoder(self) -> nn.Module:
        """Itself: the blocks lie here."""
        return self

    def get_input_embeddings(self) -> nn.Module:
        """Where token ids go."""
        return self.placement

    def num_parameters(self, only_trainable: bool = False, exclude_embeddings: bool = False) -> int:
        """Number of the file's weights."""
        return int(library().llama_model_n_params(self.runtime.model.pointer))

    def new_cache(self, rows: int = 1) -> SequenceCache:
        """An empty cache for so many rows."""
        return SequenceCache(self.runtime, rows)

    @contextmanager
    def ending_behind(self, layer: int) -> Iterator[None]:
        """End passes inside when a block is done; they have no logits, and leave caches empty above it."""
        before, self._last = self._last, layer
        try:
            yield
        finally:
            self._last = before

    def identify(self, name: str, revision: str | None) -> ModelIdentity:
        """What can be told of the model without its tokenizer: by the file's tensors."""
        return file_identity(self.config, name or str(self.runtime.model.path)).model_copy(
            update={"revision": revision}
        )

    def forward(
        self,
        input_ids: Int[Tensor, "rows seq"] | None = None,
        attention_mask: Int[Tensor, "rows columns"] | None = None,
        position_ids: Int[Tensor, "rows seq"] | None = None,
        past_key_values: SequenceCache | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Int[Tensor, " kept"] = 0,
        **options: Any,
    ) -> CausalLMOutputWithPast:
        """Run rows of tokens, padded anywhere, and add them to a cache if there is one.

        Args:
            input_ids: the tokens behind those in the cache.
            attention_mask: 1 for real tokens, 0 for padding, over the cached columns and these; all real without it.
            position_ids: must count each row's real tokens, as `generate` makes them.
            past_key_values: what an earlier pass returned.
            use_cache: whether to return one; by default as the model's configuration says.
            logits_to_keep: columns whose logits are wanted: the last so many, 0 for all, or their numbers.
            options: of other models' passes; outputs other than logits are refused.

        Returns:
            The logits (rows, kept, vocabulary) in float32, 0 at padding, and the cache.

        Raises:
            SteeringError: for embeddings, masks or caches that llama.cpp can't take, and what hooks raise.
        """
        if input_ids is None or any(options.get(name) is not None for name in _REFUSED):
            raise SteeringError(
                "Expected token ids for llama.cpp, and no attentions or hidden states asked back, found something "
                "else; use the transformers engine, or read blocks with record()."
            )
        rows, seq = input_ids.shape
        cache = past_key_values
        if cache is not None and not isinstance(cache, SequenceCache):
            raise SteeringError(
                f"Expected a cache that this model returned, found {type(cache).__name__!r}; leave it out, or pass on "
                "the output's past_key_values."
            )
        cache = SequenceCache(self.runtime, rows) if cache is None else cache
        real = _real(attention_mask, cache.get_seq_length(), rows, seq)
        if position_ids is not None:
            _check_positions(position_ids.expand(rows, -1), real, cache.lengths)
        places = real.nonzero()  # (row, column) of every real token, row by row
        ids = input_ids.cpu()[real].tolist()
        index = (real.cumsum(1) - 1)[real].tolist()
        tokens = [
            Token(id, cache.lengths[row] + place, cache.sequences[row])
            for id, place, row in zip(ids, index, places[:, 0].tolist(), strict=True)
        ]
        kept = torch.arange(seq)[-logits_to_keep:] if isinstance(logits_to_keep, int) else logits_to_keep.cpu()
        logits = self._run(tokens, places, kept, (rows, seq))
        counts: list[int] = real.sum(1).tolist()
        cache.add(counts, seq)
        keeps_cache = self.config.use_cache if use_cache is None else use_cache
        returned = cache if past_key_values is not None or keeps_cache else None
        return CausalLMOutputWithPast(logits=logits, past_key_values=returned)

    def _run(
        self,
        tokens: Sequence[Token],
        places: Int[Tensor, "tokens 2"],
        kept: Int[Tensor, " kept"],
        shape: tuple[int, int],
    ) -> Float[Tensor, "rows kept vocabulary"]:
        last, top = self._last, len(self.blocks) - 1
        hooked = {n for n, block in enumerate(self.blocks) if block._forward_hooks or block._forward_pre_hooks}
        layers = hooked if last is None else {n for n in hooked if n <= last} | {last} - {top}
        row, column = places.unbind(1)
        wanted = (column.unsqueeze(1) == kept).any(1) if last is None else torch.zeros(len(tokens), dtype=torch.bool)
        outputs = range(len(tokens)) if top in layers else wanted.nonzero().flatten().tolist()

        def visit(layer: int, states: BlockStates) -> None:
            here = row[states.rows], column[states.rows]
            padded = torch.zeros(*shape, self.runtime.model.d_model)
            padded[here] = states.read(0, len(states.rows))
            moved = self.blocks[layer](padded)
            if moved is padded:
                return
            if moved.shape != padded.shape:
                raise SteeringError(
                    f"Expected a hook to return states of shape {tuple(padded.shape)}, found {tuple(moved.shape)}."
                )
            states.write(0, moved.detach()[here])

        logits = torch.zeros(shape[0], len(kept) if last is None else 0, self.runtime.model.n_vocabulary)
        if tokens:
            found = self.runtime.decode(tokens, outputs, layers, visit, last if last in layers else None)
            for number in range(logits.shape[1]):
                here = (column[outputs] == kept[number]).nonzero().flatten()
                logits[row[outputs][here], number] = torch.from_numpy(found)[here]
        return logits

    def _prepare_cache_for_generation(self, generation_config: GenerationConfig, *_args: Any, **_kwargs: Any) -> None:  # type: ignore[override]
        """`generate` would make a cache of transformers' own kinds: the first pass makes ours."""
        if generation_config.cache_implementation is not None:
            raise SteeringError(
                "Expected no cache_implementation for llama.cpp, which keeps its own cache, found "
                f"{generation_config.cache_implementation!r}; leave it out."
            )


def file_identity(config: PretrainedConfig, name: str) -> ModelIdentity:
    """What can be told of a GGUF file's model by the configuration that was read from it.

    Args:
        config: as `steering.models.gguf.converted_folder` keeps it.
        name: the file's.
    """
    text = config.get_text_config(decoder=True)
    return ModelIdentity(
        name=name,
        model_type=text.model_type,
        n_layers=text.num_hidden_layers,
        d_model=text.hidden_size,
        config=config_fingerprint(text),
        gguf=getattr(config, GGUF_TENSORS),
        quantization="gguf",
    )


_REFUSED = ("inputs_embeds", "output_attentions", "output_hidden_states", "labels")


def _real(mask: Tensor | None, past: int, rows: int, seq: int) -> Tensor:
    """(rows, seq) of True for the pass' real tokens. Raises SteeringError for a mask that doesn't say."""
    if mask is None:
        return torch.ones(rows, seq, dtype=torch.bool)
    if mask.ndim != 2 or mask.shape[1] < past + seq:
        raise SteeringError(
            f"Expected an attention mask of shape (rows, {past + seq}) for llama.cpp, found {tuple(mask.shape)}; give "
            "one over all tokens so far, those in the cache included."
        )
    return mask[:, past : past + seq].cpu().bool()


def _check_positions(positions: Tensor, real: Tensor, lengths: Sequence[int]) -> None:
    """Raise SteeringError where tokens are to stand elsewhere than behind one another."""
    gaps = positions.cpu() - real.cumsum(1) - torch.tensor(lengths).unsqueeze(1)
    first = gaps.gather(1, real.int().argmax(1, keepdim=True))
    if ((gaps != first) & real).any():
        raise SteeringError(
            "Expected tokens that stand behind one another, found position_ids that leave gaps; leave them out, one "
            "prompt a row."
        )
