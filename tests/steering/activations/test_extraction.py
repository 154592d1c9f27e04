"""Reading states and making directions: exact statistics, planted answers, bounded memory."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from steering import (
    ContrastPair,
    LanguageModel,
    Push,
    Slider,
    Sliders,
    SteeringError,
    SteeringVector,
    extract,
    record,
)
from steering.activations import recording
from steering.activations.recording import record_positions, stream_pairs
from steering.activations.shared_prefix import Prefix, shared_prefix
from steering.directions import DIRECTIONS
from steering.directions.difference_in_means import difference_in_means
from steering.extraction import _recommended
from steering.models.token_positions import token_span
from steering.scoring.next_token import next_token_log_probabilities
from tests.helpers.contrast_pairs import answer_pairs, prompt_pairs
from tests.helpers.tiny import LAYERS, WIDTH, random_vector, tiny_lm


@torch.inference_mode()
def states_of(lm: LanguageModel, chat: object, start: int, stop: int) -> Tensor:
    """By the model's own hidden states, unpadded: (layers - 1, d_model). The last entry is after the final norm."""
    ids = torch.tensor([lm.tokenize(chat).ids])
    hidden = lm.model(input_ids=ids, output_hidden_states=True).hidden_states
    return torch.stack([layer[0, start:stop].mean(0) for layer in hidden[1:-1]])


def test_positions_are_the_tokens_that_they_name(lm: LanguageModel) -> None:
    chat = answer_pairs(1).pairs[0].positive
    tokens = lm.tokenize(chat)
    text = lm.tokenizer.decode(tokens.ids)
    assert text == "<|user|>Break 0 <|end|><|assistant|>Gladly: one, two."
    assert lm.tokenizer.decode(tokens.ids[tokens.instruction_end : tokens.prompt_length]) == "<|end|><|assistant|>"
    assert lm.tokenizer.decode(tokens.ids[tokens.prompt_length :]) == "Gladly: one, two."
    spans = {
        "all": (0, len(tokens.ids)),
        "prompt": (0, tokens.prompt_length),
        "answer": (tokens.prompt_length - 1, len(tokens.ids)),
        "last_prompt_token": (tokens.prompt_length - 1, tokens.prompt_length),
        "prompt_end:1": (tokens.prompt_length - 1, tokens.prompt_length),
        "prompt_end:4": (tokens.prompt_length - 4, tokens.prompt_length - 3),
        "from_token:5": (5, len(tokens.ids)),
        "last": (len(tokens.ids) - 1, len(tokens.ids)),
        "post_instruction": (tokens.instruction_end, tokens.prompt_length),
        "generated": (tokens.prompt_length, len(tokens.ids)),
    }
    for position, (start, stop) in spans.items():
        assert token_span(tokens, position) == (start, stop)
        longer = (*chat[:-1], chat[-1].model_copy(update={"content": "An answer that is a good deal longer."}))
        read = record(lm, [chat, longer], position=position)
        torch.testing.assert_close(read[0, :-1], states_of(lm, chat, start, stop), rtol=1e-4, atol=1e-5)


