"""lm-evaluation-harness with sliders: its own model `hf`, called `trimtab`, with any sliders attached, gates and all.

    python -m probes.lm_eval --model trimtab --model_args pretrained=MODEL,sliders=FOLDER,safety=1 --tasks TASK

The harness looks for models in its own list alone. Importing this module puts `trimtab` there, and the command above is
the harness's own, `lm_eval`, behind that import.
"""

from collections.abc import Sequence
from inspect import signature
from typing import Any, TypeAlias

from lm_eval.api.registry import register_model
from lm_eval.models.huggingface import HFLM
from torch import Tensor

from steering import LanguageModel, Push, Sliders, SteeringError
from steering.errors import quoted
from steering.models.declared_prompts import declared_prompts
from steering.models.token_positions import token_choice

Request: TypeAlias = tuple[Any, list[int], list[int]]
"""What the harness calls a request's texts, the tokens of its context, and those of the continuation to be scored."""


@register_model("trimtab")
class SteeredModel(HFLM):  # type: ignore[misc]
    """The harness's model of transformers, moved by sliders whatever it is asked for.

    Args:
        pretrained: as the harness's `hf` takes it, like all that isn't named here.
        sliders: a folder that `trimtab export --to hub` wrote, or a Hub id.
        allow_mismatch: differences to accept of the sliders' model and this one, as `Sliders.attach` takes them; one
            name, or a list where the arguments are JSON.
        options: the sliders' values by name, 0 for those that aren't named; all else is the harness's.

    Raises:
        SteeringError: for sliders of another model, one with the name of the harness's own argument, a name that is no
            slider's, and a value that is no finite number.
    """

    def __init__(self, pretrained: Any, sliders: str, allow_mismatch: str | Sequence[str] = (), **options: Any) -> None:
        found = Sliders.from_pretrained(sliders)
        if taken := [name for name in found if name in signature(HFLM.__init__).parameters]:
            raise SteeringError(
                f"Expected sliders under names of their own, found {quoted(taken)}, which lm-evaluation-harness takes "
                "for its own argument; export them under another name."
            )
        values = {name: _number(name, options.pop(name)) for name in found if name in options}
        try:
            super().__init__(pretrained, **options)
        except TypeError as error:
            strange = [name for name in options if f"argument '{name}'" in str(error)]
            if not strange:
                raise
            raise SteeringError(
                f"Expected sliders out of {quoted(found)}, or arguments of lm-evaluation-harness, found "
                f"{quoted(strange)}; correct the name."
            ) from error
        moved = {name: value for name, value in values.items() if value}
        if moved:  # those at 0 would only have gates read what isn't used
            lm = LanguageModel(self.model, self.tokenizer, template=self.chat_template_args)
            allowed = [allow_mismatch] if isinstance(allow_mismatch, str) else allow_mismatch
            Sliders(**{name: found[name] for name in moved}).attach(lm, allow_mismatch=allowed).set(**moved)
        self._need_prompts = [name for name in moved if any(map(_needs_prompt, found[name].pushes))]
        """Sliders that go by where a prompt ends."""
        self._prompt_lengths: dict[tuple[int, ...], int] = {}

    def loglikelihood(self, requests: list[Any], disable_tqdm: bool = False) -> Any:
        """The log-likelihood of each continuation behind its context, which is the prompt.

        Raises:
            SteeringError: for an empty context, where a slider needs a prompt.
        """
        if not all(request.args[0] for request in requests):
            self._check_needs_no_prompt("continuations of an empty context")
        return super().loglikelihood(requests, disable_tqdm)

    def loglikelihood_rolling(self, requests: list[Any], disable_tqdm: bool = False) -> Any:
        """The log-likelihood of whole texts.

        Raises:
            SteeringError: where a slider needs a prompt.
        """
        self._check_needs_no_prompt("whole texts")
        return super().loglikelihood_rolling(requests, disable_tqdm)

    def _check_needs_no_prompt(self, scored: str) -> None:
        if self._need_prompts:
            raise SteeringError(
                f"Expected tasks with prompts, by which the gates and tokens of {quoted(self._need_prompts)} go, found "
                f"one that scores {scored}; leave the task out, or set these sliders to 0."
            )

    def _loglikelihood_tokens(
        self, requests: list[Request], disable_tqdm: bool = False, override_bs: int | None = None
    ) -> list[Any]:
        """As the harness does it, but requests of the same tokens share no pass where their prompts' ends differ."""
        if not self._need_prompts:
            return list(super()._loglikelihood_tokens(requests, disable_tqdm, override_bs))
        scores: dict[int, Any] = {}
        left = dict(enumerate(requests))
        while left:
            self._prompt_lengths = {}
            placed = {place: self._placed(request) for place, request in left.items()}
            for row, length in placed.values():
                self._prompt_lengths.setdefault(row, length)
            now = [place for place, (row, length) in placed.items() if self._prompt_lengths[row] == length]
            found = super()._loglikelihood_tokens([left.pop(place) for place in now], disable_tqdm, override_bs)
            scores |= zip(now, found, strict=True)
        return [scores[place] for place in range(len(requests))]

    def _placed(self, request: Request) -> tuple[tuple[int, ...], int]:
        """The row that the harness makes of a request, and how many of its tokens are the prompt."""
        _, context, continuation = request
        row = (context + continuation)[-(self.max_length + 1) : -1]  # cut on the left where it is too long
        return _without_padding(row), len(row) + 1 - len(continuation)

    def _model_call(self, inps: Tensor, attn_mask: Tensor | None = None, labels: Tensor | None = None) -> Any:
        """Logits of rows whose prompts are known; the rest, no slider's concern or made up, count as prompts wholly."""
        lengths = [self._prompt_lengths.get(_without_padding(row), len(row)) for row in inps.tolist()]
        with declared_prompts(lengths):
            return super()._model_call(inps, attn_mask, labels)


def _without_padding(row: list[int]) -> tuple[int, ...]:
    """The row without zeros at its end: the harness pads there with zeros, and tells nobody how many they are."""
    kept = len(row)
    while kept and row[kept - 1] == 0:
        kept -= 1
    return tuple(row[:kept])


def _needs_prompt(push: Push) -> bool:
    return push.gate is not None or token_choice(push.tokens) is not None


def _number(slider: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise SteeringError(f"Expected a number for slider {slider!r}, found {value!r}.") from None


if __name__ == "__main__":
    from lm_eval.__main__ import cli_evaluate

    cli_evaluate()
