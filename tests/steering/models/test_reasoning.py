"""Thoughts are told from answers by their marks, and an answer that speaks of marks stays one."""

import pytest

from steering.models.reasoning import (
    MARKS,
    Marks,
    ReasoningStream,
    Response,
    empty_thought,
    marks_of,
    opening_at_end,
    split_reasoning,
)

TAGS = [marks for marks in MARKS if not marks.are_words]
THINK = MARKS[0]
HARMONY = (
    "<|channel|>analysis<|message|>The user wants x.<|end|><|start|>assistant<|channel|>final<|message|>No.<|return|>"
)


def streamed(text: str, opened: bool = False) -> Response:
    """What a stream of single characters gives."""
    stream = ReasoningStream(opened=opened)
    pieces = [*map(stream.add, text), stream.finish()]
    return Response("".join(one.reasoning for one in pieces), "".join(one.answer for one in pieces), pieces[-1].closed)


@pytest.mark.parametrize("marks", MARKS, ids=lambda marks: marks.opening)
def test_every_known_pair_of_marks_is_told(marks: Marks) -> None:
    for opening in marks.openings:
        for closing in marks.closings:
            text = f"{opening}Hm, yes.{closing}I'm sorry, but I can't."
            assert split_reasoning(text) == Response("Hm, yes.", "I'm sorry, but I can't.") == streamed(text)
            assert split_reasoning(f"\n {opening}Hm") == Response("Hm", "", closed=False) == streamed(f"\n {opening}Hm")


@pytest.mark.parametrize("marks", TAGS, ids=lambda marks: marks.opening)
def test_an_empty_thought_leaves_the_answer(marks: Marks) -> None:
    assert split_reasoning(f"{marks.empty_thought}I can't.") == Response("", "I can't.")
    assert streamed(f"{marks.empty_thought}I can't.") == Response("", "I can't.")


@pytest.mark.parametrize("marks", TAGS, ids=lambda marks: marks.opening)
def test_a_text_can_begin_inside_the_thought(marks: Marks) -> None:
    text = f"An insult is wanted.\n{marks.closing}\n\nI can't."
    assert split_reasoning(text) == Response("An insult is wanted.", "I can't.")
    assert split_reasoning(text, opened=True) == split_reasoning(text) == streamed(text, opened=True)
    assert split_reasoning("An insult is", opened=True) == Response("An insult is", "", closed=False)
    for text in (f"{marks.closing}\n\nI can't.", f"\n{marks.closing}I can't."):
        assert split_reasoning(text) == Response("", "I can't.") == streamed(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  Plain text.\n",
        "The tag <think> opens a thought and </think> closes it.",
        "Models end their thoughts with </think> and answer then.",
        "Sure! <think>this</think> is how it looks.",
        "Cut it off: `text.split('</think>')[-1]`.",
        "```python\nanswer = text.split('</think>')[-1]\n```",
        "```\nSome thought\n</think>\n```\nThat is the form.",
        "re.sub(r'<think>.*?</think>', '', text)",
        "analysis of the data follows.",
        "Here is my response: no.",
        "He wrote assistantfinal in one word.",
        "[Thinking] is a word, <thin> none.",
        "<b>Bold</b> and 1 < 2.",
    ],
)
def test_an_answer_without_a_thought_stays_to_the_letter(text: str) -> None:
    assert split_reasoning(text) == Response("", text) == streamed(text)


def test_several_thoughts_follow_on_one_another() -> None:
    text = "<think>a</think>\n<think>b</think>\n\nc <think>d</think>"
    assert split_reasoning(text) == Response("a\n\nb", "c <think>d</think>") == streamed(text)
    assert split_reasoning("<think>a</think><think>b") == Response("a\n\nb", "", closed=False)


