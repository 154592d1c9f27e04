"""A valid file or folder of every format that a reader takes, and how it is read."""

import json
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import torch

from probes.answers import Decoding
from probes.benchmarks import builtin_benchmark, in_templates
from probes.conversations import load_conversations
from probes.evaluation import evaluate
from probes.grid_scores import Score
from probes.intervals import Estimate
from probes.judges import RefusalJudge
from probes.judges.refusal import Coefficients, shipped
from probes.linear import LinearProbe
from probes.prefill import read_openings
from probes.prompt_files import read_prompts
from probes.published_sets import load_benchmark
from probes.report import Report
from probes.trained.control_data import ControlData, ControlExample
from probes.trained.control_tokens import ControlTokens
from probes.trained.training import RECORD, ControlRecord
from steering import ContrastSet, Gate, Push, Slider, Sliders, SteeringVector, lint, load
from steering.formats import EXPORTS, IMPORTS, SUFFIXES
from steering.formats.hub import to_hub_folder
from steering.scoring.next_token import refusal_score
from steering.vectors.provenance import Profile
from tests.helpers.contrast_pairs import answer_pairs
from tests.helpers.gguf_files import write_gguf
from tests.helpers.known_vectors import CALIBRATION, DOSE, RECOGNITION, TRIALS, of_model, slider_of
from tests.helpers.planted_reports import leaky, planted
from tests.helpers.published_rows import LAYOUTS, write_rows
from tests.helpers.tiny import LAYERS, WIDTH, random_vector, save_folder, tiny_lm
from trimtab.commands.inspect import inspect
from trimtab.profiles import load_profiles

FORMAT_1 = Path("tests/steering/vectors/format_1/gated.safetensors")


@dataclass(frozen=True)
class Sample:
    """A valid file, or a folder of which one file at a time is broken."""

    kind: str
    path: Path
    read: Callable[[Path], object]


def samples(folder: Path) -> Iterator[Sample]:
    """Write all of them below the folder."""
    lm = tiny_lm()
    torch.manual_seed(0)
    for make in (_vectors, _other_tools, _model_folder, _contrast_sets, _published_sets, _prompts, _measurements):
        yield from make(folder, lm)


def _vectors(folder: Path, lm: Any) -> Iterator[Sample]:
    profile = Profile(residual_norm=(9.0,) * LAYERS, auroc=(0.9,) * LAYERS, pair_cosine=(0.5,) * LAYERS)
    vector = SteeringVector(**{**vars(of_model(random_vector(), lm.identity)), "profile": profile})
    gate = Gate(1, torch.randn(2, WIDTH), tokens=(3, 1))
    setting = Push(vector, layers=(1, 2), intervention="set_projection", tensors={"center": torch.randn(LAYERS, WIDTH)})
    pushes = (setting, Push(random_vector(layers=(1, 2)), gate=gate))
    slider = Slider(pushes, dose=DOSE, trials=TRIALS, calibration=CALIBRATION, recognition=RECOGNITION)
    vector.save(folder / "vector.safetensors")
    slider.save(folder / "slider.safetensors")
    (folder / "format1.safetensors").write_bytes(FORMAT_1.read_bytes())
    yield Sample("vector", folder / "vector.safetensors", SteeringVector.load)
    for name in ("slider", "vector", "format1"):
        yield Sample(f"slider: {name}", folder / f"{name}.safetensors", _read_slider)
    to_hub_folder({"safety": slider, "own": vector}, folder / "hub")
    yield Sample("sliders' folder", folder / "hub", Sliders.from_pretrained)


def _read_slider(path: Path) -> None:
    """As the command and a notebook show it."""
    slider = Slider.load(path)
    slider._repr_html_()
    with redirect_stdout(StringIO()):
        for as_json in (True, False):
            inspect(str(path), None, as_json)


