"""A folder for the Hub: what it holds, and the way there and back through huggingface_hub, against a local stand-in."""

import base64
import hashlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
import yaml

from steering import Push, Slider, Sliders, SteeringError
from steering.formats.hub import to_hub_folder
from steering.interventions.gates import Gate
from tests.helpers.known_vectors import of_model
from tests.helpers.tiny import WIDTH, random_vector, tiny_lm

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def two_axes() -> Sliders:
    gated = Push(of_model(random_vector(2)), intervention="ablate", gate=Gate(0, torch.ones(WIDTH)))
    return Sliders(safety=of_model(random_vector(1)), helpfulness=Slider((gated,)))


def test_a_folder_holds_vectors_config_and_a_card(tmp_path: Path) -> None:
    to_hub_folder(
        two_axes(), tmp_path / "x", license="mit", base_model="you/model", measured="| a matrix |", citation="Cite me."
    )
    names = sorted(path.name for path in (tmp_path / "x").iterdir())
    assert names == ["README.md", "config.json", "helpfulness.safetensors", "safety.safetensors"]
    config = json.loads((tmp_path / "x" / "config.json").read_text())
    assert config["axes"] == ["safety", "helpfulness"]
    assert config["model"]["name"] == "tiny-Llama"
    card = (tmp_path / "x" / "README.md").read_text()
    assert card.startswith("---\n")
    header = yaml.safe_load(card.split("---\n")[1])
    assert (header["license"], header["library_name"], header["base_model"]) == ("mit", "trimtab", "you/model")
    for said in ("| a matrix |", "Cite me.", "## Limits", "weights", "ablate (gated)", "`mit` for the vectors"):
        assert said in card
    with pytest.raises(SteeringError, match="isn't an empty folder"):
        to_hub_folder(two_axes(), tmp_path / "x")


def test_the_cards_metadata_are_what_the_hub_reads(tmp_path: Path) -> None:
    from huggingface_hub import ModelCard

    to_hub_folder(two_axes(), tmp_path / "x")
    data = ModelCard.load(tmp_path / "x" / "README.md").data
    assert (data.license, data.library_name) == ("apache-2.0", "trimtab")
    assert "activation-steering" in data.tags
    assert data.base_model is None


def test_a_local_folder_is_read_back_bit_for_bit(tmp_path: Path) -> None:
    axes = two_axes()
    to_hub_folder(axes, tmp_path / "x")
    back = Sliders.from_pretrained(tmp_path / "x", tiny_lm())
    assert list(back) == ["safety", "helpfulness"]
    for name, slider in axes.items():
        for read, push in zip(back[name].pushes, slider.pushes, strict=True):
            assert torch.equal(read.vector.directions, push.vector.directions)
            assert read.vector.origin == push.vector.origin
            assert (read.intervention, read.layers) == (push.intervention, push.layers)
    (gated,) = back["helpfulness"].pushes
    assert gated.gate is not None
    assert torch.equal(gated.gate.direction, torch.ones(1, WIDTH))
    with pytest.raises(KeyError, match="honesty"):
        back["honesty"]
    with pytest.raises(SteeringError, match="doesn't belong here"):
        Sliders.from_pretrained(tmp_path / "x", tiny_lm(seed=1))
    other = Sliders.from_pretrained(tmp_path / "x", tiny_lm(seed=1), allow_mismatch=["weights"])
    assert list(other) == ["safety", "helpfulness"]
    to_hub_folder({"safety": axes["safety"]}, tmp_path / "one")
    (only,) = Sliders.from_pretrained(tmp_path / "one").values()
    assert torch.equal(only.pushes[0].vector.directions, axes["safety"].pushes[0].vector.directions)