def test_batches_of_any_size_read_the_same_states(lm: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    chats = [pair.positive for pair in prompt_pairs(20)]
    together = record(lm, chats)
    monkeypatch.setattr(recording, "TOKENS_PER_BATCH", 1)
    torch.testing.assert_close(record(lm, chats), together, rtol=1e-4, atol=1e-5)


def test_states_are_read_under_a_value_for_each_row(lm: LanguageModel) -> None:
    chats = ["abc", "abd", "xyz"]
    bare = record(lm, chats, layers=[1])
    vector = torch.randn(LAYERS, WIDTH, generator=torch.Generator().manual_seed(0))
    with Sliders(a=SteeringVector(vector, recommended_layers=(1,))).attach(lm) as dial:
        dial.set(a=[0.0, 1.0, 2.0])
        found = record(lm, chats, layers=[1])
    expected = bare + torch.tensor([0.0, 1.0, 2.0])[:, None, None] * vector[1]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_a_value_for_each_row_holds_where_only_attentions_are_moved(lm: LanguageModel) -> None:
    chats, values = ["abc", "abd", "xyz"], [0.0, 1.0, 2.0]  # the template's beginning is shared, and is to be moved too
    with Sliders(a=Slider((Push(random_vector(), layers=(1,), hook_point="attn_out"),))).attach(lm) as dial:
        dial.set(a=values)
        together = record(lm, chats)
        for row, (chat, value) in enumerate(zip(chats, values, strict=True)):
            dial.set(a=value)
            torch.testing.assert_close(together[[row]], record(lm, [chat]), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("method", DIRECTIONS)
def test_states_that_overflow_are_told_in_a_sentence(method: str) -> None:
    lm = tiny_lm()
    with torch.no_grad():
        lm.model.model.embed_tokens.weight.mul_(1e6)
    lm.model.to(torch.float16)
    with pytest.raises(SteeringError, match="infinite or undefined in this dtype"):
        extract(lm, prompt_pairs(10), method=method, progress=False)


def test_pairs_that_do_not_differ_are_told_in_a_sentence(lm: LanguageModel) -> None:
    same = [pair.model_copy(update={"negative": pair.positive}) for pair in prompt_pairs(2).pairs]
    pairs = replace(prompt_pairs(2), pairs=tuple(same))
    with pytest.raises(SteeringError, match="'lda' can't make directions from 1 pairs"):
        extract(lm, pairs, method="lda", held_out=0.5, progress=False)


def test_only_the_layers_asked_for_are_run(lm: LanguageModel) -> None:
    ran: list[int] = []
    handles = [
        block.register_forward_pre_hook(lambda _m, _i, layer=layer: ran.append(layer))
        for layer, block in enumerate(lm.blocks)
    ]
    head = lm.model.lm_head.register_forward_pre_hook(lambda _m, _i: ran.append(99))
    states = record(lm, ["one"], layers=[0, 2])
    for handle in (*handles, head):
        handle.remove()
    assert ran == [0, 1, 2]
    assert torch.equal(states, record(lm, ["one"])[:, [0, 2]])


def test_recording_leaves_no_hook_and_changes_no_logit() -> None:
    lm = tiny_lm()
    ids = torch.tensor([[7, 8, 9]])
    with torch.inference_mode():
        before = lm.model(input_ids=ids).logits
        record(lm, ["a", "b"])
        assert torch.equal(lm.model(input_ids=ids).logits, before)
    assert not any(module._forward_hooks for module in lm.model.modules())


def test_states_are_read_under_a_dial(lm: LanguageModel) -> None:
    bare = record(lm, ["a chat"], layers=[1])
    vector = torch.randn(LAYERS, WIDTH)
    with Sliders(a=SteeringVector(vector, recommended_layers=(1,))).attach(lm) as dial:
        dial.set(a=2.0)
        torch.testing.assert_close(record(lm, ["a chat"], layers=[1]), bare + 2.0 * vector[1], rtol=1e-5, atol=1e-5)


def test_half_precision_states_do_not_overflow_in_the_sum() -> None:
    batch = (torch.full((9, 1, 4), 6e4, dtype=torch.float16), torch.zeros(9, 1, 4, dtype=torch.float16))
    assert torch.equal(difference_in_means([batch]), torch.full((1, 4), 6e4, dtype=torch.float16).double())


def test_a_direction_planted_in_a_model_is_extracted(lm: LanguageModel) -> None:
    """A model that adds a known vector at block 1 wherever the prompt says Break."""
    planted = torch.nn.functional.normalize(torch.randn(WIDTH, generator=torch.Generator().manual_seed(3)), dim=0)
    marker = lm.tokenize("Break").ids[1:6]

    class Plant:
        def __init__(self) -> None:
            self.rows = torch.zeros(0, dtype=torch.bool)

        def look(self, _module: object, _args: object, kwargs: dict[str, Tensor]) -> None:
            self.rows = (kwargs["input_ids"][:, 1:6] == torch.tensor(marker)).all(1)

        def push(self, _module: object, _args: object, output: Tensor) -> Tensor:
            return output + 500.0 * self.rows[:, None, None] * planted

    plant = Plant()
    handles = (
        lm.model.register_forward_pre_hook(plant.look, with_kwargs=True),
        lm.blocks[1].register_forward_hook(plant.push),
    )
    vector = extract(lm, prompt_pairs(30), progress=False)
    for handle in handles:
        handle.remove()
    assert torch.nn.functional.cosine_similarity(vector[1], planted, dim=0) > 0.99
    assert vector.profile.auroc[1] == 1.0
    assert vector.profile.pair_cosine[1] > 0.99


def test_extract_is_the_difference_of_the_mean_states(lm: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "LEAST_PAIRS", 1)
    monkeypatch.setattr(recording, "BUFFER_BYTES", 5 * 2 * LAYERS * WIDTH * 4)  # five pairs at a time
    pairs = prompt_pairs(24)
    vector = extract(lm, pairs, progress=False)
    rest, held_out = pairs.split()
    assert (len(rest), len(held_out)) == (19, 5)
    sides = [record(lm, [getattr(pair, side) for pair in rest]) for side in ("positive", "negative")]
    torch.testing.assert_close(vector.directions, sides[0].mean(0) - sides[1].mean(0), rtol=1e-4, atol=1e-5)
    norms = torch.cat(sides).norm(dim=-1).mean(0)
    np.testing.assert_allclose(vector.profile.residual_norm, norms, rtol=1e-5)
    tested = [record(lm, [getattr(pair, side) for pair in held_out]) for side in ("positive", "negative")]
    for layer in range(LAYERS):
        scores = torch.cat([states[:, layer] @ vector[layer] for states in tested])
        assert vector.profile.auroc[layer] == pytest.approx(roc_auc_score([1] * 5 + [0] * 5, scores))
        differences = tested[0][:, layer] - tested[1][:, layer]
        cosine = torch.nn.functional.cosine_similarity(differences, vector[layer][None], dim=-1).mean()
        assert vector.profile.pair_cosine[layer] == pytest.approx(cosine.item(), abs=1e-5)


def test_extract_records_what_it_made_the_vector_from(lm: LanguageModel) -> None:
    pairs = answer_pairs(10)
    origin = extract(lm, pairs, layers=[1, 3], progress=False).origin
    assert origin.model == lm.identity
    (source,) = origin.sources
    assert (source.contrast_set, source.fingerprint) == ("toy-answers", pairs.fingerprint)
    assert (source.pairs, source.held_out_pairs) == (8, 2)
    assert (source.method, source.position) == ("difference_in_means", "generated")
    assert extract(lm, prompt_pairs(10), progress=False).origin.sources[0].position == "last"


def test_memory_is_bounded_by_the_buffer_and_not_by_the_number_of_pairs(
    lm: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "LEAST_PAIRS", 1)
    monkeypatch.setattr(recording, "BUFFER_BYTES", 3 * 2 * WIDTH * 4)
    consumed: list[int] = []

    def endless() -> Iterator[ContrastPair]:
        pair = prompt_pairs(1).pairs[0]
        while True:
            consumed.append(1)
            yield pair

    positive, negative = next(stream_pairs(lm, endless(), layers=[0], progress=False))
    assert positive.shape == negative.shape == (3, 1, WIDTH)
    assert len(consumed) == 3


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"method": "magic"}, "no extraction method 'magic'; choose from 'difference_in_means', 'mean_centered'"),
        ({"position": "middle"}, "no token position 'middle'; choose from 'all', 'prompt', 'generated'"),
        ({"position": "generated"}, "has none at position 'generated'"),
        ({"position": "prompt_end:0"}, "no token position 'prompt_end:0'"),
        ({"position": "prompt_end:500"}, "has none at position 'prompt_end:500'"),
        ({"layers": [4]}, r"layers from 0 to 3, found \[4\]"),
        ({"layers": [2, 1]}, "ascending layers"),
        ({"held_out": 0.0}, "Can't hold out 0 of the 10 pairs"),
    ],
)
def test_unusable_requests_are_refused_with_a_sentence(
    lm: LanguageModel, options: dict[str, object], sentence: str
) -> None:
    with pytest.raises(SteeringError, match=sentence):
        extract(lm, prompt_pairs(10), progress=False, **options)


