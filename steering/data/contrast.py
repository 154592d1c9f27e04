"""Contrast sets: pairs of chats that differ in one thing, which a direction is made from.

File format: JSON lines. The first line may be a header, `{"header": {"name", "positive", "why", …}}`; every other
line is one pair, `{"id", "group", "positive": [messages], "negative": [messages]}`.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from steering.data.chats import Chat, first_problem
from steering.display.html import paragraph, table
from steering.errors import SteeringError, quoted
from steering.files import replacing

_BUILTIN_FOLDER = Path(__file__).parent / "contrast_sets"


class ContrastPair(BaseModel):
    """Two chats that differ in the axis' property. Moving from `negative` to `positive` is the slider's + direction."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    group: str
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


class Header(BaseModel):
    """What a contrast set says of itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    positive: str = ""
    """What the positive side is."""
    negative: str = ""
    """What the negative side is."""
    why: str = ""
    """Why the slider's + points to the positive side."""
    licence: str = ""


@dataclass(frozen=True, repr=False)
class ContrastSet:
    """An ordered collection of contrast pairs, with its header."""

    pairs: tuple[ContrastPair, ...]
    header: Header
    lines: tuple[int, ...] = ()
    """Line of every pair in its file; as `write` would place them, below the header, when not given."""

    def __post_init__(self) -> None:
        if not self.lines:
            object.__setattr__(self, "lines", tuple(range(2, 2 + len(self.pairs))))

    def __len__(self) -> int:
        return len(self.pairs)

    def __iter__(self) -> Iterator[ContrastPair]:
        return iter(self.pairs)

    @property
    def name(self) -> str:
        """The header's name."""
        return self.header.name

    @property
    def groups(self) -> dict[str, int]:
        """Number of pairs in each group, in order of appearance."""
        counts: dict[str, int] = {}
        for pair in self.pairs:
            counts[pair.group] = counts.get(pair.group, 0) + 1
        return counts

    @property
    def ends_with_answer(self) -> bool:
        """Whether the pairs contrast answers (last turn: the assistant's) rather than prompts."""
        return self.pairs[-1].positive[-1].role == "assistant"

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the pairs, whatever their header; 16 hexadecimal digits."""
        digest = hashlib.sha256()
        for pair in self.pairs:
            digest.update(pair.model_dump_json().encode() + b"\n")
        return digest.hexdigest()[:16]

    def select(self, *groups: str) -> "ContrastSet":
        """The pairs of the named groups."""
        for group in groups:
            if group not in self.groups:
                raise SteeringError(
                    f"Contrast set {self.name!r} has no group {group!r}; choose from {quoted(self.groups)}."
                )
        return self._where(lambda pair: pair.group in groups)

    def split(self, held_out: float = 0.2) -> tuple["ContrastSet", "ContrastSet"]:
        """Divide by pair into (rest, held out). A pair's id decides, so that order and other pairs hardly matter.

        Raises SteeringError unless both parts get at least one pair.
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

    def spread(self, count: int) -> tuple[ContrastPair, ...]:
        """At most so many pairs, spread over the set and so over its groups."""
        return self.pairs[:: max(1, len(self) // count)][:count]

    def __repr__(self) -> str:
        return f"ContrastSet({self.name!r}, {len(self)} pairs)"

    def _repr_html_(self) -> str:
        groups = ", ".join(f"{name} {count}" for name, count in self.groups.items())
        kind, shown = "answers" if self.ends_with_answer else "prompts", self.spread(5)
        rows = [[pair.group, _shortened(pair.positive), _shortened(pair.negative)] for pair in shown]
        return (
            paragraph(f"{self.name}: {len(self)} pairs of {kind}", f"groups: {groups}. {self.header.why}")
            + table(["group", "positive (+)", "negative (-)"], rows)
            + paragraph("", f"{len(shown)} of {len(self)} pairs shown")
        )

    def _where(self, wanted: Callable[[ContrastPair], bool]) -> "ContrastSet":
        kept = [(pair, line) for pair, line in zip(self.pairs, self.lines, strict=True) if wanted(pair)]
        return ContrastSet(tuple(pair for pair, _ in kept), self.header, tuple(line for _, line in kept))

    @staticmethod
    def builtin(name: str) -> "ContrastSet":
        """One of the sets written for this project: see `ContrastSet.builtin_names()`."""
        if name not in ContrastSet.builtin_names():
            raise SteeringError(
                f"There is no built-in contrast set {name!r}; choose from {quoted(ContrastSet.builtin_names())}."
            )
        return ContrastSet.read(_BUILTIN_FOLDER / f"{name}.jsonl")

    @staticmethod
    def builtin_names() -> tuple[str, ...]:
        """Names that `ContrastSet.builtin` knows."""
        return tuple(sorted(file.stem for file in _BUILTIN_FOLDER.glob("*.jsonl")))

    @staticmethod
    def read(path: str | Path) -> "ContrastSet":
        """Read a JSON-lines file. Raises SteeringError that names the first line that isn't as it should be."""
        path = Path(path)
        try:
            lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
        except OSError as error:
            raise SteeringError(f"Can't read contrast set {str(path)!r}: {error.strerror}; check the path.") from error
        except UnicodeDecodeError as error:
            raise SteeringError(f"Can't read contrast set {str(path)!r}: it isn't UTF-8; save it as UTF-8.") from error
        header, first_line = _read_header(lines, path)
        pairs = tuple(_read_pair(text, number, path) for number, text in enumerate(lines[first_line - 1 :], first_line))
        if not pairs:
            raise SteeringError(f"Contrast set {str(path)!r} has no pairs; add at least one line with a pair.")
        _check_ids(pairs, first_line, path)
        return ContrastSet(pairs, header, tuple(range(first_line, first_line + len(pairs))))

    def write(self, path: str | Path) -> None:
        """Write the set as JSON lines, header first, whole or not at all."""
        lines = [json.dumps({"header": self.header.model_dump()}, ensure_ascii=False)]
        lines += [json.dumps(pair.model_dump(), ensure_ascii=False) for pair in self.pairs]
        with replacing(path) as temporary:
            temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _shortened(chat: Chat) -> str:
    text = "\n".join(message.content if len(chat) == 1 else f"{message.role}: {message.content}" for message in chat)
    return text if len(text) <= 240 else f"{text[:239]}…"


def _read_header(lines: list[str], path: Path) -> tuple[Header, int]:
    """The header, and the line of the first pair; a file without a header is named after itself."""
    if not lines[0].startswith('{"header"'):
        return Header(name=path.stem), 1
    try:
        return _HeaderLine.model_validate_json(lines[0]).header, 2
    except ValidationError as error:
        raise SteeringError(f"{path}:1: the header is not usable: {first_problem(error)}.") from error


def _read_pair(text: str, number: int, path: Path) -> ContrastPair:
    if not text.strip():
        raise SteeringError(f"{path}:{number}: expected one pair, found an empty line; remove the line.")
    try:
        return ContrastPair.model_validate_json(text)
    except ValidationError as error:
        raise SteeringError(f"{path}:{number}: the pair is not usable: {first_problem(error)}.") from error


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


class _HeaderLine(BaseModel):
    model_config = ConfigDict(extra="forbid")

    header: Header
