"""`/v1/sliders` of vLLM's OpenAI server: which axes there are, and new ones from the server's own folder.

vLLM loads it where `VLLM_PLUGINS=trimtab` names it, behind the same API key as its other routes.
"""

from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from steering.errors import SteeringError
from steering.serving.vllm.axes import Axes, Axis
from steering.serving.vllm.live import add_axis_async, axes_of

PUSH_FIELDS = {"intervention", "hook_point", "layers", "strength", "tokens"}


class SliderRoutes:
    """An endpoint plugin of vLLM."""

    name = "trimtab"
    required_tasks = ("generate",)

    def attach_router(self, app: FastAPI) -> None:
        """Put the routes on the server's app."""
        app.add_api_route("/v1/sliders", _list, methods=["GET"])
        app.add_api_route("/v1/sliders", _register, methods=["POST"])

    async def init_state(self, engine_client: Any, state: Any, args: Any) -> None:
        """Keep the engine for the routes."""
        state.trimtab_engine = engine_client
        state.trimtab_front_ends = getattr(args, "api_server_count", None) or 1


def _described(axis: Axis) -> dict[str, Any]:
    summary = axis.slider.summary()
    shown = summary.model_dump(mode="json", include={"title": True, "range": True, "pushes": {"__all__": PUSH_FIELDS}})
    return {"axis": axis.name, "gated": summary.is_gated, **shown}


async def _answer(request: Request, body: Any = None) -> JSONResponse:
    try:
        engine = request.app.state.trimtab_engine
        axes = axes_of(engine.input_processor)
        if body is not None:
            if request.app.state.trimtab_front_ends > 1:
                raise SteeringError("Axes can't be registered live with several API servers: start with one.")
            await add_axis_async(engine, *_wanted(axes, body))
        return JSONResponse({"object": "list", "data": [_described(axis) for axis in axes.by_name.values()]})
    except SteeringError as error:
        return JSONResponse({"error": {"message": str(error), "type": "BadRequestError", "code": 400}}, 400)


def _wanted(axes: Axes, body: Any) -> tuple[str, Path, str | None]:
    """Axis, file and tokens that a body asks for; files come from one folder, so that no other can be opened."""
    if axes.folder is None:
        raise SteeringError("This server takes no vectors over HTTP; start it with Trimtab's option 'folder'.")
    fields = body if isinstance(body, dict) else {}
    name, file, tokens = (fields.get(key) for key in ("axis", "file", "tokens"))
    if not isinstance(name, str) or not name or not isinstance(file, str) or not isinstance(tokens, str | None):
        raise SteeringError(f'Expected {{"axis": name, "file": name, "tokens": name or null}}, found {body!r}.')
    if Path(file).name != file or file in ("", ".", ".."):
        raise SteeringError(f"Expected the name of a file in the server's folder, found {file!r}.")
    return name, axes.folder / file, tokens


async def _list(request: Request) -> JSONResponse:
    return await _answer(request)


async def _register(request: Request) -> JSONResponse:
    try:
        body = await request.json()
    except ValueError:
        body = "no JSON"
    return await _answer(request, body)
