"""Tables that a terminal of 80 columns shows whole."""

import pytest

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
