"""`trimtab serve`: the sliders behind OpenAI's API."""

import os
from pathlib import Path
from typing import Annotated

from typer import Option

from steering.errors import SteeringError
from trimtab.options import ModelOptions, Tokens, VectorOptions
from trimtab.profiles import ProfilesFile, load_profiles
from trimtab.serve import check_installed
from trimtab.serve.limits import Limits
from trimtab.terminal import echo

KEY_VARIABLE = "TRIMTAB_API_KEY"


def serve(
    model: ModelOptions,
    vectors: VectorOptions,
    limits: Limits,
    host: Annotated[str, Option(help="Address to listen on; others than this machine's need a key.")] = "127.0.0.1",
    port: Annotated[int, Option(min=0, max=65535, help="0 takes a free one.")] = 8000,
    api_key_env: Annotated[str, Option(help="Environment variable with the clients' key.")] = KEY_VARIABLE,
    name: Annotated[str | None, Option(help="What clients call the model.")] = None,
    tokens: Tokens = None,
    profiles: ProfilesFile = None,
    shutdown_seconds: Annotated[int, Option(min=0, help="Time for answers under way when stopped.")] = 30,
) -> None:
    """Serve OpenAI's chat completions with `steering` in the body, each request with its own slider values."""
    check_installed("serve")
    from trimtab.serve.api import Api
    from trimtab.serve.llama_cpp_worker import LlamaCppWorker
    from trimtab.serve.server import LOOPBACK_HOSTS, is_loopback, listen, run
    from trimtab.serve.transformers_worker import TransformersWorker

    key = os.environ.get(api_key_env)
    if key == "" or (key is None and api_key_env != KEY_VARIABLE):
        raise SteeringError(f"Expected the API key in the environment variable {api_key_env}, found none; set it.")
    path = Path(os.path.expanduser(model.model))
    known_profiles = load_profiles(profiles)
    served_name = name or (path.resolve().name if path.exists() else model.model)
    with listen(host, port) as listener:  # before the long loading, so that a taken port shows at once
        if key is None and not is_loopback(host):
            echo(f"Warning: anybody who reaches {host} can use this server; set {api_key_env}.", err=True)
        lm = model.load()
        new_worker = LlamaCppWorker if model.engine == "llama.cpp" else TransformersWorker
        worker = new_worker(lm, vectors.sliders(lm), limits, tokens, vectors.allow_mismatch or ())
        hosts = LOOPBACK_HOSTS if key is None and is_loopback(host) else None
        app = Api(worker, served_name, known_profiles, key, hosts).app()
        # Clients keep idle connections for uvicorn's default of 5 s: it must not be the server that closes them first.
        run(app, listener, timeout_graceful_shutdown=shutdown_seconds, timeout_keep_alive=60)
