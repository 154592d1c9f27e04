"""The tokens of chats: those of the whole, cut where the answer begins, under many templates and tokenizers."""

from functools import cache
from typing import Any

import pytest

from steering import LanguageModel
from steering.scoring.next_token import REFUSAL_OPENINGS, refusal_tokens
from tests.helpers.chat_templates import PROMPT, SHAPES, TOKENIZERS, Shape, small_tokenizer
from tests.helpers.tiny import tiny_model

ANSWERS = (
    "I'm sorry, but I can't help with that.",
    "An apple",
    "  A pear.\n",
    "\n\n1. A pear\n2. A plum",
    "e",
    "assistant",
    "Zyx! <p>",
)


@cache
def tokenizer_of(kind: str) -> Any:
    return small_tokenizer(kind)


def lm_of(shape: Shape, kind: str, **template: Any) -> LanguageModel:
    tokenizer = small_tokenizer(kind)
    tokenizer.chat_template = shape.template
    return LanguageModel(tiny_model(vocab_size=len(tokenizer)), tokenizer, template=template)


def turns(answer: str | None = None) -> list[dict[str, str]]:
    asked = [{"role": "user", "content": PROMPT}]
    return asked if answer is None else [*asked, {"role": "assistant", "content": answer}]


def ids_of(lm: LanguageModel, text: str) -> list[int]:
    return list(lm.tokenizer(text, add_special_tokens=False).input_ids)


def squeezed(text: Any) -> str:
    return "".join(str(text).split())


@pytest.mark.parametrize("kind", TOKENIZERS)
@pytest.mark.parametrize("name", SHAPES)
def test_a_chats_tokens_are_those_of_the_whole_cut_at_the_answer(name: str, kind: str) -> None:
    shape = SHAPES[name]
    lm = lm_of(shape, kind)
    prompt = lm.tokenize(turns())
    generated = lm.tokenizer.apply_chat_template(
        turns() if "parts" not in name else [{"role": "user", "content": [{"type": "text", "text": PROMPT}]}],
        add_generation_prompt=True,
        return_dict=False,
    )
    assert prompt.ids == generated == ids_of(lm, shape.prompt or shape.before)
    assert prompt.prompt_length == prompt.generation_start == len(prompt.ids)
    for answer in ANSWERS:
        chat, shown = lm.tokenize(turns(answer)), shape.shown(answer)
        before, whole = ids_of(lm, shape.before), ids_of(lm, shape.before + shape.space + shown)
        texts = [lm.tokenizer.decode(whole[:cut]) for cut in range(len(whole))]
        if lm.tokenizer.decode(before) in texts:
            assert chat.ids == whole
        else:  # the prompt's last token and the answer's first are one in the whole
            assert chat.ids[: chat.prompt_length] == before
        assert lm.tokenizer.decode(chat.ids[: chat.prompt_length]) == lm.tokenizer.decode(before)
        decoded = lm.tokenizer.decode(chat.ids[chat.prompt_length :])
        assert squeezed(decoded) == squeezed(lm.tokenizer.decode(ids_of(lm, shown)))
        assert chat.generation_start <= chat.prompt_length
        assert (chat.generation_start == chat.prompt_length) == (prompt.ids == before)
        assert chat.instruction_end == prompt.instruction_end
        if shape.shows_answer and "parts" not in name and chat.ids == whole:
            rendered = lm.tokenizer.apply_chat_template(turns(answer), return_dict=False)
            assert chat.ids[:-1] == rendered[: len(chat.ids) - 1]  # what follows may join the last


@pytest.mark.parametrize("kind", TOKENIZERS)
@pytest.mark.parametrize("name", SHAPES)
def test_refusals_are_looked_for_behind_the_template(name: str, kind: str) -> None:
    lm, shape = lm_of(SHAPES[name], kind), SHAPES[name]
    start = lm.tokenize_answer_start(turns())
    words = [ids_of(lm, shape.before + shape.space + word) for word in ("Yes", "No", *REFUSAL_OPENINGS)]
    assert all(ids[: len(start.ids)] == start.ids for ids in words)
    assert len({ids[len(start.ids)] for ids in words}) > 5
    assert lm.answers_at_once == (lm.tokenize(turns()).ids == start.ids)
    spaced = [ids_of(lm, f"{shape.before}{shape.space} {opening}") for opening in REFUSAL_OPENINGS]
    known = [ids[len(start.ids)] for ids in (*words[2:], *spaced) if ids[: len(start.ids)] == start.ids]
    assert set(refusal_tokens(lm)) == {token for token in known if str(lm.tokenizer.decode([token])).strip()}
    for token, opening in zip((ids[len(start.ids)] for ids in words[2:]), REFUSAL_OPENINGS, strict=True):
        assert opening.startswith(str(lm.tokenizer.decode([token])).strip())
