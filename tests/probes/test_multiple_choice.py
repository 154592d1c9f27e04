"""Choices by likelihood: what the model's own logits say, and a refusal where tokens can't tell."""

import pytest
import torch

from probes.multiple_choice import ChoiceQuestion, chooses_right
from steering import LanguageModel, Sliders, SteeringError, SteeringVector
from tests.helpers.tiny import LAYERS, WIDTH, tiny_lm, tiny_model, tiny_tokenizer

LETTERS = "ABC"


def questions(right: str) -> list[ChoiceQuestion]:
    wrong = tuple(letter for letter in LETTERS if letter != right)
    return [ChoiceQuestion(text=f"Number {n}?\nA. x\nB. y\nC. z", right=right, wrong=wrong) for n in range(40)]


def test_the_choice_is_the_likeliest_of_the_options_first_tokens() -> None:
    chosen = []
    for seed in range(12):
        lm, asked = tiny_lm(seed=seed), questions("A")[:2]
        letters = lm.tokenizer.convert_tokens_to_ids(list(LETTERS))
        for question, found in zip(asked, chooses_right(lm, asked).tolist(), strict=True):
            logits = lm.model(torch.tensor([lm.tokenize(question.text).ids])).logits[0, -1, letters]
            assert found == float(logits.argmax() == 0)
            chosen.append(found)
    assert 0 < sum(chosen) < len(chosen)


def test_every_question_has_one_right_choice() -> None:
    lm = tiny_lm()
    total = sum(chooses_right(lm, questions(letter)) for letter in LETTERS)
    assert torch.equal(total, torch.ones(40))  # type: ignore[arg-type]


def test_a_slider_towards_a_letter_chooses_it() -> None:
    model = tiny_model()
    lm = LanguageModel(model, tiny_tokenizer(), name="tiny")
    letter = lm.tokenizer.convert_tokens_to_ids("B")
    directions = torch.zeros(LAYERS, WIDTH)
    directions[-1] = 1000 * model.get_output_embeddings().weight[letter].detach()
    with Sliders(b=SteeringVector(directions, recommended_layers=(LAYERS - 1,))).attach(lm) as dial:
        dial.set(b=1.0)
        assert chooses_right(lm, questions("B")).mean() == 1.0


def test_options_that_begin_alike_are_refused() -> None:
    with pytest.raises(SteeringError, match="options 'Yes', 'Yep' begin with the same token"):
        chooses_right(tiny_lm(), [ChoiceQuestion(text="So?", right="Yes", wrong=("No", "Yep"))])
    with pytest.raises(SteeringError, match="The options ' ' have no token of their own"):
        chooses_right(tiny_lm(), [ChoiceQuestion(text="So?", right="Yes", wrong=(" ",))])
    with pytest.raises(ValueError, match="one right option"):
        ChoiceQuestion(text="So?", right="A", wrong=("A",))
