"""`trimtab chat`: a conversation in which lines that begin with a slash move sliders."""

from typing import TYPE_CHECKING, Annotated

import typer

import steering
from steering.errors import SteeringError
from trimtab.builtin_sliders import move, slider_values
from trimtab.options import MaxNewTokens, ModelOptions, Tokens, VectorOptions, console
from trimtab.profiles import ProfileOptions

if TYPE_CHECKING:
    from steering.data.chats import Message

HELP = (
    "Type a message, or: /AXIS VALUE moves a slider, /sliders shows them, /reset forgets the conversation, /quit ends."
)
Start = Annotated[float | None, typer.Option(help="Where the slider starts.")]


def chat(
    model: ModelOptions,
    vectors: VectorOptions,
    profile: ProfileOptions,
    safety: Start = None,
    helpfulness: Start = None,
    tokens: Tokens = None,
    max_new_tokens: MaxNewTokens = 256,
) -> None:
    """Talk to the model and move the sliders while you do: `/safety 0.8`. Thoughts are shown dimmed."""
    from steering.data.chats import Message
    from steering.models.reasoning import split_reasoning
    from trimtab.response_printer import ResponsePrinter

    lm = model.load()
    with vectors.sliders(lm).attach(lm, tokens=tokens, allow_mismatch=vectors.allow_mismatch or ()) as dial:
        move(dial, {**profile.values(dial.sliders), **slider_values(None, safety=safety, helpfulness=helpfulness)})
        console.print(HELP)
        _show_sliders(dial)
        history: list[Message] = []
        while (line := _read_line()) not in ("/quit", "/exit"):
            if line.startswith("/"):
                _obey(line, dial, history)
            elif line:
                history.append(Message(role="user", content=line))
                if any(dial.settings[name] for name, push in dial.pushes if push.gate):
                    console.print(steering.read_gates(lm, dial.sliders, [history])[0].text, style="dim", markup=False)
                written = lm.chat(history, max_new_tokens, streamer=ResponsePrinter(lm, console))
                history.append(Message(role="assistant", content=split_reasoning(written).answer))


def _read_line() -> str:
    try:
        return console.input("[bold]> [/bold]", markup=True).strip()
    except EOFError:
        return "/quit"


def _obey(line: str, dial: "steering.Dial", history: "list[Message]") -> None:
    """Obey a line that begins with a slash."""
    name, _, value = line.removeprefix("/").partition(" ")
    if name == "sliders":
        _show_sliders(dial)
    elif name == "reset":
        history.clear()
        console.print("The conversation starts afresh.")
    elif name in dial.sliders:
        try:
            move(dial, {name: float(value)})
            _show_sliders(dial)
        except (SteeringError, ValueError):
            console.print(f"Expected a number, as in /{name} 0.8, found {value!r}.")
    else:
        console.print(f"There is no command {line!r}. {HELP}")


def _show_sliders(dial: "steering.Dial") -> None:
    for name, value in dial.settings.items():
        low, high = dial.sliders[name].range
        console.print(f"  {name} {value:+g}   (range {low:g} to {high:g})")
