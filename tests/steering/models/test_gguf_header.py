"""GGUF headers are read as the format's own reader reads them, and what they declare beyond the file is refused."""

import struct
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from steering import SteeringError
from steering.formats import IMPORTS
from steering.models.gguf import converted_folder
from steering.models.gguf_header import GGUFHeader
from steering.models.loading import PACKAGED, _packaged_file
from tests.helpers.gguf_files import write_gguf
from tests.helpers.tiny import LAYERS, WIDTH, tiny_lm


def text(content: str | bytes) -> bytes:
    raw = content.encode() if isinstance(content, str) else content
    return struct.pack("<Q", len(raw)) + raw


def key(name: str, kind: int, value: bytes) -> bytes:
    return text(name) + struct.pack("<I", kind) + value


def tensor(name: str, shape: tuple[int, ...] = (4,), kind: int = 0, offset: int = 0) -> bytes:
    return text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)


ARCHITECTURE = key("general.architecture", 8, text("controlvector"))


def header(keys: bytes = b"", tensors: bytes = b"", counts: tuple[int, int] = (0, 0), version: int = 3) -> bytes:
    """A file of keys and tensors, as many as `counts` says, and 64 bytes of numbers."""
    start = b"GGUF" + struct.pack("<IQQ", version, *counts) + keys + tensors
    return start + bytes(-len(start) % 32) + struct.pack("<16f", *range(16))


def vector(*tensors: bytes, keys: bytes = ARCHITECTURE) -> bytes:
    return header(keys, b"".join(tensors), (len(tensors), 1))


HUGE = 1 << 40
HOSTILE: dict[str, bytes] = {
    "empty": b"",
    "the magic number alone": b"GGUF",
    "2^40 keys in 49 bytes": b"GGUF" + struct.pack("<IQQ", 3, 0, HUGE) + bytes(25),
    "2^40 keys": header(ARCHITECTURE, counts=(0, HUGE)),
    "2^64 tensors": header(ARCHITECTURE, counts=(2**64 - 1, 1)),
    "a list of 2^40 numbers": vector(keys=key("a", 9, struct.pack("<IQ", 4, HUGE))),
    "a list of 2^40 texts": vector(keys=key("a", 9, struct.pack("<IQ", 8, HUGE))),
    "lists in lists": vector(keys=key("a", 9, struct.pack("<IQ", 9, 1) * 1000)),
    "a text of 2^63 bytes": vector(keys=text("a") + struct.pack("<IQ", 8, 1 << 63)),
    "a key of an unknown type": vector(keys=key("a", 77, b"")),
    "a list of an unknown type": vector(keys=key("a", 9, struct.pack("<IQ", 77, 1))),
    "a name that isn't text": vector(keys=text(b"\xff\xfe") + struct.pack("<II", 4, 1)),
    "a key twice": header(ARCHITECTURE * 2, counts=(0, 2)),
    "a tensor twice": vector(tensor("direction.1"), tensor("direction.1")),
    "a tensor of 2^62 numbers": vector(tensor("direction.1", (1 << 62,))),
    "a tensor of 2^120 numbers": vector(tensor("direction.1", (1 << 60, 1 << 60))),
    "a tensor of 2^32 dimensions": vector(text("direction.1") + struct.pack("<I", 2**32 - 1)),
    "a tensor far off": vector(tensor("direction.1", offset=1 << 62)),
    "a tensor of an unknown kind": vector(tensor("direction.1", kind=999)),
    "a tensor of half a block": vector(tensor("direction.1", kind=8)),
    "tensors that overlap": vector(*(tensor(f"direction.{number}", (16,)) for number in range(1, 40))),
    "an alignment of 0": header(ARCHITECTURE + key("general.alignment", 4, bytes(4)), counts=(0, 2)),
    "an alignment in words": header(ARCHITECTURE + key("general.alignment", 8, text("32")), counts=(0, 2)),
    "version 1": header(ARCHITECTURE, counts=(0, 1), version=1),
    "the other byte order": b"GGUF" + struct.pack(">IQQ", 3, 0, 0) + bytes(100),
}


