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


def answer_pairs(count: int) -> ContrastSet:
    answer = Message(role="assistant", content="Gladly: one, two.")
    pairs = [
        pair.model_copy(update={"positive": (*pair.positive, answer), "negative": (*pair.negative, answer)})
        for pair in prompt_pairs(count)
    ]
    return ContrastSet(tuple(pairs), Header(name="toy-answers"))
