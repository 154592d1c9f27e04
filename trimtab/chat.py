"""`trimtab chat`: a conversation in which lines that begin with a slash move sliders."""

from collections.abc import Mapping, Sequence

from rich.console import Console
from transformers import TextStreamer

from steering import LanguageModel, Sliders, SteeringVector
from steering.data.chats import Message
from steering.errors import SteeringError
from steering.hooks.sliders import Dial
from trimtab.axes import warn_outside_range

HELP = (
    "Type a message, or: /AXIS VALUE moves a slider, /sliders shows them, /reset forgets the conversation, /quit ends."
)


def converse(
    lm: LanguageModel,
    axes: Mapping[str, SteeringVector],
    start: Mapping[str, float],
    scope: str | None,
    allow_mismatch: Sequence[str],
    max_new_tokens: int,
    console: Console,
) -> None:
    """Read lines until /quit or end of input; answers stream as they are written."""
    with Sliders(**axes).attach(lm, scope=scope, allow_mismatch=allow_mismatch) as dial:
        dial.set(**start)
        warn_outside_range(axes, start)
        console.print(HELP, highlight=False, markup=False)
        _show_sliders(dial, console)
        history: list[Message] = []
        while (line := _read_line(console)) is not None:
            if line.startswith("/"):
                if not _command(line, dial, history, console):
                    return
            elif line:
                history.append(Message(role="user", content=line))
                streamer = TextStreamer(lm.tokenizer, skip_prompt=True, skip_special_tokens=True)
                answer = lm.chat(history, max_new_tokens, streamer=streamer)
                history.append(Message(role="assistant", content=answer))


def _read_line(console: Console) -> str | None:
    try:
        return console.input("[bold]> [/bold]").strip()
    except EOFError:
        return None


def _command(line: str, dial: Dial, history: list[Message], console: Console) -> bool:
    """Obey a line that begins with a slash; False ends the conversation."""
    name, _, value = line.removeprefix("/").partition(" ")
    if name in ("quit", "exit"):
        return False
    if name == "sliders":
        _show_sliders(dial, console)
    elif name == "reset":
        history.clear()
        console.print("The conversation starts afresh.")
    elif name in dial.sliders.axes:
        try:
            dial.set(**{name: float(value)})
            warn_outside_range(dial.sliders.axes, {name: float(value)})
            _show_sliders(dial, console)
        except (SteeringError, ValueError):
            console.print(f"Expected a number, as in /{name} 0.8, found {value!r}.", highlight=False, markup=False)
    else:
        console.print(f"There is no command {line!r}. {HELP}", highlight=False, markup=False)
    return True


def _show_sliders(dial: Dial, console: Console) -> None:
    for name, value in dial.settings.items():
        low, high = dial.sliders.axes[name].range
        console.print(f"  {name} {value:+g}   (range {low:g} to {high:g})", highlight=False)
