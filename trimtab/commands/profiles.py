"""`trimtab profiles`: which profiles there are, what they set, and what they risk."""

import json

from trimtab.options import Json, console
from trimtab.profiles import ProfilesFile, load_profiles
from trimtab.terminal import echo


def profiles(file: ProfilesFile = None, as_json: Json = False) -> None:
    """List the profiles: context, priorities in order, slider values, and what they risk."""
    found = load_profiles(file)
    if as_json:
        echo(json.dumps({name: profile.model_dump() for name, profile in found.items()}, ensure_ascii=False))
        return
    for name, profile in found.items():
        values = ", ".join(f"{axis} {value:g}" for axis, value in profile.sliders.items())
        console.print(name, style="bold", end="")
        console.print(f": {values}")
        console.print(
            f"  for: {profile.context}\n  first: {', then '.join(profile.priorities)}\n  risk: {profile.risk}"
        )
