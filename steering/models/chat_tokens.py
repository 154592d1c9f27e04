"""Token ids of chats: those of the rendered text, cut where the answer begins."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import takewhile

from steering.data.chats import Chat, Message
from steering.errors import SteeringError
from steering.models.chat_rendering import ChatRenderer


@dataclass(frozen=True)
class TokenizedChat:
    """Token ids of a chat, and where its parts end."""

    ids: list[int]
    prompt_length: int
    """Tokens before the answer; all of them where the chat ends with the user's turn."""
    instruction_end: int
    """Tokens up to the end of the last user turn's text; what follows in the prompt is the template's."""
    generation_start: int
    """Tokens that `generate` gets of the prompt. Fewer than `prompt_length` where the model would write something of
    its own before an answer, such as a thought, which is then closed and empty. Dials are told this number."""
    answer_start: int
    """The first token that decides about the answer: the one before it, or the one that closes a thought. One past the
    last where the thought isn't closed."""

    @property
    def asked(self) -> list[int]:
        """The tokens that `generate` gets of the prompt."""
        return self.ids[: self.generation_start]

    @property
    def opening(self) -> list[int]:
        """What is prefilled of the answer, with a thought that is closed before it."""
        return self.ids[self.generation_start :]


@dataclass(frozen=True, eq=False)
class ChatTokenizer:
    """Tokenizes what a renderer makes of chats."""

    renderer: ChatRenderer
    _lengths: dict[str | None, int] = field(default_factory=dict, init=False)
    """`post_instruction_length` by template, as the user may give the tokenizer another."""

    def prompt(self, prompt: Chat) -> TokenizedChat:
        """Ids of a prompt, as `generate` gets it."""
        ids = self._prompt_ids(prompt)
        return TokenizedChat(ids, len(ids), len(ids) - self.post_instruction_length, len(ids), len(ids) - 1)

    def answered(self, prompt: Chat, answer: str) -> TokenizedChat:
        """Ids of a prompt with an answer."""
        generated = self.prompt(prompt)
        start, before, answer_ids = self._parts(*self.renderer.with_answer(prompt, answer))
        length = _generation_start(generated.ids, start, before)
        return TokenizedChat(
            before + answer_ids, len(before), generated.instruction_end, length, answer_start=len(before) - 1
        )

    def answer_start(self, prompt: Chat) -> TokenizedChat:
        """Ids of a prompt up to where answers begin to differ."""
        generated = self.prompt(prompt)
        before, space = self.renderer.answer_start(prompt)
        ids = self._answer_start(before + space)
        length = _generation_start(generated.ids, self._encode(before), ids)
        return TokenizedChat(ids, len(ids), generated.instruction_end, length, answer_start=len(ids) - 1)

    def first_tokens(self, prompt: Chat, answers: Sequence[str]) -> set[int]:
        """What stands first behind `answer_start` in these answers, but for blanks that a word may be joined with."""
        before = "".join(self.renderer.answer_start(prompt))
        start = self._answer_start(before)
        wholes = (self._encode(before + answer) for answer in answers)
        first = {ids[len(start)] for ids in wholes if ids[: len(start)] == start}
        return {token for token in first if str(self.renderer.tokenizer.decode([token])).strip()}

    def _answer_start(self, before: str) -> list[int]:
        """As tokens stand in whole chats, where one may hold the prompt's end and an answer's beginning."""
        yes, no = (self._encode(before + word) for word in ("Yes", "No"))
        return _common_beginning(yes, no)

    @property
    def post_instruction_length(self) -> int:
        """Number of template tokens after the user's text: what two prompts with different texts have in common."""
        source = self.renderer.source
        if source not in self._lengths:
            first, second = (self._prompt_ids((Message(role="user", content=text),)) for text in ("a b", "1 2"))
            self._lengths[source] = len(_common_beginning(first[::-1], second[::-1]))
        return self._lengths[source]

    def _prompt_ids(self, prompt: Chat) -> list[int]:
        ids = self._encode(self.renderer.prompt(prompt))
        if not ids:
            raise SteeringError("Expected a prompt with a token at least, found one without text; write something.")
        return ids

    def _encode(self, text: str) -> list[int]:
        """Ids of a rendered text. A template has its own special tokens; without one those in front are added."""
        special = self.renderer.source is None
        encoded = self.renderer.tokenizer(text, add_special_tokens=special, return_special_tokens_mask=special)
        ids = list(encoded.input_ids)
        if special:
            added = takewhile(bool, reversed(encoded.special_tokens_mask))
            ids = ids[: len(ids) - sum(added)]
        return ids

    def _parts(self, before: str, answer: str) -> tuple[list[int], list[int], list[int]]:
        """Ids of the text before an answer by itself, of the same text in the whole, and of the answer in the whole.

        The first two differ where a tokenizer parts what stands before an answer otherwise than what ends there, as
        line breaks. Where the whole has one token on both sides, the answer is tokenized as what follows the first.
        """
        start, whole = self._encode(before), self._encode(before + answer)
        if whole[: len(start)] == start:
            return start, start, whole[len(start) :]
        text = self.renderer.tokenizer.decode(start)
        for cut in range(max(0, len(start) - 2), min(len(start) + 3, len(whole))):
            if self.renderer.tokenizer.decode(whole[:cut]) == text:
                return start, whole[:cut], whole[cut:]
        return start, start, self._encode_within(answer)

    def _encode_within(self, text: str) -> list[int]:
        """Ids of a text that follows another: some tokenizers begin one that follows nothing with a space."""
        for mark in ("\n", ":", "#"):
            before, both = (
                self.renderer.tokenizer(part, add_special_tokens=False).input_ids for part in (mark, mark + text)
            )
            if both[: len(before)] == before:
                return list(both[len(before) :])
        return list(self.renderer.tokenizer(text, add_special_tokens=False).input_ids)


def _generation_start(prompt: list[int], start: list[int], before: list[int]) -> int:
    """How many of the tokens before an answer are the prompt's, given its ids and those of the text before."""
    if before[: len(prompt)] == prompt:
        return len(prompt)
    return len(before) if start == prompt else min(len(prompt), len(before))


def _common_beginning(first: list[int], second: list[int]) -> list[int]:
    pairs = takewhile(lambda pair: pair[0] == pair[1], zip(first, second, strict=False))
    return [token for token, _ in pairs]
