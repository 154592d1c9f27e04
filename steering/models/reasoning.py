"""A text's thought told from its answer, by the marks that models put around thoughts. It knows no tokenizer.

A thought stands at a text's beginning: marks further on belong to the answer, such as one that explains them.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Marks:
    """What a family of models writes before and behind a thought. The first spelling of each is the usual one."""

    openings: tuple[str, ...]
    closings: tuple[str, ...]
    """The answer follows."""
    are_words: bool = False
    """Whether answers may have them too: the closing says nothing then without the opening."""
    opens_before: str = ""
    """Pattern of what must follow the opening."""
    instead: str = ""
    """What is written instead of an empty thought, where none is ever written."""

    @property
    def opening(self) -> str:
        """As the model writes it."""
        return self.openings[0]

    @property
    def closing(self) -> str:
        """As the model writes it."""
        return self.closings[0]

    @property
    def empty_thought(self) -> str:
        """A thought in which nothing was thought, closed."""
        blank = "\n\n" if self.opening[0] + "/" == self.closing[:2] else ""
        return self.instead or f"{self.opening}{blank}{self.closing}{blank}"

    @cached_property
    def opens(self) -> re.Pattern[str]:
        """The opening."""
        return re.compile(_any_of(self.openings) + self.opens_before)

    @cached_property
    def closes(self) -> re.Pattern[str]:
        """The closing."""
        return re.compile(_any_of(self.closings))


def _any_of(spellings: tuple[str, ...]) -> str:
    return f"(?:{'|'.join(map(re.escape, sorted(spellings, key=len, reverse=True)))})"


_TAGS = ("think", "thinking", "thought", "Thought", "thoughts", "reasoning", "reason", "seed:think")
_PAIRS = {f"<{tag}>": f"</{tag}>" for tag in _TAGS} | {
    "[THINK]": "[/THINK]",  # Magistral
    "◁think▷": "◁/think▷",  # Kimi
    "<|START_THINKING|>": "<|END_THINKING|>",  # Cohere
    "<|begin_of_thought|>": "<|end_of_thought|>",  # Sky-T1
    "<|inner_prefix|>": "<|inner_suffix|>",  # Apertus
    "<|channel>thought\n": "<channel|>",  # Gemma 4
    "<unused94>thought\n": "<unused95>",  # MedGemma
}
_ANALYSIS, _COMMENTARY, _FINAL = (f"<|channel|>{name}<|message|>" for name in ("analysis", "commentary", "final"))
MARKS = (
    *(Marks((opening,), (closing,)) for opening, closing in _PAIRS.items()),
    Marks(  # gpt-oss
        (_ANALYSIS, f"assistant{_ANALYSIS}", f"<|start|>assistant{_ANALYSIS}", _COMMENTARY),
        (_FINAL, f"assistant{_FINAL}", f"<|start|>assistant{_FINAL}", f"<|end|><|start|>assistant{_FINAL}"),
        instead=_FINAL,
    ),
    Marks(("analysis",), ("assistantfinal",), are_words=True, opens_before="(?=[A-Z])"),  # the same, stripped
    Marks(  # Granite 3.2
        ("Here is my thought process:", "Here's my thought process:"),
        ("Here is my response:", "Here's my response:"),
        are_words=True,
    ),
)
"""Known marks."""
_ANSWER_BEGINS = ("<answer>", "<response>", "<output>", "<Output>", "<|START_RESPONSE|>", "<|begin_of_solution|>")
_ANSWER_ENDS = ("</answer>", "</response>", "</output>", "</Output>", "<|END_RESPONSE|>", "<|end_of_solution|>")
_END = "<|return|>"  # gpt-oss'
"""What some models put around the answer behind a thought."""


@dataclass(frozen=True)
class Response:
    """What a model wrote, in two."""

    reasoning: str
    """The thought without its marks; empty where the model didn't think."""
    answer: str
    closed: bool = True
    """False where the text ends inside the thought, as at a limit of tokens: there is no answer then."""


