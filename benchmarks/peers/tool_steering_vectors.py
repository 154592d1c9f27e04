"""steering-vectors: one hook a layer and vector."""

import torch
from common import Bare
from steering_vectors import SteeringVector, train_steering_vector


class Adapter(Bare):
    """Mean differences; two axes are two vectors that are applied together."""

    def extract(self, batch_size: int = 16) -> list[list[float]]:
        """All layers, last token, batches of 16 pairs."""
        vector = train_steering_vector(
            self.model, self.tokenizer, self.pairs, read_token_index=-1, batch_size=batch_size
        )
        return [vector.layer_activations[layer].tolist() for layer in sorted(vector.layer_activations)]

    def extract_default(self) -> list[list[float]]:
        """At the default batch size of 1."""
        return self.extract(1)

    def steered(self, rows: int, a: float = 1.0, b: float = -0.5, ids=None, tokens=None) -> list[list[int]]:
        """Decoding with both axes on all layers."""
        first, second = (SteeringVector(dict(enumerate(axis))) for axis in self.directions)
        with (
            torch.inference_mode(),
            first.apply(self.model, multiplier=a),
            second.apply(self.model, multiplier=b),
        ):
            return self.decode(rows, ids, tokens)
