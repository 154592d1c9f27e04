"""OpenAI's API with sliders, on plain transformers, for one machine."""

from importlib.util import find_spec
from typing import Literal

from steering.errors import SteeringError
from steering.extras import pip_install


def check_installed(command: Literal["serve", "studio"]) -> None:
    """Raise SteeringError, with what to run, where a server's packages are missing."""
    for package in ("fastapi", "uvicorn"):
        if find_spec(package) is None:
            raise SteeringError(
                f"`trimtab {command}` needs {package}, which is not installed; run: {pip_install(command)}"
            )
