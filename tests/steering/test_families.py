"""Every family of the installed transformers: steered and read rightly, or refused with a sentence."""

import pytest
import transformers

from docs.families_table import PAGE, table
from steering import LanguageModel, SteeringError
from tests.helpers.families import build
from tests.helpers.family_checks import FamilyChecks
from tests.helpers.tiny import tiny_tokenizer

CHECKS = ("attach", "extract", "tokens", "gate", "sweep")
STATES = ("bamba", "falcon_h1", "falcon_mamba", "granitemoehybrid", "jamba", "lfm2", "mamba", "mamba2", "minimax",
          "nemotron_h", "olmo_hybrid", "qwen3_5", "qwen3_next", "recurrent_gemma", "rwkv", "xlstm",
          "zamba2")  # fmt: skip
ODD = ("modernbert-decoder", "mpt", "openai-gpt", "paligemma", "qwen3_vl", "xglm")
"""An LM head called decoder; generate that goes on otherwise; blocks that return lists; prompts that look ahead; rows
remembered from one call to the next; masks made for the rows given."""


@pytest.mark.parametrize("model_type", STATES + ODD)
def test_a_family_is_steered_and_read_as_passes_by_hand_are(model_type: str) -> None:
    checks = FamilyChecks(LanguageModel(build(model_type), tiny_tokenizer(), system_prompt="Be brief."))
    for check in CHECKS:
        getattr(checks, check)()


@pytest.mark.parametrize("model_type", ["cpmant", "prophetnet", "xlnet"])
def test_blocks_that_see_other_tokens_than_the_model_are_refused(model_type: str) -> None:
    """Prompt tokens put in front, streams beside each other, tokens before rows: places mean something else there."""
    checks = FamilyChecks(LanguageModel(build(model_type), tiny_tokenizer(), system_prompt="Be brief."))
    for check in (checks.extract, checks.tokens, checks.gate):
        with pytest.raises(SteeringError, match="Expected decoder blocks to see the model's own"):
            check()


def test_a_block_that_text_alone_does_not_reach_is_named() -> None:
    checks = FamilyChecks(LanguageModel(build("mllama"), tiny_tokenizer()))
    with pytest.raises(SteeringError, match=r"Expected all of the blocks \[0, 1, 2, 3\] to run, found 3"):
        checks.extract()
    checks.tokens()


@pytest.mark.slow
def test_the_page_of_families_is_what_is_found() -> None:
    """No family is wrong in silence: `table` raises for one that is."""
    written = PAGE.read_text(encoding="utf-8")
    if f"transformers {transformers.__version__}," not in written:
        pytest.skip("docs/families.md was made with another version of transformers")
    page, rows = table()
    assert page == written
    assert len(rows) >= 45
    works = {row[0] for row in rows if all(cell.startswith("yes") for cell in row[1 : 1 + len(CHECKS)])}
    assert {*STATES, *ODD} <= works
