"""Texts of models that think keep the marks of their thoughts, and lose all other special tokens."""

import pytest
from transformers import PreTrainedTokenizerFast

from steering import LanguageModel
from steering.models.reasoning import MARKS, Response, split_reasoning
from steering.models.response_tokens import ResponseTokens
from tests.helpers.tiny import CHAT_TEMPLATE, OPENED_TEMPLATE, THINKING_TEMPLATE, thinking_lm, tiny_lm, tiny_tokenizer
from trimtab.serve.answer_text import AnswerText

HARMONY = ("<|start|>", "<|channel|>", "<|message|>", "<|return|>")
HARMONY_TEMPLATE = (
    "{% for m in messages %}<|start|>{{ m['role'] }}<|message|>{{ m['content'] }}<|end|>{% endfor %}"
    "{% if false %}<|channel|>analysis<|message|>…<|channel|>final<|message|>{% endif %}<|start|>assistant"
)
MUSE = {
    "defaults": {"role": "assistant"},
    "start_anchor": "<|assistant|>",
    "fields": {
        "reasoning_content": {"open": "<muse>", "close": "</muse>", "content": "text"},
        "content": {"close": "<|end|>", "content": "text"},
    },
}
"""A response template with marks that nobody else has."""


def with_specials(*tokens: str, template: str = CHAT_TEMPLATE) -> PreTrainedTokenizerFast:
    tokenizer = tiny_tokenizer(template)
    tokenizer.add_special_tokens({"extra_special_tokens": list(tokens)}, replace_extra_special_tokens=False)
    return tokenizer


def decoded(tokenizer: PreTrainedTokenizerFast, text: str, prompt: str = "<|assistant|>") -> str:
    ids, before = (tokenizer(part, add_special_tokens=False).input_ids for part in (text, prompt))
    return ResponseTokens(tokenizer, MARKS[0]).text(ids, before)


def test_marks_that_are_special_tokens_stay_and_others_go() -> None:
    tokenizer = with_specials("[THINK]", "[/THINK]")
    assert tokenizer.decode(tokenizer("[THINK]a").input_ids, skip_special_tokens=True) == "a"
    assert decoded(tokenizer, "[THINK]é a[/THINK]b<|end|><|pad|>") == "[THINK]é a[/THINK]b"
    assert decoded(tokenizer, " b <|user|>c<|end|>") == "b c"


def test_channels_are_told_apart_in_what_is_left_of_them() -> None:
    text = decoded(
        with_specials(*HARMONY),
        "<|channel|>analysis<|message|>A thought.<|end|><|start|>assistant<|channel|>final<|message|>No.<|return|>",
        "<|start|>assistant",
    )
    assert text == "<|channel|>analysis<|message|>A thought.assistant<|channel|>final<|message|>No."
    assert split_reasoning(text) == Response("A thought.", "No.")


def test_a_thought_that_the_prompt_opened_has_its_mark() -> None:
    tokenizer = thinking_lm().tokenizer
    assert decoded(tokenizer, "Hm.</think>No.<|end|>", "<|assistant|><think>\n") == "<think>\nHm.</think>No."
    assert decoded(tokenizer, "Hm.", "<|assistant|><think>\n") == "<think>\nHm."
    assert decoded(tokenizer, "No.", "<|assistant|><think>\n\n</think>\n\n") == "No."


def test_the_tokenizers_own_response_template_comes_first() -> None:
    tokenizer = with_specials("<muse>", "</muse>")
    tokenizer.response_template = MUSE
    assert split_reasoning(decoded(tokenizer, "<muse>Hm.</muse>No.<|end|><|pad|>")) == Response("Hm.", "No.")
    assert split_reasoning(decoded(tokenizer, "Hm.</muse>No.", "<|assistant|><muse>")) == Response("Hm.", "No.")
    assert split_reasoning(decoded(tokenizer, "<muse>Hm.")) == Response("Hm.", "", closed=False)
    assert decoded(tokenizer, "No.<|end|>") == "No."


@pytest.mark.parametrize("opens", [True, False])
def test_marks_of_a_response_template_are_known_everywhere(opens: bool) -> None:
    template = CHAT_TEMPLATE.replace("<|assistant|>{% endif %}", "<|assistant|><muse>\n{% endif %}")
    tokenizer = with_specials("<muse>", "</muse>", template=template if opens else CHAT_TEMPLATE)
    tokenizer.response_template = MUSE
    lm = LanguageModel(tiny_lm().model, tokenizer)
    assert lm.marks is not None
    assert lm.marks.closing == "</muse>"
    prompt = lm.tokenize("Hi").ids
    before, after = ("" if opens else "<muse>") + "Hm.</muse>", "No."
    thought, answer = (tokenizer(part, add_special_tokens=False).input_ids for part in (before, after))
    start = lm.response_tokens.answer_start([*prompt, *thought, *answer], len(prompt))
    assert start == len(prompt) + len(thought) - 1
    stream, text = lm.response_tokens.stream(prompt), AnswerText(tokenizer)
    pieces = [
        *(stream.add(text.add(token)) for token in [*thought, *answer]),
        stream.add(text.finish()),
        stream.finish(),
    ]
    assert ("".join(one.reasoning for one in pieces), "".join(one.answer for one in pieces)) == ("Hm.", "No.")
    direct = lm.without_thought().tokenize("Hi")
    assert direct.answer_start == direct.prompt_length - 1


