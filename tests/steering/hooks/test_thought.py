"""`answer` and `thought` of a model that thinks: which tokens they move, however the passes are cut."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor
from transformers import DynamicCache, LogitsProcessor, LogitsProcessorList

from steering import LanguageModel, Sliders, SteeringError, record, sweep
from steering.models.batching import pad
from steering.models.decoder_blocks import block_output
from steering.models.hook_points import temporary_hooks
from steering.models.token_positions import token_span
from tests.helpers.tiny import LAYERS, OPENED_TEMPLATE, THINKING_TEMPLATE, WIDTH, random_vector, thinking_lm, tiny_lm

CHOICES = ["thought", "answer", "answer:2", "generated"]
TEMPLATES = [THINKING_TEMPLATE, OPENED_TEMPLATE]
PROMPTS = ["Hi", "What is the tide?", "<think>? What is that</think>?"]


def ids_of(lm: LanguageModel, text: str) -> list[int]:
    return list(lm.tokenizer(text, add_special_tokens=False).input_ids)


def moved(lm: LanguageModel, ids: Sequence[Sequence[int]], prompts: Sequence[int], tokens: str) -> Tensor:
    """Which real tokens of the rows are moved, seen by what comes out of the last block in one pass without a cache."""
    inputs, mask = pad([list(row) for row in ids], 0, "cpu")

    def states() -> Tensor:
        found: list[Tensor] = []
        with temporary_hooks([(lm.blocks[LAYERS - 1], lambda _m, _i, out: found.append(block_output(out)))]):
            lm.model(input_ids=inputs, attention_mask=mask, use_cache=False)
        return found[0]

    bare = states()
    with Sliders(a=random_vector(layers=(LAYERS - 1,))).attach(lm, tokens=tokens) as dial:
        dial.set(a=1.0)
        with dial.prompt_lengths(prompts):
            return (bare != states()).any(-1)


@torch.inference_mode()
@pytest.mark.parametrize("family", ["Llama", "GPT2"])
def test_the_answer_begins_with_the_mark_that_closes_the_thought(family: str) -> None:
    for template, opening in ((THINKING_TEMPLATE, "<think>\n"), (OPENED_TEMPLATE, "")):
        lm = thinking_lm(template, family)
        prompt = lm.tokenize("What is </think>?").ids
        thought, answer = ids_of(lm, f"{opening}Hm, <think>.\n"), ids_of(lm, "</think>\n\nYes </think>.")
        rows, start = [[*prompt, *thought, *answer]], len(prompt) + len(thought)
        places = {
            "thought": range(len(prompt) - 1, start),
            "answer": range(start, len(rows[0])),
            "answer:2": range(start, start + 2),
            "generated": range(len(prompt), len(rows[0])),
            "last_prompt_token": range(len(prompt) - 1, len(prompt)),
        }
        for tokens, wanted in places.items():
            assert torch.where(moved(lm, rows, [len(prompt)], tokens)[0])[0].tolist() == list(wanted), tokens
            chat = lm.tokenize([{"role": "user", "content": "What is </think>?"}])
            assert chat.ids == prompt


@torch.inference_mode()
def test_rows_of_one_batch_have_each_their_own_thought() -> None:
    lm = thinking_lm()
    prompt = lm.tokenize("Hi").ids
    texts = ["<think>a</think>b", "no thought", "<think>never ends", "\n<think></think>x", ""]
    rows = [[*prompt, *ids_of(lm, text)] for text in texts]
    thought, answer = (moved(lm, rows, [len(prompt)] * len(rows), tokens) for tokens in ("thought", "answer"))
    last = len(prompt) - 1
    starts = [last + 3, last + 1, None, last + 3, None]
    for row, (ids, start) in enumerate(zip(rows, starts, strict=True)):
        split = len(ids) if start is None else start
        assert torch.where(thought[row])[0].tolist() == list(range(last, split)), texts[row]
        assert torch.where(answer[row])[0].tolist() == list(range(split, len(ids))), texts[row]


@torch.inference_mode()
def test_a_closed_thought_of_the_template_leaves_all_as_it_is() -> None:
    lm = thinking_lm().without_thought()
    chat = lm.tokenize("Hi")
    assert lm.tokenizer.decode(chat.ids).endswith("<think>\n\n</think>\n\n")
    rows = [[*chat.ids, *ids_of(lm, "Yes.")]]
    found = torch.where(moved(lm, rows, [chat.prompt_length], "answer")[0])[0]
    assert found.tolist() == list(range(chat.prompt_length - 1, len(rows[0])))
    assert not moved(lm, rows, [chat.prompt_length], "thought").any()


class Writes(LogitsProcessor):
    """Makes the model write given texts' tokens at some steps, in every row its own; free in between."""

    def __init__(self, rows: Sequence[Sequence[int | None]], prompt: int) -> None:
        self._rows, self._prompt = rows, prompt

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        step, times = input_ids.shape[1] - self._prompt, len(scores) // len(self._rows)
        scores = scores.clone()
        for number in range(len(scores)):
            row = self._rows[number // times]
            if step < len(row) and (token := row[step]) is not None:
                keep = scores[number, token].clone() if times == 1 else 0.0
                scores[number] = -torch.inf
                scores[number, token] = keep
        return scores


def written(lm: LanguageModel, **options: object) -> Tensor:
    """New tokens of three rows with thoughts that begin and end at different steps, free tokens around the marks."""
    opening, closing = lm.tokenizer.convert_tokens_to_ids(["<think>", "</think>"])
    begin = opening if lm.tokenizer.chat_template == THINKING_TEMPLATE else None
    marks = [[begin, None, None, closing], [begin, None, None, None, None, closing], [None, None, None, None, None]]
    ids, mask = pad([lm.tokenize(prompt).ids for prompt in PROMPTS], 0, "cpu", side="left")
    settings = {"max_new_tokens": 10, "do_sample": False, "pad_token_id": 0, "eos_token_id": None} | options
    processor = LogitsProcessorList([Writes(marks, ids.shape[1])])
    out = lm.model.generate(input_ids=ids, attention_mask=mask, logits_processor=processor, **settings)
    return out[:, ids.shape[1] :]


@torch.inference_mode()
@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("tokens", CHOICES[:3])
@pytest.mark.parametrize("options", [{}, {"num_beams": 3}, {"cache_implementation": "static", "disable_compile": True}])
def test_generating_with_and_without_a_cache_agrees(template: str, tokens: str, options: dict[str, object]) -> None:
    lm = thinking_lm(template)
    bare = written(lm, **options)
    with Sliders(a=random_vector()).attach(lm, tokens=tokens) as dial:
        dial.set(a=[1.0, -1.0, 2.0])
        cached = written(lm, **options)
        plain = {key: value for key, value in options.items() if key == "num_beams"}
        assert torch.equal(cached, written(lm, use_cache=False, **plain))
    assert not torch.equal(cached, bare)
    assert torch.equal(written(lm, **options), bare)
    assert "prepare_inputs_for_generation" not in vars(lm.model)


class Favours(LogitsProcessor):
    """Makes some tokens likelier, at any step."""

    def __init__(self, tokens: list[int]) -> None:
        self._tokens = tokens

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        return scores.index_add(1, torch.tensor(self._tokens), torch.full((len(scores), len(self._tokens)), 4.0))


@torch.inference_mode()
@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("tokens", CHOICES[:3])
@pytest.mark.parametrize("seed", range(4))
def test_caches_agree_wherever_beams_and_samples_write_their_marks(template: str, tokens: str, seed: int) -> None:
    lm = thinking_lm(template)
    marks = lm.tokenizer.convert_tokens_to_ids(["<think>", "</think>"])
    ids, mask = pad([lm.tokenize(prompt).ids for prompt in PROMPTS], 0, "cpu", side="left")

    def new(beams: int, use_cache: bool) -> Tensor:
        torch.manual_seed(seed)
        processor = LogitsProcessorList([Favours(marks)])
        options = {"num_beams": beams, "do_sample": beams == 1, "pad_token_id": 0, "eos_token_id": None}
        return lm.model.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=12,
            logits_processor=processor,
            use_cache=use_cache,
            **options,
        )

    with Sliders(a=random_vector(seed)).attach(lm, tokens=tokens) as dial:
        dial.set(a=[1.0, -1.0, 2.0])
        for beams in (1, 3):
            assert torch.equal(new(beams, True), new(beams, False))


