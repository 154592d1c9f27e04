"""Sliders to drag in a notebook, with core ipywidgets controls only: JupyterLab, VS Code and Colab show them alike.

The dial belongs to the thread that moves the sliders; answers are written in another, so that Stop is heard. Whatever
moves the dial stops the writing first.
"""

from collections.abc import Mapping
from contextlib import closing
from html import escape
from itertools import chain, repeat
from threading import Event, Thread
from typing import Any
from weakref import WeakValueDictionary

import ipywidgets as widgets

from steering.data.chats import Message, as_chat
from steering.data.contrast import ContrastSet
from steering.display.html import folded
from steering.display.labels import setting_label
from steering.display.plots import as_image, score_moves
from steering.display.slider_grid import slider_grid
from steering.errors import SteeringError
from steering.explore.answer_stream import stream_answers
from steering.explore.gate_readings import gates_line
from steering.explore.tendencies import PASS_PAIRS, Tendencies, held_out_pairs
from steering.explore.token_readings import TokenReading, axis_readout, colored_tokens, read_tokens
from steering.hooks.dial import attach
from steering.models.language_model import LanguageModel
from steering.models.reasoning import split_reasoning
from steering.vectors.slider import Slider
from steering.vectors.summary import dose_image

NO_COLORS = "nothing"
REFUSAL_REACH, MARGIN_REACH = 2.0, 0.2
"""How far the scores' pictures reach to both sides of the bare model's, in nats, and in nats a token."""
SAME = "Both answers are the same: at these values, nothing that acts on this prompt changes the likeliest tokens."


