"""Prints what a model writes, while it writes: the thought dimmed, the answer below."""

from rich.console import Console
from torch import Tensor
from transformers.generation.streamers import BaseStreamer

from steering.models.language_model import LanguageModel
from steering.models.reasoning import ReasoningStream, Response
from trimtab.serve.answer_text import AnswerText


class ResponsePrinter(BaseStreamer):
    """A streamer for one row of `generate`, which sends the prompt first."""

    def __init__(self, lm: LanguageModel, console: Console) -> None:
        self._lm, self._console = lm, console
        self._text = AnswerText(lm.tokenizer)
        self._stream: ReasoningStream | None = None
        self._is_thinking = False

    def put(self, value: Tensor) -> None:
        """Take the prompt, then every token."""
        if self._stream is None:
            self._stream = self._lm.response_tokens.stream(value.flatten().tolist())
        else:
            self._print(self._stream.add("".join(map(self._text.add, value.flatten().tolist()))))

    def end(self) -> None:
        """Print what was held back."""
        if self._stream is not None:
            for piece in (self._stream.add(self._text.finish()), self._stream.finish()):
                self._print(piece)
        self._console.print()

    def _print(self, piece: Response) -> None:
        if piece.reasoning:
            self._console.print(piece.reasoning, end="", style="dim", markup=False, highlight=False, soft_wrap=True)
            self._is_thinking = True
        if piece.answer:
            between = "\n\n" if self._is_thinking else ""
            self._console.print(between + piece.answer, end="", markup=False, highlight=False, soft_wrap=True)
            self._is_thinking = False
