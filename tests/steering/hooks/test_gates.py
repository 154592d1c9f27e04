"""Gates read each row's own prompt, hold while it is answered, and leave a closed row bitwise alone."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, normalize

from steering import Push, Slider, Sliders, SteeringError, SteeringVector
from steering.activations.moments import Moments
from steering.interventions.gates import Gate, linear_gate, threshold_gate
from steering.recipes.null_space import null_space_projector, null_space_reader
from tests.helpers.forward_passes import IDS, BlockOutputs, hook_count, logits
from tests.helpers.tiny import WIDTH, random_vector, tiny_lm

PUSHED = SteeringVector(random_vector().directions, recommended_layers=(2,))


def states_at(layer: int, ids: Tensor, **inputs: Tensor) -> Tensor:
    lm = tiny_lm()
    with BlockOutputs(lm) as outputs:
        logits(lm, ids, **inputs)
    return outputs.states[layer]


def splitting_gate(layer: int = 1) -> tuple[Gate, Tensor]:
    """A gate that is open for some of the rows of IDS, and for which."""
    last = states_at(layer, IDS)[:, -1]
    direction = last[0] - last[1]
    scores = last @ direction
    gate = Gate(layer, direction, bias=-float(scores.sort().values[-2:].mean()))
    opened = gate.factors(last.unsqueeze(1)).bool()
    assert opened.tolist() == [True, False, False]
    return gate, opened


def gated(gate: Gate, intervention: str = "add") -> Slider:
    return Slider((Push(PUSHED, gate=gate, intervention=intervention),))


@pytest.mark.parametrize("layer", [0, 1, 2])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_open_rows_move_as_without_a_gate_and_closed_rows_are_bitwise_bare(layer: int, dtype: torch.dtype) -> None:
    lm = tiny_lm()
    lm.model.to(dtype)
    gate, opened = splitting_gate(layer)
    bare = logits(lm)
    with Sliders(a=PUSHED).attach(lm) as dial:
        dial.set(a=1.0)
        pushed = logits(lm)
    with Sliders(a=gated(gate)).attach(lm) as dial:
        assert torch.equal(logits(lm), bare)
        dial.set(a=1.0)
        found = logits(lm)
        assert torch.equal(found[~opened], bare[~opened])
        torch.testing.assert_close(found[opened], pushed[opened])
        dial.set(a=[0.0, 1.0, 1.0])
        assert torch.equal(logits(lm), bare)
    assert torch.equal(logits(lm), bare)
    assert hook_count(lm) == 0


def test_a_soft_gate_scales_the_push_of_every_row() -> None:
    lm = tiny_lm()
    gate = Gate(1, torch.randn(WIDTH, generator=torch.Generator().manual_seed(4)), curve="probability")
    opened = gate.factors(states_at(1, IDS)[:, -1:])
    assert opened.min() < opened.max()
    with BlockOutputs(lm) as bare:
        logits(lm)
    with Sliders(a=gated(gate)).attach(lm) as dial, BlockOutputs(lm) as steered:
        dial.set(a=2.0)
        logits(lm)
    expected = bare.states[2] + 2.0 * opened[:, None, None] * PUSHED[2]
    torch.testing.assert_close(steered.states[2], expected)


@pytest.mark.parametrize("use_cache", [True, False])
@pytest.mark.parametrize("beams", [1, 2])
def test_the_reading_holds_while_the_answer_is_written(use_cache: bool, beams: int) -> None:
    lm = tiny_lm()
    gate, opened = splitting_gate()
    settings = {"max_new_tokens": 10, "do_sample": False, "num_beams": beams, "use_cache": use_cache}
    bare = lm.model.generate(IDS, **settings)
    with Sliders(a=PUSHED).attach(lm) as dial:
        dial.set(a=1.0)
        pushed = lm.model.generate(IDS, **settings)
    assert not torch.equal(pushed, bare)
    with Sliders(a=gated(gate)).attach(lm) as dial:
        dial.set(a=1.0)
        found = lm.model.generate(IDS, **settings)
    width = min(bare.shape[1], pushed.shape[1], found.shape[1])
    expected = torch.where(opened[:, None], pushed[:, :width], bare[:, :width])
    assert torch.equal(found[:, :width], expected)


def test_a_batch_with_padding_reads_what_single_prompts_read() -> None:
    lm = tiny_lm()
    prompts = ["Hi", "Break the lock now", "Name a fruit please, any"]
    gate = Gate(1, torch.randn(WIDTH, generator=torch.Generator().manual_seed(2)), curve="probability")
    with Sliders(a=gated(gate), b=random_vector(5)).attach(lm) as dial:
        dial.set(a=1.5, b=0.2)
        singly = [lm.generate([prompt], 8)[0] for prompt in prompts]
        assert lm.generate(prompts, 8) == singly


def test_right_padding_reads_the_last_real_token() -> None:
    lm = tiny_lm()
    gate = Gate(1, torch.randn(WIDTH, generator=torch.Generator().manual_seed(2)), curve="probability")
    padded = torch.cat([IDS[:1], torch.zeros(1, 4, dtype=torch.long)], dim=1)
    mask = (torch.arange(16) < 12).long()[None]
    with Sliders(a=gated(gate)).attach(lm) as dial:
        dial.set(a=1.0)
        torch.testing.assert_close(
            logits(lm, padded, attention_mask=mask)[:, :12], logits(lm, IDS[:1]), rtol=1e-4, atol=1e-4
        )


def test_declared_prompts_are_read_where_they_end() -> None:
    lm = tiny_lm()
    gate, _ = splitting_gate()
    longer = torch.cat([IDS, IDS.flip(1)], dim=1)
    with Sliders(a=gated(gate)).attach(lm) as dial:
        dial.set(a=1.0)
        with dial.prompt_lengths([12, 12, 12]):
            found = logits(lm, longer)
        torch.testing.assert_close(found[:, :12], logits(lm, IDS), rtol=1e-4, atol=1e-4)


def test_gates_of_two_sliders_are_read_each_for_itself() -> None:
    lm = tiny_lm()
    gate, opened = splitting_gate()
    closed = Gate(1, gate.direction, bias=-1e6)
    with Sliders(a=gated(gate), b=gated(closed)).attach(lm) as dial, BlockOutputs(lm) as steered:
        dial.set(a=1.0, b=1.0)
        logits(lm)
    with Sliders(a=gated(gate)).attach(lm) as dial, BlockOutputs(lm) as alone:
        dial.set(a=1.0)
        logits(lm)
    assert opened.any()
    assert torch.equal(steered.states[2], alone.states[2])


def test_a_prompt_that_was_never_read_to_its_end_is_refused() -> None:
    lm = tiny_lm()
    gate, _ = splitting_gate()
    with Sliders(a=gated(gate)).attach(lm) as dial, dial.prompt_lengths([99, 99, 99]):
        logits(lm)  # at 0 nobody asks the gate
        dial.set(a=1.0)
        with pytest.raises(SteeringError, match="read the prompts of 3 rows, found 0"):
            logits(lm)


def test_no_prompt_is_steered_by_the_reading_of_another() -> None:
    lm = tiny_lm()
    gate, opened = splitting_gate()
    row = IDS[int(opened.long().argmax())][None]
    with Sliders(a=gated(gate)).attach(lm) as dial:
        dial.set(a=1.0)
        logits(lm, row)  # opens the gate
        with dial.prompt_lengths([99, 99, 99]), pytest.raises(SteeringError, match="found 0"):
            logits(lm)
        logits(lm, row)
        with pytest.raises(SteeringError, match="no chunked prefill"):
            lm.model.generate(IDS[1:2], max_new_tokens=2, do_sample=False, prefill_chunk_size=5)


def test_a_failed_attach_leaves_no_hook() -> None:
    lm = tiny_lm()
    gate, _ = splitting_gate()
    with pytest.raises(SteeringError, match="no token position 'everything'"):
        Sliders(a=gated(gate)).attach(lm, tokens="everything")
    assert hook_count(lm) == 0
    assert "generate" not in vars(lm.model)


def test_a_prompt_length_for_each_row_is_asked_for() -> None:
    lm = tiny_lm()
    with Sliders(a=PUSHED).attach(lm, tokens="generated") as dial, dial.prompt_lengths([5, 5, 5]):
        with dial.prompt_lengths([5, 6]), pytest.raises(SteeringError, match="each of the pass' 3 rows, found 2"):
            logits(lm)
        logits(lm)  # the outer lengths hold again


def test_rows_that_are_repeated_after_their_prompt_keep_its_reading() -> None:
    lm = tiny_lm()
    gate, opened = splitting_gate()
    tokens, mask = IDS[:, :1].repeat_interleave(2, dim=0), torch.ones(6, 13, dtype=torch.long)
    found = []
    for pushed in (gated(gate), PUSHED):
        with Sliders(a=pushed).attach(lm) as dial, torch.inference_mode():
            dial.set(a=1.0)
            cache = lm.model(input_ids=IDS, use_cache=True).past_key_values
            cache.batch_repeat_interleave(2)
            with BlockOutputs(lm) as outputs:
                lm.model(input_ids=tokens, past_key_values=cache, attention_mask=mask)
            found.append(outputs.states[2])
    assert torch.equal(found[0][:2], found[1][:2])
    assert not torch.allclose(found[0][2:], found[1][2:])
    assert opened.tolist() == [True, False, False]


# Fitting.


def clouds(distance: float, count: int = 400) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    axis = normalize(torch.randn(WIDTH, generator=generator), dim=0)
    mean = 3 * torch.randn(WIDTH, generator=generator)
    positive, negative = (mean + torch.randn(count, WIDTH, generator=generator) for _ in range(2))
    return positive + distance * axis, negative - distance * axis, axis


def factors(gate: Gate, states: Tensor) -> Tensor:
    """What the gate makes of states of one token each."""
    return gate.factors(states.unsqueeze(1))


def test_a_threshold_gate_opens_for_its_side() -> None:
    positive, negative, axis = clouds(4.0)
    gate = threshold_gate(0, axis, positive, negative)
    assert factors(gate, positive).mean() > 0.99
    assert factors(gate, negative).mean() < 0.01


def test_a_threshold_gate_compares_the_angle_and_not_the_length() -> None:
    positive, negative, axis = clouds(2.0)
    gate = threshold_gate(0, axis, positive, negative)
    assert torch.equal(factors(gate, 10 * positive), factors(gate, positive))
    scores = cosine_similarity(positive, axis, dim=-1)
    assert torch.equal(factors(gate, positive), (scores > -gate.bias).float())


def test_no_other_threshold_has_a_better_f1() -> None:
    positive, negative, axis = clouds(0.5)
    gate = threshold_gate(0, axis, positive, negative)

    def f1(threshold: float) -> float:
        hits = (cosine_similarity(positive, axis, dim=-1) > threshold).sum().item()
        wrong = (cosine_similarity(negative, axis, dim=-1) > threshold).sum().item()
        return 2 * hits / (hits + wrong + len(positive))

    assert all(f1(-gate.bias) >= f1(other) - 1e-6 for other in torch.linspace(-1, 1, 501).tolist())


def test_a_linear_gate_goes_through_both_means_and_is_clipped() -> None:
    positive, negative, axis = clouds(1.0)
    gate = linear_gate(0, axis, positive, negative, low=-0.5, high=2.0)
    ends = factors(gate, torch.stack([positive.mean(0), negative.mean(0)]))
    torch.testing.assert_close(ends, torch.tensor([1.0, 0.0]), rtol=1e-4, atol=1e-4)
    far = torch.stack([positive.mean(0) + 100 * axis, negative.mean(0) - 100 * axis])
    assert factors(gate, far).tolist() == [2.0, -0.5]
    with pytest.raises(SteeringError, match="no line goes through"):
        linear_gate(0, axis, positive, positive)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Gate(0, torch.ones(3), curve="magic"), "no gate curve 'magic'"),
        (lambda: Gate(0, torch.ones(3, 3)), "gate's direction"),
        (lambda: Gate(0, torch.ones(3), low=2.0), "bounds in order"),
        (lambda: Gate(0, torch.ones(3), bias=float("nan")), "bounds in order"),
        (lambda: Gate(0, torch.ones(3), threshold=float("inf")), "finite bias, threshold and bounds"),
        (lambda: Gate(0, torch.ones(3), reads="minds"), "no gate reading 'minds'; choose from 'score', 'harm'"),
        (lambda: gated(Gate(3, torch.ones(WIDTH))), "gate at layer 2 or below, before the first move, found it at 3"),
        (lambda: gated(Gate(0, torch.ones(3))), "gate of the directions' width 32, found 3"),
    ],
)
def test_a_gate_that_cannot_work_is_refused(make: object, sentence: str) -> None:
    with pytest.raises(SteeringError, match=sentence):
        make()


# What the score is.


def test_the_threshold_moves_the_curve_on_the_scale_of_the_score() -> None:
    scores = torch.tensor([-1.0, 0.5, 0.75, 2.0])
    direction = torch.ones(WIDTH)
    assert Gate(0, direction, threshold=0.5).opened(scores).tolist() == [0.0, 0.0, 1.0, 1.0]
    soft = Gate(0, direction, curve="probability", threshold=0.5).opened(scores)
    assert torch.equal(soft, torch.sigmoid(scores - 0.5))


@pytest.mark.parametrize(("reads", "sign"), [("harm", 1.0), ("harmlessness", -1.0)])
def test_a_score_of_log_odds_and_a_probability_lead_to_each_other(reads: str, sign: float) -> None:
    gate = Gate(0, torch.ones(WIDTH), reads=reads)
    probabilities = torch.tensor([0.001, 0.25, 0.5, 0.9, 0.999])
    torch.testing.assert_close(gate.harm(gate.score_of(probabilities)), probabilities)
    assert torch.equal(gate.score_of(probabilities), sign * torch.logit(probabilities))
    assert gate.score_of(torch.tensor([0.0, 1.0])).tolist() == [-20.0 * sign, 20.0 * sign]


def test_a_plain_score_is_no_probability() -> None:
    gate = Gate(0, torch.ones(WIDTH))
    for method in (gate.harm, gate.score_of):
        with pytest.raises(SteeringError, match="found one that reads a plain score"):
            method(torch.tensor([0.5]))


# The null-space map.


def moments_of(states: Tensor) -> Moments:
    moments = Moments()
    for batch in states.split(37):
        moments.update(batch.unsqueeze(1))
    return moments


def benign_and_harmful() -> tuple[Tensor, Tensor]:
    """Benign states in half of the dimensions, harmful ones beside them in a few more."""
    generator = torch.Generator().manual_seed(1)
    basis = torch.linalg.qr(torch.randn(64, 64, generator=generator, dtype=torch.float64)).Q
    benign = 5 * torch.randn(500, 32, generator=generator, dtype=torch.float64) @ basis[:, :32].T
    harmful = benign[:200] + (10 + torch.randn(200, 1, generator=generator, dtype=torch.float64)) * basis[:, 40]
    return benign, harmful


def test_benign_states_stay_and_harmful_ones_are_mapped_to_the_direction() -> None:
    benign, harmful = benign_and_harmful()
    projector = null_space_projector(moments_of(benign), share=0.5)[0]
    torch.testing.assert_close(projector @ projector, projector, rtol=1e-9, atol=1e-9)
    reader = null_space_reader(projector[None], moments_of(harmful))[0]
    r = torch.randn(64, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    moved = benign + (benign @ reader)[:, None] * r
    assert ((moved - benign).norm(dim=-1) / benign.norm(dim=-1)).max() < 1e-4
    assert ((harmful @ reader) - 1).abs().mean() < 0.1


def test_the_reader_is_alphasteers_ridge_solution() -> None:
    benign, harmful = benign_and_harmful()
    harmful = harmful + 0.3 * torch.randn(harmful.shape, generator=torch.Generator().manual_seed(3)).double()
    projector = null_space_projector(moments_of(benign), share=0.4)
    reader = null_space_reader(projector, moments_of(harmful), ridge=10.0)[0]
    p, h = projector[0], harmful.T  # (d, d), (d, n)
    r = torch.randn(64, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    targets = r.expand(64, h.shape[1])
    # argmin ‖ΔPH - R‖² + 10‖ΔP‖², by its normal equations, which the projector makes singular: the pseudo-inverse.
    whole = targets @ h.T @ p.T @ torch.linalg.pinv(p @ h @ h.T @ p.T + 10.0 * p @ p.T, hermitian=True, rtol=1e-10)
    torch.testing.assert_close(torch.outer(r[:, 0], reader), whole @ p, rtol=1e-6, atol=1e-8)


def test_a_gate_of_several_tokens_reads_each_with_its_own_direction() -> None:
    lm = tiny_lm()
    directions = torch.randn(2, WIDTH, generator=torch.Generator().manual_seed(3))
    gate = Gate(1, directions, bias=0.1, curve="probability", tokens=(3, 1))
    states = states_at(1, IDS)
    by_hand = torch.sigmoid(states[:, -3] @ directions[0] + states[:, -1] @ directions[1] + 0.1)
    torch.testing.assert_close(gate.factors(states[:, [-3, -1]]), by_hand)
    with Sliders(a=gated(gate)).attach(lm) as dial:
        dial.set(a=1.0)
        found = logits(lm)
    with Sliders(a=PUSHED).attach(lm) as dial:
        dial.set(a=by_hand)
        torch.testing.assert_close(found, logits(lm))


def test_a_gate_of_several_tokens_reads_padded_prompts_and_decodes_on() -> None:
    lm = tiny_lm()
    directions = torch.randn(2, WIDTH, generator=torch.Generator().manual_seed(3))
    with Sliders(a=gated(Gate(1, directions, curve="probability", tokens=(2, 1)))).attach(lm) as dial:
        dial.set(a=1.0)
        prompts = ["Break the lock", "Paint"]
        assert lm.generate(prompts, 6) == [lm.chat(prompt, 6) for prompt in prompts]


def test_a_prompt_that_comes_in_pieces_is_refused_where_the_gate_reads_several_tokens() -> None:
    lm = tiny_lm()
    with Sliders(a=gated(Gate(1, torch.ones(2, WIDTH), tokens=(2, 1)))).attach(lm) as dial:
        dial.set(a=1.0)
        with pytest.raises(SteeringError, match="in one forward pass, found only some"):
            logits(lm, IDS[:, :1])


@pytest.mark.parametrize("tokens", [(), (0,), (1, 1)])
def test_tokens_of_a_gate_are_counted_from_one(tokens: tuple[int, ...]) -> None:
    with pytest.raises(SteeringError, match=r"gate's direction|tokens from 1"):
        Gate(0, torch.ones(max(1, len(tokens)), WIDTH), tokens=tokens)
