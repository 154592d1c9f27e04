"""Axes that need no file, shipped or made once and kept; and parsers that several commands use."""

import re
import warnings
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress

import steering
from steering.atomic_write import check_file, make_folder
from steering.errors import SteeringError, quoted
from trimtab.terminal import echo

BUILTIN_AXES = ("safety", "helpfulness")
_LAYERS = re.compile(r"([0-9]{1,4})(?:-([0-9]{1,4}))?")


def balanced_axes(lm: "steering.LanguageModel") -> "dict[str, steering.Slider]":
    """The balanced pair: shipped, kept from an earlier time, or made now, which stderr says."""
    from steering.recipes.balanced_pair import make_pair, pair_at_hand, pair_folder

    if pair := pair_at_hand(lm):
        return pair
    echo(f"Making the independent pair for {lm.identity.name} once; kept in {pair_folder(lm)}.", err=True)
    return make_pair(lm)


def builtin_axis(lm: "steering.LanguageModel", name: str) -> "steering.Slider":
    """A plain slider of a built-in set, extracted on first use and kept; keyed by all that it was made from."""
    from importlib.metadata import version

    from steering.extraction import RELATIVE_PUSH
    from steering.models.gguf import cache_folder, naming_cache
    from steering.models.identity import fingerprint
    from steering.vectors.file_format import FORMAT_VERSION
    from steering.vectors.slider import as_slider

    contrast_set = steering.ContrastSet.builtin(name)
    made_by = f"{version('trimtab')} {FORMAT_VERSION} {RELATIVE_PUSH}"
    key = fingerprint(f"{made_by} {lm.identity.key} {contrast_set.fingerprint}".encode())
    path = cache_folder() / "vectors" / f"{name}-{key}.safetensors"
    with suppress(SteeringError):  # not there yet, damaged on the disk, or of weights that the key can't tell apart
        return steering.Slider.load(path, lm)
    with naming_cache():
        make_folder(path.parent)
        check_file(path)
    vector = steering.extract(lm, contrast_set)
    try:
        with naming_cache():
            vector.save(path)
    except SteeringError as error:
        warnings.warn(f"The {name} vector is not kept for another time: {error}", stacklevel=2)
    return as_slider(vector)


def move(dial: "steering.Dial", values: Mapping[str, float]) -> None:
    """Set the sliders, and say on stderr which stand where nobody has seen them work."""
    dial.set(**values)
    for name, value in values.items():
        low, high = dial.sliders[name].range
        if not low <= value <= high:
            echo(f"Note: {name} {value:g} is outside its range {low:g} to {high:g}; text may break.", err=True)


def slider_values(entries: Sequence[str] | None, **moved: float | None) -> dict[str, float]:
    """`["mood=0.8"]` -> `{"mood": 0.8}`, with those of the `moved` sliders that were given a value."""
    values = {name: value for name, value in moved.items() if value is not None}
    for entry in entries or ():
        name, _, value = entry.partition("=")
        try:
            values[name] = float(value)
        except ValueError:
            raise SteeringError(f"Expected NAME=VALUE, such as safety=0.5, found {entry!r}.") from None
    return values


def check_choice(kind: str, name: str, choices: Collection[str]) -> None:
    """Raise SteeringError for a name that is none of the choices."""
    if name not in choices:
        raise SteeringError(f"There is no {kind} {name!r}; choose from {quoted(choices)}.")


def parse_layers(text: str | None) -> list[int] | None:
    """`"10-15,20"` -> `[10, …, 15, 20]`; None stays None."""
    if text is None:
        return None
    layers: list[int] = []
    for part in text.split(","):
        ends = _LAYERS.fullmatch(part.strip())
        first, last = (int(ends[1]), int(ends[2] or ends[1])) if ends else (1, 0)
        if first > last:
            raise SteeringError(
                f"Expected layers such as 12 or 10-15,20, of at most four digits, found {part.strip()!r:.60}; "
                "write the first of a range before its last."
            )
        layers += range(first, last + 1)
    return layers
