"""Other tools' files that are damaged or made to harm: one sentence, in little time and memory, and nothing is run."""

import io
import json
import pickle
import struct
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from steering import SteeringError
from steering.formats import IMPORTS
from steering.formats.reader_helpers import MAX_LAYERS, MAX_WIDTH

MEBIBYTE = 1 << 20


@contextmanager
def little_memory() -> Iterator[None]:
    """What Python and NumPy ask for stays small, whatever a file declares."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < 16 * MEBIBYTE
    finally:
        tracemalloc.stop()


def npy(header: str, data: bytes = b"") -> bytes:
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header) + 1) + header.encode() + b"\n" + data


def npz(directions: bytes, layers: bytes | None = None, packing: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", packing) as archive:
        archive.writestr("layers.npy", layers or plain(np.array([1])))
        archive.writestr("directions.npy", directions)
    return stream.getvalue()


def plain(array: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def flagged(content: bytes, place: int, value: int) -> bytes:
    """The archive with two bytes of each of its central entries changed."""
    changed = bytearray(content)
    start = 0
    while (start := content.find(b"PK\x01\x02", start)) >= 0:
        struct.pack_into("<H", changed, start + place, value)
        start += 4
    return bytes(changed)


GOOD = plain(np.ones((1, 32), np.float32))
SHAPE = "{{'descr': '<f4', 'fortran_order': False, 'shape': {}, }}"
HOSTILE_NPZ = {
    "terabytes": npz(npy(SHAPE.format("(1, 999999999999)"))),
    "terabytes of two sizes": npz(npy(SHAPE.format("(999999999, 999999999)"))),
    "nothing, many times": npz(npy(SHAPE.format("(999999999, 0)"))),
    "negative sizes": npz(npy(SHAPE.format("(-1, 32)"), bytes(128))),
    "code": npz(npy("{'descr': '<f4', 'fortran_order': False, 'shape': __import__('os')._exit(3), }")),
    "deep header": npz(npy("(" * 5000)),
    "inflates": npz(npy(SHAPE.format("(512, 65600)"), bytes(512 * 65600 * 4)), packing=zipfile.ZIP_DEFLATED),
    "inflates by bzip2": npz(npy(SHAPE.format("(1, 3000000)"), bytes(12_000_000)), packing=zipfile.ZIP_BZIP2),
    "encrypted": flagged(npz(GOOD), 8, 1),
    "unknown packing": flagged(npz(GOOD), 10, 97),
    "of a later version": flagged(npz(GOOD), 6, 99),
    "no arrays": npz(b"hello", b"world"),
    "objects": npz(plain(np.array([{"a": 1}], dtype=object))),
    "a structure": npz(plain(np.zeros(1, [("a", "<f4"), ("b", "<i4")]))),
    "text": npz(plain(np.array([["a", "b"]]))),
    "complex": npz(plain(np.ones((1, 32), complex))),
    "cut short": npz(npy(SHAPE.format("(1, 32)"), bytes(100))),
    "layers without end": npz(GOOD, plain(np.array([2**62]))),
    "too wide": npz(plain(np.ones((1, MAX_WIDTH + 1), np.float32))),
    "beyond float32": npz(plain(np.full((1, 32), 1e300))),
    "undefined": npz(plain(np.full((1, 32), np.nan, np.float32))),
    "negative layers": npz(GOOD, plain(np.array([-1]))),
    "layers that aren't whole": npz(GOOD, plain(np.array([1.5]))),
}


@pytest.mark.parametrize("name", list(HOSTILE_NPZ))
def test_hostile_npz_files_are_one_sentence(name: str, tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    path.write_bytes(HOSTILE_NPZ[name])
    with little_memory(), pytest.raises(SteeringError, match=r"x\.npz'"):
        IMPORTS["npz"](path, None)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8", "<f2"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_what_numpy_writes_is_read(save: Callable[..., None], dtype: str, order: Any, tmp_path: Path) -> None:
    directions = np.asarray(np.arange(64).reshape(2, 32) / 8, dtype, order=order)
    save(tmp_path / "x.npz", layers=np.array([1, 3], np.uint8), directions=directions)
    vector = IMPORTS["npz"](tmp_path / "x.npz", None)
    assert vector.layers == (1, 3)
    assert np.array_equal(vector.directions.numpy(), directions.astype(np.float32))


class Calls:
    """Pickled as a call of a function, which runs when it is loaded."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call


