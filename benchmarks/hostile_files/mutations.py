"""Ways to break a file, decided by a random generator: its bytes, its JSON, its rows, the members of its archive."""

import csv
import io
import json
import random
import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ABSURD = (
    "null", "true", "[]", "{}", '""', '"text"', "0", "-1", "1.5", "2147483648", "9223372036854775808", "1e999", "1e308",
    "-1e308", "1e-320", "NaN", "-Infinity", "9" * 400, "9" * 5000, "[null]", '{"a": 1}', r'"\u0000\u001b[31m"',
    r'"\ud800"', '"../../etc/passwd"', '"~nosuchuser/x"', '"</script><script>"', '"$\\\\frac$"', "[[[]]]", "[1, [2]]",
    '"' + "x" * 200_000 + '"', "[" * 100_000 + "]" * 100_000, '{"a":' * 3000 + "1" + "}" * 3000,
)  # fmt: skip
"""What stands in place of a value, as JSON text."""
SIZES = (0, 1, 0x7F, 0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 2**40, 2**62, 2**63 - 1, 2**64 - 1)
"""What a header may lie about."""
_MARK = "@@here@@"
_SCALAR = re.compile(r"-?\d[\d.eE+-]*|\"[^\"\n]*\"|\btrue\b|\bfalse\b|\bnull\b")


def mutate(path: Path, dice: random.Random) -> str:
    """Break the file where it lies. Returns the name of what was done."""
    ways: list[Callable[[Path, random.Random], None]] = [*_BY_SUFFIX.get(path.suffix, (tokens,)), *_BYTES]
    for _ in range(20):
        way = dice.choice(ways)
        before = path.read_bytes()
        try:
            way(path, dice)
        except Exception:
            path.write_bytes(before)  # the way leads nowhere here: no JSON in the file, no table of these values, …
            continue
        if path.read_bytes() != before:
            return way.__name__
    path.write_bytes(b"")
    return "empty"


def flips(path: Path, dice: random.Random) -> None:
    """One to eight bits."""
    content = bytearray(path.read_bytes())
    for _ in range(dice.randint(1, 8)):
        content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
    path.write_bytes(content)


def head_flips(path: Path, dice: random.Random) -> None:
    """The same among the first 256 bytes, where formats have their headers."""
    content = bytearray(path.read_bytes())
    for _ in range(dice.randint(1, 3)):
        content[dice.randrange(min(256, len(content)))] = dice.randrange(256)
    path.write_bytes(content)


def truncation(path: Path, dice: random.Random) -> None:
    """The end is missing."""
    content = path.read_bytes()
    path.write_bytes(content[: dice.randrange(len(content))])


def splice(path: Path, dice: random.Random) -> None:
    """A piece is missing, stands twice, or stands elsewhere too."""
    content = path.read_bytes()
    start = dice.randrange(len(content))
    piece = content[start : start + dice.choice((1, 4, 16, 256, 4096))]
    to = dice.randrange(len(content))
    gone = content[:start] + content[start + len(piece) :]
    twice = content[:start] + piece + content[start:]
    elsewhere = content[:to] + piece + content[to + len(piece) :]
    path.write_bytes(dice.choice((gone, twice, elsewhere)))


def size(path: Path, dice: random.Random) -> None:
    """Four or eight bytes become a size that lies, mostly near the beginning."""
    content = bytearray(path.read_bytes())
    width = dice.choice((4, 8))
    at = dice.randrange(min(len(content), dice.choice((16, 64, 1024, len(content)))))
    content[at : at + width] = (dice.choice(SIZES) % 2 ** (8 * width)).to_bytes(width, "little")
    path.write_bytes(content)


def tokens(path: Path, dice: random.Random) -> None:
    """A number, a quoted text or a word of a text file becomes something else."""
    text = path.read_text(encoding="utf-8")
    found = dice.choice(list(_SCALAR.finditer(text)))
    path.write_text(text[: found.start()] + dice.choice(ABSURD) + text[found.end() :], encoding="utf-8")


def json_value(path: Path, dice: random.Random) -> None:
    """A value of the JSON, or of one of its lines, is replaced, dropped, or stands there twice."""
    lines = [path.read_text(encoding="utf-8")]
    if path.suffix == ".jsonl":
        lines = lines[0].splitlines()
    at = dice.randrange(len(lines))
    lines[at] = broken_json(lines[at], dice)
    path.write_text("\n".join(lines), encoding="utf-8")


