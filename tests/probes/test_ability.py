"""Right answers are told from wrong ones in the forms that models write them."""

import pytest

from probes.ability import is_right
from probes.benchmarks import BenchmarkPrompt, reflective_benchmark


@pytest.mark.parametrize(
    ("expected", "answer", "right"),
    [
        ("18", "She makes 9 * 2 = $18 every day.", True),
        ("18", "9 * 2 = 18. So 18 dollars in 2 days", False),
        ("1,234", "The total is 1234.", True),
        ("1234", "The total is 1,234.00", True),
        ("-3", "It falls to -3", True),
        ("5", "I do not know.", False),
        ("B", "B", True),
        ("B", "B. Paris", True),
        ("B", "The answer is (B).", True),
        ("B", "The correct answer is B) because A) is not a city", True),
        ("B", "A. London", False),
        ("A", "A good question! The answer is C.", False),
        ("C", "A good question! The answer is C.", True),
        ("D", "", False),
    ],
)
def test_numbers_and_letters(expected: str, answer: str, right: bool) -> None:
    assert is_right(BenchmarkPrompt(text="?", kind="ability", answer=expected), answer) is right


def test_reflective_questions_are_answered_by_rejecting_both_options() -> None:
    benchmark = reflective_benchmark(20)
    assert len(benchmark) == 20
    for prompt in benchmark.prompts:
        assert prompt.question is not None
        assert is_right(prompt, "Neither of the options is correct.")
        assert is_right(prompt, f"The answer is {prompt.answer}.")
        assert not is_right(prompt, "A")
        assert not is_right(prompt, f"The answer is {prompt.question.options[1]}.")
