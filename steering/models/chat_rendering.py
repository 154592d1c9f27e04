"""How a chat becomes text, and where in that text an answer stands. It knows no token ids."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args

from pydantic import JsonValue
from transformers import PreTrainedTokenizerBase

from steering.data.chats import Chat, Message
from steering.errors import SteeringError, first_line, quoted
from steering.models.chat_template import at_fixed_date, template_arguments, template_source
from steering.models.reasoning import closing_of, opening_at_end, split_reasoning

ContentForm: TypeAlias = Literal["text", "parts"]
"""How a template takes a turn's content: as a text, or as a list of parts as many multimodal ones do."""
_ASKED = "what-was-asked"
_ANSWERED = "what-was-answered"
"""Words that stand nowhere else, to see what a template makes of them."""
_IS_LIST = "'type'"
"""Stands in the text of a list of parts that a template takes for a text."""


@dataclass(frozen=True, eq=False)
class ChatRenderer:
    """Renders chats with the tokenizer's chat template; without one, the turns' texts stand on a line each.

    Raises:
        SteeringError: for arguments that the template never reads.
    """

    tokenizer: PreTrainedTokenizerBase
    given: Mapping[str, JsonValue]
    """Arguments of the template, such as `enable_thinking`."""
    _forms: dict[str, ContentForm | None] = field(default_factory=dict, init=False)
    """By template, as the user may give the tokenizer another; None for one that shows no text."""

    def __post_init__(self) -> None:
        _ = self.arguments

    @property
    def source(self) -> str | None:
        """The Jinja template in use."""
        return template_source(self.tokenizer)

    @property
    def arguments(self) -> dict[str, JsonValue]:
        """All that the template is rendered with besides the turns."""
        return template_arguments(self.source, self.given)

    @property
    def description(self) -> str:
        """Which template it is, and its arguments, for people."""
        template = self.tokenizer.chat_template
        several = isinstance(template, dict)
        which = f"default, of {quoted(sorted(template))}" if several else "yes" if template else "none"
        return which + "".join(f", {name}={json.dumps(value)}" for name, value in self.arguments.items())

    def render(self, turns: Chat, *, add_generation_prompt: bool) -> str:
        """The text of a chat.

        Args:
            turns: of the chat.
            add_generation_prompt: whether the opening of the assistant's turn follows.

        Raises:
            SteeringError: when the template can't render the turns, or shows nothing of their text.
        """
        source = self.source
        if source is None:
            return "".join(f"{turn.content}\n" for turn in turns)
        form = self._content_form(source)
        try:
            text = self._rendered(source, turns, form or "text", add_generation_prompt)
        except Exception as error:  # templates raise whatever their authors thought of
            roles = [turn.role for turn in turns]
            raise SteeringError(
                f"The chat template can't render turns {roles}: {first_line(error)}; "
                "change the turns, or load the model without a system prompt."
            ) from error
        if form is None or not text:
            raise SteeringError(
                "The chat template shows nothing of the user's text; load the model with another chat_template."
            )
        return text

    def prompt(self, turns: Chat) -> str:
        """The text that a model answers: the turns, and the opening of its own."""
        return self.render(turns, add_generation_prompt=True)

    def answer_start(self, prompt: Chat) -> tuple[str, str]:
        """The text before an answer to a prompt, and the space that the answer begins with, if any.

        Before it stands the prompt and what the template writes between, such as an empty thought or a channel's name;
        a thought that is left open is closed. A space between belongs to the answer, as tokenizers join it with the
        word.
        """
        return self._start(*self._around(prompt)[:2])

    def with_answer(self, prompt: Chat, answer: str) -> tuple[str, str]:
        """The text before an answer and the answer's own with its space: together the chat's up to the answer's end.

        The answer is as the template shows it, which may trim it. One that brings a thought of its own follows on the
        prompt at once.

        Args:
            prompt: the turns before.
            answer: what the assistant wrote.
        """
        opening, before, after = self._around(prompt)
        start, space = self._start(opening, before)
        if start.strip() != opening.strip() and split_reasoning(answer).answer != answer:  # it brings a thought
            mark = opening_at_end(opening).strip()  # which the prompt has written already
            return opening, answer.lstrip().removeprefix(mark).lstrip("\n") if mark else answer
        shown = self._shown(prompt, answer)
        inner = shown[len(before) : len(shown) - len(after)]
        if shown == before + inner + after and inner.strip() == answer.strip():
            answer = inner
        return start, space + answer

    def _around(self, prompt: Chat) -> tuple[str, str, str]:
        """The prompt's text, and what the template writes before and behind an answer to it."""
        opening = self.prompt(prompt)
        before, found, after = self._shown(prompt, _ANSWERED).rpartition(_ANSWERED)
        if found and before.startswith(opening) and _IS_LIST not in before[len(opening) :]:
            return opening, before, after
        return opening, opening, ""  # no such turn, or without the thought that a prompt opens, or the list as such

    @staticmethod
    def _start(opening: str, before: str) -> tuple[str, str]:
        start = before + closing_of(before)
        kept = max(len(opening), len(start.rstrip(" ")))
        return start[:kept], start[kept:]

    def _shown(self, prompt: Chat, answer: str) -> str:
        """The text of a chat with an answer; empty where the template takes none."""
        try:
            turns = (*prompt, Message(role="assistant", content=answer))
            return self.render(turns, add_generation_prompt=False)
        except SteeringError:
            return ""

    def _content_form(self, source: str) -> ContentForm | None:
        """The form in which the template shows a turn's text; None where neither does."""
        if source not in self._forms:
            shown = {form: self._probe(source, form) for form in get_args(ContentForm)}
            forms = (form for form, text in shown.items() if text and _ASKED in text and _IS_LIST not in text)
            crashes = shown["text"] is None  # as it may do on a lone turn; real ones will say
            self._forms[source] = next(forms, "text" if crashes else None)
        return self._forms[source]

    def _probe(self, source: str, form: ContentForm) -> str | None:
        try:
            return self._rendered(source, (Message(role="user", content=_ASKED),), form, True)
        except Exception:  # as above
            return None

    def _rendered(self, source: str, turns: Chat, form: ContentForm, add_generation_prompt: bool) -> str:
        messages: list[dict[str, Any]] = [turn.model_dump() for turn in turns]
        if form == "parts":
            messages = [turn | {"content": [{"type": "text", "text": turn["content"]}]} for turn in messages]
        dated, arguments = at_fixed_date(source, self.arguments)
        return str(
            self.tokenizer.apply_chat_template(
                messages,
                chat_template=dated,
                tokenize=False,
                add_generation_prompt=add_generation_prompt,
                **arguments,
            )
        )