@pytest.mark.parametrize("name", list(HOSTILE))
def test_what_a_header_declares_is_held_against_the_file(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIMTAB_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "x.gguf"
    path.write_bytes(HOSTILE[name])
    for read in (GGUFHeader.read, converted_folder, lambda file: IMPORTS["gguf"](file, None)):
        with pytest.raises(SteeringError, match=r"^'.*x\.gguf' is not a GGUF file that can be read \([^\n]+\)"):
            read(path)
    assert not (tmp_path / "cache").exists()


OTHERS: dict[str, tuple[bytes, str]] = {
    "no architecture": (header(), "found architecture None"),
    "an architecture that isn't text": (vector(keys=key("general.architecture", 4, bytes(4))), "found architecture 0"),
    "no directions": (vector(tensor("other")), "found [] among 0"),
    "a layer of many digits": (vector(tensor("direction." + "9" * 60)), "Expected layer numbers"),
    "a layer without end": (vector(tensor("direction.99999999")), "Expected layers from 0"),
    "a layer twice": (vector(tensor("direction.1"), tensor("direction.01")), "each once"),
    "several rows": (vector(tensor("direction.1", (4, 2))), "found torch.float32 of shape (2, 4)"),
    "no numbers": (vector(tensor("direction.1", (0,))), "found torch.float32 of shape (0,)"),
    "integers": (vector(tensor("direction.1", kind=26)), "found I32"),
    "a damaged model": (
        header(ARCHITECTURE + key("trimtab.model", 8, text('{"name": 1e999}')), tensor("direction.1"), (1, 2)),
        "has damaged metadata",
    ),
}


@pytest.mark.parametrize("name", list(OTHERS))
def test_control_vectors_of_something_else_are_one_sentence(name: str, tmp_path: Path) -> None:
    content, sentence = OTHERS[name]
    (tmp_path / "x.gguf").write_bytes(content)
    with pytest.raises(SteeringError, match=r"x\.gguf") as raised:
        IMPORTS["gguf"](tmp_path / "x.gguf", None)
    assert sentence in str(raised.value)


def test_a_control_vector_is_read(tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_bytes(vector(tensor("direction.1"), tensor("direction.3", offset=16)))
    read = IMPORTS["gguf"](tmp_path / "x.gguf", None)
    assert read.layers == (1, 3)
    assert read.directions.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_of_a_model_nothing_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unpacked: list[Any] = []
    monkeypatch.setattr(gguf, "dequantize", lambda *packed: unpacked.append(packed))
    with pytest.raises(SteeringError, match="found architecture 'llama'"):
        IMPORTS["gguf"](write_gguf(tiny_lm(), tmp_path / "model.gguf"), None)
    assert not unpacked


@pytest.mark.parametrize("packaged", [False, pytest.param(True, marks=pytest.mark.real)])
def test_headers_are_read_as_the_formats_own_reader_does(packaged: bool, tmp_path: Path) -> None:
    file = _packaged_file(next(iter(PACKAGED))) if packaged else write_gguf(tiny_lm(), tmp_path / "x.gguf")
    ours, theirs = GGUFHeader.read(file), gguf.GGUFReader(file)
    lists = {name for name, field in theirs.fields.items() if field.types[:1] == [gguf.GGUFValueType.ARRAY]}
    plain = {name for name in theirs.fields if not name.startswith("GGUF.")} - lists
    assert ours.values == {name: theirs.fields[name].contents() for name in plain}
    assert list(ours.tensors) == [tensor.name for tensor in theirs.tensors]
    content = file.read_bytes()
    for each in theirs.tensors:
        found = ours.tensors[each.name]
        assert (found.shape, found.kind, found.start) == (tuple(each.shape), each.tensor_type, each.data_offset)
        assert content[found.start : found.start + found.size] == each.data.tobytes()


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("block_count", 2**31, f"of {2**31} blocks, and tensors of {LAYERS}"),
        ("block_count", LAYERS + 1, f"of {LAYERS + 1} blocks, and tensors of {LAYERS}"),
        ("block_count", LAYERS - 1, f"of {LAYERS - 1} blocks, and tensors of {LAYERS}"),
        ("embedding_length", 2**31, f"Expected embeddings of width {2**31}"),
    ],
)
def test_a_model_is_as_large_as_its_tensors(
    name: str, value: int, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIMTAB_CACHE", str(tmp_path / "cache"))
    path = write_gguf(tiny_lm(), tmp_path / "x.gguf")
    written = struct.pack("<II", 4, {"block_count": LAYERS, "embedding_length": WIDTH}[name])
    before = text(f"llama.{name}")
    content = path.read_bytes()
    assert before + written in content
    path.write_bytes(content.replace(before + written, before + struct.pack("<II", 4, value)))
    with pytest.raises(SteeringError, match=sentence):
        converted_folder(path)
    assert not (tmp_path / "cache").exists()


def test_numbers_are_those_of_numpy(tmp_path: Path) -> None:
    forms = "BbHhIif?Qqd"
    kinds = (*range(8), 10, 11, 12)
    keys = [key(f"k{kind}", kind, struct.pack(f"<{form}", 1)) for kind, form in zip(kinds, forms, strict=True)]
    (tmp_path / "x.gguf").write_bytes(header(b"".join(keys), counts=(0, len(keys))))
    values = GGUFHeader.read(tmp_path / "x.gguf").values
    assert set(values.values()) == {1}
    assert np.array_equal(sorted(values), sorted(f"k{kind}" for kind in kinds))
