"""Ways of running vLLM in which a token's row can't be told, or that nobody has tried: refused at start."""

from typing import Any

from steering.errors import SteeringError
from steering.serving.vllm.axes import Axes


def check_modes(vllm_config: Any, axes: Axes) -> None:
    """Raise SteeringError for the first option of vLLM that steering doesn't go with."""
    parallel, cache = vllm_config.parallel_config, vllm_config.cache_config
    gated = any(column.push.gate for column in axes.columns)
    refused = {
        "micro-batches (--enable-dbo)": parallel.use_ubatching,
        "prefill context parallelism": parallel.prefill_context_parallel_size > 1,
        "sequence-parallel experts": parallel.use_sequence_parallel_moe,
        "fast prefill with shared keys and values": cache.kv_sharing_fast_prefill,
        "speculative decoding": vllm_config.speculative_config is not None,
        "transfer of keys and values between instances": vllm_config.kv_transfer_config is not None,
        "a pooling model": vllm_config.model_config.runner_type != "generate",
        "an encoder-decoder model": vllm_config.model_config.is_encoder_decoder,
        "pipeline parallelism, where a gate and what it opens may be apart,": gated
        and parallel.pipeline_parallel_size > 1,
    }
    for mode, found in refused.items():
        if found:
            raise SteeringError(
                f"Trimtab's sliders don't go with {mode} in vLLM; start without it, or without sliders."
            )