def test_recommended_layers_start_where_pairs_are_told_apart_and_stop_at_the_allowed_push() -> None:
    flat, rising = [0.8] * 24, [0.5] * 12 + [0.6, 0.7, 0.89, 0.9] + [1.0] * 8
    assert _recommended(range(24), 24, flat, [0.06] * 24) == (12, 13)
    assert _recommended(range(24), 24, flat, [0.01] * 24) == (12, 13, 14, 15)
    assert _recommended(range(24), 24, flat, [0.9] * 24) == (12,)
    assert _recommended(range(24), 24, rising, [0.01] * 24) == (14, 15)
    assert _recommended([1, 3], 10, [0.9, 0.8], [0.01] * 2) == (3,)


def test_several_positions_are_read_in_one_pass() -> None:
    lm = tiny_lm()
    chats, passes = ["Break the lock", "Paint"], []
    positions = ["last", "prompt_end:3", "post_instruction"]
    expected = [record(lm, chats, layers=[0, 2], position=position) for position in positions]
    handle = lm.model.register_forward_pre_hook(lambda *_: passes.append(1))
    found = record_positions(lm, chats, positions, layers=[0, 2])
    handle.remove()
    torch.testing.assert_close(found, torch.stack(expected), rtol=1e-5, atol=1e-6)
    assert len(passes) == 1