def pt(content: Any) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream)
    return stream.getvalue()


def repacked(content: bytes, change: Callable[[bytes], bytes] = bytes, packing: int = zipfile.ZIP_STORED) -> bytes:
    """A `.pt` file with its pickle changed."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(stream, "w", packing) as new:
        for member in old.namelist():
            data = old.read(member)
            new.writestr(member, change(data) if member.endswith("data.pkl") else data)
    return stream.getvalue()


def nested_tuples() -> bytes:
    """A key of a dict whose hash takes 2^60 steps, in 400 bytes."""
    doubled = b"".join(b"h%ch%c\x86q%c" % (number, number, number + 1) for number in range(60))
    return b"\x80\x02})q\x00" + doubled + b"K\x01s."


def two_pickles() -> bytes:
    """Names are the same to torch in capitals."""
    stream = io.BytesIO(pt(torch.ones(32)))
    with zipfile.ZipFile(stream, "a") as archive:
        archive.writestr("archive/DATA.PKL", pickle.dumps(Calls(exec, "raise SystemExit('ran')")))
    return stream.getvalue()


def legacy() -> bytes:
    stream = io.BytesIO()
    torch.save(torch.ones(32), stream, _use_new_zipfile_serialization=False)
    return stream.getvalue()


HOSTILE_PT = {
    "expanded": pt(torch.ones(1).expand(10**9)),
    "expanded by layer": pt({1: torch.ones(1).expand(10**9)}),
    "huge strides": pt(torch.ones(64).as_strided((2, 2), (1, 2))[:0]),
    "no numbers": pt(torch.ones(0)),
    "many dimensions": pt(torch.ones([1] * 60)),
    "sparse": pt(torch.sparse_coo_tensor(torch.tensor([[0]]), torch.ones(1), (10**12,))),
    "compressed rows": pt(torch.eye(3).to_sparse_csr()),
    "nested": pt(torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])),
    "quantized": pt(torch.quantize_per_tensor(torch.ones(32), 0.1, 0, torch.qint8)),
    "without numbers": pt(torch.ones(32, device="meta")),
    "complex": pt(torch.ones(32, dtype=torch.complex64)),
    "truth values": pt(torch.ones(32, dtype=torch.bool)),
    "terabytes in a call": pt(Calls(bytearray, 1 << 40)),
    "code": pt(Calls(exec, "raise SystemExit('ran')")),
    "code in a plain pickle": pickle.dumps(Calls(exec, "raise SystemExit('ran')")),
    "packed": repacked(pt(torch.zeros(1000)), packing=zipfile.ZIP_DEFLATED),
    "two pickles": two_pickles(),
    "more than the record": repacked(pt(torch.ones(4)), lambda data: data.replace(b"K\x04tq", b"J\x00\x00\x00\x40tq")),
    "a beginning far off": repacked(pt(torch.ones(4)), lambda data: data.replace(b"QK\x00", b"QJ\xff\xff\xff\x7f")),
    "a long way to hash": repacked(pt(torch.ones(4)), lambda data: nested_tuples()),
    "a long pickle": repacked(pt(torch.ones(4)), lambda data: b"\x80\x02" + b")" * 100_000 + b"."),
    "an empty pickle": repacked(pt(torch.ones(4)), lambda data: b""),
    "of torch 1.5": legacy(),
    "undefined": pt(torch.full((32,), torch.nan)),
    "beyond float32": pt(torch.full((32,), 1e300, dtype=torch.float64)),
    "text": pt("hello"),
    "a list": pt([torch.ones(32)]),
}
PLACES = {"caa": "vec_layer_1_m.pt", "refusal-direction": "direction.pt", "steering-vectors": "x.pt"}


@pytest.mark.parametrize("reader", list(PLACES))
@pytest.mark.parametrize("name", list(HOSTILE_PT))
def test_hostile_pt_files_are_one_sentence(name: str, reader: str, tmp_path: Path) -> None:
    (tmp_path / "direction_metadata.json").write_text('{"layer": 1}')
    path = tmp_path / PLACES[reader]
    path.write_bytes(HOSTILE_PT[name])
    with little_memory(), pytest.raises(SteeringError, match=PLACES[reader]):
        IMPORTS[reader](path, None)


def test_a_reader_of_pt_files_never_asks_for_more_than_weights(tmp_path: Path, monkeypatch: Any) -> None:
    asked = []
    load = torch.load
    monkeypatch.setattr(torch, "load", lambda *args, **options: asked.append(options) or load(*args, **options))
    torch.save({1: torch.ones(32)}, tmp_path / "x.pt")
    IMPORTS["steering-vectors"](tmp_path / "x.pt", None)
    assert [options["weights_only"] for options in asked] == [True]


def test_what_torch_writes_is_read(tmp_path: Path) -> None:
    shared, rows = torch.arange(32.0), torch.arange(96.0).reshape(3, 32)
    content = {
        1: rows[1],
        2: rows.half()[2],
        3: shared,
        4: shared,
        5: torch.nn.Parameter(shared),
        6: rows.T.contiguous().T[0],
    }
    torch.save(content, tmp_path / "x.pt")
    vector = IMPORTS["steering-vectors"](tmp_path / "x.pt", None)
    assert vector.layers == tuple(content)
    assert torch.equal(vector.directions, torch.stack([row.detach().float() for row in content.values()]))


HOSTILE_SVEC = {
    "beyond float": '{"directions": {"1": [1e999]}}',
    "beyond any number": '{"directions": {"1": [' + "9" * 5000 + "]}}",
    "beyond int64": '{"directions": {"1": [' + "9" * 30 + "]}}",
    "deep": '{"directions": ' + "[" * 100_000 + "]" * 100_000 + "}",
    "deep directions": '{"directions": {"1": ' + "[" * 90 + "]" * 90 + "}}",
    "a layer of many digits": '{"directions": {"' + "9" * 5000 + '": [1.0]}}',
    "a layer without end": '{"directions": {"1000000000": [1.0]}}',
    "more layers than a model": json.dumps({"directions": {str(MAX_LAYERS + 1): [1.0]}}),
    "a layer twice": '{"directions": {"1": [1.0], "01": [2.0]}}',
    "undefined": '{"directions": {"1": [NaN]}}',
    "no numbers": '{"directions": {"1": null}}',
    "truth values": '{"directions": {"1": [true, false]}}',
    "an object": '{"directions": {"1": {"a": 1}}}',
    "ragged": '{"directions": {"1": [[1.0], [1.0, 2.0]]}}',
    "empty": '{"directions": {"1": []}}',
    "no layers": '{"directions": {}}',
    "nothing": "null",
}


@pytest.mark.parametrize("reader", ["aisteer360", "activation-steering"])
@pytest.mark.parametrize("name", list(HOSTILE_SVEC))
def test_hostile_svec_files_are_one_sentence(name: str, reader: str, tmp_path: Path) -> None:
    path = tmp_path / "x.svec"
    path.write_text(HOSTILE_SVEC[name])
    with pytest.raises(SteeringError, match=r"x\.svec'"):
        IMPORTS[reader](path, None)


@pytest.mark.parametrize("layer", ["1" * 5000, 10**30, 1e999, True, -1, 0, 1.5, None, [1]])
def test_a_refusal_direction_of_no_layer_is_one_sentence(layer: object, tmp_path: Path) -> None:
    torch.save(torch.ones(32), tmp_path / "direction.pt")
    (tmp_path / "direction_metadata.json").write_text(json.dumps({"layer": layer}))
    with pytest.raises(SteeringError):
        IMPORTS["refusal-direction"](tmp_path, None)


def test_a_caa_layer_of_many_digits_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / f"vec_layer_{'9' * 200}_m.pt"
    torch.save(torch.ones(32), path)
    with pytest.raises(SteeringError, match=f"from 0 to {MAX_LAYERS - 1}"):
        IMPORTS["caa"](path, None)
