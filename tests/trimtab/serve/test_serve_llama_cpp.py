"""What is llama.cpp's alone in `trimtab serve`: the file's chat template, cells, batches in which something fails."""

from dataclasses import replace
from pathlib import Path

import pytest

from steering import LanguageModel, Sliders, SteeringError, load
from steering.models.llama_cpp.context import BlockStates
from steering.serving.llama_cpp.row_moves import RowMoves
from tests.helpers.chat_templates import QWEN3
from tests.helpers.gguf_files import needs_llama_cpp, write_gguf
from tests.helpers.tiny import CHAT_TEMPLATE, THINKING_TEMPLATE, random_vector, tiny_lm
from tests.helpers.workers import worker_of
from tests.trimtab.serve.test_serve_worker import Heard, alone, random_requests
from trimtab.serve.answer import Decoding
from trimtab.serve.limits import Limits

pytest.importorskip("fastapi")
openai = pytest.importorskip("openai")

from tests.helpers.api_server import ask, serving  # noqa: E402

pytestmark = needs_llama_cpp

CHATS = (
    "Hi",
    [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Ünïcödé <|end|> {{ 1 }}\n"}],
    [
        {"role": "user", "content": "One?"},
        {"role": "assistant", "content": "Two."},
        {"role": "user", "content": " Three? "},
    ],
)


@pytest.mark.parametrize(
    ("template", "arguments"),
    [
        (CHAT_TEMPLATE, {}),
        (THINKING_TEMPLATE, {"enable_thinking": False}),
        (QWEN3, {}),
        (QWEN3, {"enable_thinking": False}),
    ],
)
def test_chats_have_the_token_ids_that_the_transformers_engine_gives_them(
    template: str, arguments: dict[str, bool], tmp_path: Path
) -> None:
    lm = replace(tiny_lm(chat_template=template), template=arguments)
    file = write_gguf(lm, tmp_path / "tiny.gguf")
    expected = [lm.tokenize(chat) for chat in CHATS]
    for engine in ("transformers", "llama.cpp"):
        assert [load(file, engine=engine, template=arguments).tokenize(chat) for chat in CHATS] == expected


@pytest.mark.real
def test_smollm2_has_the_same_token_ids_in_both_engines(smollm2: LanguageModel) -> None:
    packed = load("smollm2-135m-instruct", engine="llama.cpp")
    assert [packed.tokenize(chat) for chat in CHATS] == [smollm2.tokenize(chat) for chat in CHATS]


def test_answers_share_the_cells_and_wait_where_there_are_too_few(lm: LanguageModel) -> None:
    sliders, prompt = Sliders(safety=random_vector()), lm.tokenize("Hi").ids
    sizes: list[int] = []
    with worker_of("llama.cpp", lm, sliders, Limits(batch_tokens=3 * (len(prompt) + 20))) as worker:
        write = worker.write
        worker.write = lambda answers: (sizes.append(len(answers)), write(answers))[1]  # type: ignore[method-assign]
        heard = [Heard(worker, prompt, {"safety": n / 8}, Decoding(20)) for n in range(8)]
        for one in heard:
            worker.submit(one.answer)
        found = [one.ending()[0] for one in heard]
    assert found == [alone(lm, sliders, prompt, {"safety": n / 8}, 20) for n in range(8)]
    assert max(sizes) == 3


def test_a_request_for_more_than_all_cells_is_refused(lm: LanguageModel) -> None:
    with serving("llama.cpp", lm, limits=Limits(batch_tokens=25)) as server:
        length = len(lm.tokenize("Hi").ids)
        assert ask(server.client(), "Hi", max_tokens=25 - length).usage.total_tokens == 25
        with pytest.raises(openai.BadRequestError, match=f"Expected at most {25 - length} tokens for an answer"):
            ask(server.client(), "Hi", max_tokens=26 - length)


def test_more_rows_than_llama_cpp_has_sequences_are_refused_at_the_start(lm: LanguageModel) -> None:
    with pytest.raises(SteeringError, match=r"Expected 256 rows at most for llama\.cpp, found 257"):
        worker_of("llama.cpp", lm, Sliders(safety=random_vector()), Limits(rows=257))


@pytest.mark.parametrize("always", [False, True])
def test_an_error_in_the_callback_ends_the_answer_at_fault_and_no_other(
    lm: LanguageModel, always: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once: all answers are as they were. Whenever one answer is in the batch: that one alone fails."""
    sliders = Sliders(safety=random_vector(1), helpfulness=random_vector(2))
    requests = random_requests(lm, 4)
    with worker_of("llama.cpp", lm, sliders) as worker:
        heard = [Heard(worker, prompt, steering, Decoding(tokens)) for prompt, steering, tokens in requests]
        raised: list[int] = []
        visit = RowMoves.visit

        def fails(moves: RowMoves, layer: int, states: BlockStates) -> None:
            visit(moves, layer, states)
            at_fault = any(part.sequence.tokens[:9] == requests[2][0][:9] for part in moves._parts)
            if layer == 2 and at_fault and (always or not raised):
                raised.append(layer)
                raise ZeroDivisionError("planted")

        monkeypatch.setattr(RowMoves, "visit", fails)
        for one in heard:
            worker.submit(one.answer)
        found = [one.ending() for one in heard]
    expected = [alone(lm, sliders, *request) for request in requests]
    if always:
        assert isinstance(found[2][1].problem, ZeroDivisionError)
        del found[2], expected[2]
    assert raised
    assert [tokens for tokens, _ in found] == expected
