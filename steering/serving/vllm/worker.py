"""A worker: once its model is loaded, buffers, steered blocks, and the runner that fills them."""

from pathlib import Path
from typing import Any

from steering.models.decoder_blocks import only_list_of
from steering.serving.vllm.axes import Axes
from steering.serving.vllm.buffers import Buffers
from steering.serving.vllm.live import RPC
from steering.serving.vllm.patches import after
from steering.serving.vllm.runners import watch_runner
from steering.serving.vllm.steered_block import SteeredBlock, steer_block
from steering.serving.vllm.token_coefficients import StepWriter
from steering.serving.vllm.unsupported_modes import check_modes


def when_device_is_ready(wrapper: Any, _result: object) -> None:
    """Wait for the model, in a worker that was told of vectors."""
    axes = Axes.configured(wrapper.vllm_config)
    if axes is not None:
        check_modes(wrapper.vllm_config, axes)
        after(wrapper.worker, "load_model", lambda worker, _result, **_: SteeredWorker(worker, axes))


class SteeredWorker:
    """The steering of one worker; it lives in the hooks and in the worker's method for live registration."""

    def __init__(self, worker: Any, axes: Axes) -> None:
        config, runner = worker.vllm_config, worker.model_runner
        self.axes = axes
        compilation, scheduler = config.compilation_config, config.scheduler_config
        tokens = max(scheduler.max_num_batched_tokens, compilation.max_cudagraph_capture_size or 0)
        # Python code runs in every step only where nothing is compiled or captured.
        skippable = compilation.mode.name == "NONE" and compilation.cudagraph_mode.name == "NONE"
        requests = 2 * scheduler.max_num_seqs
        self.buffers = Buffers(tokens, axes.columns, axes.spare, requests, worker.device, skippable)
        self.blocks: list[SteeredBlock] = []
        model = runner.model.get_language_model() if hasattr(runner.model, "get_language_model") else runner.model
        for layer, block in enumerate(only_list_of(axes.n_layers, model, "this model can't be steered in vLLM")):
            if next(block.parameters(), None) is None:
                continue  # another pipeline stage's
            steered = SteeredBlock(layer, axes.d_model, axes.columns, self.buffers)
            steer_block(block, steered, self.buffers)
            self.blocks.append(steered)
        self.writer = StepWriter(self.buffers, axes.columns)
        watch_runner(runner, self.writer)
        setattr(worker, RPC, self.add_axis)
        # The key of vLLM's cache of compiled models: another set of vectors gives other code.
        if isinstance(config.additional_config, dict):
            config.additional_config["trimtab.digests"] = {name: axis.digest for name, axis in axes.by_name.items()}

    def add_axis(self, name: str, path: str | Path, tokens: str | None) -> None:
        """Take up an axis while requests run; none can name it before the front end knows it too."""
        for number, column in self.axes.add_live(self.axes.read(name, path, tokens)):
            for block in self.blocks:
                block.add(number, column)
            self.writer.add(number, column)
