"""llama-cpp-python's `Llama` with a dial. Importing this needs `pip install 'trimtab[llama-cpp]'`."""

import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from steering.errors import SteeringError
from steering.hooks.dial import placed_sliders
from steering.models.llama_cpp.bindings import package
from steering.models.llama_cpp.block_watch import BlockWatch
from steering.models.llama_cpp.context import BlockStates, GgufModel
from steering.models.llama_cpp.loading import check_blocks, gguf_identity
from steering.serving.llama_cpp.llama_dial import LlamaDial
from steering.serving.llama_cpp.llama_options import answer_start_of, checked_options
from steering.serving.llama_cpp.prompt_parts import PromptParts
from steering.serving.llama_cpp.pushes import Pushes
from steering.serving.llama_cpp.row_moves import LastMoves, Part
from steering.serving.llama_cpp.steered_sequence import SequenceRecord, SteeredSequence
from steering.vectors.slider import Slider
from steering.vectors.steering_vector import SteeringVector

Llama: Any = package().Llama


class SteeredLlama(Llama):  # type: ignore[misc]
    """`llama_cpp.Llama` whose dial moves sliders, between requests and between the tokens of one.

    Chats, streams, grammars, samplers, caches and saved states work as they do in `Llama`. Of a prompt that begins as
    the last one did, it runs anew all that a slider moved or moves, and all that gates read.

    Args:
        model_path: the GGUF file.
        sliders: by name.
        allow_mismatch: differences between the vectors' model and this one to accept, as `attach` takes them.
        options: what `Llama` takes.

    Raises:
        SteeringError: for sliders of another model or that move something else than blocks' outputs, for a model that
            can't be steered in llama.cpp, and for options under which it couldn't be known what is moved.
    """

    n_tokens: int
    _ctx: Any

    def __init__(
        self,
        model_path: str | Path,
        sliders: Mapping[str, Slider | SteeringVector],
        *,
        allow_mismatch: Iterable[str] = (),
        **options: Any,
    ) -> None:
        self._stack = ExitStack()  # which `Llama` closes, also where it doesn't come to be one
        file = Path(model_path)
        options = checked_options(options)
        model = GgufModel(file)
        check_blocks(model)
        identity = gguf_identity(file)
        self._answer_start = answer_start_of(file)
        placed = placed_sliders(sliders, identity, None, allow_mismatch, thinks=self._answer_start is not None)
        self._pushes = Pushes(placed, model.n_layers, model.d_model, self._answer_start is not None)
        del model
        self.dial = LlamaDial(placed)
        """What moves the sliders."""
        self._watch = BlockWatch()
        self._moves = LastMoves(self._pushes)
        self._sequence: SteeredSequence | None = None
        self._applied: object = None
        self._unmoved = 0  # tokens at the cache's beginning that no slider moved
        self._generates = False
        super().__init__(str(file), **options)
        self._check_gates()
        self._watch_blocks()

    def _check_gates(self) -> None:
        if self._pushes.deepest > self.n_batch:
            raise SteeringError(
                f"Expected n_batch of {self._pushes.deepest} at least, as many tokens as gates read at once, found "
                f"{self.n_batch}; give a larger n_batch."
            )
        last = [gate for gate in self._pushes.gates if gate and gate.layer == self._pushes.n_layers - 1]
        if not self._logits_all and any(gate.tokens != (1,) for gate in last):
            raise SteeringError(
                "Expected logits_all=True for gates that read several tokens behind the last block, which has only "
                "rows whose logits are wanted; give it."
            )

    def _watch_blocks(self) -> None:
        """A second context in the first one's place: `Llama` takes no callback."""
        self._ctx.close()
        self.context_params.cb_eval = self._watch.callback
        self.context_params.kv_unified = True  # one stream: rows keep their order
        context = type(self._ctx)(model=self._model, params=self.context_params, verbose=self.verbose)
        self._ctx = self._stack.enter_context(closing(context))

    def generate(self, tokens: Sequence[int], *args: Any, **options: Any) -> Iterator[int]:
        """As `Llama.generate`: these are the prompt, what it yields is the answer."""
        given = inspect.signature(Llama.generate).bind(self, tokens, *args, **options).arguments
        if given.get("reset", True):
            self._keep_unmoved(self._begin(tokens))
        else:
            self._begin([*self._held(), *tokens])
        self._generates = True
        try:
            yield from super().generate(tokens, *args, **options)
        finally:
            self._generates = False

    def eval(self, tokens: Sequence[int]) -> None:
        """As `Llama.eval`. Outside of `generate`, tokens in an empty cache are a prompt, those behind an answer's.

        Raises:
            SteeringError: for several tokens behind others, of which it isn't known whether they are prompt or answer,
                where it matters.
        """
        tokens = list(tokens)
        if not tokens:
            return
        sequence = self._sequence_with(tokens)
        self._apply_dial(sequence)
        parts = PromptParts(sequence, self.n_tokens)
        while (part := parts.next(self.n_batch)) is not None:
            self._run(part)
            if parts.ran(part):
                self.n_tokens = parts.start

    def save_state(self) -> Any:
        """As `Llama.save_state`, with what gates have read."""
        state = super().save_state()
        state.steering = (self._sequence and self._sequence.record(), self._unmoved)
        return state

    def load_state(self, state: Any) -> None:
        """As `Llama.load_state`. A prompt in a state that another `Llama` saved runs anew before it is answered."""
        super().load_state(state)
        record: SequenceRecord | None
        record, self._unmoved = getattr(state, "steering", (None, 0))
        self._sequence = self._applied = None
        if record is not None and len(record.readings) == len(self._pushes.named):
            self._sequence = SteeredSequence.of(record, self._pushes, self._answer_start)

    def _held(self) -> list[int]:
        return [int(token) for token in self.input_ids[: self.n_tokens]]

    def _begin(self, prompt: Sequence[int]) -> SteeredSequence:
        sequence = SteeredSequence(self._pushes, prompt, self._answer_start, reads_all=True)
        self._sequence, self._applied = sequence, None
        self._apply_dial(sequence)
        return sequence

    def _apply_dial(self, sequence: SteeredSequence) -> None:
        setting = self.dial.settings, self.dial.harm
        if setting != self._applied:
            sequence.set(*setting)
            self._applied = setting

    def _keep_unmoved(self, sequence: SteeredSequence) -> None:
        """Let `Llama.generate` find in the cache what is right for the new prompt, and no more."""
        shared = self.longest_token_prefix(self._held(), sequence.tokens)
        read = sequence.prompt_length - sequence.gate_tokens if sequence.unread else sequence.prompt_length
        right = max(0, min(self._unmoved, sequence.first_moved(), read))
        if right < shared:
            self.n_tokens, self._requires_eval = right, True

    def _sequence_with(self, tokens: list[int]) -> SteeredSequence:
        """The sequence under way with tokens that are to run behind those in the cache."""
        sequence, done = self._sequence, self.n_tokens
        if not self._generates and (done == 0 or sequence is None):
            if done and self._matters():
                raise SteeringError(
                    f"Expected to know where the prompt ends in a cache of {done} tokens, found a state that another "
                    "Llama saved, or several tokens evaluated behind others; call generate, or reset and evaluate the "
                    "prompt at once and then token by token."
                )
            return self._begin([*self._held(), *tokens])
        assert sequence is not None
        if done >= sequence.prompt_length:
            if len(tokens) > 1 and not self._generates and self._matters():
                raise SteeringError(
                    f"Expected one token behind those in the cache, found {len(tokens)}, which may be the prompt's or "
                    "the answer's; call generate, or reset and evaluate the prompt at once and then token by token."
                )
            sequence.go_on(done, tokens)
        return sequence

    def _matters(self) -> bool:
        """Whether sliders stand so that it matters which tokens are the prompt's."""
        return self._pushes.needs_prompt and any(self.dial.settings.values())

    def _run(self, part: Part) -> None:
        """One pass; where it fails, the cache is as it was."""
        outputs = list(range(part.count)) if self._logits_all else [part.count - 1]
        moves, before = self._moves.of([part], outputs), self.n_tokens

        def visit(layer: int, node: int) -> bool:
            rows = outputs if layer == self._pushes.n_layers - 1 else range(part.count)
            moves.visit(layer, BlockStates(node, rows, self._pushes.d_model))
            return True

        self._watch.begin(moves.layers, (part.count, len(outputs)), visit)
        ran = False
        try:
            try:
                super().eval(part.sequence.tokens[part.start : part.start + part.count])
                ran = True
            finally:
                self._watch.end(ran)
        except BaseException:
            self.n_tokens, self._requires_eval = before, True
            self._ctx.kv_cache_seq_rm(-1, before, -1)
            raise
        if self._unmoved >= before:
            self._unmoved = before + min(moves.moved_rows(), default=part.count)
