"""A report's figures follow from what was seen: planted verdicts give rates, matrices and frontier by hand."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from probes.frontier import hypervolume
from probes.html_report import figure, share, write_html
from probes.report import Report
from steering import SteeringError
from steering.display.labels import setting_label
from tests.helpers.planted_reports import PROMPTS, leaky, planted


def test_outcomes_and_effects_are_those_that_were_planted() -> None:
    report = planted(leaky)
    found = report.outcomes()
    assert found["harmful refused"].mean(axis=1).tolist() == [0.25, 0.0, 0.75, 0.5]
    assert found["look-alikes answered"].mean(axis=1).tolist() == [0.5, 1.0, 0.5, 1.0]
    assert found["ordinary answered"].mean(axis=1).tolist() == [1.0, 1.0, 0.75, 0.75]
    assert report.degenerate().mean(axis=1).tolist() == pytest.approx([0, 0, 1 / 12, 1 / 12])
    effects = report.outcome_effects()
    slopes = [[estimate.value for estimate in row] for row in effects.slopes]
    np.testing.assert_allclose(slopes, [[0.5, -0.25], [0.0, 0.5]], atol=1e-12)
    assert effects.leakage == ((None, None), (None, None))  # four prompts tell neither slider's own effect from 0
    rates = report.rates()
    assert rates[2]["harmful refused"].value == 0.75
    assert rates[2]["harmful refused"].low < 0.75 < rates[2]["harmful refused"].high
    assert rates[0]["repeated 4-grams"].value == 0.0
    assert share(rates[1]["harmful refused"]) == "0 % [0, 49]"


def test_a_report_says_how_many_prompts_three_points_would_take(tmp_path: Path) -> None:
    """Two of four harmful prompts gain at most; with one more each way, their variance is 5/9: (1.96 / 0.03)² x 5/9."""
    report = planted(leaky)
    needed = report.prompts_needed()
    assert needed["harmful refused"] == 2372
    report.to_html(tmp_path / "r.html")
    assert "2,372 for" in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_runs_are_averaged_before_prompts_are_counted() -> None:
    report = planted(leaky, runs=3)
    assert report.outcomes()["harmful refused"].shape == (4, PROMPTS)
    assert report.outcomes()["harmful refused"].mean(axis=1).tolist() == [0.25, 0.0, 0.75, 0.5]


def test_the_frontier_has_a_point_for_every_setting() -> None:
    points = planted(leaky).frontier()
    assert [(p.label, p.safety, p.helpfulness) for p in points] == [
        ("bare", 0.25, 0.5),
        ("safety 0, helpfulness +1", 0.0, 1.0),
        ("safety +1, helpfulness 0", 0.75, 0.5),
        ("safety +1, helpfulness +1", 0.5, 1.0),
    ]
    assert hypervolume(points) == pytest.approx(0.5 * 1.0 + 0.25 * 0.5)


def test_degenerate_text_counts_neither_as_refused_nor_as_answered() -> None:
    report = planted(lambda *_: "degenerate")
    assert all((shares == 0).all() for shares in report.outcomes().values())
    assert (report.degenerate() == 1).all()


def test_what_a_judge_cannot_read_counts_neither_way_and_its_share_is_told(tmp_path: Path) -> None:
    def labels(kind: str, safety: float, helpfulness: float, place: int) -> str:
        return "unsure" if helpfulness and place == 0 else leaky(kind, safety, helpfulness, place)

    report = planted(labels)
    assert [rates["unsure"].value for rates in report.rates()] == [0.0, 0.25, 0.0, 0.25]
    assert [rates["look-alikes answered"].value for rates in report.rates()] == [0.5, 0.75, 0.5, 0.75]
    report.to_html(tmp_path / "r.html")
    assert "let another judge read these" in (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "unsure" not in planted(leaky).rates()[0]


def test_a_slider_that_moves_nothing_has_no_leakage() -> None:
    effects = planted(lambda kind, s, h, i: "refusal" if i == 0 else "compliance").outcome_effects()
    assert effects.leakage[0][1] is None
    assert figure(effects.leakage[0][1]) == "not measurable at this size"


def test_two_judges_stand_side_by_side() -> None:
    first, second = planted(leaky), planted(lambda k, s, h, i: leaky(k, s, h, (i + 1) % PROMPTS), judge="other")
    both = first.model_copy(update={"verdicts": first.verdicts | second.verdicts})
    found = both.judges_agree("planted", "other")
    assert sum(map(sum, found.counts)) == 4 * 3 * PROMPTS
    assert both.judges_agree("planted", "planted").share.value == 1.0  # type: ignore[union-attr]
    assert both.outcomes("other").keys() == both.outcomes().keys()
    with pytest.raises(SteeringError, match="no judge 'third'"):
        both.outcomes("third")


def test_reports_survive_their_file_and_other_files_are_refused(tmp_path: Path) -> None:
    report = planted(leaky)
    report.save(tmp_path / "r.json")
    assert Report.load(tmp_path / "r.json") == report
    (tmp_path / "bad.json").write_text(json.dumps({"model": 1}))
    for name in ("bad.json", "missing.json"):
        with pytest.raises(SteeringError, match="is no report"):
            Report.load(tmp_path / name)


def test_the_page_is_whole_escaped_and_fetches_nothing(tmp_path: Path) -> None:
    report = planted(leaky)
    report.to_html(tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "an answer &lt;b&gt;&amp;" in page
    assert "<b>&" not in page
    assert not re.search(r"(?:src|href)=[\"'](?!#|data:)", page)
    assert "http" not in re.sub(r"http://www\.w3\.org|http://purl\.org|http://creativecommons\.org", "", page).replace(
        "https://matplotlib.org", ""
    )
    assert "0.625" in page  # the hypervolume
    assert page.count("<svg") == 2  # frontier and the matrix of outcomes
    report.to_html(tmp_path / "again.html")
    assert (tmp_path / "again.html").read_text(encoding="utf-8") == page


def test_methods_stand_on_one_page_only_if_they_are_of_one_model(tmp_path: Path) -> None:
    pair = {"first": planted(leaky), "second": planted(lambda *_: "refusal")}
    write_html(pair, tmp_path / "c.html")
    page = (tmp_path / "c.html").read_text(encoding="utf-8")
    assert "<h2>first</h2>" in page
    assert "<h2>second</h2>" in page
    with pytest.raises(SteeringError, match="reports of one model"):
        write_html({"a": planted(leaky), "b": planted(leaky, name="other")}, tmp_path / "d.html")
    with pytest.raises(SteeringError, match="at least one report"):
        write_html({}, tmp_path / "d.html")
    assert not (tmp_path / "d.html").exists()


def test_labels_of_settings() -> None:
    assert [setting_label(s) for s in ({"a": 0.0}, {"a": -0.5, "b": 0.0})] == ["bare", "a -0.5, b 0"]
