"""The commands that measure: select, calibrate, evaluate, compare, bench."""

import json
from contextlib import nullcontext
from typing import Annotated

import typer

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
    Sets,
    SystemPrompt,
    Vectors,
    console,
    load_model,
)

Values = Annotated[str, typer.Option(help="Slider values of the grid; 0 among them.")]
Prompts = Annotated[int, typer.Option(min=2, help="Prompts of a kind.")]
Cells = Annotated[
    str | None, typer.Option(help="Folder that finished cells are kept in: a killed run goes on from there.")
]
Benchmarks = Annotated[
    list[str] | None,
    typer.Option(
        "--benchmark",
        "-b",
        help="built-in, NAME (from the Hub) or NAME=FILE, repeatable: prompts to answer and judge.",
    ),
]
Templates = Annotated[
    str | None, typer.Option(help="File of jailbreak templates: the harmful prompts are answered in them too.")
]
Judges = Annotated[
    list[str] | None,
    typer.Option(
        "--judge",
        help="refusal-judge (the default), a published list such as gcg or xstest, llama-guard=MODEL, wildguard=MODEL, "
        "harmbench=MODEL, or endpoint=MODEL@URL, its key in TRIMTAB_JUDGE_KEY; repeatable, figures are the first's.",
    ),
]
Seeds = Annotated[str | None, typer.Option(help="Such as 0,1,2: one sampled answer for each; greedy without.")]
Temperature = Annotated[float, typer.Option(min=0.01, help="Of sampled answers.")]
Html = Annotated[str | None, typer.Option(help="File for the report as one HTML page.")]


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
    from steering.files import atomic_write
    from steering.recipes.inputs import Ingredients
    from steering.recipes.refusal_direction import search
    from steering.recipes.selection import check_criterion, check_picture
    from trimtab.recipes import print_selection, sets_by_role

    check_criterion(criterion)
    if plot is not None:
        check_picture(plot)
    own = sets_by_role(sets or [])
    with atomic_write(out) as table, nullcontext() if plot is None else atomic_write(plot) as picture:
        lm = load_model(model, dtype, device_map, revision, system_prompt, blocks)
        selection = search(Ingredients(lm, own), criterion)
        selection.save(table)
        if picture is not None:
            selection.plot(picture)
    print_selection(selection, console)
    console.print(f"Written to {out}", markup=False)


def calibrate(
    vector: Annotated[str, typer.Argument(help="Vector file.")],
    out: Annotated[str, typer.Option("--out", "-o", help="File for the calibrated vector.")],
    axis: Annotated[str, typer.Option(help="safety or helpfulness: what the slider is to raise.")] = "safety",
    kl_budget: Annotated[float, typer.Option(help="Nats of KL that slider 1 may cost on ordinary prompts.")] = 0.1,
    prompts: Annotated[int, typer.Option(min=2, help="Prompts of a kind to tune on.")] = 24,
    model: Model = DEFAULT_MODEL,
    dtype: Dtype = None,
    device_map: DeviceMap = None,
    revision: Revision = None,
    system_prompt: SystemPrompt = None,
    blocks: Blocks = None,
    allow_mismatch: AllowMismatch = None,
) -> None:
    """Find the layers, the unit and the range of a slider on tuning data, and write them into the vector."""
    from probes.calibration import calibrate as find
    from probes.calibration import tuning_data
    from steering import SteeringVector
    from steering.files import atomic_write
    from trimtab.inspection import print_vector

    own, ordinary = tuning_data(axis, prompts)
    with atomic_write(out) as temporary:
        lm = load_model(model, dtype, device_map, revision, system_prompt, blocks)
        calibrated = find(lm, SteeringVector.load(vector, lm, allow_mismatch or []), own, ordinary, kl_budget=kl_budget)
        calibrated.save(temporary)
    print_vector(calibrated, console)
    console.print(f"Written to {out}", markup=False)


