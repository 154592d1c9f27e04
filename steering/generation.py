"""Generating under many slider settings. (One prompt or batch: `LanguageModel.chat` and `generate`.)"""

from collections.abc import Mapping, Sequence
from typing import Any

from tqdm.auto import tqdm

from steering.chats import ChatLike
from steering.language_model import LanguageModel
from steering.sliders import Sliders


def sweep(
    lm: LanguageModel,
    sliders: Sliders,
    prompts: Sequence[ChatLike],
    settings: Sequence[Mapping[str, float]],
    *,
    max_new_tokens: int = 64,
    rows_per_batch: int = 32,
    scope: str | Mapping[str, str] | None = None,
    progress: bool = True,
    **options: Any,
) -> list[list[str]]:
    """Answers to every prompt under every setting, `answers[prompt][setting]`; settings run together as batch rows.

    An axis that a setting doesn't name is at 0. `options` are those of `LanguageModel.generate`.
    """
    for setting in settings:
        sliders.check_axes(setting)
    cells = [(prompt, setting) for prompt in prompts for setting in settings]
    answers: list[str] = []
    with sliders.attach(lm, scope=scope) as dial, tqdm(total=len(cells), unit="answer", disable=not progress) as bar:
        for start in range(0, len(cells), rows_per_batch):
            some = cells[start : start + rows_per_batch]
            dial.set(**{axis: [setting.get(axis, 0.0) for _, setting in some] for axis in sliders.axes})
            answers += lm.generate([prompt for prompt, _ in some], max_new_tokens, **options)
            bar.update(len(some))
    width = len(settings)
    return [answers[row : row + width] for row in range(0, len(answers), width)]
