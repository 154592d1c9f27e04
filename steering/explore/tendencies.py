"""Two scores that follow the sliders without any text being written."""

from collections.abc import Sequence
from dataclasses import dataclass

from steering.data.contrast import ContrastPair, ContrastSet
from steering.hooks.dial import Dial
from steering.models.language_model import LanguageModel
from steering.scoring.answer_likelihood import preference_margin
from steering.scoring.next_token import refusal_score

PAIRS = 4
"""So few are read in a second or two on a laptop; for a figure to quote use `probes.evaluate`."""


@dataclass(frozen=True)
class Tendencies:
    """Where the model leans as the dial stands."""

    refusal: float
    """Log odds, in nats, that the answer to the prompt begins as refusals do."""
    helpfulness: float
    """How much likelier engaged answers are than evasive ones, in nats a token: mean over `held_out_pairs`."""

    def __str__(self) -> str:
        return f"refusal score {self.refusal:+.2f} nats, helpfulness margin {self.helpfulness:+.2f} nats a token"


def held_out_pairs() -> Sequence[ContrastPair]:
    """A few pairs of the built-in helpfulness set that `extract` keeps out of its vectors."""
    return ContrastSet.builtin("helpfulness").split()[1].spread(PAIRS)


def tendencies(lm: LanguageModel, dial: Dial, prompt: str, pairs: Sequence[ContrastPair]) -> Tendencies:
    """Both scores under whatever the dial is set to."""
    return Tendencies(refusal_score(lm, [prompt]).item(), preference_margin(lm, pairs, dial).mean().item())