class WidgetView:
    """Sliders, a prompt, and what the model answers without and with them. A cell that ends with it shows it.

    A model has one at a time, the latest: the moves of two would add up.
    """

    def __init__(
        self,
        sliders: Mapping[str, Slider],
        lm: LanguageModel,
        prompt: str,
        max_new_tokens: int,
        pairs: Mapping[str, ContrastSet],
    ) -> None:
        if (before := _open.get(id(lm.model))) is not None:
            before.close()
        self._pairs = held_out_pairs(lm, sliders, pairs)
        _open[id(lm.model)] = self
        self.dial = attach(sliders, lm)
        self._lm, self._max_new_tokens = lm, max_new_tokens
        self._doses = {name: slider.dose for name, slider in sliders.items() if slider.dose}
        self._bare: dict[str, Tendencies] = {}
        self._readouts = {name: axis_readout(slider) for name, slider in sliders.items()}
        self._texts, self._answered = ("", ""), dict.fromkeys(sliders, 0.0)
        self._readings: tuple[list[TokenReading], list[TokenReading]] | None = None
        self._stopped, self._writer = Event(), Thread()

        self.sliders = {name: _slider(name, slider) for name, slider in sliders.items()}
        self.prompt = widgets.Textarea(
            prompt, description="Prompt", rows=2, continuous_update=False, layout=widgets.Layout(width="auto")
        )
        self.answer_button = widgets.Button(description="Answer", button_style="primary")
        self.stop_button = widgets.Button(description="Stop", disabled=True)
        self.reset_button = widgets.Button(description="All to 0")
        self.colors = widgets.Dropdown(options=[NO_COLORS, *sliders], value=next(iter(sliders)), description="Color by")
        self.gates, self.status, self.scores, self.legend = (widgets.HTML() for _ in range(4))
        self.doses = {name: widgets.HTML() for name in self._doses}
        self.bare, self.steered = (widgets.HTML(layout=widgets.Layout(flex="1 1 20em")) for _ in range(2))
        self.box = self._laid_out(sliders)

        for slider in self.sliders.values():
            slider.observe(self._moved, "value")
        self.prompt.observe(self._moved, "value")
        self.colors.observe(lambda _: self._show(), "value")
        self.answer_button.on_click(lambda _: self._answer_in_background())
        self.stop_button.on_click(lambda _: self.stop())
        self.reset_button.on_click(lambda _: self._reset())
        self._show()
        self._score()
        self._mark_doses()

    @property
    def setting(self) -> dict[str, float]:
        """The sliders' values."""
        return {name: float(slider.value) for name, slider in self.sliders.items()}

    def answer(self) -> tuple[str, str]:
        """Write both answers, as the button does, and return them: the bare model's and the steered one's."""
        self.stop()
        self._write()
        return self._texts

    def stop(self) -> None:
        """End the writing; what is there stays."""
        self._stopped.set()
        if self._writer.is_alive():
            self._writer.join()
        self._stopped.clear()

    def close(self) -> None:
        """Take the sliders off the model and the widget off the page."""
        self.stop()
        self.dial.detach()
        _close(self.box)

    def _repr_mimebundle_(self, **options: Any) -> Any:
        return self.box._repr_mimebundle_(**options)

    def _moved(self, _change: object) -> None:
        self.stop()
        self.dial.set(**self.setting)
        self._score()
        self._mark_doses()

    def _mark_doses(self) -> None:
        """The sliders' values on their curves."""
        for name, dose in self._doses.items():
            self.doses[name].value = dose_image(dose, self.setting[name])

    def _reset(self) -> None:
        for slider in self.sliders.values():
            slider.value = 0.0

    def _score(self) -> None:
        """All scores beside the bare model's; what the gates read, once a prompt."""
        prompt = self.prompt.value
        if prompt not in self._bare:
            self.dial.set(**dict.fromkeys(self.sliders, 0.0))
            self._bare = {prompt: self._pairs.read(self._lm, self.dial, prompt)}
            self.gates.value = f"<small>{escape(gates_line(self._lm, self.dial.sliders, prompt))}</small>"
            self.dial.set(**self.setting)
        bare = self._bare[prompt]
        now = self._pairs.read(self._lm, self.dial, prompt) if any(self.setting.values()) else bare
        reaches = chain([REFUSAL_REACH], repeat(MARGIN_REACH))
        moves = [
            (*one, after, reach)
            for one, after, reach in zip(bare.titled.items(), now.titled.values(), reaches, strict=False)
        ]
        self.scores.value = as_image(score_moves(moves), f"bare: {bare}; now: {now}")

    def _answer_in_background(self) -> None:
        self.stop()
        self._writer = Thread(target=self._write_unwatched, daemon=True)
        self._writer.start()

    def _write_unwatched(self) -> None:
        try:
            self._write()
        except Exception as error:  # nobody waits for this thread
            self.status.value = escape(str(error))

    def _write(self) -> None:
        """Stream both answers, then read their tokens. The dial is where the sliders are afterwards."""
        prompt, self._answered = self.prompt.value, self.setting
        self._texts, self._readings = ("", ""), None
        self.answer_button.disabled, self.stop_button.disabled = True, False
        self.status.value = "Writing …"
        try:
            if not prompt.strip():
                raise SteeringError("The prompt is empty; type one.")
            settings: list[dict[str, float]] = [{}, self._answered]
            answers = stream_answers(self._lm, self.dial, [prompt] * 2, settings, self._max_new_tokens)
            with closing(answers):
                for bare, steered in answers:
                    self._texts = bare, steered
                    self._show()
                    if self._stopped.is_set():
                        break
            bare_setting = dict.fromkeys(self.sliders, 0.0)
            bare, steered = (split_reasoning(text).answer for text in self._texts)
            bare_readings = self._read(prompt, bare, bare_setting)
            self._readings = bare_readings, self._read(prompt, steered, self._answered)
            self.status.value = "Stopped." if self._stopped.is_set() else self._why_same()
        finally:
            self.dial.set(**self.setting)
            self.answer_button.disabled, self.stop_button.disabled = False, True
            self._show()

    def _why_same(self) -> str:
        """A sentence where sliders were moved and nothing came of it; else nothing."""
        bare, steered = self._texts
        return SAME if bare == steered and any(self._answered.values()) else ""

    def _read(self, prompt: str, answer: str, setting: Mapping[str, float]) -> list[TokenReading]:
        """The answer's tokens, read as they were written."""
        self.dial.set(**setting)
        chat = (*as_chat(prompt), Message(role="assistant", content=answer))
        readings = read_tokens(self._lm, chat, self._readouts, self.dial)
        return [reading for reading in readings if not reading.in_prompt]

    def _show(self) -> None:
        """Both answers, colored once they have been read; thoughts folded above them."""
        axis = self.colors.value
        written = [split_reasoning(text) for text in self._texts]
        titles = "bare", setting_label(self._answered)
        if self._readings is None or axis == NO_COLORS:
            contents = [f'<span style="white-space:pre-wrap">{escape(one.answer)}</span>' for one in written]
            self.legend.value = ""
        else:
            beside = [reading for side in self._readings for reading in side]
            contents = [colored_tokens(side, axis, beside) for side in self._readings]
            layer = self._readouts[axis].layer
            self.legend.value = (
                '<div style="line-height:1.4;font-size:smaller">'
                f"Color: what the {escape(axis)} direction reads in each token after block {layer}, in the "
                "residual stream's units; violet below the median of both answers, orange above. "
                "Point at a token for its figure.</div>"
            )
        for pane, title, one, content in zip((self.bare, self.steered), titles, written, contents, strict=True):
            thought = folded("Thought" if one.closed else "Thinking …", one.reasoning)
            pane.value = f'<div style="line-height:1.6"><b>{escape(title)}</b><br>{thought}{content}</div>'

    def _laid_out(self, sliders: Mapping[str, Slider]) -> widgets.VBox:
        lines: list[widgets.Widget] = []
        for name, slider in self.sliders.items():
            told = [sliders[name].summary().range_text, *([PASS_PAIRS] if name in self._pairs.without else [])]
            lines += [slider, widgets.HTML(f"<small>{escape('; '.join(told))}</small>")]
            lines += [self.doses[name]] if name in self.doses else []
        wrap = widgets.Layout(flex_flow="row wrap", align_items="center")
        buttons = [self.answer_button, self.stop_button, self.reset_button, self.colors, self.status]
        answers = widgets.Layout(flex_flow="row wrap", align_items="flex-start", grid_gap="1.5em")
        moved = widgets.HBox([widgets.VBox(lines), self.scores], layout=wrap)
        written = widgets.HBox([self.bare, self.steered], layout=answers)
        return widgets.VBox([self.prompt, self.gates, moved, widgets.HBox(buttons, layout=wrap), written, self.legend])


_open: "WeakValueDictionary[int, WidgetView]" = WeakValueDictionary()
"""By the model's id."""


def _close(widget: widgets.Widget) -> None:
    for child in getattr(widget, "children", ()):
        _close(child)
    widget.close()


def _slider(name: str, slider: Slider) -> widgets.FloatSlider:
    low, high, step = slider_grid(slider.range)
    look = {"style": {"description_width": "initial"}, "layout": widgets.Layout(width="24em"), "readout_format": "+.2f"}
    return widgets.FloatSlider(0.0, min=low, max=high, step=step, description=name, continuous_update=False, **look)
