"""Trimtab, in the environment of this repository."""

from common import Bare

from steering import (
    DIRECTIONS,
    ContrastPair,
    ContrastSet,
    Header,
    LanguageModel,
    Message,
    Sliders,
    SteeringVector,
    stream_pairs,
    sweep,
)


class Adapter(Bare):
    """Mean differences; the chats are those that the others get as rendered text."""

    def __init__(self, model, tokenizer, jobs) -> None:
        super().__init__(model, tokenizer, jobs)
        self.lm = LanguageModel(model, tokenizer)
        self.sliders = Sliders(a=SteeringVector(self.directions[0]), b=SteeringVector(self.directions[1]))
        pairs = [
            ContrastPair(
                id=str(number),
                group="all",
                positive=(Message(role="user", content=positive),),
                negative=(Message(role="user", content=negative),),
            )
            for number, (positive, negative) in enumerate(jobs["chats"])
        ]
        self.contrast = ContrastSet(tuple(pairs), Header(name="pairs"))

    def extract(self) -> list[list[float]]:
        """All layers, last token."""
        return DIRECTIONS["difference_in_means"](stream_pairs(self.lm, self.contrast, progress=False)).tolist()

    def steered(self, rows: int) -> list[list[int]]:
        """Decoding with both axes on all layers."""
        with self.sliders.attach(self.lm) as dial:
            dial.set(a=1.0, b=-0.5)
            return self.decode(rows)

    def sweep(self) -> list[list[int]]:
        """Settings as rows; text is tokenized again for the comparison."""
        values = self.jobs["grid"]
        settings = [{"a": a, "b": b} for a in values for b in values]
        count = self.jobs["sweep_tokens"]
        answers = sweep(
            self.lm,
            self.sliders,
            self.jobs["sweep_chats"],
            settings,
            max_new_tokens=count,
            progress=False,
            eos_token_id=None,
        )
        return [answer for row in answers for answer in row]
