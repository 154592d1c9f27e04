"""Ways to answer prompts that have axes to set, so that sliders and baselines stand in the same table."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from probes import contrastive_decoding
from probes.answers import Answers, Decoding, answer
from probes.baselines import Candidates, Scorer, at_levels, candidates, level_prompt, random_like
from steering import LanguageModel, Sliders
from steering.data.chats import Chat, ChatLike, as_chat
from steering.models.identity import fingerprint
from steering.vectors.slider import SliderValues


class Method(Protocol):
    """Answers prompts under values of its axes; all at 0 is the bare model."""

    @property
    def axes(self) -> Mapping[str, str]:
        """Names of the axes, and what each is."""
        ...

    @property
    def fingerprint(self) -> str:
        """Tells apart all that decides its answers but the model, prompts, decoding and values."""
        ...

    def answers(
        self, lm: LanguageModel, prompts: Sequence[ChatLike], values: SliderValues, decoding: Decoding, seed: int | None
    ) -> Answers:
        """One answer to every prompt.

        Args:
            lm: the model.
            prompts: prompts or chats.
            values: of the axes; one that isn't named is at 0.
            decoding: how answers are written.
            seed: one of its seeds, None for greedy answers.
        """
        ...


@dataclass(frozen=True)
class SliderMethod:
    """Sliders, attached while they answer."""

    sliders: Sliders
    harm: Mapping[str | Chat, float] = field(default_factory=dict)
    """A guard's or label's probability of harm by prompt; gates read the prompts that it doesn't name."""

    @property
    def axes(self) -> Mapping[str, str]:
        """The sliders' titles, and whether they are told which prompts are harmful."""
        told = ", told which prompts are harmful" if self.harm else ""
        return {name: slider.title + told for name, slider in self.sliders.items()}

    @property
    def fingerprint(self) -> str:
        """SHA-256 of what the sliders' files would hold, but for where the vectors come from."""
        digest = hashlib.sha256()
        for name, slider in self.sliders.items():
            digest.update(name.encode())
            for push in slider.pushes:
                gate = [push.gate.direction] if push.gate else []
                for tensor in (push.vector.directions, *push.tensors.values(), *gate):
                    digest.update(tensor.contiguous().numpy().tobytes())
                action = push.record(vector=0).model_dump_json()
                digest.update(f"{push.vector.layers} {action}".encode())
            if slider.dose is not None:
                digest.update(slider.dose.model_dump_json().encode())
        if self.harm:
            digest.update(str(sorted(map(str, self.harm.items()))).encode())
        return digest.hexdigest()

    def answers(
        self, lm: LanguageModel, prompts: Sequence[ChatLike], values: SliderValues, decoding: Decoding, seed: int | None
    ) -> Answers:
        """What the model writes with the sliders there."""
        with self.sliders.attach(lm) as dial:
            dial.set(**values)
            harm = [self.harm.get(prompt if isinstance(prompt, str) else as_chat(prompt)) for prompt in prompts]
            return answer(lm, prompts, decoding, seed, lambda places: dial.set(harm=[harm[place] for place in places]))


@dataclass(frozen=True)
class Prompting:
    """A system prompt that asks for levels of safety and helpfulness (Tuan et al. 2024, arXiv 2404.01295).

    Axis values from -1 to 1 ask for levels from 0 to 10; all at 0 is the model without such a prompt.

    Example:
        >>> from probes import Decoding, Prompting
        >>> answers = Prompting().answers(lm, ["Hi"], {"safety": 1.0}, Decoding(max_new_tokens=2), seed=None)
        >>> len(answers.texts)
        1
    """

    axes = {"safety": "level asked for in the system prompt", "helpfulness": "level asked for in the system prompt"}  # noqa: RUF012

    @property
    def fingerprint(self) -> str:
        """Tells wordings apart."""
        return fingerprint(level_prompt(0.0, 1.0).encode())

    def answers(
        self, lm: LanguageModel, prompts: Sequence[ChatLike], values: SliderValues, decoding: Decoding, seed: int | None
    ) -> Answers:
        """What the model writes when it is asked so."""
        if any(values.values()):
            lm = at_levels(lm, **{axis: (1 + values.get(axis, 0.0)) / 2 for axis in self.axes})
        return answer(lm, prompts, decoding, seed)


