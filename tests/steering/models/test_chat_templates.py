"""Which chat template is used, what it is given, what is recorded of it, and what is refused."""

import json
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tokenizers import processors

from steering import LanguageModel, SteeringError, load
from steering.models.chat_template import FIXED_DATE
from steering.models.identity import ModelIdentity, mismatches
from tests.helpers.chat_templates import PROMPT, QWEN3, SHAPES
from tests.helpers.tiny import CHAT_TEMPLATE, save_folder, tiny_lm, tiny_model, tiny_tokenizer

DATED = "{{ strftime_now('%d %b %Y, %A %-d. %B %y %m/%d') }}|{% for m in messages %}{{ m.content }}{% endfor %}|"
LLAMA_3_2 = (
    "{%- if not date_string is defined %}{%- if strftime_now is defined %}"
    "{%- set date_string = strftime_now('%d %b %Y') %}{%- else %}{%- set date_string = '26 Jul 2024' %}{%- endif %}"
    "{%- endif %}\n\nToday Date: {{ date_string }}\n\n{% for m in messages %}{{ m.content }}\n{% endfor %}"
)


def text(lm: LanguageModel, chat: Any = "Hi") -> str:
    return str(lm.tokenizer.decode(lm.tokenize(chat).ids))


def templated(chat_template: Any, **options: Any) -> LanguageModel:
    return LanguageModel(tiny_model(), tiny_tokenizer(chat_template), **options)