def split_reasoning(text: str, *, opened: bool = False) -> Response:
    """Tell the thought at a text's beginning from the answer behind it.

    A text that has a closing mark and no opening one before it began inside the thought. One thought may follow on
    another. Marks in code or quotes are none.

    Args:
        text: what a model wrote, its special tokens stripped or not.
        opened: whether the prompt ended inside the thought, so that the text begins there.

    Returns:
        Thought and answer; a text without a thought is all answer, to the letter.

    Example:
        >>> from steering import split_reasoning
        >>> split_reasoning("<think>An insult is wanted.</think>I'm sorry, but I can't.")
        Response(reasoning='An insult is wanted.', answer="I'm sorry, but I can't.", closed=True)
        >>> split_reasoning("<think>The user wants").closed
        False
        >>> split_reasoning("The tags <think> and </think> stand around thoughts.").reasoning
        ''
    """
    return _split(text, opened or _began_inside(text), is_whole=True)


class ReasoningStream:
    """A response told apart while it is written: `add` every piece, then `finish`; each gives what is new and certain.

    Example:
        >>> stream = ReasoningStream()
        >>> [stream.add(piece).answer for piece in ("<thi", "nk>Hm.</th", "ink>Hello", "!")]
        ['', '', 'Hello', '!']
    """

    def __init__(self, *, opened: bool = False, known: Sequence[Marks] = MARKS) -> None:
        self._opened, self._known = opened, known
        self._text = ""
        self._given = Response("", "")

    def add(self, text: str) -> Response:
        """The pieces of thought and answer that are certain now.

        Args:
            text: the next piece.
        """
        self._text += text
        return self._new(_split(self._text, self._opened, is_whole=False, known=self._known))

    def finish(self) -> Response:
        """What was held back."""
        return self._new(_split(self._text, self._opened, is_whole=True, known=self._known))

    def _new(self, now: Response) -> Response:
        before, self._given = self._given, now
        return Response(now.reasoning[len(before.reasoning) :], now.answer[len(before.answer) :], now.closed)


def opening_at_end(prompt: str, known: Sequence[Marks] = MARKS) -> str:
    """The opening mark that a prompt ends with, and the blanks behind it; empty where there is none."""
    for marks in _telling(known):
        for opening in marks.openings:
            if (start := prompt.rfind(opening.rstrip())) >= 0 and not prompt[start + len(opening.rstrip()) :].strip():
                return prompt[start:]
    return ""


def is_closed_at_end(prompt: str, known: Sequence[Marks] = MARKS) -> bool:
    """Whether a prompt ends behind a closed thought."""
    return prompt.rstrip().endswith(_closings(known))


def marks_of(prompt: str, template: str, known: Sequence[Marks] = MARKS) -> Marks | None:
    """The marks that a model thinks between, None if it doesn't.

    A rendered prompt that ends inside a thought tells them; one that ends behind a closed thought, as under
    `enable_thinking=False`, forbids thinking. Otherwise the model may think if its chat template speaks of marks; of
    marks that are mere words, only if the prompt does.

    Args:
        prompt: the end of a prompt as the model meets it.
        template: source of the chat template.
        known: marks that are looked for.
    """
    if opening := opening_at_end(prompt, known):
        return next(marks for marks in known if opening.rstrip().endswith(tuple(map(str.rstrip, marks.openings))))
    if is_closed_at_end(prompt, known):
        return None
    spoken_of = (marks for marks in _telling(known) if marks.closing in template)
    asked_for = (marks for marks in known if marks.are_words and " " in marks.opening and marks.opening in prompt)
    return next(spoken_of, None) or next(asked_for, None)


def empty_thought(prompt: str, marks: Marks) -> str:
    """What has to follow a prompt of a model that thinks for the answer to follow at once.

    Args:
        prompt: the end of a prompt as the model meets it.
        marks: those that the model thinks between.
    """
    opening = opening_at_end(prompt, (marks, *MARKS))
    if opening and opening == opening.rstrip() and not marks.instead:
        return marks.closing  # DeepSeek V3.1 writes no line breaks, and its prompts end so
    written = opening if marks.empty_thought.startswith(opening) else opening.rstrip()
    return marks.empty_thought.removeprefix(written)


def closing_of(prompt: str) -> str:
    """What closes, empty, the thought that a prompt ends inside; empty where it ends in none.

    Args:
        prompt: the end of a prompt as the model meets it.
    """
    marks = marks_of(prompt, "") if opening_at_end(prompt) else None
    return empty_thought(prompt, marks) if marks else ""


def _telling(known: Sequence[Marks]) -> list[Marks]:
    """Those that say something wherever they stand."""
    return [marks for marks in known if not marks.are_words]


def _closings(known: Sequence[Marks]) -> tuple[str, ...]:
    return tuple(closing for marks in _telling(known) for closing in marks.closings)


