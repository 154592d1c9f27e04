"""Contrast sets: pairs of chats that differ in one thing, which a direction is made from.

File format: JSON lines. The first line may be a header, `{"header": {"name", "positive", "why", …}}`; every other
line is one pair, `{"id", "group", "positive": [messages], "negative": [messages]}`.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from typing import TypeVar, overload

from pydantic import BaseModel, ValidationError, model_validator

from steering.atomic_write import atomic_write
from steering.data.chats import Chat, first_problem
from steering.display.html import paragraph, table
from steering.errors import SteeringError, quoted

_BUILTIN_FOLDER = Path(__file__).parent / "contrast_sets"
_PAIRS_SHOWN = 5
_CHARACTERS_SHOWN = 240
_Line = TypeVar("_Line", bound=BaseModel)


class ContrastPair(BaseModel, frozen=True, extra="forbid"):
    """Two chats that differ in the axis' property. Moving from `negative` to `positive` is the slider's + direction.

    Both sides end with a turn of the same role: the user's where prompts are contrasted, the assistant's where answers
    are.

    Example:
        >>> from steering import ContrastPair
        >>> pair = ContrastPair(
        ...     id="formality-1",
        ...     group="greetings",
        ...     positive=[{"role": "user", "content": "Good morning, could you help me?"}],
        ...     negative=[{"role": "user", "content": "hey, got a sec?"}],
        ... )
        >>> pair.positive[-1].content
        'Good morning, could you help me?'
    """

    id: str
    """Its own in the set; decides in `ContrastSet.split` on which side the pair falls."""
    group: str
    """A name for pairs of one kind, such as a topic."""
    positive: Chat
    negative: Chat

    @model_validator(mode="after")
    def _same_ending(self) -> "ContrastPair":
        if not self.positive or not self.negative:
            raise ValueError("both sides should have at least one message")
        if self.positive[-1].role != self.negative[-1].role:
            raise ValueError("both sides should end with a message of the same role")
        for side in (self.positive, self.negative):
            if side[-1].role == "system" or not any(message.role == "user" for message in side):
                raise ValueError("each side should have a user's message, last or before the answer")
        return self


class Header(BaseModel, frozen=True, extra="forbid"):
    """What a contrast set says of itself."""

    name: str
    positive: str = ""
    negative: str = ""
    """What each side is."""
    why: str = ""
    """Why the slider's + points to the positive side."""
    license: str = ""


class _HeaderLine(BaseModel, extra="forbid"):
    header: Header


