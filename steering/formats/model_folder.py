"""Models with changed weights, as folders in transformers' layout: written whole or not at all, and checked first."""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, PretrainedConfig, PreTrainedModel

from steering.errors import SteeringError
from steering.models.language_model import LanguageModel

TOLERANCE = 1e-5
"""Largest difference of logits in float32, as a share of the largest logit (at least 1)."""


@contextmanager
def new_folder(path: str | Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; rename it to `path` when the body succeeds, remove it when it raises.

    Raises SteeringError when `path` exists and isn't an empty folder, or when its parent doesn't exist.
    """
    path = Path(path)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise SteeringError(f"Can't write {str(path)!r}: it exists and isn't an empty folder; name a new one.")
    if not path.parent.is_dir():
        raise SteeringError(
            f"Can't write {str(path)!r}: the folder {str(path.parent)!r} doesn't exist; create it first."
        )
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        yield temporary
        temporary.chmod(0o755)
        temporary.replace(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_model(
    folder: Path,
    lm: LanguageModel,
    kind: type[PreTrainedModel],
    config: PretrainedConfig,
    weights: Mapping[str, Tensor],
) -> None:
    """Write a model of this class and configuration with these weights, and the tokenizer of `lm`."""
    config.architectures = [kind.__name__]
    with torch.device("meta"):
        model: Any = kind(config)
    model.load_state_dict(dict(weights), strict=True, assign=True)
    model.tie_weights()
    model.generation_config = lm.model.generation_config
    model.save_pretrained(folder)
    lm.tokenizer.save_pretrained(folder)


Hooks = Callable[[PreTrainedModel], AbstractContextManager[object]]
"""Puts hooks on a model for the body of a `with`."""


@torch.inference_mode()
def largest_difference(changed: PreTrainedModel | Path, lm: LanguageModel, hooks: Hooks) -> float:
    """Of the logits of a changed model, or the folder of one, and those of `lm` under hooks, both in float32.

    As a share of the largest logit, or of 1. Needs the memory of two more copies of the model, in float32.
    """
    if isinstance(changed, Path):
        changed = AutoModelForCausalLM.from_pretrained(changed, dtype=torch.float32, local_files_only=True)
    exact = float32_copy(lm.model)
    ids = random_ids(lm).to(exact.device)
    with hooks(exact):
        expected = exact(input_ids=ids).logits
    found = changed(input_ids=ids.to(changed.device)).logits.to(expected.device)
    return float((found - expected).abs().max() / expected.abs().max().clamp(min=1.0))


def float32_copy(model: PreTrainedModel) -> PreTrainedModel:
    """The model again, in float32: changing the copy leaves the model as it is."""
    copy: Any = deepcopy(model)
    return copy.to(torch.float32)  # type: ignore[no-any-return]


def random_ids(lm: LanguageModel) -> Tensor:
    """Token ids to compare models on, (2, 24)."""
    vocabulary = lm.model.config.get_text_config(decoder=True).vocab_size
    return torch.randint(0, vocabulary, (2, 24), generator=torch.Generator().manual_seed(0))


@contextmanager
def forward_hooks(hooks: Mapping[nn.Module, Callable[[nn.Module, object, Tensor], Tensor]]) -> Iterator[None]:
    """Forward hooks on modules for the body of a `with`."""
    handles = [module.register_forward_hook(hook) for module, hook in hooks.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