def _split(text: str, opened: bool, is_whole: bool, known: Sequence[Marks] = MARKS) -> Response:
    """The response; of a text that is still being written, what of it is certain."""
    closings = _closings(known)
    thoughts: list[str] = []
    rest = text
    while (found := _opening(rest, known)) or opened or rest.lstrip().startswith(closings):
        marks, start = found or (None, 0)
        body, opened = rest[start:], False
        closing = _closing(body, marks, is_whole, known)
        if closing is None:
            certain = body if is_whole else _without_beginning(body, marks.closings if marks else closings)
            return Response(_joined([*thoughts, certain]), "", closed=False)
        thoughts.append(body[: closing.start()])
        rest = body[closing.end() :]
    if not is_whole and _may_go_on(rest, bool(thoughts), known):
        return Response(_joined(thoughts), "")
    if not thoughts:
        return Response("", rest)
    answer = rest.strip() if is_whole else _without_beginning(rest.lstrip(), (*_ANSWER_ENDS, _END))
    for opening, ending in zip(_ANSWER_BEGINS, _ANSWER_ENDS, strict=True):
        if answer.startswith(opening):
            answer = answer.removeprefix(opening).removesuffix(ending)
    answer = answer.removesuffix(_END)
    return Response(_joined(thoughts), answer.strip() if is_whole else answer.lstrip())


def _joined(thoughts: list[str]) -> str:
    return "\n\n".join(filter(None, map(str.strip, thoughts)))


def _opening(text: str, known: Sequence[Marks]) -> tuple[Marks, int] | None:
    """The marks that a text begins with, blanks aside, and where the thought begins."""
    start = len(text) - len(text.lstrip())
    found = ((marks, marks.opens.match(text, start)) for marks in known)
    return next(((marks, match.end()) for marks, match in found if match), None)


def _may_go_on(text: str, has_thought: bool, known: Sequence[Marks]) -> bool:
    """Whether a text, once longer, may begin with a mark."""
    begun = text.lstrip()
    openings = (opening for marks in known for opening in marks.openings)
    return any(mark.startswith(begun) for mark in (*openings, *_closings(known), *_ANSWER_BEGINS * has_thought))


def _closing(body: str, marks: Marks | None, is_whole: bool, known: Sequence[Marks]) -> re.Match[str] | None:
    """The mark that ends a thought; of any kind where it isn't known which mark opened it.

    Thoughts speak of marks too: an inner pair is passed over as long as another closing mark follows.
    """
    sought = _telling(known) if marks is None else [marks]
    closings = sorted((match for one in sought for match in _unquoted(one.closes, body)), key=re.Match.start)
    inner = [match.start() for match in _unquoted(marks.opens, body)] if marks and marks.opening in _PAIRS else []
    first = closings[0] if closings and is_whole else None
    return next((one for place, one in enumerate(closings) if sum(at < one.start() for at in inner) <= place), first)


def _without_beginning(text: str, marks: tuple[str, ...]) -> str:
    """A text without what may be the beginning of a mark at its end."""
    longest = min(max(map(len, marks)), len(text))
    held = next((length for length in range(longest, 0, -1) if any(m.startswith(text[-length:]) for m in marks)), 0)
    return text[: len(text) - held]


def _unquoted(pattern: re.Pattern[str], text: str) -> Iterator[re.Match[str]]:
    """Matches that stand neither between quotes nor in code within a line."""
    for match in pattern.finditer(text):
        before, after = text[: match.start()], text[match.end() :]
        in_code = before.rpartition("\n")[2].count("`") % 2 == 1 and "`" in after.partition("\n")[0]
        in_quotes = before[-1:] in ("'", '"') and after.startswith(before[-1:]) and before[-2:-1] in ("", *" \n([{,=")
        if not (in_code or in_quotes):
            yield match


def _began_inside(text: str) -> bool:
    """Whether a text has a closing mark whose opening one must have stood before it."""
    closings = (match for marks in _telling(MARKS) for match in _unquoted(marks.closes, text))
    first = min(closings, key=re.Match.start, default=None)
    if first is None:
        return False
    before, after = text[: first.start()], text[first.end() :]
    opened = any(opening in before for marks in _telling(MARKS) for opening in marks.openings)
    in_code_block = before.count("```") % 2 == 1
    in_sentence = bool(re.search(r"\w,? \Z", before) and re.match(r" ?[a-z,.;:)]", after))
    return not (opened or in_code_block or in_sentence)
