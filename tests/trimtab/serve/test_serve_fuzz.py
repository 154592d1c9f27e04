"""Requests that no client of good will sends: each is answered, or refused with one sentence, and none is a failure."""

import json
import random
from collections.abc import Iterator
from copy import deepcopy
from functools import reduce
from operator import getitem
from typing import Any

import httpx
import pytest

from tests.helpers.api_server import Server, serving
from tests.helpers.tiny import tiny_lm

SLIDERS = {"safety": 0.5, "helpfulness": -1}
CHAT = {
    "model": "tiny",
    "messages": [
        {"role": "system", "content": "Be brief"},
        {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
    ],
    "steering": SLIDERS,
    "profile": "general",
    "readings": True,
    "stop_when": {"safety": "> 1e9"},
    "temperature": 0,
    "top_p": 0.5,
    "seed": 3,
    "stop": ["x", "y"],
    "stream_options": {"include_usage": True},
    "max_tokens": 1,
    "n": 1,
    "logit_bias": {},
    "response_format": {"type": "text"},
}
NUMBERS = [
    "0", "-0.0", "-1", "1.5", "1e5", "1e308", "1e400", "-1e400", "1e-400", "NaN", "-Infinity", "Infinity",
    "9" * 400, "9" * 5000, "-" + "9" * 5000, "9" * 400 + ".5", "2147483648", "18446744073709551616",
]  # fmt: skip
TEXTS = [
    '""', '" "', r'"\u0000"', r'"\ud800"', r'"\udfff\ud800"', r'"\ud83d\ude00"', r'"a\nb"', f'"{"x" * 5000}"',
    '"> 1"', '"> "', f'"> {"9" * 5000}"', '"{{ 7 * 7 }}{% raise %}"', '"<|end|><|user|>"', '"\u202e\u2028\ufeff"',
]  # fmt: skip
CONTAINERS = [
    "null", "true", "{}", "[]", "[[]]", "[null]", "[" * 50 + "]" * 50, "[" * 3000 + "]" * 3000,
    '{"a":' * 3000 + "1" + "}" * 3000, '{"a": 1, "a": 2}', '{"": ""}', r'{"\ud800": 1}', '{"safety": 1, "safety": "x"}',
    '{"__class__": "x", "__proto__": {}}', r'[{"type": "text", "text": "\ud800"}]', '[{"type": "text"}]',
]  # fmt: skip
ODD = [*NUMBERS, *TEXTS, *CONTAINERS]
RAW = [
    b"", b" ", b"\x00", b"\xff\xfe", b"\xef\xbb\xbf{}", b"{", b"}", b'{"model"', b'{"model": "tiny"', b"null", b"1 2",
    b"\xed\xa0\x80", b'"\xff"', b"[" * 15_000, b"{" * 15_000, b'{"a":' * 3_000, b"9" * 19_000, b"//", b"{'a': 1}",
    b'{"model": "tiny", "messages": \xff}', '{"model": "tiny"}'.encode("utf-16"), '{"model": "tiny"}'.encode("utf-32"),
]  # fmt: skip
MARK = "here"


def paths(value: object, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where a value stands in a body, for all of them."""
    yield at
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from paths(inner, (*at, key))


def with_odd(value: object, place: tuple[Any, ...], odd: str, as_name: bool) -> str:
    """A body with a strange text in the place of one value, or of its name."""
    if not place:
        return odd
    body: Any = deepcopy(value)
    holder = reduce(getitem, place[:-1], body)
    if as_name and isinstance(holder, dict):
        holder[MARK] = holder.pop(place[-1])
    else:
        holder[place[-1]] = MARK
    return json.dumps(body).replace(f'"{MARK}"', odd)


def bodies(value: object, count: int) -> Iterator[bytes]:
    """Strange values and names in every place, and bytes changed, taken away or doubled anywhere."""
    rng, places = random.Random(count), [*paths(value)]
    yield from RAW
    whole = json.dumps(value).encode()
    for number in range(count):
        if number % 3:
            yield with_odd(value, rng.choice(places), rng.choice(ODD), as_name=rng.random() < 0.2).encode()
        else:
            cut, end = sorted(rng.sample(range(len(whole)), 2))
            middle = rng.choice([b"", rng.randbytes(3), whole[cut:end] * 2, rng.choice(ODD).encode()])
            yield whole[:cut] + middle + whole[end:]


@pytest.fixture(scope="module")
def fuzzed() -> Iterator[Server]:
    with serving("transformers", tiny_lm()) as server:
        yield server


@pytest.mark.parametrize(("path", "good", "count"), [("chat/completions", CHAT, 300), ("sliders", SLIDERS, 100)])
def test_strange_bodies_are_answered_or_refused_with_a_sentence(
    fuzzed: Server, path: str, good: object, count: int, caplog: pytest.LogCaptureFixture
) -> None:
    statuses = set()
    with httpx.Client(base_url=fuzzed.url, headers={"Content-Type": "application/json"}, timeout=60) as client:
        for body in bodies(good, count):
            answered = client.post(f"/v1/{path}", content=body)
            statuses.add(answered.status_code)
            if answered.status_code != 200:
                error = answered.json()["error"]
                assert set(error) == {"message", "type", "param", "code"}, body
                assert answered.status_code in (400, 404, 413), (body, error)
                assert error["message"].endswith("."), (body, error)
                assert "\n" not in error["message"], (body, error)
                assert len(error["message"]) < 500, (body, error)
    assert {200, 400} <= statuses
    assert not caplog.records
