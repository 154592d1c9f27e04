"""`trimtab generate`: answers to prompts under one setting of the sliders."""

import json
import sys
from typing import Annotated

import typer

import steering
from steering.data.chats import Message
from steering.display.visible import visible
from steering.errors import SteeringError
from steering.models.reasoning import split_reasoning
from trimtab.builtin_sliders import move, slider_values
from trimtab.options import Json, MaxNewTokens, ModelOptions, Tokens, VectorOptions
from trimtab.profiles import ProfileOptions
from trimtab.terminal import echo

UNFINISHED = "The thought did not end within {} tokens, so there is no answer; raise --max-new-tokens."


def generate(
    model: ModelOptions,
    vectors: VectorOptions,
    profile: ProfileOptions,
    prompts: Annotated[list[str] | None, typer.Argument(help="Prompts; without any, one a line of stdin.")] = None,
    safety: Annotated[float | None, typer.Option(help="Slider value.")] = None,
    helpfulness: Annotated[float | None, typer.Option(help="Slider value.")] = None,
    slider: Annotated[list[str] | None, typer.Option(help="NAME=VALUE for any other axis, repeatable.")] = None,
    prefill: Annotated[str, typer.Option(help="Words that answers begin with, for the model to go on.")] = "",
    tokens: Tokens = None,
    max_new_tokens: MaxNewTokens = 128,
    as_json: Json = False,
) -> None:
    """Answer prompts under slider settings, greedily; of a thought before the answer only --json tells."""
    asked = prompts or [line.rstrip("\n") for line in sys.stdin if line.strip()]
    if not asked:
        raise SteeringError("Expected a prompt as argument or on stdin, found none; write: trimtab generate 'Hello'")
    values = slider_values(slider, safety=safety, helpfulness=helpfulness)
    lm = model.load()
    with vectors.sliders(lm).attach(lm, tokens=tokens, allow_mismatch=vectors.allow_mismatch or ()) as dial:
        move(dial, {**profile.values(dial.sliders), **values})
        for prompt in asked:
            turns = (Message(role="user", content=prompt), Message(role="assistant", content=prefill))
            written = split_reasoning(lm.chat(turns, max_new_tokens))
            answer = written.answer
            if as_json:
                (read,) = steering.read_gates(lm, dial.sliders, [prompt])
                known = {"settings": dial.settings, "harm": read.harm, "acts": read.factors}
                thought = {"reasoning": written.reasoning} if written.reasoning else {}
                answer = json.dumps({"prompt": prompt, "answer": answer} | thought | known)
            typer.echo(visible(answer) if sys.stdout.isatty() else answer)  # programs get it as it is
            if not written.closed:
                echo(UNFINISHED.format(max_new_tokens), err=True)
