"""repeng: wraps the blocks; one control for all axes, their sum."""

import numpy
import torch
from common import Bare

numpy.float_ = numpy.float64  # repeng 0.4.0 names it in its annotations, and NumPy 2 took it away

from repeng import ControlModel, ControlVector, DatasetEntry  # noqa: E402


class Adapter(Bare):
    """Principal components of pair differences: other directions than mean differences, so only times compare."""

    def extract(self) -> None:
        """All layers, last token, its default batch of 32."""
        dataset = [DatasetEntry(positive, negative) for positive, negative in self.pairs]
        layers = range(self.model.config.num_hidden_layers)
        ControlVector.train(self.model, self.tokenizer, dataset, hidden_layers=layers)

    def steered(self, rows: int, a: float = 1.0, b: float = -0.5, ids=None, tokens=None) -> list[list[int]]:
        """Decoding with both axes on all layers."""
        control = ControlModel(self.model, range(self.model.config.num_hidden_layers))
        delta = a * self.directions[0] + b * self.directions[1]
        try:
            control.set_raw_control(dict(enumerate(delta)))
            with torch.inference_mode():
                return self.decode(rows, ids, tokens)
        finally:
            control.unwrap()
