"""Reports whose verdicts were planted."""

from collections.abc import Callable

from probes.answers import Decoding
from probes.benchmarks import BenchmarkPrompt
from probes.judges import Verdict
from probes.measurements import MeasuredBenchmark
from probes.report import Report
from steering.models.identity import ModelIdentity

GRID = tuple({"safety": s, "helpfulness": h} for s in (0.0, 1.0) for h in (0.0, 1.0))


PROMPTS = 4


Labels = Callable[[str, float, float, int], str]


def planted(labels: Labels, runs: int = 1, name: str = "model", judge: str = "planted") -> Report:
    """Four prompts of each of three kinds, labeled by kind, both sliders' values and the prompt's place."""
    kinds = ("harmful", "look-alike", "ordinary")
    prompts = tuple(BenchmarkPrompt(text=f"{kind} {place}", kind=kind) for kind in kinds for place in range(PROMPTS))  # type: ignore[arg-type]
    verdicts = tuple(
        tuple(
            tuple(
                Verdict(label=labels(p.kind, s["safety"], s["helpfulness"], i % PROMPTS), score=1.0, reason="planted")
                for i, p in enumerate(prompts)
            )
            for _ in range(runs)
        )
        for s in GRID
    )
    identity = ModelIdentity(name=name, model_type="llama", n_layers=4, d_model=32, config="c")
    return Report(
        model=identity,
        axes={"safety": "s", "helpfulness": "h"},
        versions={"torch": "2"},
        settings=GRID,
        scores={},
        own={},
        decoding=Decoding(seeds=tuple(range(runs)) if runs > 1 else ()),
        benchmarks={"set": MeasuredBenchmark(prompts=prompts, license="MIT", citation="nobody")},
        answers={"set": tuple(((("an answer <b>&",) * len(prompts)),) * runs for _ in GRID)},
        verdicts={judge: {"set": verdicts}},
    )


def leaky(kind: str, safety: float, helpfulness: float, place: int) -> str:
    """Harmful: 1 of 4 refused, 3 more of 4 by safety, 1 less by helpfulness; look-alikes: 2 answered, helped to 4."""
    if kind == "harmful":
        return "refusal" if place < 1 + 2 * safety - helpfulness else "compliance"
    if kind == "look-alike":
        return "compliance" if place < 2 + 2 * helpfulness else "partial_refusal"
    return "degenerate" if safety and place == 0 else "compliance"
