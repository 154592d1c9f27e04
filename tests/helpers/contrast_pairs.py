"""Contrast sets of made-up pairs."""

from steering import (
    ContrastPair,
    ContrastSet,
)
from steering.data.chats import Message
from steering.data.contrast import Header


def prompt_pairs(count: int) -> ContrastSet:
    pairs = [
        ContrastPair(
            id=f"p{index}",
            group="g",
            positive=(Message(role="user", content=f"Break {index} {'x' * (index % 7)}"),),
            negative=(Message(role="user", content=f"Mend {index} {'yz' * (index % 5)}"),),
        )
        for index in range(count)
    ]
    return ContrastSet(tuple(pairs), Header(name="toy"))


def answer_pairs(count: int, alike: bool = True) -> ContrastSet:
    """Pairs of answers to the prompts of `prompt_pairs`: the same answer, or a plain and a rude one."""
    plain, rude = (Message(role="assistant", content=text) for text in ("Gladly: one, two.", "Nope! Three."))
    answers = (plain, plain if alike else rude)
    pairs = [
        pair.model_copy(update={"positive": (*pair.positive, answers[0]), "negative": (*pair.negative, answers[1])})
        for pair in prompt_pairs(count)
    ]
    return ContrastSet(tuple(pairs), Header(name="toy-answers"))
