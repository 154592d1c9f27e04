"""Sliders: named axes that a user moves, and the ways to come by them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from steering.data.chats import ChatLike
from steering.data.contrast import ContrastSet
from steering.errors import SteeringError
from steering.formats.hub import sliders_from_pretrained
from steering.hooks.dial import Dial, attach
from steering.models.bridge import Bridge
from steering.models.language_model import LanguageModel
from steering.recipes.balanced_pair import balanced_pair
from steering.vectors.slider import Slider, as_slider, check_axis_names
from steering.vectors.steering_vector import SteeringVector
from steering.vectors.summary import sliders_html

if TYPE_CHECKING:
    from steering.explore.text_view import TextView
    from steering.explore.widget import WidgetView


class Sliders(Mapping[str, Slider]):
    """Named axes, each with its slider. Attach them to move a model.

    Args:
        axes: a `Slider` for each name, or a `SteeringVector`, which becomes its plain slider.

    Raises:
        SteeringError: for no axis, one called `harm`, or anything else.

    Example:
        >>> sliders = Sliders(safety=vector, helpfulness=-1 * vector)
        >>> with sliders.attach(lm) as dial:
        ...     dial.set(safety=1.0, helpfulness=0.5)
        ...     answer = lm.chat("How do I kill a Python process?", max_new_tokens=4)
    """

    def __init__(self, /, **axes: Slider | SteeringVector) -> None:
        if not axes:
            raise SteeringError("Expected at least one axis, found none; write Sliders(safety=vector).")
        check_axis_names(axes)
        for name, slider in axes.items():
            if not isinstance(slider, Slider | SteeringVector):
                raise SteeringError(
                    f"Expected a SteeringVector or Slider for axis {name!r}, found {type(slider).__name__!r}; "
                    "extract or load one, or wrap a tensor: SteeringVector(directions)."
                )
        self.axes = {name: as_slider(slider) for name, slider in axes.items()}
        """The sliders by name; `sliders["safety"]` and the rest of a mapping's ways work too."""

    @staticmethod
    def balanced(
        lm: LanguageModel,
        *,
        harmful: Sequence[ChatLike] = (),
        harmless: Sequence[ChatLike] = (),
        false_alarms: float | None = None,
        missed: float | None = None,
        quick: bool = False,
        progress: bool = True,
    ) -> "Sliders":
        """Safety and helpfulness, as independent of each other as we know how: see `steering.recipes.balanced`.

        Those shipped with the package where they fit the model; else made, which takes minutes, and kept in the cache
        folder. Prompts of yours teach the gate that decides which slider acts.

        Args:
            lm: the model.
            harmful: prompts of yours that safety is to act on, 10 at least and better 30.
            harmless: prompts of yours that it is to leave alone, as many.
            false_alarms: share of harmless prompts on which safety may act; a tenth unless given.
            missed: share of harmful prompts on which helpfulness may act; unless given, it acts on seven in ten of the
                harmless ones.
            quick: read every other built-in pair only.
            progress: show bars while they are made.

        Returns:
            Sliders named `safety` and `helpfulness`.

        Raises:
            SteeringError: where they can't be made or kept, and for prompts of yours that teach nothing.

        Example:
            >>> own = {"harmful": pharmacy_no, "harmless": pharmacy_yes}  # doctest: +SKIP
            >>> sliders = Sliders.balanced(lm, **own, false_alarms=0.05)  # doctest: +SKIP
        """
        pair = balanced_pair(
            lm,
            harmful=harmful,
            harmless=harmless,
            false_alarms=false_alarms,
            missed=missed,
            quick=quick,
            progress=progress,
        )
        return Sliders(**pair)

    @staticmethod
    def from_pretrained(
        source: str | Path,
        lm: LanguageModel | None = None,
        *,
        allow_mismatch: Iterable[str] = (),
        revision: str | None = None,
    ) -> "Sliders":
        """All sliders of a folder that `trimtab export --to hub` wrote, or of a Hub repository.

        Args:
            source: the folder, or a Hub id such as `you/name`; only that reaches the network.
            lm: the model that they have to belong to; attaching checks it again.
            allow_mismatch: differences to accept, out of `steering.models.identity.ALLOWABLE`.
            revision: branch, tag or commit of a Hub id.

        Returns:
            The sliders by their axes' names.

        Raises:
            SteeringError: when there are none, or they belong to another model.
        """
        found = sliders_from_pretrained(source, revision)
        if lm is not None:
            for slider in found.values():
                slider.check(lm.identity, allow_mismatch)
        return Sliders(**found)

    def attach(
        self,
        model: LanguageModel | nn.Module | Bridge,
        *,
        tokens: str | Mapping[str, str] | None = None,
        allow_mismatch: Iterable[str] = (),
        blocks: str | None = None,
    ) -> Dial:
        """Put hooks on the model's blocks, all sliders at 0, and return the dial that moves them.

        Use the dial as a context manager, or call its `detach()`.

        Args:
            model: a `LanguageModel`, a plain transformers model, a wrapper of one (a PeftModel, what `torch.compile`
                returns, `DataParallel` on one device), or a `TransformerBridge` of TransformerLens 4. Whether the
                wrapper is called or what it wraps, the same passes are steered.
            tokens: tokens that are moved, for all axes or by name; else the sliders' own. `all`, `prompt`, `generated`,
                `answer`, `answer:K`, `thought`, `last_prompt_token`, `prompt_end:K` or `from_token:K`.
            allow_mismatch: differences between the vectors' model and this one to accept.
            blocks: dotted path of a plain transformers model's decoder blocks, where they can't be found.

        Raises:
            SteeringError: when a vector was made on another model.
        """
        return attach(self, model, tokens=tokens, allow_mismatch=allow_mismatch, blocks=blocks)

    def widget(
        self,
        lm: LanguageModel,
        prompt: str = "Why is the sky blue?",
        max_new_tokens: int = 64,
        *,
        pairs: Mapping[str, ContrastSet] | None = None,
    ) -> "WidgetView | TextView":
        """Live sliders for a notebook: answers bare and steered side by side, tokens colored, scores that follow.

        Show it as a cell's last line; `close()` takes the sliders off the model, as does another widget on the same
        model. Without ipywidgets (`pip install 'trimtab[notebook]'`) it is a view that compares in text.

        Args:
            lm: the model.
            prompt: what is answered first.
            max_new_tokens: length of an answer at most.
            pairs: by axis of one's own, the contrast set that it was extracted from: eight of its held-out pairs give
                the axis a score of its own. Built-in sets are known.

        Raises:
            SteeringError: when a vector was made on another model, and for pairs of another vector or of no axis.

        Example:
            >>> sliders.widget(lm, pairs={"manners": ContrastSet.load("manners.jsonl")})  # doctest: +SKIP
        """
        if find_spec("ipywidgets") is None:
            from steering.explore.text_view import TextView

            return TextView(self, lm, prompt, max_new_tokens, pairs or {})
        from steering.explore.widget import WidgetView

        return WidgetView(self, lm, prompt, max_new_tokens, pairs or {})

    def __getitem__(self, name: str) -> Slider:
        return self.axes[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.axes)

    def __len__(self) -> int:
        return len(self.axes)

    def __repr__(self) -> str:
        return f"Sliders({', '.join(f'{name}={slider!r}' for name, slider in self.items())})"

    def _repr_html_(self) -> str:
        return sliders_html({name: slider.summary() for name, slider in self.items()})
