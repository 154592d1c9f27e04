"""The studio's model, its sliders, and what the page asks of them. It knows nothing of HTTP; one thread uses it.

Where the sliders stand is the page's business: every request brings its own setting, and the dial stays at 0 between
them. So several pages can share the model and its vectors.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any

from probes.report import Report
from steering import ContrastSet, FixedSliders, LanguageModel, Slider, Sliders
from steering.data.chats import Chat
from steering.errors import SteeringError
from steering.explore.answer_stream import stream_answers
from steering.explore.gate_readings import gates_line
from steering.explore.tendencies import PASS_PAIRS, held_out_pairs
from steering.explore.token_readings import axis_readout, colored_tokens, read_tokens
from steering.formats import EXPORTS, SUFFIXES
from steering.hooks.dial import Dial
from steering.scoring.own_pairs import check_pairs
from steering.vectors.slider import SliderValues, check_axes
from trimtab.builtin_sliders import BUILTIN_AXES, builtin_axis, check_choice
from trimtab.serve.limits import context_length
from trimtab.studio.cards import cards
from trimtab.studio.requests import MAX_PROMPT_TOKENS, Row
from trimtab.studio.slider_view import axis_view

DOWNLOADS = tuple(name for name in EXPORTS if name != "easysteer")
"""Exports that are one file; EasySteer's are two, of which one names the other."""
DRAWING = Lock()
"""Held while matplotlib draws, whose settings are those of the whole process."""