@torch.inference_mode()
def test_a_loop_with_a_cache_of_the_users_own_moves_the_same_tokens() -> None:
    lm = thinking_lm()
    prompt = lm.tokenize("Hi").ids
    ids = torch.tensor([[*prompt, *ids_of(lm, "<think>ab</think>cd")]])
    for tokens in ("thought", "answer"):
        with Sliders(a=random_vector()).attach(lm, tokens=tokens) as dial:
            dial.set(a=1.0)
            with dial.prompt_lengths([len(prompt)]):
                whole = lm.model(input_ids=ids, use_cache=False).logits
            cache = DynamicCache(config=lm.model.config)
            steps = [ids[:, : len(prompt)], *ids[:, len(prompt) :].split(1, dim=1)]
            stepwise = [lm.model(input_ids=step, past_key_values=cache).logits for step in steps]
            assert torch.allclose(torch.cat(stepwise, 1), whole, atol=1e-5)


@torch.inference_mode()
def test_tokens_that_were_never_seen_are_refused() -> None:
    lm = thinking_lm()
    ids = torch.tensor([lm.tokenize("Hi").ids])
    with Sliders(a=random_vector()).attach(lm, tokens="answer") as dial:
        dial.set(a=1.0)
        with pytest.raises(SteeringError, match=r"Expected to see all tokens.*pass input_ids"):
            lm.model(inputs_embeds=lm.model.get_input_embeddings()(ids))


@torch.inference_mode()
def test_a_sweep_agrees_with_one_setting_at_a_time() -> None:
    lm = thinking_lm(OPENED_TEMPLATE)
    sliders = Sliders(a=random_vector())
    for tokens in ("thought", "answer", "all"):
        swept = sweep(lm, sliders, PROMPTS, [{}, {"a": 1.5}], max_new_tokens=6, tokens=tokens, progress=False)
        with sliders.attach(lm, tokens=tokens) as dial:
            dial.set(a=1.5)
            assert [row[1] for row in swept] == lm.generate(PROMPTS, 6)


def test_reading_finds_the_tokens_that_are_moved() -> None:
    lm = thinking_lm(OPENED_TEMPLATE)
    chat = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hm.</think>Yes."}]
    tokenized = lm.tokenize(chat)
    start = tokenized.prompt_length + 3
    assert lm.tokenizer.decode(tokenized.ids[start]) == "</think>"
    assert token_span(tokenized, "thought") == (tokenized.prompt_length - 1, start)
    assert token_span(tokenized, "answer") == (start, len(tokenized.ids))
    assert record(lm, [chat], position="thought").shape == (1, LAYERS, WIDTH)
    with pytest.raises(SteeringError, match=r"none at position 'answer'.*the thought to be closed"):
        token_span(lm.tokenize("Hi"), "answer")


def test_a_model_without_thoughts_has_none_to_move() -> None:
    for model in (tiny_lm(), tiny_lm().model, thinking_lm().model):
        with pytest.raises(SteeringError, match=r"speaks of thoughts.*found .*choose other tokens"):
            Sliders(a=random_vector()).attach(model, tokens="thought")
