"""Long work says what it does and how long it takes once its first units have been timed; short work says nothing."""

import pytest

from steering.progress import Progress, announce, duration


class Clock:
    """A clock that stands still unless it is moved."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("tqdm.std.time", clock)
    return clock


def test_long_work_is_announced_once_with_what_is_left(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in Progress(range(10), desc="trying pushes", unit="push"):
        clock.now += 30.0
    said = [line for line in capsys.readouterr().err.replace("\r", "\n").splitlines() if "about" in line]
    assert said == ["trying pushes: 10 pushes, about 4 min"]


def test_units_that_were_kept_from_a_killed_run_do_not_hide_how_long_the_others_take(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with Progress(total=8, desc="measuring", unit="setting") as bar:
        clock.now += 0.2
        bar.update(4)
        clock.now += 60.0
        bar.update(1)
    assert "measuring: 8 settings, about 40 s" in capsys.readouterr().err


def test_short_and_silent_work_says_nothing(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in Progress(range(10), desc="scores", unit="setting"):
        clock.now += 0.5
    assert "about" not in capsys.readouterr().err
    for _ in Progress(range(10), desc="scores", unit="setting", disable=True):
        clock.now += 500.0
    announce("calibrating", 500.0, shown=False)
    assert capsys.readouterr().err == ""


def test_times_are_told_in_round_words() -> None:
    assert [duration(s) for s in (3, 21, 89, 91, 1800, 3599, 7200)] == [
        "10 s", "20 s", "90 s", "2 min", "30 min", "60 min", "2.0 h"
    ]  # fmt: skip