@pytest.mark.parametrize("text", [" Yes, é. ", "a<|user|>b<|end|><|pad|>", "<think>", ""])
def test_a_model_without_thoughts_decodes_as_ever(text: str) -> None:
    tokenizer = tiny_tokenizer()
    ids = tokenizer(text, add_special_tokens=False).input_ids
    assert ResponseTokens(tokenizer).text(ids, []) == tokenizer.decode(ids, skip_special_tokens=True).strip()


@pytest.mark.parametrize("special", [False, True])
def test_generate_gives_texts_that_can_be_told_apart(special: bool) -> None:
    lm = thinking_lm(OPENED_TEMPLATE, special=special)
    for text in lm.generate(["Hi", "Why is it?"], 5, num_return_sequences=2, num_beams=2):
        assert text.startswith("<think>")
        assert not split_reasoning(text).closed
    assert not lm.without_thought().generate(["Hi"], 5)[0].startswith("<think>")


def test_a_question_that_ends_with_a_mark_opens_no_thought() -> None:
    lm = LanguageModel(tiny_lm().model, tiny_tokenizer(None))
    prompt = lm.tokenize("What is <think>").ids
    assert lm.tokenizer.decode(prompt).endswith("<think>\n")
    assert lm.response_tokens.text(lm.tokenizer("A tag.").input_ids, prompt) == "A tag."


def test_whether_a_model_thinks() -> None:
    assert tiny_lm().marks is None
    assert tiny_lm(chat_template=None).marks is None
    for template in (THINKING_TEMPLATE, OPENED_TEMPLATE):
        found = thinking_lm(template).marks
        assert found is not None
        assert (found.opening, found.closing) == ("<think>", "</think>")
    closed = THINKING_TEMPLATE.replace("enable_thinking is defined and not enable_thinking", "true")
    assert thinking_lm(closed).marks is None


@pytest.mark.parametrize("template", [THINKING_TEMPLATE, OPENED_TEMPLATE])
def test_without_thought_prompts_end_behind_a_closed_one(template: str) -> None:
    lm = thinking_lm(template)
    direct = lm.without_thought()
    chat = direct.tokenize("Hi")
    assert direct.tokenizer.decode(chat.ids).endswith("Hi<|end|><|assistant|><think>\n\n</think>\n\n")
    assert chat.answer_start == chat.prompt_length - 1
    assert direct.identity == lm.identity
    plain = tiny_lm()
    assert plain.without_thought() is plain


def test_channels_start_the_answer_with_the_final_one() -> None:
    lm = LanguageModel(tiny_lm().model, with_specials(*HARMONY, template=HARMONY_TEMPLATE))
    assert lm.marks is not None
    prompt = lm.tokenize("Hi").ids
    for text, start in (
        ("<|channel|>analysis<|message|>A<|end|><|start|>assistant<|channel|>final<|message|>", "No."),
        ("<|channel|>final<|message|>", "No."),
    ):
        before, after = (lm.tokenizer(part, add_special_tokens=False).input_ids for part in (text, start))
        assert lm.response_tokens.answer_start([*prompt, *before, *after], len(prompt)) == len(prompt) + len(before) - 1
    direct = lm.without_thought().tokenize("Hi")
    assert lm.tokenizer.decode(direct.ids).endswith("<|start|>assistant<|channel|>final<|message|>")
    assert direct.answer_start == direct.prompt_length - 1


def test_a_mark_of_several_tokens_is_told_from_its_first_byte() -> None:
    lm = LanguageModel(tiny_lm().model, tiny_tokenizer(CHAT_TEMPLATE + "{# ◁think▷ ◁/think▷ #}"))
    assert lm.marks is not None
    prompt = lm.tokenize("Hi").ids
    before, after = (lm.tokenizer(part, add_special_tokens=False).input_ids for part in ("◁think▷é◁/think▷", "é."))
    found = [
        lm.response_tokens.answer_start([*prompt, *(before + after)[:n]], len(prompt)) for n in range(len(before) + 3)
    ]
    start = len(prompt) + len(before) - 1
    assert found == [min(len(prompt) + n, start) for n in range(len(before) + 3)]