def answered(answer: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": PROMPT}, {"role": "assistant", "content": answer}]


def test_arguments_reach_the_template_and_are_recorded(tmp_path: Path) -> None:
    folder = save_folder(tiny_lm(chat_template=QWEN3), tmp_path)
    thinking, silent = load(folder), load(folder, template={"enable_thinking": False})
    assert text(silent) == text(thinking) + "<think>\n\n</think>\n\n"
    assert (thinking.identity.template, silent.identity.template) == ("{}", '{"enable_thinking": false}')
    assert list(mismatches(thinking.identity, silent.identity)) == ["template"]
    older = thinking.identity.model_copy(update={"template": None})
    assert not mismatches(older, silent.identity)
    assert text(LanguageModel(silent.model, silent.tokenizer, template=silent.template)) == text(silent)


def test_a_vector_of_one_setting_is_refused_under_another_unless_allowed(tmp_path: Path) -> None:
    from steering import Sliders
    from tests.helpers.known_vectors import of_model
    from tests.helpers.tiny import random_vector

    thinking, silent = (templated(QWEN3, template=given) for given in ({}, {"enable_thinking": False}))
    vector = of_model(random_vector(), thinking.identity)
    sentence = r"made with template '{}' .* found '{\"enable_thinking\": false}'.*allow_mismatch=\['template'\]"
    with pytest.raises(SteeringError, match=sentence):
        Sliders(a=vector).attach(silent)
    Sliders(a=vector).attach(silent, allow_mismatch=["template"]).detach()


@pytest.mark.parametrize(
    ("chat_template", "given", "sentence"),
    [
        (QWEN3, {"enable_thinkng": False}, "The chat template never reads the template argument 'enable_thinkng'"),
        (QWEN3, {"messages": []}, "arguments of the chat template's own, found 'messages'"),
        (QWEN3, {"add_generation_prompt": False}, "found 'add_generation_prompt'"),
        (QWEN3, {"enable_thinking": {1, 2}}, "Expected JSON values as template arguments"),
        (None, {"enable_thinking": True}, "There is no chat template, and so nothing reads .* 'enable_thinking'"),
        (DATED, {"strftime_now": "yesterday"}, "Expected a date such as '2024-07-26' .* found 'yesterday'"),
    ],
)
def test_arguments_that_would_do_nothing_are_refused(chat_template: Any, given: Any, sentence: str) -> None:
    with pytest.raises(SteeringError, match=sentence):
        templated(chat_template, template=given)


@pytest.mark.parametrize("template", [DATED, f"\n{DATED}", "{%- set x = 1 %}\n  " + DATED, LLAMA_3_2])
def test_the_date_of_a_template_stays_the_same(template: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Tomorrow(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> "Tomorrow":
            return cls(2031, 2, 3)

    today = templated(template).tokenize("Hi").ids
    monkeypatch.setattr("transformers.utils.chat_template_utils.datetime", Tomorrow)
    lm = templated(template)
    unpinned = lm.tokenizer.apply_chat_template([{"role": "user", "content": "Hi"}], tokenize=False)
    assert lm.tokenize("Hi").ids == today
    assert "2031" in unpinned
    assert lm.identity.template == json.dumps({"strftime_now": FIXED_DATE})
    given = templated(template, template={"strftime_now": "2031-02-03"})
    assert text(given) == unpinned  # every directive as strftime writes it
    assert list(mismatches(lm.identity, given.identity)) == ["template"]


def test_the_date_argument_of_llama_3_is_the_users() -> None:
    assert "Today Date: 26 Jul 2024\n" in text(templated(LLAMA_3_2))
    lm = templated(LLAMA_3_2, template={"date_string": "1 May 2025"})
    assert "Today Date: 1 May 2025\n" in text(lm)
    assert "1 May 2025" in str(lm.identity.template)


def test_of_several_templates_the_default_is_taken_and_said() -> None:
    named = {"tool_use": "tools {{ messages[0].content }}", "default": CHAT_TEMPLATE}
    lm = templated(named)
    assert text(lm) == text(tiny_lm())
    assert lm.identity.chat_template == tiny_lm().identity.chat_template
    assert "default, of &#x27;default&#x27;, &#x27;tool_use&#x27;" in lm._repr_html_()
    with pytest.raises(SteeringError, match=r"'default', found those named 'rag', 'tool_use'; pass .* chat_template"):
        templated({"tool_use": "x", "rag": "y"})


@pytest.mark.parametrize("content", [CHAT_TEMPLATE, [{"name": "default", "template": CHAT_TEMPLATE}]])
def test_a_template_in_a_processors_file_is_read(tmp_path: Path, content: Any) -> None:
    folder = save_folder(tiny_lm(chat_template=None), tmp_path)
    assert text(load(folder)) == "Hi\n"
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": content}))
    assert text(load(folder)) == text(tiny_lm())
    assert load(folder).identity.chat_template == tiny_lm().identity.chat_template
    assert text(load(folder, chat_template="")) == "Hi\n"
    (folder / "chat_template.json").write_text("{]")
    with pytest.raises(SteeringError, match=r"chat_template.json', found something else: .* pass chat_template"):
        load(folder)


def test_a_template_in_a_jinja_file_is_read(tmp_path: Path) -> None:
    folder = save_folder(tiny_lm(chat_template=None), tmp_path)
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE)
    assert text(load(folder)) == text(tiny_lm())


def test_no_system_prompt_and_an_empty_one_are_told_apart() -> None:
    default = "{% if messages[0].role != 'system' %}<|system|>Be kind.<|end|>{% endif %}" + CHAT_TEMPLATE
    none, empty = templated(default), templated(default, system_prompt="")
    assert text(none).startswith("<|system|>Be kind.")
    assert text(empty).startswith("<|system|><|end|><|user|>")
    assert list(mismatches(none.identity, empty.identity)) == ["system_prompt"]
    assert list(mismatches(empty.identity, none.identity)) == ["system_prompt"]
    older = ModelIdentity.model_validate({**none.identity.model_dump(), "system_prompt": "", "template": None})
    assert not mismatches(older, none.identity)


def test_parts_are_given_to_a_template_that_wants_them() -> None:
    lm = templated(SHAPES["parts"].template, system_prompt="Be brief.")
    assert text(lm).startswith("<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>")
    assert lm.post_instruction_length == len(lm.tokenizer("<|im_end|>\n<|im_start|>assistant\n").input_ids)


@pytest.mark.parametrize("own", [None, CHAT_TEMPLATE])
def test_a_processor_is_taken_for_its_tokenizer(own: str | None) -> None:
    tokenizer = tiny_tokenizer(own)
    processor: Any = SimpleNamespace(tokenizer=tokenizer, chat_template=SHAPES["parts"].template)
    lm = LanguageModel(tiny_model(), processor)
    assert text(lm) == text(templated(own or SHAPES["parts"].template))
    assert tokenizer.chat_template == own
    assert lm.generate(["Hi"], 2)[0] is not None
    with pytest.raises(SteeringError, match="a processor that has one, found 'SimpleNamespace'"):
        LanguageModel(tiny_model(), SimpleNamespace(chat_template="x"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("template", "sentence"),
    [
        ("", r"\AHi\n\Z"),
        ("{# nothing #}", "shows nothing of the user's text; load the model with another chat_template"),
        ("Hello!", "shows nothing of the user's text"),
        ("{{ messages[7].content }}", "can't render turns"),
        ("{{ messages[0].content + 1 }}", r"can't render turns \['user'\]: can only concatenate str"),
        ("{% if %}", r"can't render turns \['user'\]: Expected an expression"),
        ("{{ raise_exception('Not today.') }}", r"can't render turns \['user'\]: Not today; "),
    ],
)
def test_a_template_without_text_is_refused_in_a_sentence(template: str, sentence: str) -> None:
    lm = templated(template)
    if template == "":
        assert text(lm) == "Hi\n"
        return
    for reading in (lambda: lm.tokenize("Hi"), lambda: lm.post_instruction_length, lambda: lm.generate(["Hi"])):
        with pytest.raises(SteeringError, match=sentence):
            reading()


def test_another_template_given_to_the_tokenizer_is_used_at_once() -> None:
    lm = tiny_lm()
    assert "<|assistant|>" in text(lm)
    lm.tokenizer.chat_template = SHAPES["parts"].template
    assert text(lm).startswith("<|im_start|>user\nHi<|im_end|>")
    chat = lm.tokenize("Hi")
    assert lm.tokenizer.decode(chat.ids[: chat.instruction_end]) == "<|im_start|>user\nHi"
    assert lm.identity.chat_template == templated(SHAPES["parts"].template).identity.chat_template


@pytest.mark.parametrize(
    ("name", "answer", "whole"),
    [
        ("ChatML", "Marks are <think> and </think>.", "{prompt}Marks are <think> and </think>."),
        ("Qwen3", "<think>\nA fruit.\n</think>\n\nA pear.", "{prompt}<think>\nA fruit.\n</think>\n\nA pear."),
        ("Qwen3", "<think>Hm.</think>A pear.", "{prompt}<think>Hm.</think>A pear."),
        ("Qwen3 2507", "Hm.\n</think>\n\nA pear.", "{prompt}Hm.\n</think>\n\nA pear."),
        ("Qwen3 2507", "<think>\nHm.\n</think>\n\nA pear.", "{prompt}Hm.\n</think>\n\nA pear."),
        ("DeepSeek R1", "Hm.\n</think>\n\nA pear.", "{prompt}Hm.\n</think>\n\nA pear."),
        ("DeepSeek V3.1", "Hm.</think>A pear.", "{prompt}Hm.</think>A pear."),
        (
            "gpt-oss",
            "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>A pear.",
            "{prompt}<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>A pear.",
        ),
    ],
)
def test_an_answer_with_its_own_thought_follows_on_the_prompt(name: str, answer: str, whole: str) -> None:
    shape = SHAPES[name]
    lm = templated(shape.template)
    prompt = shape.prompt or shape.before
    assert text(lm, answered(answer)) == whole.format(prompt=prompt)
    assert lm.tokenize(answered(answer)).prompt_length == len(lm.tokenize(PROMPT).ids)


def test_an_empty_answer_is_none_and_a_chat_of_an_answer_alone_is_refused() -> None:
    lm = tiny_lm()
    assert lm.tokenize(answered("")) == lm.tokenize(PROMPT)
    assert lm.tokenize_answer_start(answered("")) == lm.tokenize_answer_start(PROMPT)
    with pytest.raises(SteeringError, match=r"can't render turns \[\]"):
        lm.tokenize([{"role": "assistant", "content": "A pear."}])


def test_without_a_template_only_special_tokens_in_front_are_added() -> None:
    tokenizer = tiny_tokenizer(None)
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<|user|> $A <|end|>", special_tokens=[("<|user|>", 3), ("<|end|>", 1)]
    )
    lm = LanguageModel(tiny_model(), tokenizer)
    assert text(lm) == "<|user|>Hi\n"
    assert text(lm, answered("A pear.")) == f"<|user|>{PROMPT}\nA pear."
    assert text(lm, [{"role": "user", "content": "Hi<|end|>"}]) == "<|user|>Hi<|end|>\n"
