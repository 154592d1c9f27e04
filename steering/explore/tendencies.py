"""Scores that follow the sliders without any text being written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from steering.data.chats import ChatLike
from steering.data.contrast import ContrastPair, ContrastSet
from steering.errors import SteeringError
from steering.hooks.dial import Dial
from steering.models.language_model import LanguageModel
from steering.scoring.answer_likelihood import preference_margin
from steering.scoring.next_token import refusal_score
from steering.scoring.own_pairs import OwnPairs, check_pairs, made_from, own_pairs
from steering.vectors.slider import Slider

PAIRS = 4
"""So few are read in a second or two on a laptop; for a figure to quote use `probes.evaluate`."""
OWN_PAIRS = 8
"""Of an axis of one's own; of prompts, the model answers some alike, and four are the least."""
PASS_PAIRS = "for a score of its own, pass the pairs that it was made from"
"""Said of an axis without."""
SHOWN_FOR_ALL = ("safety", "helpfulness")
"""Built-in sets whose scores are shown for any axis: refusal and helpfulness."""


@dataclass(frozen=True)
class Tendencies:
    """Where the model leans as the dial stands."""

    refusal: float
    """Log odds, in nats, that the answer to the prompt begins as refusals do."""
    helpfulness: float
    """How much likelier engaged answers are than evasive ones, in nats a token: mean over the held-out pairs."""
    own: Mapping[str, float]
    """The scores that axes of one's own are meant to raise, in nats a token, by the scores' names."""

    @property
    def titled(self) -> dict[str, float]:
        """All scores with their units, refusal first."""
        margins = {"engaged over evasive": self.helpfulness, **self.own}
        titled = {f"{name} (nats a token)": value for name, value in margins.items()}
        return {"refusal of this prompt (nats)": self.refusal, **titled}

    def __str__(self) -> str:
        own = "".join(f", {name} {value:+.2f} nats a token" for name, value in self.own.items())
        return f"refusal score {self.refusal:+.2f} nats, helpfulness margin {self.helpfulness:+.2f} nats a token{own}"


@dataclass(frozen=True)
class HeldOutPairs:
    """What tendencies are read on: pairs that made none of the vectors."""

    helpfulness: Sequence[ContrastPair]
    own: Sequence[OwnPairs]
    without: Sequence[str]
    """Axes of one's own that have no score, as their pairs aren't known."""

    def read(self, lm: LanguageModel, dial: Dial, prompt: ChatLike) -> Tendencies:
        """The scores under whatever the dial is set to."""

        def margin(pairs: Sequence[ContrastPair]) -> float:
            return preference_margin(lm, pairs, dial).mean().item()

        own = {one.name: margin(one.pairs) for one in self.own}
        return Tendencies(refusal_score(lm, [prompt]).item(), margin(self.helpfulness), own)


def held_out_pairs(lm: LanguageModel, sliders: Mapping[str, Slider], given: Mapping[str, ContrastSet]) -> HeldOutPairs:
    """A few pairs of the built-in helpfulness set, and of the set of each axis that is given or that the package has.

    Args:
        lm: the model, any slider at 0: it answers pairs of prompts.
        sliders: by axis.
        given: by axis, the contrast set that its vector was extracted from.

    Raises:
        SteeringError: for sets of other axes, of other vectors, or of too few pairs.
    """
    check_pairs(given, sliders)
    own: list[OwnPairs] = []
    without: list[str] = []
    for axis in [axis for axis in sliders if axis in given or axis not in SHOWN_FOR_ALL]:
        try:
            made = made_from(sliders[axis], axis, given.get(axis))
            if not (made.is_builtin and made.name in SHOWN_FOR_ALL):
                own.append(own_pairs(lm, made.held_out.spread(OWN_PAIRS), axis))
        except SteeringError:
            if axis in given:
                raise
            without.append(axis)
    return HeldOutPairs(ContrastSet.builtin("helpfulness").split()[1].spread(PAIRS), own, without)
