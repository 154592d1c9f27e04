"""What the studio opens at a path, and what it keeps of it."""

import json
import math
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import pytest
import torch

from steering import Slider, SteeringError
from steering.vectors.provenance import Dose, Profile
from tests.helpers.known_vectors import slider_of
from tests.helpers.tiny import LAYERS, random_vector, tiny_lm

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

from tests.helpers.studio_server import AUTHORIZED, studio
from trimtab.studio import files
from trimtab.studio.files import check_model
from trimtab.studio.session import Session


@pytest.fixture
def special(tmp_path: Path) -> list[str]:
    """Paths of what is no regular file."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("/dev/zero")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").symlink_to("/dev/zero")
    return ["/dev/zero", "/dev/stdin", "/dev/tty", *(str(tmp_path / name) for name in ("fifo", "link", "model"))]


def ask(url: str, path: str, body: Any) -> httpx.Response:
    return httpx.post(f"{url}/api/{path}", json=body, timeout=60, headers=AUTHORIZED)


def state(url: str) -> dict[str, Any]:
    response = httpx.get(f"{url}/api/state", headers=AUTHORIZED)
    assert response.status_code == 200
    return dict(response.json())


def refusal(response: httpx.Response) -> str:
    assert response.status_code == 400
    return str(response.json()["error"])


def test_only_regular_files_are_opened(url: str, special: list[str]) -> None:
    for path in special:
        for request, body in (("report", {}), ("vectors", {"axis": "a"})):
            told = refusal(ask(url, request, body | {"path": path}))
            assert told == f"Can't read {path!r}: {Path(path).name!r} is no regular file; check the path."
        assert "is no regular file" in refusal(ask(url, "model", {"name": path}))
    assert [axis["name"] for axis in state(url)["axes"]] == ["wit"]


@pytest.mark.parametrize("path", ["/no/such", "a\0b", "~nosuchuser/x", "\ud800", "x" * 5000, "/etc/passwd/x"])
def test_a_path_that_leads_nowhere_is_one_sentence(url: str, path: str) -> None:
    headers = AUTHORIZED | {"Content-Type": "application/json"}
    body = json.dumps({"axis": "a", "path": path})
    told = refusal(httpx.post(f"{url}/api/vectors", content=body, headers=headers))
    assert told.startswith(("Can't read '", "The studio can't use the request: body: "))


def test_a_file_beyond_the_limit_is_refused_unread(url: str, tmp_path: Path) -> None:
    with (tmp_path / "sparse.json").open("wb") as file:
        file.truncate(files.MAX_FILE_BYTES + 1)
    for request, body in (("report", {}), ("vectors", {"axis": "a"})):
        told = refusal(ask(url, request, body | {"path": str(tmp_path / "sparse.json")}))
        assert "'sparse.json' has 100000001 bytes, more than 100000000; check the path." in told
    assert "'sparse.json' has 100000001 bytes" in refusal(ask(url, "model", {"name": str(tmp_path)}))


def test_a_file_that_becomes_a_fifo_before_it_is_opened_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("x")
    before = os.stat(tmp_path / "file")
    (tmp_path / "file").unlink()
    os.mkfifo(tmp_path / "file")
    monkeypatch.setattr("trimtab.studio.files.os.stat", lambda _: before)
    with pytest.raises(SteeringError, match="is no regular file"), files.opened(str(tmp_path / "file")):
        pass


def test_names_of_models_that_are_no_paths_pass_and_weights_may_be_large(tmp_path: Path) -> None:
    for name in ("smollm2-135m-instruct", "owner/name", "/no/such/folder"):
        check_model(name)
    with (tmp_path / "model.safetensors").open("wb") as file:
        file.truncate(files.MAX_FILE_BYTES + 1)
    (tmp_path / "gone.json").symlink_to("nowhere")
    check_model(str(tmp_path))


def profiled(auroc: float) -> Slider:
    profile = Profile(auroc=(auroc,) * LAYERS, pair_cosine=(0.1,) * LAYERS, residual_norm=(9.0,) * LAYERS)
    return slider_of(replace(random_vector(), profile=profile))


def one_row_of(size: float) -> torch.Tensor:
    """Directions of which the last layer's alone is so large."""
    directions = torch.ones(LAYERS, 32)
    directions[-1] *= size
    return directions


OVERFLOWING = {
    "strength": slider_of(random_vector(), strength=1e31),
    "norm": slider_of(replace(random_vector(), directions=torch.full((LAYERS, 32), 1e38))),
}
UNSHOWABLE = {
    "range": slider_of(random_vector(), (-1e308, 1e308)),
    "one end": slider_of(random_vector(), (0.0, 1e31)),
    "norm elsewhere": slider_of(replace(random_vector(), directions=one_row_of(1e38)), layers=(0,)),
    "auroc": profiled(1e300),
    "dose": replace(
        slider_of(random_vector()),
        dose=Dose(outcome="o", prompts=1, values=(0.0, 1.0), strengths=(0.0, 1.0), effects=(-1e308, 1e308)),
    ),
}


@pytest.mark.parametrize("kind", [*OVERFLOWING, *UNSHOWABLE])
def test_a_vector_that_cannot_be_shown_is_not_kept(url: str, tmp_path: Path, kind: str) -> None:
    before = state(url)
    slider = (OVERFLOWING | UNSHOWABLE)[kind]
    slider.save(tmp_path / "v.safetensors")
    told = refusal(ask(url, "vectors", {"axis": "bad", "path": str(tmp_path / "v.safetensors")}))
    what = (
        "values of the slider 'unnamed' whose pushes stay" if kind in OVERFLOWING else "figures up to 1e+30 to show of"
    )
    assert told.startswith(f"Expected {what} ")
    assert state(url) == before
    with pytest.raises(SteeringError, match=f"^Expected {re.escape(what)} "):
        Session(tiny_lm(), {"bad": slider})


@pytest.mark.parametrize("ends", [(-1e-320, 1e-320), (0.0, 5e-324), (-1e30, 1e30), (0.0, 0.0), (1.0, 1.0)])
def test_every_range_up_to_the_limit_is_shown(tmp_path: Path, ends: tuple[float, float]) -> None:
    with studio(tiny_lm(), {"odd": slider_of(random_vector(), ends)}) as url:
        (axis,) = state(url)["axes"]
    assert min(ends[0], 0.0) <= axis["low"] <= 0.0 <= axis["high"] <= max(ends[1], 0.0)
    assert 0 < axis["step"] < math.inf


@pytest.mark.parametrize("name", ["安全", 'a"b', "a/b", "../a", "a\nb\r\nX: y", "a b;c", "<b>", "constructor", "ü'%"])
def test_a_vector_has_its_axis_name_as_its_file_s(name: str, tmp_path: Path) -> None:
    with studio(tiny_lm(), {name: random_vector()}) as url:
        response = httpx.get(f"{url}/api/vectors", params={"axis": name}, headers=AUTHORIZED)
    assert response.status_code == 200
    kind, _, encoded = response.headers["content-disposition"].partition("; filename*=UTF-8''")
    assert (kind, unquote(encoded)) == ("attachment", f"{name}.safetensors")
    random_vector().save(tmp_path / "v.safetensors")
    assert response.content == (tmp_path / "v.safetensors").read_bytes()
