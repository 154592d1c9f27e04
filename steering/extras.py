"""Trimtab's extras, and how one is added to the Trimtab that is installed."""

from typing import Literal

Extra = Literal["benchmarks", "judges", "lens", "llama-cpp", "notebook", "peft", "serve", "studio", "trained", "vllm"]


def pip_install(extra: Extra) -> str:
    """The command that adds what an extra needs: pip keeps the Trimtab that it finds, of a clone, a wheel or an index.

    Args:
        extra: its name in `pyproject.toml`.

    Returns:
        A shell command.

    Example:
        >>> pip_install("studio")
        "pip install 'trimtab[studio]'"
    """
    return f"pip install 'trimtab[{extra}]'"
