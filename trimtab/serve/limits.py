"""What one request, and all of them together, may ask of the machine."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Upper bounds; what goes beyond them is refused with a sentence, never cut."""

    body_bytes: int = 1_000_000
    """Size of a request's body."""
    prompt_tokens: int = 4096
    """Tokens of a chat, with its template's."""
    new_tokens: int = 1024
    """Tokens of an answer, also where the request names no number."""
    rows: int = 64
    """Answers that are written at once."""
    batch_tokens: int = 65_536
    """Rows times the longest row's final length: what bounds the memory of a batch. One row always runs."""
    waiting: int = 256
    """Requests that wait for a row."""
    slider: float = 100.0
    """A slider's distance from 0."""
