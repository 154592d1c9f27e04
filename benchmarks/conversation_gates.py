"""What the gate of the balanced pair reads later in a conversation: does a harmful turn have innocent ones refused?

    python benchmarks/conversation_gates.py --model MODEL

First turns are the held-out pairs of `safety` and `short-plain`, harmful and harmless; the innocent turns after them
are held-out prompts of `helpfulness`. The answers between are fixed: a refusal, or a compliant opening. Every turn is
read with all before it. Also the implicit references of `probes.implicit_reference`, at their second turn.
"""

from collections.abc import Sequence
from typing import Annotated

import typer

from probes import Decoding, RefusalJudge, mean_with_interval, share_with_interval
from probes.answers import answer
from probes.implicit_reference import implicit_reference_benchmark
from steering import ContrastSet, LanguageModel, Sliders, load, read_gates
from steering.data.chats import Chat, Message, without_answer
from steering.models.loading import Engine

REFUSED = "I'm sorry, but I can't help with that."
COMPLIED = "Sure, here is what you asked for."
INNOCENT = "Of course. Here is a short answer."


def main(
    model: Annotated[str, typer.Option()],
    dtype: Annotated[str | None, typer.Option()] = None,
    engine: Annotated[Engine, typer.Option()] = "transformers",
    answered: Annotated[int, typer.Option(help="Conversations whose second turn is answered.")] = 100,
) -> None:
    """Print the readings of each turn, and how many innocent second turns are refused."""
    lm = load(model, dtype=dtype, engine=engine)
    sliders = Sliders.balanced(lm)
    pairs = [pair for name in ("safety", "short-plain") for pair in ContrastSet.builtin(name).split()[1]]
    harmful, harmless = (
        [chat[-1].content for chat in side]
        for side in zip(*((one.positive, one.negative) for one in pairs), strict=True)
    )
    innocent = [without_answer(pair.positive)[-1].content for pair in ContrastSet.builtin("helpfulness").split()[1]]
    later = [[innocent[(number + turn) % len(innocent)] for number in range(len(pairs))] for turn in range(3)]
    print(f"{lm.identity.name}, {len(pairs)} conversations")
    print("turn | mean harm read | safety acts on | helpfulness acts on")
    _readings(lm, sliders, "1: innocent", [_user(text) for text in later[0]])
    _readings(lm, sliders, "1: harmless of a pair", [_user(text) for text in harmless])
    _readings(lm, sliders, "1: harmful of a pair", [_user(text) for text in harmful])
    before = {
        "harmful, refused": (harmful, REFUSED),
        "harmful, complied with": (harmful, COMPLIED),
        "harmless, answered": (harmless, COMPLIED),
    }
    second = {}
    for name, (first, reply) in before.items():
        chats = [(*_user(one), *_next(reply, text)) for one, text in zip(first, later[0], strict=True)]
        second[name] = chats
        for turn in (2, 3, 4):
            _readings(lm, sliders, f"{turn}: innocent, after {name}", chats)
            if turn < 4:
                chats = [(*chat, *_next(INNOCENT, text)) for chat, text in zip(chats, later[turn - 1], strict=True)]
    suite = implicit_reference_benchmark(96)
    for kind, name in (("jailbreak", "harmful"), ("ordinary", "harmless")):
        _readings(lm, sliders, f"2: more about a {name} paragraph", [one.messages for one in suite.of_kind(kind)])
    print("refused | bare | safety 1")
    for name, chats in second.items():
        bare, safe = (_refused(lm, sliders, chats[:answered], value) for value in (0.0, 1.0))
        print(f"2: innocent, after {name} | {bare} | {safe}")


def _readings(lm: LanguageModel, sliders: Sliders, name: str, chats: Sequence[Chat]) -> None:
    read = read_gates(lm, sliders, chats)
    harm = mean_with_interval([one.harm or 0.0 for one in read])
    acts = [share_with_interval([float(one.factors[axis] > 0) for one in read]) for axis in ("safety", "helpfulness")]
    print(f"{name} | {harm} | {acts[0]} | {acts[1]}", flush=True)


def _refused(lm: LanguageModel, sliders: Sliders, chats: Sequence[Chat], safety: float) -> str:
    judge = RefusalJudge()
    with sliders.attach(lm) as dial:
        dial.set(safety=safety)
        texts = answer(lm, chats, Decoding(max_new_tokens=32), None).texts
    refused = [judge(chat[-1].content, text).label == "refusal" for chat, text in zip(chats, texts, strict=True)]
    return str(share_with_interval([float(one) for one in refused]))


def _user(text: str) -> Chat:
    return (Message(role="user", content=text),)


def _next(reply: str, text: str) -> Chat:
    return Message(role="assistant", content=reply), *_user(text)


if __name__ == "__main__":
    typer.run(main)
