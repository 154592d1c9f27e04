"""The command line: parses, calls the API, prints. Errors are one sentence on stderr and exit code 2."""

import json
import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from steering.errors import SteeringError

if TYPE_CHECKING:
    from steering import LanguageModel

app = typer.Typer(
    name="trimtab",
    help="Safety and helpfulness sliders for open-weight language models, with no training.",
    no_args_is_help=True,
    add_completion=False,
)
console = Console()

DEFAULT_MODEL = "smollm2-135m-instruct"

Model = Annotated[
    str, typer.Option("--model", "-m", help="Packaged name, local folder, .gguf file or Hub id.", show_default=True)
]
Dtype = Annotated[str | None, typer.Option(help="Such as bfloat16; the checkpoint's own by default.")]
DeviceMap = Annotated[str | None, typer.Option(help="Such as auto or cuda; passed to transformers.")]
Revision = Annotated[str | None, typer.Option(help="Branch, tag or commit of a Hub id.")]
Blocks = Annotated[str | None, typer.Option(help="Dotted path of the decoder blocks, where they can't be found.")]
SystemPrompt = Annotated[str | None, typer.Option(help="Put in front of every chat, and recorded in vectors.")]
Vectors = Annotated[
    list[str] | None,
    typer.Option("--vector", "-v", help="NAME=FILE, repeatable. Without it: built-in safety and helpfulness."),
]
AllowMismatch = Annotated[
    list[str] | None,
    typer.Option(help="Difference to accept of vector and model: config, weights, chat_template or system_prompt."),
]
Sets = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="ROLE=FILE.jsonl, repeatable: your own pairs as safety, safety-response, … of a recipe."
    ),
]
Scope = Annotated[
    str | None,
    typer.Option(help="all, prompt, generated, answer, last_prompt_token from_token:K; the vectors' own by default."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
MaxNewTokens = Annotated[int, typer.Option(min=1, help="Length of an answer at most, in tokens.")]


def _load(
    model: str,
    dtype: str | None = None,
    device_map: str | None = None,
    revision: str | None = None,
    system_prompt: str | None = None,
    blocks: str | None = None,
) -> "LanguageModel":
    """Load under a spinner of our own, without the library's bars and advice."""
    from transformers.utils import logging

    from steering import load

    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    with Console(stderr=True).status("loading the model"):
        return load(
            model, dtype=dtype, device_map=device_map, revision=revision, system_prompt=system_prompt, blocks=blocks
        )


@app.command()
def demo(
    out: Annotated[str, typer.Option(help="Folder for the page and the vectors.")] = "demo",
    model: Model = DEFAULT_MODEL,
    max_new_tokens: MaxNewTokens = 40,
) -> None:
    """Extract both axes, move both sliders, and show what it did: a table, and one HTML page."""
    from trimtab.axes import write_folder
    from trimtab.demo import print_demo, run_demo, write_page

    folder = write_folder(out)
    lm = _load(model)
    result = run_demo(lm, max_new_tokens)
    for name, vector in result.axes.items():
        vector.save(folder / f"{name}.safetensors")
    print_demo(result, console)
    page = write_page(result, folder / "index.html")
    console.print(f"Page: {page}, vectors beside it", markup=False)


@app.command()
def extract(
    contrast_set: Annotated[str, typer.Argument(help="Name of a built-in contrast set, or a .jsonl file.")],
    out: Annotated[str, typer.Option("--out", "-o", help="File to write the vector to.")],
    model: Model = DEFAULT_MODEL,
    method: Annotated[str, typer.Option(help="Extraction method.")] = "difference_in_means",
    position: Annotated[
        str | None, typer.Option(help="last, post_instruction or response_mean; by default what fits the set.")
    ] = None,
    layers: Annotated[str | None, typer.Option(help="Such as 10-15,20; all by default.")] = None,
    dtype: Dtype = None,
    device_map: DeviceMap = None,
    revision: Revision = None,
    system_prompt: SystemPrompt = None,
    blocks: Blocks = None,
    as_json: Json = False,
) -> None:
    """Make a vector from a contrast set."""
    from steering import extract as extract_vector
    from steering.files import replacing
    from trimtab.axes import parse_layers
    from trimtab.inspection import print_vector, read_contrast_set, vector_summary

    pairs = read_contrast_set(contrast_set)
    wanted = parse_layers(layers)
    with replacing(out) as temporary:  # the folder is checked before the work, the file replaced after it
        lm = _load(model, dtype, device_map, revision, system_prompt, blocks)
        vector = extract_vector(lm, pairs, method=method, position=position, layers=wanted)
        vector.save(temporary)
    if as_json:
        typer.echo(json.dumps(vector_summary(vector)))
    else:
        print_vector(vector, console)
        console.print(f"Written to {out}", markup=False)


@app.command()
def recipes(as_json: Json = False) -> None:
    """List the published methods that `trimtab recipe` makes."""
    from trimtab.recipes import print_recipes

    print_recipes(as_json, console)


@app.command()
def recipe(
    name: Annotated[str, typer.Argument(help="A name that `trimtab recipes` lists.")],
    out: Annotated[str, typer.Option("--out", "-o", help="File to write the vector to.")],
    model: Model = DEFAULT_MODEL,
    sets: Sets = None,
    dtype: Dtype = None,
    device_map: DeviceMap = None,
    revision: Revision = None,
    system_prompt: SystemPrompt = None,
    blocks: Blocks = None,
) -> None:
    """Make a vector as a published method makes it."""
    from steering import from_recipe
    from steering.files import replacing
    from trimtab.inspection import print_vector
    from trimtab.recipes import check_recipe, sets_by_role

    check_recipe(name)
    own = sets_by_role(sets or [])
    with replacing(out) as temporary:
        lm = _load(model, dtype, device_map, revision, system_prompt, blocks)
        vector = from_recipe(lm, name, own)
        vector.save(temporary)
    print_vector(vector, console)
    console.print(f"Written to {out}", markup=False)


@app.command()
def select(
    out: Annotated[str, typer.Option("--out", "-o", help="JSON file for the table of all candidates.")],
    plot: Annotated[str | None, typer.Option(help="PNG or SVG file for a picture of it.")] = None,
    criterion: Annotated[str, typer.Option(help="arditi or cosmic.")] = "arditi",
    model: Model = DEFAULT_MODEL,
    sets: Sets = None,
    dtype: Dtype = None,
    device_map: DeviceMap = None,
    revision: Revision = None,
    system_prompt: SystemPrompt = None,
    blocks: Blocks = None,
) -> None:
    """Search the position and layer whose direction controls refusal best, and keep the table."""
    from steering.files import replacing
    from steering.recipes.ingredients import Ingredients
    from steering.recipes.refusal_direction import search
    from steering.selection import check_criterion, check_picture
    from trimtab.recipes import print_selection, sets_by_role

    check_criterion(criterion)
    if plot is not None:
        check_picture(plot)
    own = sets_by_role(sets or [])
    with replacing(out) as table, nullcontext() if plot is None else replacing(plot) as picture:
        lm = _load(model, dtype, device_map, revision, system_prompt, blocks)
        selection = search(Ingredients(lm, own), criterion)
        selection.save(table)
        if picture is not None:
            selection.plot(picture)
    print_selection(selection, console)
    console.print(f"Written to {out}", markup=False)


@app.command()
def evaluate(
    out: Annotated[str, typer.Option("--out", "-o", help="JSON file for every score of every prompt.")],
    values: Annotated[str, typer.Option(help="Slider values of the grid; 0 among them.")] = "-1,0,1",
    prompts: Annotated[int, typer.Option(min=2, help="Prompts of a kind.")] = 24,
    cells: Annotated[
        str | None, typer.Option(help="Folder that finished cells are kept in: a killed run goes on from there.")
    ] = None,
    model: Model = DEFAULT_MODEL,
    vectors: Vectors = None,
    dtype: Dtype = None,
    device_map: DeviceMap = None,
    revision: Revision = None,
    system_prompt: SystemPrompt = None,
    blocks: Blocks = None,
    allow_mismatch: AllowMismatch = None,
) -> None:
    """Measure how far safety and helpfulness each move their own score and the other's, without generating."""
    from probes.evaluation import builtin_scores
    from probes.evaluation import evaluate as measure
    from steering import Sliders
    from steering.files import replacing
    from trimtab.axes import axes_from
    from trimtab.evaluation import parse_values, print_report

    grid = parse_values(values)
    with replacing(out) as temporary:
        lm = _load(model, dtype, device_map, revision, system_prompt, blocks)
        axes = axes_from(lm, vectors or [], allow_mismatch or [])
        scores = builtin_scores(prompts)
        report = measure(lm, Sliders(**axes), dict.fromkeys(axes, grid), scores, folder=cells)
        report.save(temporary)
    print_report(report, console)
    console.print(f"Written to {out}", markup=False)


@app.command()
def inspect(
    target: Annotated[str, typer.Argument(help="A vector file, or a contrast set (built-in name or .jsonl file).")],
    as_json: Json = False,
) -> None:
    """Show what a vector was made from and its figures by layer, or check a contrast set."""
    from trimtab.inspection import inspect_target

    inspect_target(target, as_json, console)


@app.command()
def chat(
    model: Model = DEFAULT_MODEL,
    vectors: Vectors = None,
    safety: Annotated[float, typer.Option(help="Where the slider starts.")] = 0.0,
    helpfulness: Annotated[float, typer.Option(help="Where the slider starts.")] = 0.0,
    scope: Scope = None,
    max_new_tokens: MaxNewTokens = 256,
    dtype: Dtype = None,
    device_map: DeviceMap = None,
    revision: Revision = None,
    system_prompt: SystemPrompt = None,
    blocks: Blocks = None,
    allow_mismatch: AllowMismatch = None,
) -> None:
    """Talk to the model and move the sliders while you do: `/safety 0.8`."""
    from trimtab.axes import axes_from
    from trimtab.chat import converse

    lm = _load(model, dtype, device_map, revision, system_prompt, blocks)
    axes = axes_from(lm, vectors or [], allow_mismatch or [])
    start = {"safety": safety, "helpfulness": helpfulness}
    converse(lm, axes, _moved(start), scope, allow_mismatch or [], max_new_tokens, console)


@app.command()
def generate(
    prompts: Annotated[list[str] | None, typer.Argument(help="Prompts; without any, one a line of stdin.")] = None,
    model: Model = DEFAULT_MODEL,
    vectors: Vectors = None,
    safety: Annotated[float, typer.Option(help="Slider value.")] = 0.0,
    helpfulness: Annotated[float, typer.Option(help="Slider value.")] = 0.0,
    slider: Annotated[list[str] | None, typer.Option(help="NAME=VALUE for any other axis, repeatable.")] = None,
    scope: Scope = None,
    max_new_tokens: MaxNewTokens = 128,
    dtype: Dtype = None,
    device_map: DeviceMap = None,
    revision: Revision = None,
    system_prompt: SystemPrompt = None,
    blocks: Blocks = None,
    allow_mismatch: AllowMismatch = None,
    as_json: Json = False,
) -> None:
    """Answer prompts under slider settings, greedily."""
    from steering import Sliders
    from trimtab.axes import axes_from, warn_outside_range

    asked = prompts or [line.rstrip("\n") for line in sys.stdin if line.strip()]
    if not asked:
        raise SteeringError("Expected a prompt as argument or on stdin, found none; write: trimtab generate 'Hello'")
    settings = _moved({"safety": safety, "helpfulness": helpfulness}) | _slider_values(slider or [])
    lm = _load(model, dtype, device_map, revision, system_prompt, blocks)
    axes = axes_from(lm, vectors or [], allow_mismatch or [])
    with Sliders(**axes).attach(lm, scope=scope, allow_mismatch=allow_mismatch or []) as dial:
        dial.set(**settings)
        warn_outside_range(axes, settings)
        for prompt in asked:
            answer = lm.chat(prompt, max_new_tokens)
            typer.echo(
                json.dumps({"prompt": prompt, "answer": answer, "settings": dial.settings}) if as_json else answer
            )


def _moved(values: dict[str, float]) -> dict[str, float]:
    """Sliders that the user moved: axes at 0 need not exist."""
    return {name: value for name, value in values.items() if value != 0}


def _slider_values(entries: list[str]) -> dict[str, float]:
    values = {}
    for entry in entries:
        name, _, value = entry.partition("=")
        try:
            values[name] = float(value)
        except ValueError:
            raise SteeringError(f"Expected NAME=VALUE, such as formality=0.5, found {entry!r}.") from None
    return values


def main(arguments: list[str] | None = None) -> None:
    """Run the command and exit: 0 done, 2 unusable input, 130 interrupted."""
    try:
        code: Any = app(arguments, standalone_mode=False)
    except SteeringError as error:
        code = _fail(str(error))
    except (OSError, UnicodeDecodeError) as error:
        code = _fail(f"Can't read or write: {error}; check the path, its rights and the space left.")
    except typer.TyperException as error:
        if not error.format_message():  # the bare command has printed its help
            sys.exit(2)
        code = _fail(f"{error.format_message().rstrip('.')}; see: trimtab --help")
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    if code == 130:
        typer.echo("Interrupted.", err=True)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(sentence: str) -> int:
    typer.echo(f"Error: {sentence}", err=True)
    return 2
