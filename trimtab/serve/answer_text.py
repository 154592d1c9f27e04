"""Text of an answer while its tokens arrive: whole characters only, and nothing of a stop string."""

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

UNFINISHED = "\N{REPLACEMENT CHARACTER}"
"""What a decoder writes for the bytes of a character that has not all its tokens yet."""


class AnswerText:
    """`add` every token, then `finish`: the texts that they return make up the answer."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, stop: Sequence[str] = ()) -> None:
        self._tokenizer = tokenizer
        self._stop = stop
        self._tokens: list[int] = []
        self._decoded = 0  # tokens whose text is out; the rest of `_tokens` wait for more
        self._held = ""  # text that a stop string may begin with
        self.stopped = False
        """Whether a stop string has come; no text follows then."""

    def add(self, token: int) -> str:
        """The text that is certain now."""
        self._tokens.append(token)
        new = self._new_text()
        if not new or new.endswith(UNFINISHED):
            return ""
        # Tokens decode differently at the start of a text, so the last ones stay as context for the next.
        self._tokens = self._tokens[self._decoded :]
        self._decoded = len(self._tokens)
        return self._release(new)

    def finish(self) -> str:
        """The text that was held back."""
        rest = self._release(self._new_text())
        held, self._held = self._held, ""
        return rest + ("" if self.stopped else held)

    def _new_text(self) -> str:
        return self._decode(self._tokens)[len(self._decode(self._tokens[: self._decoded])) :]

    def _decode(self, tokens: list[int]) -> str:
        return str(self._tokenizer.decode(tokens, skip_special_tokens=True))

    def _release(self, new: str) -> str:
        """What of the held and the new text comes before a stop string, or can't begin one."""
        if self.stopped:
            return ""
        text = self._held + new
        if found := [place for stop in self._stop if (place := text.find(stop)) >= 0]:
            self.stopped, self._held = True, ""
            return text[: min(found)]
        beginnings = (stop[:length] for stop in self._stop for length in range(1, len(stop)))
        keep = max((len(beginning) for beginning in beginnings if text.endswith(beginning)), default=0)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]
