"""Answers under several slider settings at once, as they are written."""

from collections.abc import Generator, Mapping, Sequence
from queue import SimpleQueue
from threading import Event, Thread
from typing import Any, TypeAlias

import torch
from torch import Tensor
from transformers import StoppingCriteria, StoppingCriteriaList
from transformers.generation.streamers import BaseStreamer

from steering.data.chats import ChatLike
from steering.hooks.dial import Dial
from steering.models.greedy import check_unset
from steering.models.language_model import LanguageModel

_TOKEN_BY_TOKEN = {
    "num_beams": 1, "num_return_sequences": 1, "assistant_model": None, "assistant_early_exit": None,
    "prompt_lookup_num_tokens": None, "use_mtp": False,
}  # fmt: skip
Steps: TypeAlias = "SimpleQueue[list[int] | BaseException | None]"
"""The next token of each row, the error that ended the writing, or None at its end."""


def stream_answers(
    lm: LanguageModel,
    dial: Dial,
    prompts: Sequence[ChatLike],
    settings: Sequence[Mapping[str, float]],
    max_new_tokens: int = 128,
    **options: Any,
) -> Generator[list[str], None, None]:
    """Write answers token by token: prompt i is answered under setting i.

    The prompts run as rows of one batch, greedy unless the options say otherwise. The dial is where it was afterwards.
    Whoever stops listening stops the writing too.

    Args:
        lm: the model.
        dial: attached to it.
        prompts: prompts or chats.
        settings: slider values for each prompt; an axis that isn't named is at 0, so `{}` is the bare model.
        max_new_tokens: length of the answers at most.
        options: of transformers' `generate`.

    Yields:
        The answers so far, one a prompt, after every token, and whole at last; a thought before an answer is there as
        in what `generate` gives.

    Raises:
        SteeringError: for beams, several answers to a prompt, and drafts of several tokens.

    Example:
        >>> with Sliders(safety=vector).attach(lm) as dial:
        ...     *_, whole = stream_answers(lm, dial, ["Hi", "Hi"], [{}, {"safety": 1.0}], max_new_tokens=2)
        >>> len(whole)
        2
    """
    check_unset(options, _TOKEN_BY_TOKEN, "write every answer a token at a time")
    before = dial.settings
    chats = [lm.tokenize(prompt) for prompt in prompts]
    asked = [chat.asked for chat in chats]
    stop = Event()
    tokens: Steps = SimpleQueue()
    dial.set(**{axis: [setting.get(axis, 0.0) for setting in settings] for axis in before})

    def write() -> None:
        stopping = StoppingCriteriaList([_Stopped(stop)])
        try:
            lm.generate(prompts, max_new_tokens, streamer=_Steps(tokens), stopping_criteria=stopping, **options)
        except BaseException as error:  # told to the listener, who is in another thread
            tokens.put(error)
        else:
            tokens.put(None)

    writer = Thread(target=write, daemon=True)
    writer.start()
    written = [[*chat.opening] for chat in chats]
    try:
        while (step := tokens.get()) is not None:
            if isinstance(step, BaseException):
                raise step
            for answer, token in zip(written, step, strict=True):
                answer.append(token)
            # without the bytes of a character that lacks some of its tokens
            yield [
                text.rstrip("\N{REPLACEMENT CHARACTER}").strip()
                for text in map(lm.response_tokens.text, written, asked)
            ]
        yield list(map(lm.response_tokens.text, written, asked))
    finally:
        stop.set()
        writer.join()
        dial.set(**before)


class _Steps(BaseStreamer):
    """Passes on each step's tokens, one a row; `generate` sends the prompts first."""

    def __init__(self, tokens: Steps) -> None:
        self._tokens = tokens
        self._prompts_came = False

    def put(self, value: Tensor) -> None:
        if self._prompts_came:
            self._tokens.put(value.tolist())
        self._prompts_came = True

    def end(self) -> None:
        """The writer says so itself, also after an error."""


class _Stopped(StoppingCriteria):
    def __init__(self, stop: Event) -> None:
        self._stop = stop

    def __call__(self, input_ids: Tensor, scores: Any, **kwargs: Any) -> Tensor:
        return torch.full((len(input_ids),), self._stop.is_set(), device=input_ids.device)