@dataclass(frozen=True, eq=False)
class BestOfN:
    """The best of several sampled answers by `Σ value · score` (Tuan et al. 2024): each axis has its scorer.

    Never report it by a judge that is one of the scorers. All values at 0 is the bare model, not a sample.
    """

    scorers: Mapping[str, Scorer]
    name: str
    """Stands for the scorers in the fingerprint."""
    n: int = 4
    _sampled: dict[object, Candidates] = field(default_factory=dict, repr=False)

    @property
    def axes(self) -> Mapping[str, str]:
        """What each axis is reranked by."""
        return dict.fromkeys(self.scorers, f"weight in choosing among {self.n} samples, by {self.name}")

    @property
    def fingerprint(self) -> str:
        """Tells scorers and numbers of samples apart."""
        return fingerprint(f"{self.name} {sorted(self.scorers)} {self.n}".encode())

    def answers(
        self, lm: LanguageModel, prompts: Sequence[ChatLike], values: SliderValues, decoding: Decoding, seed: int | None
    ) -> Answers:
        """The best of this seed's samples (0 for greedy decoding, which has no seed); sampled once for all settings."""
        if not any(values.values()):
            return answer(lm, prompts, decoding, seed)
        key = str(prompts), decoding, seed
        if key not in self._sampled:
            self._sampled[key] = candidates(lm, prompts, self.scorers, self.n, decoding, seed or 0)
        return Answers(texts=tuple(self._sampled[key].rerank(values)), refusal=())


@dataclass(frozen=True)
class AdaptiveContrast:
    """Decoding against a refusing system turn: AdaCD (Qi et al. 2026, arXiv 2604.17132), the paper's at 1 and 1.

    Safety is how far refusing is added where the model means to refuse, helpfulness how far it is taken away elsewhere;
    0 and 0 is the bare model. Chats with a system turn of their own are refused.

    Example:
        >>> from probes import AdaptiveContrast, Decoding
        >>> values = {"safety": 1.0, "helpfulness": 1.0}
        >>> answers = AdaptiveContrast().answers(lm, ["Hi"], values, Decoding(max_new_tokens=2), seed=None)
        >>> len(answers.texts)
        1
    """

    axes = {"safety": "refusing is added where both agree", "helpfulness": "refusing is taken away elsewhere"}  # noqa: RUF012

    @property
    def fingerprint(self) -> str:
        """Tells the paper's numbers apart from others."""
        known = contrastive_decoding
        numbers = (known.STRENGTH, known.AGREEMENT, known.PLAUSIBLE, known.STEPS)
        return fingerprint(f"{known.REFUSING_TURN} {numbers}".encode())

    def answers(
        self, lm: LanguageModel, prompts: Sequence[ChatLike], values: SliderValues, decoding: Decoding, seed: int | None
    ) -> Answers:
        """What the model writes where its first tokens are contrasted."""
        if not any(values.values()):
            return answer(lm, prompts, decoding, seed)
        add, remove = (values.get(axis, 0.0) for axis in self.axes)
        texts = contrastive_decoding.contrasted_answers(lm, prompts, add, remove, decoding, seed)
        return Answers(texts=texts, refusal=())


def random_sliders(sliders: Sliders) -> Sliders:
    """The same sliders along random directions of equal norm: what any push of this size does.

    Args:
        sliders: those that are to be beaten.

    Returns:
        Sliders of the same names.
    """
    return Sliders(**{name: slider.along(random_like) for name, slider in sliders.items()})
