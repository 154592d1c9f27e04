"""`trimtab calibrate`: a slider's layers, unit and range from tuning data."""

from typing import Annotated

from typer import Argument, Option

import steering
from steering.errors import SteeringError
from trimtab.commands.inspect import print_slider
from trimtab.options import AllowMismatch, ModelOptions, console, read_contrast_set
from trimtab.saving import check_places, save


def calibrate(
    vector: Annotated[str, Argument(help="Vector file.")],
    out: Annotated[str, Option("--out", "-o", help="File for the calibrated vector.")],
    model: ModelOptions,
    pairs: Annotated[
        str | None,
        Option(help="FILE.jsonl: the contrast set that the vector was extracted from, unless built-in."),
    ] = None,
    axis: Annotated[
        str | None,
        Option(help="safety or helpfulness: what the slider is to raise, where it isn't what its contrast set shows."),
    ] = None,
    kl_budget: Annotated[float, Option(help="Nats of KL that slider 1 may cost on ordinary prompts.")] = 0.1,
    prompts: Annotated[int, Option(min=2, help="Prompts of a kind to tune on.")] = 24,
    quick: Annotated[
        bool,
        Option("--quick", help="Keep the slider's layers: no search for better ones, a fifth of the time."),
    ] = False,
    cells: Annotated[str | None, Option(help="Folder of finished spans: a killed run goes on from there.")] = None,
    allow_mismatch: AllowMismatch = None,
) -> None:
    """Find the layers, the unit and the range of a slider on tuning data, and write them into the vector.

    It is to raise the score of its own contrast set, on the pairs that the vector was made from; evaluate measures on
    the others.
    """
    from probes import calibration

    if axis is not None and pairs is not None:
        raise SteeringError("Expected --pairs or --axis, found both; leave one out.")
    contrast_set = None if pairs is None else read_contrast_set(pairs)
    given = None if axis is None else calibration.tuning_data(axis, prompts)
    check_places(out, folders=[cells])
    lm = model.load()
    found = steering.Slider.load(vector, lm, allow_mismatch or ())
    data = given or calibration.own_tuning_data(lm, found, contrast_set, prompts)
    spans = [found.pushes[0].layers] if quick else None
    calibrated = calibration.calibrate(lm, found, *data, kl_budget=kl_budget, spans=spans, folder=cells)
    written = save(calibrated.save, out)
    print_slider(calibrated)
    console.print(f"Written to {written}")