def broken_json(text: str, dice: random.Random) -> str:
    """The text with one value broken; JSON that stands in a string of it is broken there."""
    whole = json.loads(text)
    places = list(_places(whole))
    if not places:
        return dice.choice(ABSURD)
    holder, key = dice.choice(places)
    value = holder[key]
    if isinstance(value, str) and value.startswith(("{", "[")):
        holder[key] = broken_json(value, dice)
        return json.dumps(whole)
    raw = dice.choice((*ABSURD, "twice", "twice", "gone", "gone", "gone", "longer", "shorter"))
    if raw == "gone":
        del holder[key]
        return json.dumps(whole)
    if raw in ("longer", "shorter"):
        holder[key] = value + value[:1] if raw == "longer" else value[:-1]  # TypeError where it has no length
        return json.dumps(whole)
    if raw == "twice":
        raw = f"{json.dumps(value)}, {json.dumps(key)}: {dice.choice(ABSURD)}" if isinstance(key, str) else "0, 0"
    holder[key] = _MARK
    return json.dumps(whole).replace(json.dumps(_MARK), raw)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every holder and key of the tree."""
    found = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in found:
        yield value, key
        yield from _places(item)


def safetensors_header(path: Path, dice: random.Random) -> None:
    """A value of the header, its length told anew."""
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = broken_json(content[8 : 8 + length].decode(), dice).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + content[8 + length :])


def member(path: Path, dice: random.Random) -> None:
    """A member of a zip archive, its checksum told anew."""
    with zipfile.ZipFile(path) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    chosen = dice.choice(list(members))
    inner = path.with_suffix(".member")
    inner.write_bytes(members[chosen])
    dice.choice((flips, head_flips, truncation, splice, size, npy_shape))(inner, dice)
    members[chosen] = inner.read_bytes()
    inner.unlink()
    if dice.random() < 0.1:
        members[dice.choice(("../../out", "directions.npy", "data.pkl", "x" * 5000))] = members[chosen]
    with zipfile.ZipFile(path, "w", dice.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def npy_shape(path: Path, dice: random.Random) -> None:
    """The shape or the dtype that an array's header declares, at the same length."""
    content = path.read_bytes()
    start, end = content.index(b"{"), content.index(b"}") + 1
    header = content[start:end].decode()
    shape = dice.choice(("(1000000, 1000000)", "()", "(-1, 32)", "(0, 0)", "(4, 2, 16)", "(True,)", "'x'", "(1e9,)"))
    dtype = dice.choice(("'<f4'", "'|O'", "'<U9999999'", "'<c16'", "[('a', '<f4')]", "'<M8[s]'", "'<f2'", "'>f8'"))
    header = re.sub(r"'shape': \([^)]*\)", f"'shape': {shape}", header)
    header = re.sub(r"'descr': '[^']*'", f"'descr': {dtype}", header) if dice.random() < 0.5 else header
    path.write_bytes(content[:start] + header.encode() + content[end:])


def csv_cell(path: Path, dice: random.Random) -> None:
    """A cell of a row is absurd, missing, or one too many; a column goes by another name."""
    rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"), newline="")))
    row = dice.choice(rows)
    at = dice.randrange(len(row))
    what = dice.choice(("absurd", "absurd", "gone", "more", "nul"))
    if what == "gone":
        del row[at]
    else:
        row[at:at] = [dice.choice(ABSURD)] if what == "more" else []
        row[at] = {"absurd": dice.choice(ABSURD), "nul": "a\0b"}.get(what, row[at])
    out = io.StringIO(newline="")
    csv.writer(out).writerows(rows)
    path.write_text(out.getvalue(), encoding="utf-8")


def parquet_cell(path: Path, dice: random.Random) -> None:
    """A value of all rows alike, since columns have one type; or a column that goes by another name."""
    import pyarrow
    import pyarrow.parquet

    rows = pyarrow.parquet.read_table(path).to_pylist()
    row = json.loads(broken_json(json.dumps(rows[0]), dice))
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([row] * len(rows)), path)


_BYTES = (flips, head_flips, truncation, splice, size)
_JSON = (json_value,) * 10
_BY_SUFFIX: dict[str, tuple[Callable[[Path, random.Random], None], ...]] = {
    ".json": _JSON,
    ".jsonl": _JSON,
    ".svec": _JSON,
    ".safetensors": (safetensors_header,) * 5,
    ".npz": (member,) * 6,
    ".pt": (member,) * 6,
    ".gguf": (head_flips, size, size),
    ".csv": (csv_cell,) * 5,
    ".parquet": (parquet_cell,) * 4,
    ".toml": (tokens,) * 5,
}
"""What fits a format beside the ways of bytes, which fit all."""
