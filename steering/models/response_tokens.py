"""What a model wrote, from its token ids: the text, with the marks of the thought left in, and the answer's start."""

from bisect import bisect_left
from collections.abc import Sequence
from functools import cached_property

from transformers import PreTrainedTokenizerBase

from steering.models.reasoning import MARKS, Marks, ReasoningStream, is_closed_at_end, opening_at_end

TAIL = 24
"""Tokens of a prompt's end in which its last mark is looked for."""
_REASONING = ("reasoning_content", "thinking")
"""What response templates call the thought."""


def known_marks(tokenizer: PreTrainedTokenizerBase) -> tuple[Marks, ...]:
    """All known marks, those of the tokenizer's own response template first."""
    fields = (getattr(tokenizer, "response_template", None) or {}).get("fields", {})
    marks = [(fields[name].get("open"), fields[name].get("close")) for name in _REASONING if name in fields]
    return *(Marks((one,), (other,)) for one, other in marks if isinstance(one, str) and isinstance(other, str)), *MARKS


class ResponseTokens:
    """Reads the ids that a model writes behind a prompt."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, marks: Marks | None = None) -> None:
        """`marks` are those that the model thinks between; None if it doesn't think."""
        self._tokenizer = tokenizer
        self._marks = marks
        self._known = known_marks(tokenizer)

    @cached_property
    def special(self) -> frozenset[int]:
        """Special tokens, which texts are decoded without."""
        added = self._tokenizer.added_tokens_decoder
        return frozenset(self._tokenizer.all_special_ids).union(id for id, token in added.items() if token.special)

    @cached_property
    def marking(self) -> frozenset[int]:
        """Special tokens that thoughts are marked with: they stay in texts, for thought and answer to be told apart."""
        spellings = [spelling for marks in self._known for spelling in (marks.opening, marks.closing)]
        texts = {token: str(self._tokenizer.convert_ids_to_tokens(token)) for token in self.special}
        return frozenset(token for token, text in texts.items() if any(text in spelling for spelling in spellings))

    def is_silent(self, token: int) -> bool:
        """Whether a token leaves nothing in the text."""
        return token in self.special and token not in self.marking

    def opening(self, prompt: Sequence[int]) -> str:
        """The opening mark that a prompt ends with; empty where it doesn't end inside the model's thought."""
        return opening_at_end(self._text(prompt[-TAIL:]), self._known) if self._marks else ""

    def stream(self, prompt: Sequence[int]) -> ReasoningStream:
        """What tells thought and answer apart while the text behind a prompt is written."""
        return ReasoningStream(opened=bool(self.opening(prompt)), known=self._known)

    def text(self, ids: Sequence[int], prompt: Sequence[int]) -> str:
        """The text behind a prompt, without special tokens but with the marks of its thought.

        The mark is there too where the prompt ended inside the thought. What a tokenizer with a response template of
        its own calls reasoning is put between `<think>` and `</think>`.

        Args:
            ids: what the model wrote.
            prompt: what it was given.
        """
        if (parsed := self._parsed(ids, prompt)) is not None:
            return parsed
        if self.marking.isdisjoint(ids):
            text = str(self._tokenizer.decode(list(ids), skip_special_tokens=True))
        else:
            text = self._text([token for token in ids if not self.is_silent(token)])
        return (self.opening(prompt) + text).strip()

    def answer_start(self, ids: Sequence[int], prompt_length: int) -> int:
        """The first token that decides about the answer: the last one of the first mark that closes the thought.

        It is the prompt's last token for a model that doesn't think, and for a prompt that closes the thought itself;
        the first one written where that begins no thought. What a token is depends on no later token.

        Args:
            ids: prompt and what was written behind it, as far as it is known.
            prompt_length: number of tokens of the prompt.

        Returns:
            The token's index; `len(ids)` where it isn't there yet.
        """
        marks = self._marks
        if marks is None:
            return prompt_length - 1
        prompt, written = self._text(ids[max(0, prompt_length - TAIL) : prompt_length]), ids[prompt_length:]
        if is_closed_at_end(prompt, self._known):
            return prompt_length - 1
        if not opening_at_end(prompt, self._known):
            known = marks.openings + marks.closings
            for number in range(1, len(written) + 1):
                begun = self._text(written[:number]).lstrip().rstrip("\N{REPLACEMENT CHARACTER}")
                if begun.startswith(known):
                    break
                if not any(mark.startswith(begun) for mark in known):
                    return prompt_length + number - 1

        def is_closed(length: int) -> bool:
            return marks.closes.search(self._text(written[:length])) is not None

        if not is_closed(len(written)):
            return len(ids)
        return prompt_length - 1 + bisect_left(range(len(written)), True, key=is_closed)

    def _text(self, ids: Sequence[int]) -> str:
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=False))

    def _parsed(self, ids: Sequence[int], prompt: Sequence[int]) -> str | None:
        """What the tokenizer's own response template makes of it; None where there is none, or no thought."""
        if getattr(self._tokenizer, "response_template", None) is None:
            return None
        ends = [place for place, token in enumerate(ids, 1) if not self.is_silent(token)]
        try:
            message = self._tokenizer.parse_response(list(ids[: max(ends, default=0)]), prefix=list(prompt))
        except ValueError:  # a field that the template requires is missing
            return None
        thought = next((message[name] for name in _REASONING if message.get(name)), None)
        if not thought or "tool_calls" in message:
            return None
        answer = message.get("content")
        return f"<think>\n{thought.strip()}" + ("" if answer is None else f"\n</think>\n\n{answer.strip()}")