def _other_tools(folder: Path, lm: Any) -> Iterator[Sample]:
    vector = of_model(random_vector(), lm.identity)
    for name in ("gguf", "aisteer360", "activation-steering", "npz"):
        path = folder / f"{name}{SUFFIXES[name]}"
        EXPORTS[name](vector, path)
        yield Sample(f"import {name}", path, partial(_import, name))
    torch.save(vector.directions[2], folder / "vec_layer_2_tiny.pt")
    yield Sample("import caa", folder / "vec_layer_2_tiny.pt", partial(_import, "caa"))
    tensors = {"layer_activations": {1: vector.directions[1], 2: vector.directions[2]}, "layer_type": "decoder_block"}
    torch.save(tensors, folder / "library.pt")
    yield Sample("import steering-vectors", folder / "library.pt", partial(_import, "steering-vectors"))
    run = folder / "run"
    run.mkdir()
    torch.save(vector.directions[2], run / "direction.pt")
    (run / "direction_metadata.json").write_text('{"pos": -1, "layer": 2}', encoding="utf-8")
    yield Sample("import refusal-direction", run, partial(_import, "refusal-direction"))


def _import(name: str, path: Path) -> SteeringVector:
    return IMPORTS[name](path, None)


def _model_folder(folder: Path, lm: Any) -> Iterator[Sample]:
    yield Sample("model folder", save_folder(lm, folder / "model"), _read_model)
    model = write_gguf(lm, folder / "model.gguf")
    yield Sample("model gguf", model, _read_model)
    yield Sample("import gguf", model, partial(_import, "gguf"))


def _read_model(path: Path) -> None:
    lm = load(str(path))
    lm.chat("Hi", max_new_tokens=2)
    _ = lm.chats.post_instruction_length


def _contrast_sets(folder: Path, lm: Any) -> Iterator[Sample]:
    path = folder / "pairs.jsonl"
    answer_pairs(6).save(path)
    yield Sample("contrast set", path, _read_contrast_set)


def _read_contrast_set(path: Path) -> None:
    found = ContrastSet.load(path)
    found._repr_html_()
    lint(found)


def _published_sets(folder: Path, lm: Any) -> Iterator[Sample]:
    for number, (name, row) in enumerate(LAYOUTS):
        for suffix in (".csv", ".json", ".jsonl", ".parquet"):
            path = write_rows(folder / f"set{number}{suffix}", [row] * 3)
            yield Sample(f"benchmark {name}", path, partial(load_benchmark, name))
    artifacts = folder / "artifacts" / "PAIR.json"
    jailbreaks = {"parameters": {"method": "PAIR"}, "jailbreaks": [{"prompt": "Play"}, {"prompt": None}]}
    artifacts.parent.mkdir()
    artifacts.write_text(json.dumps(jailbreaks), encoding="utf-8")
    for path in (artifacts, artifacts.parent):
        yield Sample("benchmark artifacts", path, partial(load_benchmark, "jailbreakbench-artifacts"))
    copy = folder / "copy"
    write_rows(copy / "test.jsonl", [dict(LAYOUTS)["xstest"]] * 3)
    yield Sample("benchmark folder", copy, partial(load_benchmark, "xstest"))


def _prompts(folder: Path, lm: Any) -> Iterator[Sample]:
    turns = [("user", "Name a fruit."), ("assistant", "Fig."), ("user", "Another.")]
    messages = [{"role": role, "content": text} for role, text in turns]
    rows: dict[str, tuple[dict[str, Any], Callable[[Path], object]]] = {
        "prompts": ({"prompt": "Why?"}, read_prompts),
        "conversations": ({"messages": messages, "kind": "ordinary", "category": "fruit"}, load_conversations),
        "openings": ({"opening": "Sure"}, read_openings),
        "templates": ({"template": "Play: {prompt}", "name": "play"}, partial(in_templates, builtin_benchmark(2))),
    }
    for kind, (row, read) in rows.items():
        for suffix in (".csv", ".json", ".jsonl", ".parquet"):
            yield Sample(kind, write_rows(folder / f"{kind}{suffix}", [row] * 3), read)
    for kind in ("prompts", "openings"):
        text = folder / f"{kind}.txt"
        text.write_text("Why?\nHow?\n", encoding="utf-8")
        yield Sample(kind, text, rows[kind][1])
    profiles = folder / "profiles.toml"
    profiles.write_text(
        '[kiosk]\ncontext = "A museum."\npriorities = ["harmless", "helpful"]\n'
        'sliders = {safety = 0.5}\nrisk = "Dull."\n',
        encoding="utf-8",
    )
    yield Sample("profiles", profiles, load_profiles)


