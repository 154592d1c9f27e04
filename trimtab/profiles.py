"""Named profiles: a context, its priorities in order, the slider values that follow, and what they risk.

After "Adaptive interpretation of HHH" (arXiv 2502.06059): which of helpful, honest and harmless comes first depends on
who is served, so it is written down beside the values, with the risk that was taken.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from pydantic import BaseModel, Field, TypeAdapter, ValidationError, field_validator
from typer import Option

from steering.data.chats import first_problem
from steering.errors import SteeringError, first_line, quoted

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from steering.vectors.slider import Slider

Priority: TypeAlias = Literal["helpful", "honest", "harmless"]


class Profile(BaseModel, frozen=True, extra="forbid"):
    """What a model is for, and where its sliders stand for that."""

    context: Annotated[str, Field(min_length=1)]
    """Who is served, and how."""
    priorities: Annotated[tuple[Priority, ...], Field(min_length=1)]
    """What comes first, then second, then third."""
    sliders: dict[str, Annotated[float, Field(allow_inf_nan=False)]]
    """Values by axis; an axis that isn't named stands where it would without the profile."""
    risk: Annotated[str, Field(min_length=1)]
    """What may go wrong because of the values."""

    @field_validator("priorities")
    @classmethod
    def _in_order(cls, priorities: tuple[Priority, ...]) -> tuple[Priority, ...]:
        if len(set(priorities)) < len(priorities):
            raise ValueError("every priority has one place")
        return priorities


def load_profiles(path: str | Path | None = None) -> dict[str, Profile]:
    """The shipped profiles by name, and those of a TOML file, which win over shipped ones of the same name.

    Raises:
        SteeringError: for a file that can't be read, or whose tables aren't profiles.
    """
    shipped = _parse(files("trimtab").joinpath("profiles.toml").read_text(encoding="utf-8"), "profiles.toml")
    if path is None:
        return shipped
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SteeringError(f"Can't read the profiles {str(path)!r}: {first_line(error)}; check the path.") from error
    return shipped | _parse(text, str(path))


def _parse(text: str, source: str) -> dict[str, Profile]:
    try:
        return TypeAdapter(dict[str, Profile]).validate_python(tomllib.loads(text))
    except ValidationError as error:
        wanted = "a table a profile with context, priorities, sliders and risk"
        raise SteeringError(f"Expected {wanted} in {source!r}: {first_problem(error)}.") from error
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits, and nesting without end, among them
        raise SteeringError(f"{source!r} is no TOML: {first_line(error)}; mend it.") from error


def profile_values(name: str, profiles: Mapping[str, Profile], sliders: "Mapping[str, Slider]") -> Mapping[str, float]:
    """The slider values of the profile with this name.

    Raises:
        SteeringError: for an unknown name, an axis that there is no slider of, and a value outside its slider's range:
            nobody has seen what the profile promises there.
    """
    from steering.vectors.slider import check_axes

    if name not in profiles:
        raise SteeringError(f"There is no profile {name!r}; choose from {quoted(profiles)}.")
    values = profiles[name].sliders
    check_axes(values, sliders)
    for axis, value in values.items():
        low, high = sliders[axis].range
        if not low <= value <= high:
            raise SteeringError(
                f"The profile {name!r} wants {axis} {value:g}, outside its range {low:g} to {high:g} here; "
                "set the sliders themselves, or write a profile of your own."
            )
    return values


ProfilesFile = Annotated[str | None, Option("--profiles", help="TOML file with profiles of your own.")]


@dataclass(frozen=True)
class ProfileOptions:
    """The profile that a command's sliders start from."""

    profile: Annotated[
        str | None, Option(help="A name that `trimtab profiles` lists; slider values given beside it win.")
    ] = None
    profiles: ProfilesFile = None

    def values(self, sliders: "Mapping[str, Slider]") -> Mapping[str, float]:
        """The profile's slider values; none without one."""
        return {} if self.profile is None else profile_values(self.profile, load_profiles(self.profiles), sliders)
