"""Judges of text: labels for answers, offline or by a model."""

from probes.judges.endpoint import EndpointJudge as EndpointJudge
from probes.judges.model_judges import HarmBenchJudge as HarmBenchJudge
from probes.judges.model_judges import WildGuardJudge as WildGuardJudge
from probes.judges.refusal import RefusalJudge as RefusalJudge
from probes.judges.strongreject import StrongRejectJudge as StrongRejectJudge
from probes.judges.substring_lists import SubstringJudge as SubstringJudge
from probes.judges.template_judges import GraniteGuardianJudge as GraniteGuardianJudge
from probes.judges.template_judges import LlamaGuardJudge as LlamaGuardJudge
from probes.judges.template_judges import Qwen3GuardJudge as Qwen3GuardJudge
from probes.judges.verdict import Judge as Judge
from probes.judges.verdict import Verdict as Verdict
