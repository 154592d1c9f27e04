"""In which parts a sequence's tokens run.

A pushed token needs the reading of its gate, which lies at the prompt's end. So the tokens that gates read run
together, and where earlier ones are to be moved by them, the prompt runs first for the gates alone. A gate at a higher
block may stand behind what one at a lower block lets through: they read in turn, a run for each of their layers.
"""

from steering.serving.llama_cpp.row_moves import Part
from steering.serving.llama_cpp.steered_sequence import SteeredSequence


class PromptParts:
    """How far a sequence has come.

    Args:
        sequence: what runs.
        start: index of the first token that isn't in the cache.
    """

    def __init__(self, sequence: SteeredSequence, start: int = 0) -> None:
        self.sequence = sequence
        self.start = start
        self.done = start
        """Number of its tokens that are in the cache."""
        self._awaited: int | None = None

    @property
    def reads_prompt(self) -> bool:
        """Whether tokens of the prompt have still to run."""
        return self.done < self.sequence.prompt_length

    def next(self, room: int) -> Part | None:
        """What can run in the next pass; None where nothing is waiting, or there is too little room.

        Args:
            room: tokens that the pass has room for.
        """
        left = len(self.sequence.tokens) - self.done
        if self.done == self.start:
            self._awaited = None if left <= room else self.sequence.awaited_layer(self.start)
        count = left if left <= room else min(room, left - self.sequence.gate_tokens)
        return Part(self.sequence, self.done, count, self._awaited) if count > 0 else None

    def ran(self, part: Part) -> bool:
        """Go on behind a part; whether it ended a run for the gates, and the cache must be cut back to `start`."""
        self.done += part.count
        if part.awaited is None or self.reads_prompt:
            return False
        self.done = self.start
        return True
