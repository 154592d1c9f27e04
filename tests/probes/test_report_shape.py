"""A report whose parts don't belong together is refused with a sentence, before any figure is drawn from it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from probes.report import Report
from steering import SteeringError
from tests.helpers.known_vectors import slider_of
from tests.helpers.planted_reports import leaky, planted
from tests.helpers.tiny import random_vector

Content = dict[str, Any]


def whole() -> Report:
    """A report with scores, sliders, benchmarks, answers and verdicts."""
    report = planted(leaky)
    rows = tuple((0.1 * place, 1.0, 2.0) for place in range(len(report.settings)))
    summary = slider_of(random_vector()).summary()
    own = {"safety": "refusal", "helpfulness": "engaged"}
    return report.model_copy(
        update={"sliders": {"safety": summary}, "scores": {"refusal": rows, "engaged": rows}, "own": own}
    )


def broken(change: Callable[[Content], object], path: Path) -> Path:
    content = json.loads(whole().model_dump_json())
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_a_whole_report_comes_back(tmp_path: Path) -> None:
    assert Report.load(broken(lambda content: None, tmp_path / "r.json")) == whole()


CASES: dict[str, tuple[Callable[[Content], object], str]] = {
    "no settings": (lambda c: c.update(settings=[]), "expected settings of the same axes, one axis at least"),
    "a setting of other axes": (lambda c: c["settings"][1].pop("safety"), "settings of the same axes"),
    "a setting twice": (lambda c: c["settings"].__setitem__(1, c["settings"][2]), "every setting once"),
    "no bare model": (lambda c: [s.update(safety=2 + i) for i, s in enumerate(c["settings"])], "the bare model"),
    "an axis that nobody described": (lambda c: c["axes"].pop("safety"), "axes of the settings among 'helpfulness'"),
    "a value beyond float32": (lambda c: c["settings"][1].update(safety=1e300), "less than or equal to 34000"),
    "a score of text": (lambda c: c["scores"]["refusal"][0].__setitem__(0, "x"), "valid number, .*found 'x'"),
    "a score beyond float32": (lambda c: c["scores"]["refusal"][0].__setitem__(0, 1e308), "less than or equal to"),
    "a missing score": (lambda c: c["scores"]["refusal"][0].pop(), "4 rows of 2 or 3 prompts for 4 settings in 'ref"),
    "a missing row of scores": (lambda c: c["scores"]["refusal"].pop(), "3 rows of 3 prompts for 4 settings"),
    "scores of no prompt": (lambda c: c["scores"].update(refusal=[[]] * 4), "4 rows of 0 prompts"),
    "an own score that isn't there": (lambda c: c["scores"].pop("refusal"), "expected own scores among 'engaged'"),
    "an own score of no axis": (lambda c: c["own"].update(x="refusal"), "axes of own scores among 'safety'"),
    "a slider of no axis": (lambda c: c["sliders"].update(x=c["sliders"]["safety"]), "sliders among 'safety'"),
    "a missing answer": (lambda c: c["answers"]["set"][0][0].pop(), "and 12 prompts, found 4 by 1 by 11 or 12 in 's"),
    "no runs": (lambda c: c["answers"]["set"].__setitem__(0, []), "found 4 by 0 or 1 by 12"),
    "a missing setting": (lambda c: c["answers"]["set"].pop(), "found 3 by 1 by 12"),
    "answers of no benchmark": (lambda c: c["benchmarks"].clear(), "answers for the benchmarks none, found 'set'"),
    "a benchmark of no prompt": (lambda c: c["benchmarks"]["set"].update(prompts=[]), "at least 1 item"),
    "no judge": (lambda c: c["verdicts"].clear(), "verdicts of a judge on the answers, found none"),
    "a judge of nothing": (lambda c: c["verdicts"].update(x={}), "verdicts of 'x' for the benchmarks 'set', found non"),
    "a missing verdict": (lambda c: c["verdicts"]["planted"]["set"][0][0].pop(), "verdicts of 'planted' for 4 settin"),
    "a slider without pushes": (lambda c: c["sliders"]["safety"].update(pushes=[]), "at least 1 item"),
    "a vector without layers": (
        lambda c: c["sliders"]["safety"]["pushes"][0]["vector"].update(layers=[], norms=[], recommended_layers=[]),
        "at least 1 item",
    ),
    "a norm too few": (
        lambda c: c["sliders"]["safety"]["pushes"][0]["vector"]["norms"].pop(),
        "a figure for each of 4 layers, found others as 'norms'",
    ),
    "a short profile": (
        lambda c: c["sliders"]["safety"]["pushes"][0]["vector"].update(
            profile={"residual_norm": [1.0] * 4, "auroc": [0.5], "pair_cosine": [0.5] * 4}
        ),
        "found others as 'auroc'",
    ),
    "foreign recommended layers": (
        lambda c: c["sliders"]["safety"]["pushes"][0]["vector"].update(recommended_layers=[9]),
        "recommended layers among",
    ),
    "a huge layer": (
        lambda c: c["sliders"]["safety"]["pushes"][0].update(layers=[10**18]),
        "less than 10000",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_parts_that_do_not_fit_are_refused(case: str, tmp_path: Path) -> None:
    change, sentence = CASES[case]
    with pytest.raises(SteeringError, match=sentence) as caught:
        Report.load(broken(change, tmp_path / "r.json"))
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith("run `trimtab evaluate` again.")


def test_a_question_is_put_together_by_this_packages_frames_only(tmp_path: Path) -> None:
    question = {
        "stem": "1 + 1?",
        "frame": "{stem:>9999999999}",
        "operation": "addition",
        "answer": 2,
        "options": [1, 3],
    }
    with pytest.raises(SteeringError, match="expected a frame of this package"):
        Report.load(broken(lambda c: c["benchmarks"]["set"]["prompts"][0].update(question=question), tmp_path / "r"))


def test_an_unknown_axis_or_score_is_refused() -> None:
    with pytest.raises(SteeringError, match="There is no axis 'x' in this report; it has 'safety', 'helpfulness'"):
        whole().along("x", "refusal")
    with pytest.raises(SteeringError, match="There is no score 'x' in this report; it has 'refusal', 'engaged'"):
        whole().along("safety", "x")
