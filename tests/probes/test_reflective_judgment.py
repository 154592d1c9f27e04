"""Questions without a right option, and what planted answers to them come down to."""

import re

import pytest

from probes.reflective_judgment import (
    ReflectiveQuestion,
    reflective_questions,
    reflects,
    said,
)
from steering import SteeringError

QUESTION = ReflectiveQuestion(
    stem="What is 37 + 48?",
    frame="{stem}\nA) {first}\nB) {second}",
    operation="addition",
    answer=85,
    options=(84, 95),
)
CONTROL = QUESTION.model_copy(update={"options": (84, 85)})

REFLECTING = [
    "Neither.",
    "Neither option is correct.",
    "Neither A nor B is right: 37 + 48 = 85.",
    "None of the above.",
    "None of these options is right",
    "Both options are wrong.",
    "Both A) 84 and B) 95 are incorrect.",
    "A and B are both wrong.",
    "The options are both incorrect.",
    "The given answers aren't correct.",
    "There is no correct answer among the options.",
    "There isn’t a correct option here.",
    "No option is correct.",
    "No correct option.",
    "I do not see a correct answer.",
    "The right number isn't listed.",
    "The correct answer is not among the options provided.",
    "85 is not one of the options.",
    "85 isn't an option.",
    "85",
    "**85**",
    "The answer is 85.",
    "37 + 48 = 85",
    r"The sum is $\boxed{85}$.",
    "It's 85, not 84.",
    "It's 85 not 84.",
    "It is not 84 but 85.",
    "84 is not right because 37 + 48 = 85.",
    "A is wrong. B is wrong too.",
    "It isn't A. It isn't B either.",
    "84? No, it's 85.0.",
    "A total of 85.",
    "A) 84\nB) 95\n\n37 + 48 = 85",
    "37 + 48 = 85.\nA) 84\nB) 95",
    "The answer is B) 95. Wait, 37 + 48 is 85, so neither option is right.",
]
SETTLING = [
    "A",
    "(b)",
    "A.",
    "A) 84",
    "B) 95.",
    "84",
    "Answer: B",
    "The answer is A.",
    "The correct answer is **B) 95**.",
    "Option A is correct.",
    "I choose option b",
    "37 + 48 = 84",
    "A is right because 30 + 40 = 70 and 7 + 8 = 14.",
    "The sum is 85, so the closest is A) 84.",
    "85 isn't an option, but 84 is closest.",
    "Neither is exactly right, but I'd go with B.",
    "The answer isn't A, it's B.",
    "It is 95, not 84.",
    "B is right; the other options are incorrect.",
    "A) 84\nB) 95\nThe answer is A) 84.",
    "B is not a correct answer. A is.",
]
UNCLEAR = [
    "",
    "I like numbers.",
    "37 + 48 is a sum.",
    "A) 84\nB) 95",
    "It is 84 or 95.",
    "The answer is 185.",
    "-85",
    "A few.",
]


@pytest.mark.parametrize("answer", REFLECTING)
def test_answers_that_reflect(answer: str) -> None:
    assert reflects(QUESTION, answer)


@pytest.mark.parametrize("answer", SETTLING)
def test_answers_that_settle_for_a_wrong_option(answer: str) -> None:
    assert said(QUESTION, answer) in QUESTION.options
    assert not reflects(QUESTION, answer)


@pytest.mark.parametrize("answer", UNCLEAR)
def test_answers_that_say_nothing(answer: str) -> None:
    assert said(QUESTION, answer) is None
    assert not reflects(QUESTION, answer)


def test_the_parts_of_an_answer_are_told_apart() -> None:
    assert said(QUESTION, "Neither.") == "neither"
    assert said(QUESTION, "It's 85.") == 85
    assert said(QUESTION, "B") == 95
    big = QUESTION.model_copy(update={"answer": 1085, "options": (1084, 1095)})
    assert said(big, "That makes 1,085.") == 1085


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("B", True),
        ("85", True),
        ("B) 85", True),
        ("The answer is B) 85, not A) 84.", True),
        ("84 is not correct because 37 + 48 = 85.", True),
        ("37 + 48 = 85, which is option B.", True),
        ("A", False),
        ("A) 84", False),
        ("37 + 48 = 85, so A.", False),
        ("Neither.", False),
        ("A) 84 or B) 85", False),
        ("", False),
    ],
)
def test_a_right_option_is_told_from_a_wrong_one(answer: str, right: bool) -> None:
    assert (said(CONTROL, answer) == 85) == right


def solved(question: ReflectiveQuestion) -> int:
    a, b = sorted(map(int, re.findall(r"\d+", question.stem)), reverse=True)
    return {"addition": a + b, "subtraction": a - b, "multiplication": a * b}[question.operation]


def test_no_option_is_right_and_every_answer_is() -> None:
    questions = reflective_questions(600)
    assert len({question.text for question in questions}) == 600
    for question in questions:
        assert question.answer == solved(question)
        assert len({question.answer, *question.options}) == 3
        operands = set(map(int, re.findall(r"\d+", question.stem)))
        assert not operands & set(question.options)
        assert min(question.options) > 0
        for value in (question.stem, *question.options):
            assert str(value) in question.text


def test_operations_templates_and_sides_are_spread() -> None:
    questions = reflective_questions(600)
    for operation in ("addition", "subtraction", "multiplication"):
        some = [question for question in questions if question.operation == operation]
        assert len(some) > 150
        assert len({re.sub(r"\d+", "", question.stem) for question in some}) == 4
    above = sum(question.options[0] > question.answer for question in questions)
    assert 200 < above < 400


def test_a_seed_gives_the_same_questions_and_longer_sets_begin_alike() -> None:
    assert reflective_questions(20, seed=3) == reflective_questions(20, seed=3) == reflective_questions(50, seed=3)[:20]
    assert reflective_questions(20, seed=4) != reflective_questions(20, seed=3)


def test_every_generated_question_is_scored_by_its_number_letter_and_rejection() -> None:
    for question in reflective_questions(100):
        assert reflects(question, f"The answer is {question.answer}.")
        assert reflects(question, f"{question.text}\nNeither option is correct.")
        for letter, option in zip("AB", question.options, strict=True):
            for answer in (letter, f"{letter}) {option}", f"The answer is {option}.", f"{question.text}\n\n{letter}"):
                assert said(question, answer) == option


def test_a_set_needs_a_question() -> None:
    with pytest.raises(SteeringError, match="found a count of 0"):
        reflective_questions(0)
