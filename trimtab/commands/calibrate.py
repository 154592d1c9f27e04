"""`trimtab calibrate`: a slider's layers, unit and range from tuning data."""

from typing import Annotated

from typer import Argument, Option

import steering
from steering.atomic_write import check_file
from trimtab.commands.inspect import print_slider
from trimtab.options import AllowMismatch, ModelOptions, console
from trimtab.saving import save


def calibrate(
    vector: Annotated[str, Argument(help="Vector file.")],
    out: Annotated[str, Option("--out", "-o", help="File for the calibrated vector.")],
    model: ModelOptions,
    axis: Annotated[str, Option(help="safety or helpfulness: what the slider is to raise.")] = "safety",
    kl_budget: Annotated[float, Option(help="Nats of KL that slider 1 may cost on ordinary prompts.")] = 0.1,
    prompts: Annotated[int, Option(min=2, help="Prompts of a kind to tune on.")] = 24,
    allow_mismatch: AllowMismatch = None,
) -> None:
    """Find the layers, the unit and the range of a slider on tuning data, and write them into the vector."""
    from probes import calibration

    data = calibration.tuning_data(axis, prompts)
    check_file(out)
    lm = model.load()
    found = steering.Slider.load(vector, lm, allow_mismatch or ())
    calibrated = calibration.calibrate(lm, found, *data, kl_budget=kl_budget)
    written = save(calibrated.save, out)
    print_slider(calibrated)
    console.print(f"Written to {written}")
