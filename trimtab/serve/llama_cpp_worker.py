"""Answers written by llama.cpp: every step is one batch of a token for each answer and parts of new prompts.

An answer joins at any step for which there are a row and the cells that it may come to fill, and leaves as it ends.
"""

from collections.abc import Iterable, Mapping, Sequence

from jaxtyping import Float
from torch import Tensor

from steering.errors import SteeringError
from steering.hooks.dial import placed_sliders
from steering.models.language_model import LanguageModel
from steering.models.llama_cpp.context import Room
from steering.models.llama_cpp.module import LlamaCppModel
from steering.models.llama_cpp.runtime import MOST_SEQUENCES
from steering.serving.llama_cpp.engine import Engine, Request
from steering.sliders import Sliders
from trimtab.serve.answer import Answer, Ending
from trimtab.serve.limits import Limits
from trimtab.serve.stop_rule import StopRule
from trimtab.serve.watch import Watch
from trimtab.serve.worker import Worker

CELLS = 16_384
"""Tokens of all answers together, unless the limits say otherwise: a gigabyte and less for most models."""


class LlamaCppWorker(Worker):
    """A GGUF model in llama.cpp, in a context of its own.

    Args:
        lm: what `load(…, engine="llama.cpp")` returned.
        sliders: what requests may move.
        limits: `batch_tokens` are the cells of the context, which take their memory at once.
        tokens: tokens that are moved; else the sliders' own.
        allow_mismatch: differences between the vectors' model and this one to accept.
        exact: compute as PyTorch does, to compare with it; slower.

    Raises:
        SteeringError: when a vector was made on another model, or there is no room for so many rows or cells.
    """

    def __init__(
        self,
        lm: LanguageModel,
        sliders: Sliders,
        limits: Limits | None = None,
        tokens: str | None = None,
        allow_mismatch: Iterable[str] = (),
        exact: bool = False,
    ) -> None:
        super().__init__(lm, sliders, limits or Limits())
        rows = self.limits.rows
        if rows > MOST_SEQUENCES:
            raise SteeringError(f"Expected {MOST_SEQUENCES} rows at most for llama.cpp, found {rows}; ask for fewer.")
        assert isinstance(lm.model, LlamaCppModel)
        self._cells = self.limits.batch_tokens or CELLS
        room = Room(cells=self._cells, sequences=rows, outputs=rows, exact=exact)
        placed = placed_sliders(sliders, lm.identity, tokens, allow_mismatch, thinks=lm.marks is not None)
        self._engine = Engine(lm.model.runtime.model, placed, room, lm.response_tokens if lm.marks else None)
        self._requests: dict[Answer, Request] = {}

    @property
    def context_length(self) -> int:
        """Tokens of the longest prompt with its answer: the model's own bound, or all cells."""
        known = super().context_length
        return self._cells if known is None else min(known, self._cells)

    def fit(self, answers: Sequence[Answer]) -> bool:
        """Whether there is a row for each, and a cell for all tokens that they may come to have."""
        cells = sum(answer.final_length for answer in answers)
        return len(answers) <= self.limits.rows and cells <= self._cells

    def watch(self, axes: Iterable[str], rules: Mapping[str, StopRule], shows: bool, harm: float | None) -> Watch:
        """As for any engine. Raises SteeringError for an axis that is read behind the last block."""
        watch = super().watch(axes, rules, shows, harm)
        last = self.lm.n_layers - 1
        if last in watch.layers:
            raise SteeringError(
                f"Expected axes that are read below the last block, {last}, behind which llama.cpp keeps no prompt "
                "token, found one that is read there; ask for no readings, or serve with the transformers engine."
            )
        return watch

    def write(self, answers: Sequence[Answer]) -> None:
        """Write one token of each answer whose prompt has been read, and read on in the others' prompts."""
        for answer in answers:
            if answer.cancelled:
                answer.end(Ending("cancelled"))
                self._leave(answer)
            elif answer not in self._requests:
                self._join(answer)
        found = self._engine.step()
        for answer, request in [*self._requests.items()]:
            if request.error is not None:
                self.fail(answer, request.error)
            elif request in found:
                self._choose(answer, request, found[request])
            if answer.ending:
                self._leave(answer)

    def _join(self, answer: Answer) -> None:
        request = Request([*answer.tokens], answer.steering, answer.harm, answer.watch)
        try:
            self._engine.add(request)
        except SteeringError as error:
            return self.fail(answer, error)
        self._requests[answer] = request

    def _leave(self, answer: Answer) -> None:
        if request := self._requests.pop(answer, None):
            self._engine.remove(request)

    def _choose(self, answer: Answer, request: Request, logits: Float[Tensor, " vocabulary"]) -> None:
        try:
            drawn = answer.sample(logits)
        except Exception as error:  # such as for logits that are no numbers
            return self.fail(answer, error)
        token = int(logits.argmax()) if drawn is None else drawn
        answer.write(token)
        request.write(token)
