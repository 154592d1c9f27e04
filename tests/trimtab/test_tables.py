"""Tables that a terminal of 80 columns shows whole."""

import pytest

from tests.helpers.planted_reports import leaky, planted
from tests.trimtab.test_demo import FOUND
from trimtab.commands.demo import _print_matrix
from trimtab.commands.evaluate import print_report
from trimtab.options import console
from trimtab.tables import print_table


def test_columns_that_do_not_fit_follow_below_with_headings_whole(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "_width", 80)
    names = ["harmful refused", "look-alikes answered", "ordinary answered", "jailbreaks refused", "degenerate"]
    rows = [["safety +0.5, helpfulness +0.5", *["100 % [76, 100]"] * len(names)]] * 2
    print_table("Answers", ["setting", *names], rows)
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80
    assert "…" not in printed
    assert printed.count("100 % [76, 100]") == 2 * len(names)
    assert printed.count("safety +0.5, helpfulness +0.5") == 2 * printed.count("setting")
    for word in " ".join(names).split():
        assert word in printed


def test_the_demo_and_a_report_fit_into_80_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "_width", 80)
    _print_matrix(FOUND.matrix)
    demo = capsys.readouterr().out
    print_report(planted(leaky))
    report = capsys.readouterr().out
    assert demo.count("┏") == 1  # one table
    for printed in (demo, report):
        assert max(map(len, printed.splitlines())) <= 80
        assert "…" not in printed
    for word in ("look-alikes", "ordinary", "answered", "[21, 94]", "+67"):
        assert word in demo
    assert "not measurable at this size" in " ".join(report.split())
    assert "0 % [0, 49]" in report
