"""The gate that tells harmful prompts from harmless ones best, along a condition direction (CAST, arXiv 2409.05907)."""

from steering.activations.recording import PairActivations
from steering.interventions.gates import Gate, threshold_gate
from steering.vectors.steering_vector import SteeringVector


def condition_gate(condition: SteeringVector, sides: PairActivations, first_moved: int) -> Gate:
    """Open on the positive side's prompts: of the layers below those that are moved, the one of the best F1.

    Layer 0 is left out wherever another is there.
    """
    positive, negative = sides
    gates = [
        threshold_gate(layer, condition[layer], positive[:, layer], negative[:, layer])
        for layer in range(min(1, first_moved), first_moved + 1)
    ]

    def f1(gate: Gate) -> float:
        hits = gate.factors(positive[:, [gate.layer]]).sum()
        wrong = gate.factors(negative[:, [gate.layer]]).sum()
        return float(2 * hits / (hits + wrong + len(positive)))

    return max(gates, key=f1)