class Session:
    """A model with its sliders attached."""

    def __init__(
        self,
        lm: LanguageModel,
        axes: Mapping[str, Slider],
        allow_mismatch: Sequence[str] = (),
        pairs: Mapping[str, ContrastSet] | None = None,
    ) -> None:
        self._allow_mismatch = tuple(allow_mismatch)
        self._pairs = pairs or {}
        self._dial: Dial | None = None
        check_pairs(self._pairs, axes)
        self.use(lm, axes)

    def use(self, lm: LanguageModel, axes: Mapping[str, Slider]) -> None:
        """Take another model or other axes; those with pairs are to be made from them.

        Raises SteeringError for axes that don't fit the model or can't be shown, and nothing changes then.
        """
        with DRAWING:
            views = [axis_view(name, slider) for name, slider in axes.items()]
        pairs = held_out_pairs(lm, axes, {axis: some for axis, some in self._pairs.items() if axis in axes})
        dial = Sliders(**axes).attach(lm, allow_mismatch=self._allow_mismatch) if axes else None
        if self._dial is not None:
            self._dial.detach()
        self.lm, self.axes, self._dial, self._views, self._held_out = lm, dict(axes), dial, views, pairs
        self._gates_read: dict[Chat, str] = {}

    def summary(self) -> dict[str, Any]:
        """The model and its axes, as JSON for the page."""
        known = self.lm.identity
        model = {"name": known.name, "type": known.model_type, "layers": self.lm.n_layers, "width": self.lm.d_model}
        return {"model": model, "axes": self._views, "exports": DOWNLOADS}

    def cards(self) -> dict[str, Any]:
        """What is known of the model and of each slider."""
        with DRAWING:
            return cards(self.lm, self.axes)

    def axis(self, name: str) -> Slider:
        """The slider of an axis. Raises SteeringError where there is none."""
        check_axes([name], self.axes)
        return self.axes[name]

    def answers(self, rows: Sequence[Row], max_new_tokens: int) -> Iterator[list[str]]:
        """Every row's answer so far, after each token; the rows are one batch. Greedy."""
        chats, settings = [row.chat for row in rows], [row.setting for row in rows]
        dial = self._attached(*settings)
        for chat in chats:
            self._check_length(chat, max_new_tokens)
        return stream_answers(self.lm, dial, chats, settings, max_new_tokens)

    def gates(self, chat: Chat) -> str:
        """What the gates read of a chat, as a line; "" where no slider has one. Read once for the latest chat."""
        if chat not in self._gates_read:
            self._check_length(chat, 0)
            self._gates_read = {chat: gates_line(self.lm, self.axes, chat)}
        return self._gates_read[chat]

    def scores(self, chat: Chat, setting: SliderValues) -> dict[str, Any]:
        """Every score, bare and under a setting, and what is said of axes without one."""
        dial = self._attached(setting)
        self._check_length(chat, 0)
        bare = self._held_out.read(self.lm, dial, chat).titled
        dial.set(**setting)
        try:
            now = self._held_out.read(self.lm, dial, chat).titled
        finally:
            dial.set(**dict.fromkeys(self.axes, 0.0))
        without = [f"{axis}: {PASS_PAIRS}, with --pairs {axis}=FILE.jsonl." for axis in self._held_out.without]
        return {"scores": [{"name": name, "bare": bare[name], "now": now[name]} for name in bare], "without": without}

    def tokens(self, chat: Chat, setting: SliderValues, name: str) -> dict[str, Any]:
        """The chat's tokens as HTML, colored by what the axis' direction finds in them under the setting."""
        read = axis_readout(self.axis(name))
        dial = self._attached(setting)
        self._check_length(chat, 0)
        dial.set(**setting)
        try:
            readings = read_tokens(self.lm, chat, {name: read}, dial)
        finally:
            dial.set(**dict.fromkeys(self.axes, 0.0))
        values = [reading.readings[name] for reading in readings]
        return {"html": colored_tokens(readings, name), "layer": read.layer, "low": min(values), "high": max(values)}

    def export(self, to: str, setting: SliderValues) -> tuple[str, bytes]:
        """A setting as another tool's file: its name and content. Raises SteeringError for what the tool can't say."""
        check_choice("download", to, DOWNLOADS)
        self._attached(setting)
        sliders = FixedSliders(self.axes, setting, self.lm.identity.model_type)
        name = f"setting{SUFFIXES[to]}"
        return name, _content(name, lambda path: EXPORTS[to](sliders, path))

    def refusals(self, setting: SliderValues) -> dict[str, str | None]:
        """Why a setting can't be downloaded for each tool; None where it can."""
        return {to: self._refusal(to, setting) for to in DOWNLOADS}

    def _refusal(self, to: str, setting: SliderValues) -> str | None:
        try:
            self.export(to, setting)
        except SteeringError as error:
            return str(error)
        return None

    def vector_file(self, name: str) -> bytes:
        """An axis as the file that `SteeringVector.load` reads."""
        return _content("vector.safetensors", self.axis(name).save)

    def add_file(self, name: str, path: Path) -> None:
        """Add an axis, or replace it, from a vector file."""
        check_axis_name(name)
        self.use(self.lm, {**self.axes, name: Slider.load(path, self.lm, self._allow_mismatch)})

    def add_builtin(self, name: str) -> None:
        """Add a built-in axis, extracted on first use."""
        check_choice("built-in axis", name, BUILTIN_AXES)
        self.use(self.lm, {**self.axes, name: builtin_axis(self.lm, name)})

    def _attached(self, *settings: SliderValues) -> Dial:
        """The dial, if the settings fit it."""
        if self._dial is None:
            raise SteeringError("There is no slider yet: add a vector file, or extract the built-in axes.")
        for setting in settings:
            check_axes(setting, self.axes)
        return self._dial

    def _check_length(self, chat: Chat, new_tokens: int) -> None:
        context = context_length(self.lm) or MAX_PROMPT_TOKENS + new_tokens
        limit = min(MAX_PROMPT_TOKENS, context - new_tokens)
        found = len(self.lm.tokenize(chat).ids)
        if found > limit:
            raise SteeringError(
                f"Expected a chat of {limit} tokens at most, found {found}; clear the chat or ask for shorter answers."
            )


def report_page(path: Path) -> str:
    """A report of `trimtab evaluate` as its HTML page, which loads nothing. Raises SteeringError for other files."""
    report = Report.load(path)
    with DRAWING:
        return _content("report.html", report.to_html).decode()


def check_axis_name(name: str) -> None:
    """Raise SteeringError for what can't be an axis."""
    if not name.isidentifier():
        raise SteeringError(f"Expected an axis name of letters, digits and _, found {name!r}; choose another.")


def _content(name: str, write: Callable[[Path], object]) -> bytes:
    """What is written to a file of that name."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        write(path)
        return path.read_bytes()