@dataclass(frozen=True, repr=False)
class ContrastSet(Sequence[ContrastPair]):
    """A sequence of contrast pairs with its header. A slice of it is a contrast set too.

    Example:
        >>> from steering import ContrastSet
        >>> safety = ContrastSet.builtin("safety")
        >>> safety
        ContrastSet('safety', 448 pairs)
        >>> safety.groups
        {'explicit': 248, 'implicit': 100, 'borderline': 100}
        >>> safety.spread(16)[:10]
        ContrastSet('safety', 10 pairs)
        >>> formality = ContrastSet.load("formality.jsonl")  # doctest: +SKIP
    """

    pairs: tuple[ContrastPair, ...]
    header: Header
    lines: tuple[int, ...] = ()
    """Line of every pair in its file; as `save` would place them, below the header, when not given."""

    def __post_init__(self) -> None:
        if not self.lines:
            object.__setattr__(self, "lines", tuple(range(2, 2 + len(self.pairs))))

    def __len__(self) -> int:
        return len(self.pairs)

    @overload
    def __getitem__(self, index: int) -> ContrastPair: ...
    @overload
    def __getitem__(self, index: slice) -> "ContrastSet": ...
    def __getitem__(self, index: int | slice) -> "ContrastPair | ContrastSet":
        if isinstance(index, slice):
            return ContrastSet(self.pairs[index], self.header, self.lines[index])
        return self.pairs[index]

    @property
    def name(self) -> str:
        """The header's name."""
        return self.header.name

    @property
    def groups(self) -> dict[str, int]:
        """Number of pairs in each group, in order of appearance."""
        return dict(Counter(pair.group for pair in self.pairs))

    @property
    def ends_with_answer(self) -> bool:
        """Whether the pairs contrast answers (last turn: the assistant's) rather than prompts."""
        return bool(self.pairs) and self.pairs[-1].positive[-1].role == "assistant"

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the pairs, whatever their header; 16 hexadecimal digits."""
        lines = "".join(f"{pair.model_dump_json()}\n" for pair in self.pairs)
        return hashlib.sha256(lines.encode()).hexdigest()[:16]

    def select(self, *groups: str) -> "ContrastSet":
        """The pairs of the named groups, in their order in the set.

        Args:
            groups: names out of `groups`.

        Raises:
            SteeringError: for a group that the set doesn't have.
        """
        if unknown := set(groups) - {*self.groups}:
            raise SteeringError(
                f"Contrast set {self.name!r} has no group {quoted(unknown)}; choose from {quoted(self.groups)}."
            )
        return self._where(lambda pair: pair.group in groups)

    def split(self, held_out: float = 0.2) -> tuple["ContrastSet", "ContrastSet"]:
        """Divide by pair. A pair's id decides, so that order and other pairs hardly matter.

        Args:
            held_out: share of the pairs to hold out, between 0 and 1.

        Returns:
            The rest, and the pairs that were held out.

        Raises:
            SteeringError: unless both parts get at least one pair.
        """
        count = round(len(self) * held_out)
        if not 0 < count < len(self):
            raise SteeringError(
                f"Can't hold out {held_out:g} of the {len(self)} pairs of {self.name!r}: both parts need a pair; "
                "use more pairs or another share."
            )
        ranked = sorted(self.pairs, key=lambda pair: hashlib.sha256(pair.id.encode()).digest())
        chosen = {pair.id for pair in ranked[:count]}
        return self._where(lambda pair: pair.id not in chosen), self._where(lambda pair: pair.id in chosen)

    def spread(self, count: int) -> "ContrastSet":
        """At most `count` pairs, spread evenly over the set and so over its groups.

        Args:
            count: number of pairs.
        """
        return self[:: max(1, len(self) // count)][:count]

    def __repr__(self) -> str:
        return f"ContrastSet({self.name!r}, {len(self)} pairs)"

    def _repr_html_(self) -> str:
        shown = self.spread(_PAIRS_SHOWN)
        kind = "answers" if self.ends_with_answer else "prompts"
        groups = ", ".join(f"{name} {count}" for name, count in self.groups.items())
        rows = [[pair.group, _shortened(pair.positive), _shortened(pair.negative)] for pair in shown]
        head = paragraph(f"{self.name}: {len(self)} pairs of {kind}", f"groups: {groups}. {self.header.why}")
        pairs = table(["group", "positive (+)", "negative (-)"], rows)
        return head + pairs + paragraph("", f"{len(shown)} of {len(self)} pairs shown")

    def _where(self, wanted: Callable[[ContrastPair], bool]) -> "ContrastSet":
        kept = [wanted(pair) for pair in self.pairs]
        return ContrastSet(tuple(compress(self.pairs, kept)), self.header, tuple(compress(self.lines, kept)))

    @staticmethod
    def builtin(name: str) -> "ContrastSet":
        """One of the sets written for this project.

        Args:
            name: one of `ContrastSet.builtin_names()`.

        Returns:
            The set, in its file's order.

        Raises:
            SteeringError: for another name.
        """
        known = ContrastSet.builtin_names()
        if name not in known:
            raise SteeringError(f"There is no built-in contrast set {name!r}; choose from {quoted(known)}.")
        return ContrastSet.load(_BUILTIN_FOLDER / f"{name}.jsonl")

    @staticmethod
    def builtin_names() -> tuple[str, ...]:
        """Names that `ContrastSet.builtin` knows.

        Returns:
            The names, sorted.
        """
        return tuple(sorted(file.stem for file in _BUILTIN_FOLDER.glob("*.jsonl")))

    @staticmethod
    def load(path: str | Path) -> "ContrastSet":
        """Read a JSON-lines file, one pair a line below an optional header.

        Args:
            path: the file; without a header the set is named after it.

        Returns:
            The set, which knows the line of each pair.

        Raises:
            SteeringError: for a file that can't be read; it names the first line that isn't as it should be.
        """
        path = Path(path)
        try:
            lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
        except OSError as error:
            raise SteeringError(f"Can't read contrast set {str(path)!r}: {error.strerror}; check the path.") from error
        except UnicodeDecodeError as error:
            raise SteeringError(f"Can't read contrast set {str(path)!r}: it isn't UTF-8; save it as UTF-8.") from error
        header, first_line = Header(name=path.stem), 1
        if lines[0].startswith('{"header"'):
            header, first_line = _parsed(_HeaderLine, "header", lines[0], f"{path}:1").header, 2
        numbered = enumerate(lines[first_line - 1 :], first_line)
        pairs = tuple(_parsed(ContrastPair, "pair", text, f"{path}:{number}") for number, text in numbered)
        if not pairs:
            raise SteeringError(f"Contrast set {str(path)!r} has no pairs; add at least one line with a pair.")
        _check_ids(pairs, first_line, path)
        return ContrastSet(pairs, header, tuple(range(first_line, first_line + len(pairs))))

    def save(self, path: str | Path) -> None:
        """Write the set as JSON lines, header first, whole or not at all.

        Args:
            path: the file to create or to replace.

        Raises:
            SteeringError: when the file can't be written there.
        """
        lines = [json.dumps({"header": self.header.model_dump()}, ensure_ascii=False)]
        lines += [json.dumps(pair.model_dump(), ensure_ascii=False) for pair in self.pairs]
        with atomic_write(path) as temporary:
            temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _parsed(kind: type[_Line], what: str, text: str, place: str) -> _Line:
    if not text.strip():
        raise SteeringError(f"{place}: expected one {what}, found an empty line; remove the line.")
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        raise SteeringError(f"{place}: the {what} is not usable: {first_problem(error)}.") from error


def _check_ids(pairs: tuple[ContrastPair, ...], first_line: int, path: Path) -> None:
    seen: dict[str, int] = {}
    for number, pair in enumerate(pairs, first_line):
        if pair.id in seen:
            raise SteeringError(
                f"{path}:{number}: the id {pair.id!r} stands in line {seen[pair.id]} already; give each pair its own."
            )
        seen[pair.id] = number
        if pair.positive[-1].role != pairs[0].positive[-1].role:
            raise SteeringError(
                f"{path}:{number}: the pair ends with the {pair.positive[-1].role}'s turn, the first pair with the "
                f"{pairs[0].positive[-1].role}'s; a set contrasts either prompts or answers, so split the file in two."
            )


def _shortened(chat: Chat) -> str:
    text = "\n".join(message.content if len(chat) == 1 else f"{message.role}: {message.content}" for message in chat)
    return text if len(text) <= _CHARACTERS_SHOWN else f"{text[: _CHARACTERS_SHOWN - 1]}…"
