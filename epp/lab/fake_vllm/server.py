"""The HTTP surface of one pod: which path is served by what, and what happens to every request."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus

from aiohttp import web

from epp.lab.fake_vllm.bodies import ChatFields, CompletionFields
from epp.lab.fake_vllm.completions import InferenceCall
from epp.lab.fake_vllm.debug_api import DebugApi
from epp.lab.fake_vllm.errors import ApiError, injected, no_route
from epp.lab.fake_vllm.metrics_page import CONTENT_TYPE, GARBAGE, read_process, render
from epp.lab.fake_vllm.models_api import ModelsApi
from epp.lab.fake_vllm.pod_state import PodState
from epp.lab.fake_vllm.replies import Replies, reset_connection, until_disconnected
from epp.lab.fake_vllm.tokenize_api import TokenizeApi

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

ECHO_PATH = "/debug/echo"
"""and everything below it, so that a path can end like that of an API"""
VLLM_VERSION = "0.11.0"  # the version whose answers and metric names are imitated


class PodServer:
    """Handles every request of one pod."""

    def __init__(self, state: PodState, replies: Replies) -> None:
        self._state = state
        self._replies = replies
        models = ModelsApi(state, replies)
        debug = DebugApi(state, replies)
        tokenize = TokenizeApi(state, replies)
        self._routes: dict[str, dict[str, Handler]] = {
            "/v1/completions": {"POST": self._complete},
            "/v1/chat/completions": {"POST": self._chat},
            "/tokenize": {"POST": tokenize.tokenize},
            "/v1/completions/render": {"POST": tokenize.render_completion},
            "/v1/chat/completions/render": {"POST": tokenize.render_chat},
            "/reset_prefix_cache": {"POST": self._reset_prefix_cache},
            "/metrics": {"GET": self._metrics},
            "/metrics/": {"GET": self._metrics},
            "/health": {"GET": self._health},
            "/ping": {"GET": self._health, "POST": self._health},
            "/version": {"GET": self._version},
            "/v1/models": {"GET": models.list_models},
            "/debug/faults": {"GET": debug.show_faults, "POST": debug.replace_faults},
            "/debug/requests": {"GET": debug.list_requests},
            ECHO_PATH: dict.fromkeys(("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"), debug.echo),
        }
        if state.settings.runtime_lora_updating:
            self._routes["/v1/load_lora_adapter"] = {"POST": models.load}
            self._routes["/v1/unload_lora_adapter"] = {"POST": models.unload}

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Serves one request; ApiError becomes its JSON."""
        if self._state.faults.faults.drop_connections and not request.path.startswith("/debug/"):
            reset_connection(request)
            await until_disconnected()
        try:
            return await self._handler(request)(request)
        except ApiError as error:
            return self._replies.error(request, error)

    def _handler(self, request: web.BaseRequest) -> Handler:
        path = ECHO_PATH if request.path.startswith(f"{ECHO_PATH}/") else request.path
        methods = self._routes.get(path)
        if methods is None:
            raise no_route(HTTPStatus.NOT_FOUND)
        handler = methods.get(request.method)
        if handler is None:
            raise no_route(HTTPStatus.METHOD_NOT_ALLOWED)
        return handler

    async def _complete(self, request: web.BaseRequest) -> web.StreamResponse:
        return await InferenceCall(self._state, self._replies, request, CompletionFields).run()

    async def _chat(self, request: web.BaseRequest) -> web.StreamResponse:
        return await InferenceCall(self._state, self._replies, request, ChatFields).run()

    async def _reset_prefix_cache(self, request: web.BaseRequest) -> web.StreamResponse:
        """As vLLM in development mode: refused silently while requests run."""
        self._state.engine.reset_prefix_cache()
        self._state.publish_kv_events()
        return self._replies.plain(request, b"")

    async def _health(self, request: web.BaseRequest) -> web.StreamResponse:
        status = self._state.faults.faults.health or (503 if self._state.draining else 200)
        return self._replies.plain(request, b"", content_type="", status=status)

    async def _version(self, request: web.BaseRequest) -> web.StreamResponse:
        return self._replies.json(request, b'{"version":"%b"}' % VLLM_VERSION.encode())

    async def _metrics(self, request: web.BaseRequest) -> web.StreamResponse:
        state = self._state
        fault = state.faults.faults.metrics
        if isinstance(fault, int):
            raise injected(fault)
        if fault == "silent":
            await until_disconnected()
        if fault is not None:
            return self._replies.plain(request, GARBAGE if fault == "garbage" else b"", CONTENT_TYPE)
        page = render(
            state.engine,
            state.settings,
            read_process(state.started_unix_s),
            unix_offset_s=state.driver.unix_offset_s,
        )
        return self._replies.plain(request, page, CONTENT_TYPE)
