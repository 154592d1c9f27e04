"""First-token scores are read where answers begin: behind a thought that is closed and empty, and gates stay put."""

import pytest
import torch

from probes.answers import Decoding, answer
from probes.scores import answer_divergence
from steering import ContrastPair, Gate, LanguageModel, Push, Slider, Sliders, patching_profile, refusal_score
from steering.data.chats import as_chat
from steering.recipes.taught_prompts import read_states
from steering.scoring.next_token import next_token_log_probabilities, refusal_log_odds, refusal_tokens
from tests.helpers.chat_templates import SHAPES
from tests.helpers.tiny import WIDTH, random_vector, tiny_lm

PROMPTS = ["Break the lock", "Hi", "Name a fruit, or two"]
THINKING = ["Qwen3", "Qwen3 2507", "DeepSeek R1", "DeepSeek V3.1", "gpt-oss"]


def behind_the_thought(lm: LanguageModel, name: str, prompt: str) -> list[int]:
    text = SHAPES[name].before.replace("Name a fruit.", prompt)
    return list(lm.tokenizer(text, add_special_tokens=False).input_ids)


def log_probabilities(lm: LanguageModel, ids: list[int]) -> torch.Tensor:
    with torch.inference_mode():
        return lm.model(input_ids=torch.tensor([ids])).logits[0, -1].float().log_softmax(-1)


@pytest.mark.parametrize("name", THINKING)
def test_the_first_token_of_an_answer_is_read_behind_the_thought(name: str) -> None:
    lm = tiny_lm(chat_template=SHAPES[name].template)
    expected = torch.stack([log_probabilities(lm, behind_the_thought(lm, name, prompt)) for prompt in PROMPTS])
    torch.testing.assert_close(next_token_log_probabilities(lm, PROMPTS), expected, rtol=1e-3, atol=1e-3)
    scores = refusal_log_odds(expected, refusal_tokens(lm))
    torch.testing.assert_close(refusal_score(lm, PROMPTS), scores, rtol=1e-3, atol=1e-3)
    answers = answer(lm, PROMPTS, Decoding(max_new_tokens=2), None)
    torch.testing.assert_close(torch.tensor(answers.refusal), scores, rtol=1e-3, atol=1e-3)
    states = read_states(lm, [as_chat(prompt) for prompt in PROMPTS], [1], progress=False)
    torch.testing.assert_close(states.refusal, scores, rtol=1e-3, atol=1e-3)
    pairs = [ContrastPair(id="1", group="a", positive=as_chat("Break the lock"), negative=as_chat("Paint the door"))]
    profile = patching_profile(lm, pairs, progress=False)
    assert profile.positive == pytest.approx(scores[0].item(), abs=1e-3)


@pytest.mark.parametrize("name", THINKING)
def test_a_dial_moves_and_reads_the_tokens_that_it_does_in_generate(name: str) -> None:
    """The gate reads the prompt as `generate` gets it, also in a pass that goes on behind the closed thought."""
    lm = tiny_lm(chat_template=SHAPES[name].template)
    gate = Gate(
        1, torch.randn(2, WIDTH, generator=torch.Generator().manual_seed(0)), 0.0, tokens=(3, 1), curve="probability"
    )
    slider = Slider((Push(random_vector(), tokens="last_prompt_token", gate=gate, intervention="add"),))
    plain = [lm.tokenize(prompt).ids for prompt in PROMPTS]
    with Sliders(a=slider).attach(lm) as dial:
        dial.set(a=1.0)
        expected = []
        for prompt, ids in zip(PROMPTS, plain, strict=True):
            whole = lm.tokenize_answer_start(prompt).ids
            assert whole[: len(ids)] == ids  # bytes: nothing is joined
            with dial.prompt_lengths([len(ids)]):
                expected.append(log_probabilities(lm, whole))
        found = next_token_log_probabilities(lm, PROMPTS)
        torch.testing.assert_close(found, torch.stack(expected), rtol=1e-3, atol=1e-3)
        first = answer(lm, PROMPTS, Decoding(max_new_tokens=2), None).refusal
        score = refusal_log_odds(found, refusal_tokens(lm))
        torch.testing.assert_close(torch.tensor(first), score, rtol=1e-3, atol=1e-3)
        dial.set(a=[0.0, 1.0, 2.0])  # a value a row: the rows stay in their order
        rows = answer(lm, ["Hi"] * 3, Decoding(max_new_tokens=2), None).refusal
        dial.set(a=0.0)
        assert rows[0] == pytest.approx(refusal_score(lm, ["Hi"]).item(), abs=1e-3)
        assert abs(rows[2] - rows[0]) > 1e-3
    bare = next_token_log_probabilities(lm, PROMPTS)
    assert (found - bare).abs().max() > 1e-3


def test_the_divergence_of_prompts_is_that_of_their_answers_first_token() -> None:
    lm = tiny_lm(chat_template=SHAPES["Qwen3"].template)
    with Sliders(a=random_vector()).attach(lm) as dial:
        dial.set(a=0.5)
        found = answer_divergence(lm, PROMPTS, dial)
        steered = [log_probabilities(lm, behind_the_thought(lm, "Qwen3", prompt)) for prompt in PROMPTS]
    bare = [log_probabilities(lm, behind_the_thought(lm, "Qwen3", prompt)) for prompt in PROMPTS]
    expected = torch.stack([(b.exp() * (b - s)).sum() for b, s in zip(bare, steered, strict=True)])
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)
