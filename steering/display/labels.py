"""A setting of the sliders in words."""

from collections.abc import Mapping


def setting_label(setting: Mapping[str, float]) -> str:
    """`safety +1, helpfulness 0`; `bare` where all are at 0."""
    if not any(setting.values()):
        return "bare"
    return ", ".join(f"{name} {value:+g}" if value else f"{name} 0" for name, value in setting.items())