def evaluate(
    out: Annotated[str, typer.Option("--out", "-o", help="JSON file for every score, answer and verdict.")],
    html: Html = None,
    values: Values = "-1,0,1",
    prompts: Prompts = 24,
    benchmark: Benchmarks = None,
    templates: Templates = None,
    judge: Judges = None,
    seeds: Seeds = None,
    temperature: Temperature = 1.0,
    max_new_tokens: MaxNewTokens = 64,
    cells: Cells = None,
    model: Model = DEFAULT_MODEL,
    vectors: Vectors = None,
    dtype: Dtype = None,
    device_map: DeviceMap = None,
    revision: Revision = None,
    system_prompt: SystemPrompt = None,
    blocks: Blocks = None,
    allow_mismatch: AllowMismatch = None,
) -> None:
    """Measure how far safety and helpfulness each move their own score and the other's.

    Without generating, unless a --benchmark gives prompts to answer.
    """
    from probes.answers import Decoding
    from probes.evaluation import evaluate as measure
    from probes.grid_scores import builtin_scores
    from steering import Sliders
    from steering.files import atomic_write
    from trimtab.axes import axes_from
    from trimtab.evaluation import benchmarks_from, parse_seeds, parse_values, print_report
    from trimtab.judges import judges_from

    grid = parse_values(values)
    decoding = Decoding(max_new_tokens=max_new_tokens, seeds=parse_seeds(seeds), temperature=temperature)
    asked = benchmarks_from(benchmark or [], prompts, templates)
    with atomic_write(out) as temporary, nullcontext() if html is None else atomic_write(html) as page:
        judges = judges_from(judge or [], load_model)
        lm = load_model(model, dtype, device_map, revision, system_prompt, blocks)
        axes = axes_from(lm, vectors or [], allow_mismatch or [])
        report = measure(
            lm,
            Sliders(**axes),
            dict.fromkeys(axes, grid),
            None if asked else builtin_scores(prompts),
            benchmarks=asked,
            judges=judges,
            decoding=decoding,
            folder=cells,
        )
        report.save(temporary)
        if page is not None:
            report.to_html(page)
    print_report(report, console)
    console.print(f"Written to {' and '.join(filter(None, [out, html]))}", markup=False)


def compare(
    html: Annotated[str, typer.Option(help="File for the report as one HTML page.")],
    method: Annotated[
        list[str] | None,
        typer.Option(help="NAME:AXIS=FILE,…, repeatable: vectors that move together. Without it: the built-in two."),
    ] = None,
    recipe: Annotated[list[str] | None, typer.Option(help="A name that `trimtab recipes` lists, repeatable.")] = None,
    baseline: Annotated[list[str] | None, typer.Option(help="prompting, best-of-n or random, repeatable.")] = None,
    out: Annotated[str | None, typer.Option(help="Folder for each method's report as JSON.")] = None,
    values: Values = "-1,0,1",
    prompts: Prompts = 24,
    benchmark: Benchmarks = None,
    templates: Templates = None,
    judge: Judges = None,
    seeds: Seeds = None,
    temperature: Temperature = 1.0,
    max_new_tokens: MaxNewTokens = 64,
    cells: Cells = None,
    model: Model = DEFAULT_MODEL,
    dtype: Dtype = None,
    device_map: DeviceMap = None,
    revision: Revision = None,
    system_prompt: SystemPrompt = None,
    blocks: Blocks = None,
    allow_mismatch: AllowMismatch = None,
) -> None:
    """Put several vectors, recipes and baselines into one report: the same prompts, decoding and judge.

    By their answers alone; `trimtab evaluate` also measures scores without generation.
    """
    from probes.answers import Decoding
    from probes.evaluation import evaluate as measure
    from probes.html_report import write_html
    from steering.files import atomic_write
    from trimtab.axes import write_folder
    from trimtab.comparison import check_methods, methods_from
    from trimtab.evaluation import benchmarks_from, parse_seeds, parse_values, print_comparison
    from trimtab.judges import judges_from

    grid = parse_values(values)
    decoding = Decoding(max_new_tokens=max_new_tokens, seeds=parse_seeds(seeds), temperature=temperature)
    asked = benchmarks_from(benchmark or ["built-in"], prompts, templates)
    check_methods(method or [], recipe or [], baseline or [])
    folder = None if out is None else write_folder(out)
    with atomic_write(html) as page:
        judges = judges_from(judge or [], load_model)
        lm = load_model(model, dtype, device_map, revision, system_prompt, blocks)
        reports = {}
        for name, one in methods_from(lm, method or [], recipe or [], baseline or [], allow_mismatch or []).items():
            axes = dict.fromkeys(one.axes, grid)
            reports[name] = measure(lm, one, axes, (), benchmarks=asked, judges=judges, decoding=decoding, folder=cells)
            if folder is not None:
                reports[name].save(folder / f"{name}.json")
        write_html(reports, page)
    print_comparison(reports, console)
    console.print(f"Written to {html}", markup=False)


def bench(
    model: Model = DEFAULT_MODEL,
    rounds: Annotated[int, typer.Option(min=1, help="Pairs of runs for each ratio; the sweep runs once.")] = 7,
    tokens: Annotated[int, typer.Option(min=1, help="New tokens of the decoding runs.")] = 64,
    compiled: Annotated[bool, typer.Option(help="Also compile a copy of the model.")] = False,
    dtype: Dtype = None,
    device_map: DeviceMap = None,
    blocks: Blocks = None,
    as_json: Json = False,
) -> None:
    """Measure what steering, extraction and sweeps cost on this machine, beside the bare model."""
    from dataclasses import asdict

    from trimtab.bench import bench as measure
    from trimtab.bench import print_bench

    result = measure(load_model(model, dtype, device_map, blocks=blocks), rounds, tokens, compiled)
    if as_json:
        typer.echo(json.dumps(asdict(result)))
    else:
        print_bench(result, console)


COMMANDS = (select, calibrate, evaluate, compare, bench)
