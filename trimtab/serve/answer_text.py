"""Text of an answer while its tokens arrive: whole characters only, a thought's marks, nothing of a stop string."""

from collections.abc import Sequence

from tokenizers.decoders import DecodeStream
from transformers import PreTrainedTokenizerBase

from steering.models.response_tokens import ResponseTokens


class AnswerText:
    """`add` every token, then `finish`: the texts that they return make up the answer."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, stop: Sequence[str] = ()) -> None:
        self._tokenizer = tokenizer.backend_tokenizer
        self._response = ResponseTokens(tokenizer)
        self._stream = DecodeStream(skip_special_tokens=False)
        self._stop = stop
        self._tokens: list[int] = []
        self._decoded = 0  # characters that the stream has given
        self._held = ""  # text that a stop string may begin with
        self.stopped = False
        """Whether a stop string has come; no text follows then."""

    def add(self, token: int) -> str:
        """The text that is certain now."""
        if self._response.is_silent(token):
            return ""
        self._tokens.append(token)
        new = self._stream.step(self._tokenizer, token) or ""
        self._decoded += len(new)
        return self._release(new)

    def finish(self) -> str:
        """The text that was held back: the stream's, of a character without all its tokens, and ours."""
        rest = self._release(self._tokenizer.decode(self._tokens, skip_special_tokens=False)[self._decoded :])
        return rest + ("" if self.stopped else self._held)

    def _release(self, new: str) -> str:
        """What of the held and the new text comes before a stop string, or can't begin one."""
        if self.stopped:
            return ""
        text = self._held + new
        if found := [place for stop in self._stop if (place := text.find(stop)) >= 0]:
            self.stopped = True
            return text[: min(found)]
        beginnings = (stop[:length] for stop in self._stop for length in range(1, len(stop)))
        keep = max((len(beginning) for beginning in beginnings if text.endswith(beginning)), default=0)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]
