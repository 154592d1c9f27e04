"""Judges of text: labels for answers, offline or by a model."""

from probes.judges.endpoint import EndpointJudge
from probes.judges.model_judges import HarmBenchJudge, LlamaGuardJudge, WildGuardJudge
from probes.judges.refusal import RefusalJudge
from probes.judges.substring_lists import SubstringJudge
from probes.judges.verdict import Judge, Verdict

__all__ = [
    "EndpointJudge",
    "HarmBenchJudge",
    "Judge",
    "LlamaGuardJudge",
    "RefusalJudge",
    "SubstringJudge",
    "Verdict",
    "WildGuardJudge",
]