def test_only_a_hub_id_reaches_for_the_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    asked: list[str] = []

    def no_network(repository: str, name: str, **_: object) -> str:
        asked.append(repository)
        raise OSError("no network in this test")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", no_network)
    for name in (tmp_path / "nowhere", "./x/y", "x", "a/b/c", "~/x"):
        with pytest.raises(SteeringError, match="There is no folder"):
            Sliders.from_pretrained(name)
    assert asked == []
    with pytest.raises(SteeringError, match=r"Can't get 'config.json' of 'you/vectors' from the Hub.*no network"):
        Sliders.from_pretrained("you/vectors")
    assert asked == ["you/vectors"]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("{}", "found a config.json of something else"),
        ('{"model_type": "llama"}', "found a config.json of something else"),
        ('{"axes": ["../../secret"], "model": null}', "names such as 'safety'"),
        ('{"axes": [], "model": null}', "names such as 'safety'"),
        ('{"axes": ["safety"], "model": null}', r"Expected 'safety\.safetensors' in the folder"),
    ],
)
def test_a_folder_of_something_else_is_refused(config: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(config)
    with pytest.raises(SteeringError, match=message):
        Sliders.from_pretrained(tmp_path)


def test_axes_of_two_models_or_of_odd_names_are_refused(tmp_path: Path) -> None:
    other = of_model(random_vector(), tiny_lm(seed=1).identity)
    with pytest.raises(SteeringError, match="Expected vectors of one model"):
        to_hub_folder({"a": of_model(random_vector()), "b": other}, tmp_path / "x")
    with pytest.raises(SteeringError, match=r"names such as 'safety', found '\.\./x'"):
        to_hub_folder({"../x": other}, tmp_path / "x")
    assert not list(tmp_path.iterdir())


class StandIn(BaseHTTPRequestHandler):
    """As much of the Hub as uploading a small folder and downloading its files needs."""

    files: dict[str, bytes]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path.endswith("/preupload/main"):
            asked = [entry["path"] for entry in json.loads(body)["files"]]
            modes = [{"path": path, "uploadMode": "regular", "shouldIgnore": False} for path in asked]
            self._json({"files": modes})
        elif self.path.endswith("/commit/main"):
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    self.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            self._json({"commitOid": COMMIT, "commitUrl": f"http://127.0.0.1/you/vectors/commit/{COMMIT}"})
        else:
            self._json({"url": "http://127.0.0.1/you/vectors"})

    def do_HEAD(self) -> None:
        self._file(with_body=False)

    def do_GET(self) -> None:
        self._file(with_body=True)

    def _file(self, with_body: bool) -> None:
        if self.path.startswith("/api/"):
            return self._json({"id": "you/vectors", "sha": COMMIT, "siblings": [{"rfilename": n} for n in self.files]})
        content = (
            self.files.get(self.path.rsplit("/", 1)[-1]) if self.path.startswith("/you/vectors/resolve/") else None
        )
        self.send_response(200 if content is not None else 404)
        if content is None:
            self.send_header("X-Error-Code", "EntryNotFound")
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha1(content or b"").hexdigest()}"')
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()
        if with_body and content:
            self.wfile.write(content)
        return None

    def _json(self, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub() -> Iterator[str]:
    StandIn.files = {}
    server = ThreadingHTTPServer(("127.0.0.1", 0), StandIn)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_folder_goes_to_a_hub_and_comes_back(hub: str, tmp_path: Path) -> None:
    """In a process of its own: huggingface_hub reads the Hub's address when it is imported."""
    axes = two_axes()
    to_hub_folder(axes, tmp_path / "x")
    script = f"""
from huggingface_hub import HfApi
from steering import Sliders
HfApi().upload_folder(repo_id="you/vectors", folder_path={str(tmp_path / "x")!r}, token="hf_for_a_stand_in")
Sliders.from_pretrained("you/vectors")["safety"].save({str(tmp_path / "back.safetensors")!r})
"""
    environment = {
        "HF_ENDPOINT": hub,
        "HF_HOME": str(tmp_path / "cache"),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "NO_PROXY": "127.0.0.1",
        "PATH": "/usr/bin:/bin",
        "OMP_NUM_THREADS": "1",
    }
    ended = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert sorted(StandIn.files) == ["README.md", "config.json", "helpfulness.safetensors", "safety.safetensors"]
    back = Slider.load(tmp_path / "back.safetensors").pushes[0].vector
    assert torch.equal(back.directions, axes["safety"].pushes[0].vector.directions)
