"""`trimtab evaluate`: the grid that it reads and the tables that it prints."""

from rich.console import Console
from rich.table import Table

from probes.evaluation import Report
from steering.errors import SteeringError


def parse_values(text: str) -> list[float]:
    """`"-1,0,1"` -> `[-1.0, 0.0, 1.0]`."""
    try:
        values = sorted({float(part) for part in text.split(",")})
    except ValueError:
        raise SteeringError(f"Expected numbers such as -1,0,1, found {text!r}.") from None
    if 0.0 not in values or len(values) < 2:
        raise SteeringError(f"Expected 0 and at least one other value, found {text!r}.")
    return values


def print_report(report: Report, console: Console) -> None:
    """The cross-effect matrix, how orderly each slider is, and the mean of every score."""
    effects = report.cross_effects
    matrix = Table("score", title="Cross-effects: slope, in standard deviations of the bare score, a unit of slider")
    for slider in effects.sliders:
        matrix.add_column(slider, justify="right")
    for name, row in zip(effects.scores, effects.slopes, strict=True):
        matrix.add_row(name, *map(str, row))
    console.print(matrix, markup=False)
    for column, slider in enumerate(effects.sliders):
        order = report.monotonicity(slider)
        falls = ", ".join(f"{low:g} to {high:g}" for low, high in order.falls) or "nowhere"
        leaks = "; ".join(
            f"{name} {row[column]}"
            for name, row in zip(effects.scores, effects.leakage, strict=True)
            if name != report.own[slider]
        )
        console.print(
            f"{slider}: rank correlation {order.spearman:.2f}, falls {falls}; "
            f"{report.wrong_way_fraction(slider):.0%} of prompts move the wrong way; leakage onto {leaks}",
            highlight=False,
            markup=False,
        )
    means = Table("setting", title="Mean scores")
    for name in report.scores:
        means.add_column(name, justify="right")
    for place, setting in enumerate(report.settings):
        label = ", ".join(f"{name} {value:+g}" for name, value in setting.items())
        means.add_row(label, *(f"{sum(rows[place]) / len(rows[place]):+.3f}" for rows in report.scores.values()))
    console.print(means, markup=False)
