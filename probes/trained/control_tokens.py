"""Answers of a model that was trained to obey control tokens, beside sliders, prompting and reranking."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path

from probes.answers import Answers, Decoding, answer
from probes.trained.control_data import LEVELS, controlled
from probes.trained.training import RECORD, ControlRecord, adapted
from steering import LanguageModel
from steering.data.chats import ChatLike, Message, as_chat
from steering.errors import SteeringError, first_line
from steering.models.identity import mismatches
from steering.vectors.slider import SliderValues


@dataclass(frozen=True)
class ControlTokens:
    """The seed paper's fine-tuned control (Tuan et al. 2024, arXiv 2404.01295), from a folder that training wrote.

    Axis values from -1 to 1 ask for levels from lowest to highest; all at 0 is the model without the adapter.

    Raises:
        SteeringError: for a folder without a record of training.

    Example:
        >>> compare(lm, {"trained": ControlTokens("control")}, [0, 1], [builtin_benchmark()])  # doctest: +SKIP
    """

    folder: str | Path

    def __post_init__(self) -> None:
        _ = self.record

    @cached_property
    def record(self) -> ControlRecord:
        """What the adapter was trained on and how."""
        path = Path(self.folder) / RECORD
        try:
            return ControlRecord.model_validate_json(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise SteeringError(
                f"{str(path)!r} is no record of training ({first_line(error)}); train again."
            ) from error

    @property
    def axes(self) -> Mapping[str, str]:
        """What each axis was trained by."""
        how = f"level asked for by control tokens, trained with {self.record.loss} on scores of {self.record.scored_by}"
        return dict.fromkeys(self.record.attributes, how)

    @property
    def fingerprint(self) -> str:
        """Tells trained adapters apart."""
        files = sorted(path for path in Path(self.folder).iterdir() if path.suffix in (".json", ".safetensors"))
        return sha256(b"".join(path.read_bytes() for path in files)).hexdigest()

    def answers(
        self, lm: LanguageModel, prompts: Sequence[ChatLike], values: SliderValues, decoding: Decoding, seed: int | None
    ) -> Answers:
        """What the trained model writes when these levels are asked for; at 0 alone, what the bare one writes."""
        if not any(values.values()):
            return answer(lm, prompts, decoding, seed)
        for difference in mismatches(self.record.model, lm.identity).values():
            raise SteeringError(
                f"{str(self.folder)!r} was trained for another model: {difference}; train one for this."
            )
        levels = {name: _level(name, values.get(name, 0.0)) for name in self.record.attributes}
        with adapted(lm, self.folder) as trained:
            return answer(trained, [_asked(prompt, levels) for prompt in prompts], decoding, seed)


def _level(name: str, value: float) -> int:
    if not -1 <= value <= 1:
        raise SteeringError(f"Expected {name!r} from -1 to 1, found {value:g}; control tokens know no levels beyond.")
    return round((1 + value) / 2 * (LEVELS - 1))


def _asked(prompt: ChatLike, levels: Mapping[str, int]) -> ChatLike:
    *before, last = as_chat(prompt)
    return (*before, Message(role=last.role, content=controlled(last.content, levels)))