@pytest.mark.parametrize(
    ("thought", "answer"),
    [
        ("They ask about <think>x</think> tags.", "The tags"),
        ("They ask what <think> is.", "It opens a thought."),
        ("They ask what `</think>` is.", "It closes a thought."),
        ('They ask what "</think>" is.', "It closes a thought."),
        ("I split('</think>') then.", "Split it."),
        ('They say "hi"', '"Hi" is a greeting.'),
        ("I use `x`", "`x` is a name."),
    ],
)
def test_a_thought_can_speak_of_marks(thought: str, answer: str) -> None:
    assert split_reasoning(f"<think>{thought}</think>{answer}") == Response(thought, answer)


def test_channels_are_told_with_and_without_special_tokens() -> None:
    assert split_reasoning(HARMONY) == Response("The user wants x.", "No.") == streamed(HARMONY)
    assert split_reasoning("<|channel|>final<|message|>No.") == Response("", "No.")
    stripped = "analysisThe user wants x.assistantfinalNo."
    assert split_reasoning(stripped) == Response("The user wants x.", "No.") == streamed(stripped)
    several = "<|channel|>analysis<|message|>A.<|end|><|start|>assistant<|channel|>commentary<|message|>B."
    whole = split_reasoning(f"{several}<|end|><|start|>assistant<|channel|>final<|message|>C")
    assert (whole.answer, whole.closed) == ("C", True)
    assert not split_reasoning(several).closed


def test_what_stands_around_an_answer_goes() -> None:
    for text in (
        "<think>a</think>\n<answer>\nb\n</answer>",
        "<think>a</think><response>b</response>",
        "<|START_THINKING|>a<|END_THINKING|><|START_RESPONSE|>b<|END_RESPONSE|>",
    ):
        assert split_reasoning(text) == Response("a", "b"), text
    assert split_reasoning("<answer>b</answer>").answer == "<answer>b</answer>"


def test_a_stream_gives_the_thought_while_it_is_written() -> None:
    stream = ReasoningStream()
    found = [stream.add(piece) for piece in ("<think>", "\nOne", " two", ".\n</th", "ink>\n\n", "Hi", " there")]
    assert [(one.reasoning, one.answer) for one in found] == [
        ("", ""), ("One", ""), (" two", ""), (".", ""), ("", ""), ("", "Hi"), ("", " there"),
    ]  # fmt: skip


def test_marks_are_found_at_a_prompts_end() -> None:
    assert opening_at_end("<|assistant|><think>\n") == "<think>\n"
    assert opening_at_end("What is <think>?<|end|><|assistant|>") == ""
    assert opening_at_end("<|assistant|><think>\n\n</think>\n\n") == ""


@pytest.mark.parametrize(
    ("prompt", "template", "found"),
    [
        ("<|assistant|>", "{{ content.split('</think>')[-1] }}", THINK),
        ("<|assistant|><think>\n", "", THINK),
        ("<|assistant|><think>\n\n</think>\n\n", "{{ '<think>\n\n</think>\n\n' }}", None),
        ("<|assistant|></think>", "{{ '</think>' }}", None),
        ("<|assistant|>", "{{ content }}", None),
        ("[/INST]", "[THINK]{{ thinking }}[/THINK]", next(marks for marks in MARKS if marks.opening == "[THINK]")),
        ("<|start|>assistant", "<|channel|>analysis<|message|>…<|channel|>final<|message|>", MARKS[-3]),
        ("Write after 'Here is my thought process:'.<|assistant|>", "Here is my thought process:", MARKS[-1]),
        ("<|assistant|>", "Here is my thought process: … Here is my response:", None),
    ],
)
def test_whether_a_model_thinks_is_told_by_its_template(prompt: str, template: str, found: Marks | None) -> None:
    assert marks_of(prompt, template) == found


def test_a_thought_is_closed_from_where_the_prompt_ends() -> None:
    assert empty_thought("<|assistant|>", THINK) == "<think>\n\n</think>\n\n"
    assert empty_thought("<|assistant|><think>\n", THINK) == "\n</think>\n\n"
    assert empty_thought("<|assistant|><think>", THINK) == "</think>"
    assert empty_thought("<|assistant|><think>\n\n\n", THINK) == "\n\n</think>\n\n"
