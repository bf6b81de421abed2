"""Every request: faults, who it is, what it wants, whether that is allowed, the answer, the entry in the audit log."""

import asyncio
from collections.abc import Callable

from aiohttp import web

from epp.lab.kube_api.audit import Entry
from epp.lab.kube_api.body import MOST_BYTES
from epp.lab.kube_api.faults import Fault
from epp.lab.kube_api.listing import selection
from epp.lab.kube_api.machinery import Machinery
from epp.lab.kube_api.options import list_options
from epp.lab.kube_api.paths import Paths
from epp.lab.kube_api.rbac import refusal
from epp.lab.kube_api.request_info import RequestInfo, read_request
from epp.lab.kube_api.resource_requests import Call, ResourceRequests, find_resource
from epp.lab.kube_api.responses import JSON_TYPE, ConnectionCut, answer, cut, refused, send
from epp.lab.kube_api.status import ApiError, PageNotFound, qualified, unauthorized
from epp.lab.kube_api.tokens import API_AUDIENCE, Authenticated
from epp.lab.kube_api.users import User
from epp.lab.kube_api.watching import Watch

_RECORDED = web.RequestKey("recorded", bool)
HALF_A_LINE = b'{"type":"MODIFIED","object":{"kind":"'


class HttpRequests:
    """Handles requests for one Machinery. `clock() -> unix seconds`."""

    def __init__(self, machinery: Machinery, clock: Callable[[], float]) -> None:
        self._machinery = machinery
        self._resources = ResourceRequests(machinery, clock)
        self._paths = Paths(machinery.catalogue, machinery.schemas)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Serves one request."""
        info = read_request(request.method, request.path, request.query)
        authenticated = self._authenticated(request)
        user = authenticated.user.name if authenticated else ""
        fault = self._machinery.faults.met(info, user)
        status = 0
        try:
            response = await self._answered(request, info, authenticated, fault)
            status = response.status
            return response
        except ConnectionCut:
            return web.Response()  # nobody is there to read it
        finally:
            if not request.get(_RECORDED):
                self._record(request, info, user, status)

    async def _answered(
        self, request: web.BaseRequest, info: RequestInfo, authenticated: Authenticated | None, fault: Fault | None
    ) -> web.StreamResponse:
        try:
            if fault is not None:
                await _suffer(request, fault)
            if authenticated is None:
                raise unauthorized()
            if fault is not None and fault.forbidden:
                raise refusal(authenticated.user, info)
            self._machinery.rbac.require(authenticated.user, info)
            if info.verb == "watch":
                return await self._watch(request, info, authenticated.user, fault)
            return await send(request, await self._served(request, info, authenticated.user), fault)
        except ApiError as error:
            return refused(error)
        except PageNotFound:
            return answer(b"404 page not found\n", 404, content_type="text/plain; charset=utf-8")

    def _authenticated(self, request: web.BaseRequest) -> Authenticated | None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        found = self._machinery.tokens.check(token.strip()) if scheme.lower() == "bearer" else None
        return found if found and API_AUDIENCE in found.audiences else None

    async def _served(self, request: web.BaseRequest, info: RequestInfo, user: User) -> web.Response:
        if not info.resource:
            return self._paths.answer(info, request.headers)
        return self._resources.carry_out(await self._call(request, info, user))

    async def _call(self, request: web.BaseRequest, info: RequestInfo, user: User) -> Call:
        resource = find_resource(self._machinery, info)
        body = await request.read()
        if len(body) > MOST_BYTES:
            text = f"Request entity too large: limit is {MOST_BYTES}"
            raise ApiError(413, "RequestEntityTooLarge", text)
        return Call(
            info=info,
            resource=resource,
            query=request.query,
            content_type=request.headers.get("Content-Type", "").partition(";")[0].strip(),
            accept=request.headers.get("Accept", ""),
            user=user,
            user_agent=request.headers.get("User-Agent", ""),
            body=body,
        )

    async def _watch(
        self, request: web.BaseRequest, info: RequestInfo, user: User, fault: Fault | None
    ) -> web.StreamResponse:
        call = await self._call(request, info, user)
        options = list_options(request.query, watch=True)
        resource = call.resource
        namespace = call.target.namespace
        render = self._resources.representation(call).one
        watch = Watch(resource, namespace, selection(resource, options), render)
        watch.bookmarks = options.bookmarks
        watch.silent = fault is not None and fault.silent
        response = web.StreamResponse(headers={"Content-Type": JSON_TYPE, "Cache-Control": "no-cache, private"})
        self._machinery.hub.open(watch, options.revision, namespace=namespace, initial_events=options.initial_events)
        self._record(request, info, user.name, 200)
        request[_RECORDED] = True
        try:
            await response.prepare(request)
            async with asyncio.timeout(options.timeout_s):
                await self._stream(request, response, watch, fault)
        except (TimeoutError, ConnectionResetError):
            pass  # the time that the client named is over, or the client is gone: the normal ends of a watch
        finally:
            self._machinery.hub.close(watch)
        return response

    async def _stream(
        self, request: web.BaseRequest, response: web.StreamResponse, watch: Watch, fault: Fault | None
    ) -> None:
        left = fault.cut_after_bytes if fault is not None else None
        while (line := await watch.lines.get()) is not None:
            if left is not None and left <= len(line):
                await response.write(line[:left])
                raise cut(request)
            await response.write(line)
            left = None if left is None else left - len(line)
        if watch.cut:
            await response.write(HALF_A_LINE)
            raise cut(request)

    def _record(self, request: web.BaseRequest, info: RequestInfo, user: str, status: int) -> None:
        resource = qualified(info.resource, info.group) if info.resource else ""
        if info.subresource:
            resource = f"{resource}/{info.subresource}"
        self._machinery.audit.add(
            Entry(
                verb=info.verb,
                method=request.method,
                path=request.path,
                query=request.query_string,
                resource=resource,
                namespace=info.namespace,
                name=info.name,
                user=user,
                user_agent=request.headers.get("User-Agent", ""),
                status=status,
            )
        )


async def _suffer(request: web.BaseRequest, fault: Fault) -> None:
    if fault.delay_s:
        await asyncio.sleep(fault.delay_s)
    if fault.cut_after_bytes == 0:
        raise cut(request)
    error = fault.error()
    if error is not None:
        raise error
