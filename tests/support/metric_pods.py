"""Pods of which only the metrics page exists, each on a loopback address of its own, all on one port."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from aiohttp import web

from tests.support.object_yaml import documents, pod_yaml, pool_yaml

FIRST_HOST = 2
PER_NETWORK = 250
TRIES = 20


class MetricPods:
    """`waiting` may be changed at any time; pods are `vllm-0`, `vllm-1`, ..."""

    def __init__(self, hosts: Sequence[str], port: int) -> None:
        self.hosts = hosts
        self.port = port
        self.waiting = dict.fromkeys(hosts, 0)

    def destination(self, number: int) -> str:
        """`ip:port` of a pod."""
        return f"{self.hosts[number]}:{self.port}"

    @property
    def destinations(self) -> list[str]:
        """Of all pods."""
        return [self.destination(number) for number in range(len(self.hosts))]

    def pool_yaml(self) -> str:
        """The InferencePool."""
        return pool_yaml(ports=(self.port,))

    def pods_yaml(self, *numbers: int) -> str:
        """These pods; all without an argument."""
        chosen = numbers or range(len(self.hosts))
        return documents(*(pod_yaml(f"vllm-{number}", self.hosts[number]) for number in chosen))

    def page(self, host: str) -> str:
        """What vLLM would say."""
        return (
            f'vllm:num_requests_waiting{{model_name="m"}} {self.waiting[host]}\n'
            'vllm:num_requests_running{model_name="m"} 0\n'
            'vllm:kv_cache_usage_perc{model_name="m"} 0\n'
        )


@asynccontextmanager
async def metric_pods(count: int) -> AsyncIterator[MetricPods]:
    """Serves the pages until the end."""
    hosts = [f"127.0.{number // PER_NETWORK}.{FIRST_HOST + number % PER_NETWORK}" for number in range(count)]
    pods = MetricPods(hosts, 0)

    async def answer(request: web.Request) -> web.Response:
        assert request.transport is not None
        return web.Response(text=pods.page(request.transport.get_extra_info("sockname")[0]))

    application = web.Application()
    application.router.add_get("/metrics", answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        pods.port = await _listen(runner, hosts)
        yield pods
    finally:
        await runner.cleanup()


async def _listen(runner: web.AppRunner, hosts: Sequence[str]) -> int:
    """One port that is free on every address."""
    for _ in range(TRIES):
        first = web.TCPSite(runner, hosts[0], 0)
        await first.start()
        port = int(runner.addresses[-1][1])
        try:
            for host in hosts[1:]:
                await web.TCPSite(runner, host, port).start()
        except OSError:
            for site in list(runner.sites):
                await site.stop()
        else:
            return port
    raise AssertionError(f"no port in {TRIES} is free on all of {len(hosts)} addresses from {hosts[0]}")