@pytest.mark.parametrize("family", ["Llama", "Gemma3", "GPT2"])
@pytest.mark.parametrize("system_prompt", [None, "Be brief, be kind."])
def test_the_next_tokens_logits_come_from_the_same_passes(
    family: str, system_prompt: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    lm = tiny_lm(family, system_prompt=system_prompt)
    monkeypatch.setattr("steering.activations.recording.TOKENS_PER_BATCH", 80)  # several batches
    chats = ["Break the lock", "Paint", "Why is the sky blue, and the sea?", "Hi", "Paint"]
    positions, prefixes = ["prompt_end:2", "prompt_end:1"], []

    def prefix_of(*arguments: Any) -> Prefix:
        prefixes.append(shared_prefix(*arguments))
        return prefixes[-1]

    monkeypatch.setattr("steering.activations.recording.shared_prefix", prefix_of)
    logits: dict[int, torch.Tensor] = {}
    batches: list[Sequence[int]] = []

    def keep(places: Sequence[int], rows: torch.Tensor) -> None:
        batches.append(places)
        logits.update(zip(places, rows, strict=True))

    found = record_positions(lm, chats, positions, layers=[0, 2], next_token=keep)
    assert prefixes[0].length >= len(system_prompt or "")
    assert len(batches) > 1
    assert sorted(place for batch in batches for place in batch) == list(range(len(chats)))
    bare = record_positions(lm, chats, positions, layers=[0, 2])
    torch.testing.assert_close(found, bare, rtol=1e-4, atol=1e-5)
    given = torch.stack([logits[place] for place in range(len(chats))])
    expected = next_token_log_probabilities(lm, chats)
    torch.testing.assert_close(given.log_softmax(-1), expected, rtol=1e-4, atol=1e-4)
    with torch.inference_mode():
        for chat, row in zip(chats, given, strict=True):
            plain = lm.model(input_ids=torch.tensor([lm.tokenize(chat).ids])).logits[0, -1]
            torch.testing.assert_close(row, plain, rtol=1e-4, atol=1e-4)


def test_the_next_token_is_that_of_a_dialed_model_and_of_answered_chats(lm: LanguageModel) -> None:
    chats = [pair.positive for pair in answer_pairs(3)]
    found: dict[int, torch.Tensor] = {}

    def keep(places: Sequence[int], rows: torch.Tensor) -> None:
        found.update(zip(places, rows, strict=True))

    with Sliders(a=random_vector()).attach(lm) as dial:
        dial.set(a=1.0)
        record_positions(lm, chats, ["last"], layers=[1], next_token=keep)
        steered = next_token_log_probabilities(lm, chats)
    given = torch.stack([found[place] for place in range(3)]).log_softmax(-1)
    torch.testing.assert_close(given, steered, rtol=1e-4, atol=1e-4)
    assert (given - next_token_log_probabilities(lm, chats)).abs().max() > 1e-2
