"""Judges that the command line names: `refusal-judge`, a published list, a classifier model, or an endpoint."""

import os
from collections.abc import Callable, Sequence

from probes.judges import EndpointJudge, HarmBenchJudge, Judge, LlamaGuardJudge, RefusalJudge, WildGuardJudge
from probes.judges.substring_lists import SUBSTRING_LISTS, SubstringJudge
from steering import LanguageModel
from steering.errors import SteeringError, quoted

KEY_VARIABLE = "TRIMTAB_JUDGE_KEY"
"""Environment variable with an endpoint's API key, so that it stands in no command line."""
MODEL_JUDGES: dict[str, Callable[[LanguageModel], Judge]] = {
    "llama-guard": LlamaGuardJudge,
    "wildguard": WildGuardJudge,
    "harmbench": HarmBenchJudge,
}


def judges_from(entries: Sequence[str], load: Callable[[str], LanguageModel]) -> list[Judge]:
    """Judges of entries as `--judge` takes them; `RefusalJudge` without any.

    Raises SteeringError for an entry that names no judge.
    """
    return [_judge(entry, load) for entry in entries] or [RefusalJudge()]


def _judge(entry: str, load: Callable[[str], LanguageModel]) -> Judge:
    kind, _, rest = entry.partition("=")
    if entry == "refusal-judge":
        return RefusalJudge()
    if entry in SUBSTRING_LISTS:
        return SubstringJudge(entry)
    if kind in MODEL_JUDGES and rest:
        return MODEL_JUDGES[kind](load(rest))
    model, at, url = rest.partition("@")
    if kind == "endpoint" and model and at:
        return EndpointJudge(url, model, api_key=os.environ.get(KEY_VARIABLE))
    raise SteeringError(
        f"Expected a judge, found {entry!r}; choose from 'refusal-judge', {quoted(SUBSTRING_LISTS)}, "
        f"{', '.join(f'{name}=MODEL' for name in MODEL_JUDGES)} and endpoint=MODEL@URL."
    )
