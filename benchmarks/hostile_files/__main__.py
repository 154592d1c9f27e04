"""Count what becomes of mutated files: `python -m benchmarks.hostile_files --count 10000 --seed 0`."""

import argparse
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.hostile_files.mutations import mutate
from benchmarks.hostile_files.reading import Outcome, Reader

GOOD: tuple[Outcome, ...] = ("read", "refused")


@dataclass(frozen=True)
class Read:
    """What became of one broken file."""

    number: int
    kind: str
    file: str
    mutation: str
    outcome: Outcome
    words: str

    def __str__(self) -> str:
        return f"{self.number}: {self.outcome} of {self.kind} ({self.file}, {self.mutation}): {self.words}"


def run(count: int, seed: int = 0, only: str = "", first: int = 0) -> Iterator[Read]:
    """Break and read so many files.

    Args:
        count: number of files.
        seed: decides them; file N is the same in every run of the seed.
        only: part of the names of the kinds to take.
        first: number of the first file.
    """
    with tempfile.TemporaryDirectory() as name:
        reader = Reader(Path(name))
        by_kind: dict[str, list[int]] = {}
        for place, (kind, _) in enumerate(reader.kinds):
            if only in kind:
                by_kind.setdefault(kind, []).append(place)
        for number in range(first, first + count):
            dice = random.Random(f"{seed} {number}")
            kind = dice.choice([*by_kind])
            place = dice.choice(by_kind[kind])
            source = reader.kinds[place][1]
            broken = Path(name) / "broken" / source.name
            shutil.rmtree(broken.parent, ignore_errors=True)
            broken.parent.mkdir()
            file = _copy(source, broken, dice)
            mutation = mutate(file, dice)
            yield Read(number, kind, file.name, mutation, *reader.read(place, broken))
        reader.close()


def _copy(source: Path, target: Path, dice: random.Random) -> Path:
    """The copy's file that is to be broken."""
    if source.is_file():
        shutil.copyfile(source, target)
        return target
    shutil.copytree(source, target)
    return dice.choice(sorted(path for path in target.rglob("*") if path.is_file() and path.stat().st_size))


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first file, to see one again")
    parser.add_argument("--only", default="", help="part of the names of kinds to take")
    given = parser.parse_args()
    tally = Counter[str]()
    for found in run(given.count, given.seed, given.only, given.first):
        tally[found.outcome] += 1
        if found.outcome not in GOOD:
            print(found, flush=True)
    print(", ".join(f"{number} {outcome}" for outcome, number in tally.most_common()))
    sys.exit(bool(set(tally) - {*GOOD}))


if __name__ == "__main__":
    main()