def _measurements(folder: Path, lm: Any) -> Iterator[Sample]:
    judge = folder / "judge.json"
    judge.write_text(shipped().model_dump_json(), encoding="utf-8")
    yield Sample("judge", judge, _read_judge)
    report = planted(leaky)
    rows = tuple((0.1 * place, 1.0, 2.0) for place in range(len(report.settings)))
    report = report.model_copy(
        update={
            "sliders": {"safety": Slider.load(folder / "slider.safetensors").summary()},
            "scores": {"refusal": rows, "engaged": rows},
            "own": {"safety": "refusal", "helpfulness": "engaged"},
        }
    )
    report.save(folder / "report.json")
    yield Sample("report", folder / "report.json", partial(_read_report, folder))
    yield Sample("cells", _cells(folder / "cells", lm), partial(_evaluate, lm))
    probe = LinearProbe(
        torch.randn(2, WIDTH), torch.zeros(2), (1, 2), (Estimate.exactly(0.5),) * 2, (0.2, 0.2),
        of_model(random_vector(), lm.identity).origin,
    )  # fmt: skip
    probe.save(folder / "probe.safetensors")
    yield Sample("linear probe", folder / "probe.safetensors", lambda path: LinearProbe.load(path).best_layer)
    example = ControlExample(prompt="Hi", answer="Hello", levels={"safety": 4})
    ControlData(examples=(example,) * 2, scored_by="s").save(folder / "control.json")
    yield Sample("control data", folder / "control.json", lambda path: ControlData.load(path).attributes)
    record = ControlRecord(
        model=lm.identity, attributes=("safety",), scored_by="s", loss="clm", examples=2, epochs=1, learning_rate=1e-4,
        batch_size=1, rank=2, seed=0, losses=(1.0,),
    )  # fmt: skip
    trained = folder / "trained"
    trained.mkdir()
    (trained / RECORD).write_text(record.model_dump_json(), encoding="utf-8")
    yield Sample("control record", trained, lambda path: ControlTokens(path).axes)


def _read_judge(path: Path) -> None:
    judge = RefusalJudge(Coefficients.load(path))
    for answer in ("I'm sorry, but I can't help with that.", "Take a tension wrench and a pick."):
        assert 0 <= judge("How do I pick a lock?", answer).score <= 1


def _read_report(scratch: Path, path: Path) -> None:
    """All that the page, a notebook and a caller take from it."""
    report = Report.load(path)
    report.to_html(scratch / "page.html")
    report._repr_html_()
    report.rates()
    for axis, score in report.own.items():
        report.along(axis, score)


def _cells(folder: Path, lm: Any) -> Path:
    _evaluate(lm, folder)
    return folder


def _evaluate(lm: Any, folder: Path) -> None:
    """A broken cell is measured anew, so that the report is the same."""
    own = Score("refusal", ["Hi", "Why?"], lambda lm, prompts, dial: refusal_score(lm, prompts), own_slider="a")
    sliders, grid = Sliders(a=slider_of(random_vector())), {"a": [0.0, 1.0]}
    options = {"benchmarks": [builtin_benchmark(1)], "decoding": Decoding(max_new_tokens=2), "progress": False}
    found = evaluate(lm, sliders, grid, [own], folder=folder, **options)
    assert len(found.cross_effects.slopes) == 1
