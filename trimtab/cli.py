"""The command line: parses, calls the API, prints. Errors are one sentence on stderr and exit code 2."""

import json
import sys
from typing import Annotated, Any

import typer

from steering.errors import SteeringError
from trimtab import exporting, measuring, serving
from trimtab.options import (
    DEFAULT_MODEL,
    AllowMismatch,
    Blocks,
    DeviceMap,
    Dtype,
    Json,
    MaxNewTokens,
    Model,
    Revision,
    Scope,
    Sets,
    SystemPrompt,
    Vectors,
    console,
    load_model,
)
from trimtab.studio import command as studio

app = typer.Typer(
    name="trimtab",
    help="Safety and helpfulness sliders for open-weight language models, with no training.",
    no_args_is_help=True,
    add_completion=False,
)
for command in (*measuring.COMMANDS, *exporting.COMMANDS, *serving.COMMANDS, *studio.COMMANDS):
    app.command(command.__name__.rstrip("_"))(command)


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
    lm = load_model(model)
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
        str | None, typer.Option(help="last, post_instruction or generated; by default what fits the set.")
    ] = None,
    layers: Annotated[str | None, typer.Option(help="Such as 10-15,20; all by default.")] = None,
    dtype: Dtype = None,
    device_map: DeviceMap = None,
    revision: Revision = None,
    system_prompt: SystemPrompt = None,
    blocks: Blocks = None,
    as_json: Json = False,
) -> None:
    """Make a vector from a contrast set; under torchrun, with all its processes."""
    from functools import partial

    from steering import extract as extract_vector
    from steering.activations.distributed import Ranks
    from steering.activations.recording import stream_pairs
    from steering.files import atomic_write
    from trimtab.axes import parse_layers
    from trimtab.inspection import print_vector, read_contrast_set, vector_summary

    pairs = read_contrast_set(contrast_set)
    wanted = parse_layers(layers)
    with Ranks.together() as ranks, ranks.first_only(atomic_write(out)) as temporary:
        lm = load_model(model, dtype, device_map, revision, system_prompt, blocks)
        read = partial(stream_pairs, ranks=ranks)
        vector = extract_vector(lm, pairs, method=method, position=position, layers=wanted, read=read)
        if temporary is not None:  # the folder was checked before the work, the file is replaced after it
            vector.save(temporary)
    if temporary is None:
        return
    if as_json:
        typer.echo(json.dumps(vector_summary(vector)))
    else:
        print_vector(vector, console)
        console.print(f"Written to {out}", markup=False)


@app.command()
def balanced(
    out: Annotated[str, typer.Option("--out", "-o", help="Folder for safety.safetensors and helpfulness.safetensors.")],
    model: Model = DEFAULT_MODEL,
    dtype: Dtype = None,
    device_map: DeviceMap = None,
    revision: Revision = None,
    system_prompt: SystemPrompt = None,
    blocks: Blocks = None,
) -> None:
    """Make both sliders so that each acts on its own prompts: safety on harmful ones, helpfulness on the others."""
    from steering import Sliders
    from trimtab.axes import write_folder
    from trimtab.inspection import print_vector

    folder = write_folder(out)
    lm = load_model(model, dtype, device_map, revision, system_prompt, blocks)
    for name, vector in Sliders.balanced(lm).axes.items():
        vector.save(folder / f"{name}.safetensors")
        print_vector(vector, console)
    console.print(f"Written to {folder}", markup=False)


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
    from steering.files import atomic_write
    from trimtab.inspection import print_vector
    from trimtab.recipes import check_recipe, sets_by_role

    check_recipe(name)
    own = sets_by_role(sets or [])
    with atomic_write(out) as temporary:
        lm = load_model(model, dtype, device_map, revision, system_prompt, blocks)
        vector = from_recipe(lm, name, own)
        vector.save(temporary)
    print_vector(vector, console)
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

    lm = load_model(model, dtype, device_map, revision, system_prompt, blocks)
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
    from trimtab.exporting import slider_values

    asked = prompts or [line.rstrip("\n") for line in sys.stdin if line.strip()]
    if not asked:
        raise SteeringError("Expected a prompt as argument or on stdin, found none; write: trimtab generate 'Hello'")
    settings = _moved({"safety": safety, "helpfulness": helpfulness}) | slider_values(slider or [])
    lm = load_model(model, dtype, device_map, revision, system_prompt, blocks)
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
