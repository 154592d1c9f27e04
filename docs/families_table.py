"""The table of families: `python docs/families_table.py` works it out anew and writes docs/families.md."""

import sys
from collections.abc import Callable
from pathlib import Path

import torch
import transformers
from transformers.generation.utils import ALL_CACHE_NAMES

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from steering import LanguageModel, SteeringError  # noqa: E402
from steering.activations.trial_passes import goes_on_from_prefixes  # noqa: E402
from tests.helpers.families import build, class_name, family_names  # noqa: E402
from tests.helpers.family_checks import FamilyChecks  # noqa: E402
from tests.helpers.tiny import tiny_tokenizer  # noqa: E402

PAGE = ROOT / "docs" / "families.md"
VLLM = {*(ROOT / "tests" / "helpers" / "vllm_architectures.txt").read_text(encoding="utf-8").split()}
INTRODUCTION = """# Families

What works in which family of transformers {version}, found out on a tiny random model of each: every value is compared
with passes of the bare model, one row at a time, without padding or cache, under hooks written by hand.
`python docs/families_table.py` makes this page, and a test makes it again.

- **attach**: sliders at 0 leave every bit alone, a value moves what it should, nothing stays behind.
- **extract**: states that `record` and `extract` read, and next-token scores such as `refusal_score`.
- **tokens**: `last_prompt_token`, `generated`, `answer` and `prompt`, while `generate` writes, cached and not.
- **gate**: read at the prompt's end, in force while the answer is written with a cache.
- **sweep**: the answers of `generate`, setting by setting.
- **caches**: what the model keeps of the tokens that have passed. Where a trial shows that passes can go on from keys
  and values (`shared`), what prompts begin with runs once; else every prompt runs whole.
- **vLLM**: whether vLLM 0.32 has the class. Sliders in vLLM are tested on Llama; blocks that return something else than
  Llama's are refused with a sentence.
"""
CACHES = {
    "DynamicLayer": "keys and values",
    "DynamicSlidingWindowLayer": "sliding window",
    "LinearAttentionLayer": "states",
    "LinearAttentionAndFullAttentionLayer": "states with keys and values",
    "LinearAttentionAndSlidingWindowAttentionLayer": "states with a sliding window",
    "DynamicIndexedLayer": "keys and values with an index",
    "DummyLayer": "",
}
OWN_GENERATE = (
    "`generate` of the bare model gives other logits than passes by hand; steered as `generate` under hooks is"
)


class Notes:
    """Numbers of the sentences below the table, each once."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def number(self, text: str) -> str:
        """How a cell refers to a sentence."""
        if text not in self.texts:
            self.texts.append(text)
        return f"[{self.texts.index(text) + 1}]"


def outcome(check: Callable[[], None], notes: Notes) -> str:
    """A cell: yes, or the sentence that the user gets. Whatever else is raised is a fault, and is."""
    try:
        check()
    except SteeringError as error:
        return f"no {notes.number(str(error))}"
    return "yes"


@torch.inference_mode()
def caches(lm: LanguageModel) -> str:
    """What the model keeps of tokens that have passed, by the cache that it makes itself."""
    output = lm.model(input_ids=torch.tensor([[5, 6, 7]]), use_cache=True)
    found = next((output[name] for name in ALL_CACHE_NAMES if output.get(name) is not None), None)
    if found is None:
        return "none"
    if type(found).__name__ != "DynamicCache":
        return "its own"
    kinds = sorted({CACHES.get(type(layer).__name__, "its own") for layer in found.layers} - {""})
    return ", ".join(kinds)


def row(lm: LanguageModel, name: str, model_type: str, notes: Notes) -> list[str]:
    """The cells of one family."""
    checks = FamilyChecks(lm)
    attach = outcome(checks.attach, notes)
    others = (checks.extract, checks.tokens, checks.gate, checks.sweep)
    cells = [attach, *(outcome(check, notes) for check in others)] if attach == "yes" else [attach] * 5
    if cells[2] == "yes" and not all(checks.writes_by_hand.values()):
        cells[2] += f" {notes.number(OWN_GENERATE)}"
    shared = "; shared" if goes_on_from_prefixes(lm) else ""
    return [model_type, *cells, caches(lm) + shared, "yes" if name in VLLM else "no"]


def table() -> tuple[str, list[list[str]]]:
    """The page, and the table's rows. Raises AssertionError for the first family that is wrong in silence."""
    notes, rows, refused, untried = Notes(), [], [], []
    for model_type in family_names():
        try:
            model = build(model_type)
            with torch.inference_mode():
                model(input_ids=torch.tensor([[5, 6, 7]]))
        except Exception:  # a class that can't shrink by these names, or that doesn't take text alone
            untried.append(model_type)
            continue
        try:
            lm = LanguageModel(model, tiny_tokenizer(), name=model_type, system_prompt="Be brief.")
        except SteeringError as error:
            refused.append(f"- {model_type}: {error}")
            continue
        try:
            rows.append(row(lm, class_name(model_type), model_type, notes))
        except Exception as error:
            raise AssertionError(f"{model_type}: {type(error).__name__}: {error}") from error
    heads = ["family", "attach", "extract", "tokens", "gate", "sweep", "caches", "vLLM"]
    lines = [f"| {' | '.join(cells)} |" for cells in [heads, ["---"] * len(heads), *rows]]
    parts = [
        INTRODUCTION.format(version=transformers.__version__),
        "\n".join(lines) + "\n",
        "\n".join(f"{number}. {text}" for number, text in enumerate(notes.texts, 1)) + "\n",
        "Refused as a whole, with a sentence:\n\n" + "\n".join(refused) + "\n",
        f"Not tried, since no tiny model of text alone can be made of them here: {', '.join(untried)}.\n",
    ]
    return "\n".join(parts), rows


if __name__ == "__main__":
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(1)
    PAGE.write_text(table()[0], encoding="utf-8")
