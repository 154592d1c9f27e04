import json

import pytest

from steering.errors import SteeringError
from steering.json_reading import MAX_DEPTH, parse_json, read_json


def test_json_is_read_as_python_reads_it(tmp_path):
    value = {"text": "Grüße 安全 🙂", "numbers": [0, -3, 2**60, 0.1, 1e-300], "others": [None, True, {}, []]}
    file = tmp_path / "value.json"
    for mark in (b"", b"\xef\xbb\xbf"):
        file.write_bytes(mark + json.dumps(value, ensure_ascii=False).encode())
        assert read_json(file) == value
    assert parse_json(json.dumps(value), "here") == value


@pytest.mark.parametrize("opened", ["[", '{"a":'])
@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 5000, 1_000_000])
def test_deep_nesting_is_refused_with_a_sentence(opened, depth):
    text = opened * depth + "1" + {"[": "]", '{"a":': "}"}[opened] * depth
    with pytest.raises(SteeringError, match=r"Expected JSON in 'deep\.json', found lists or objects nested more than"):
        parse_json(text, "'deep.json'")


def test_as_deep_as_allowed_is_read():
    assert parse_json("[" * MAX_DEPTH + "]" * MAX_DEPTH, "here") is not None


@pytest.mark.parametrize("digits", ["1e999", "-1e999", "NaN", "Infinity", "-Infinity", "9" * 310, "-" + "9" * 5000])
def test_numbers_that_float_cannot_hold_are_refused(digits):
    with pytest.raises(SteeringError, match=r"Expected JSON in line 2, found .*a number beyond float"):
        parse_json(f'{{"x": [{digits}]}}', "line 2")


@pytest.mark.parametrize("content", [b'"\xff"', '"\\ud800"', '{"\\udc00": 1}', b'"\xed\xa0\x80"'])
def test_text_that_is_not_unicode_is_refused(content):
    with pytest.raises(SteeringError, match="text that isn't Unicode"):
        parse_json(content, "here")


@pytest.mark.parametrize("content", ["", "{", "[1,]", "'a'", b"\x00\x01", '{"a": 1} 2'])
def test_what_is_not_json_is_refused(content):
    with pytest.raises(SteeringError, match=r"^Expected JSON in 'x.json', found [^\n]+; correct it\.$"):
        parse_json(content, "'x.json'")


def test_a_file_that_is_not_there_or_not_one_is_refused(tmp_path):
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(SteeringError, match="There is no file"):
            read_json(path)
