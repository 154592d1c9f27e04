"""What `Sliders.widget` opens where ipywidgets isn't installed."""

from collections.abc import Mapping

from steering.data.contrast import ContrastSet
from steering.display.labels import setting_label
from steering.explore.gate_readings import gates_line
from steering.explore.tendencies import PASS_PAIRS, held_out_pairs
from steering.extras import pip_install
from steering.hooks.dial import attach
from steering.models.language_model import LanguageModel
from steering.vectors.slider import Slider
from steering.vectors.summary import dose_text


class TextView:
    """Compares in text what a widget would show, and says so when it is shown."""

    def __init__(
        self,
        sliders: Mapping[str, Slider],
        lm: LanguageModel,
        prompt: str,
        max_new_tokens: int,
        pairs: Mapping[str, ContrastSet],
    ) -> None:
        self._sliders, self._lm, self._prompt, self._max_new_tokens = sliders, lm, prompt, max_new_tokens
        self._pairs = held_out_pairs(lm, sliders, pairs)

    def compare(self, prompt: str | None = None, **setting: float) -> str:
        """Scores and answer of the bare model and under a setting, to print; before them what gates and doses say."""
        prompt = self._prompt if prompt is None else prompt
        with attach(self._sliders, self._lm) as dial:
            told = [f"prompt: {prompt}", gates_line(self._lm, self._sliders, prompt)]
            doses = [(name, one.dose) for name, one in self._sliders.items() if name in setting]
            told += [f"{name} {dose_text(dose, setting[name])}" for name, dose in doses if dose]
            told += [f"{name}: {PASS_PAIRS}" for name in self._pairs.without if name in setting]
            blocks = ["\n".join(filter(None, told))]
            for values in (dict.fromkeys(setting, 0.0), setting):
                dial.set(**values)
                found = self._pairs.read(self._lm, dial, prompt)
                answer = self._lm.chat(prompt, self._max_new_tokens)
                blocks.append(f"{setting_label(values)}: {found}\n{answer}")
        return "\n\n".join(blocks)

    def close(self) -> None:
        """As of the widget; here nothing is attached between comparisons."""

    def __repr__(self) -> str:
        name, slider = next(iter(self._sliders.items()))
        lines = [
            f"ipywidgets isn't installed, so there is nothing to drag: run {pip_install('notebook')} and then "
            "the cell again. Until then, with this object as `view` and its sliders as `sliders`:",
            f"    print(view.compare({self._prompt!r}, {name}={slider.range[1]:g}))",
            f"    dial = sliders.attach(lm); dial.set({name}={slider.range[1]:g}); …; dial.detach()",
        ]
        return "\n".join([*lines, *(f"{axis}: {one.summary().range_text}" for axis, one in self._sliders.items())])
