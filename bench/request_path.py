"""Cost of one buffered request inside the picker: messages in, decision, messages out, no network.

    python bench/request_path.py --endpoints 10 --prompt-bytes 800

Prints microseconds of CPU per request and the ratio to a fixed loop of pure Python measured in the same run, so that
figures of different machines can be compared. Nothing here is asserted.
"""

import argparse
import asyncio
import statistics
import sys
import time
from random import Random

from epp._pb.ext_proc_pb2 import ProcessingRequest
from epp.core.config.load import default_config
from epp.core.domain.endpoint import Endpoint
from epp.core.domain.pool import InferencePool
from epp.core.domain.ports import LoadReport, ObjectState
from epp.core.protocol.request_side import ConversationSettings
from epp.core.routing.router import Router, RoutingPolicy
from epp.core.scheduling.build import build_policy
from epp.core.scheduling.catalogue import CATALOGUE
from epp.core.scheduling.scheduler import Scheduler
from epp.core.state.ledger import InFlightLedger
from epp.core.state.roster import Roster
from epp.edge.extproc.body_budget import BodyBudget
from epp.edge.extproc.executor import StreamExecutor
from epp.edge.extproc.services import Services
from epp.edge.observe.decisions import DecisionLog
from epp.edge.observe.sink import PrometheusSink
from epp.edge.observe.tee import TeeSink

ROUNDS = 5
BUFFERED = 2
HEADERS = {
    ":method": "POST",
    ":path": "/v1/completions",
    ":authority": "models.example",
    ":scheme": "http",
    "content-type": "application/json",
    "x-request-id": "b7a0a7a2-3f0c-4a3c-9c61-1c8f2d7a5a10",
    "user-agent": "bench",
    "accept": "*/*",
    "x-forwarded-proto": "http",
}


class Discard:
    """A ServerStream that throws answers away."""

    def send(self, message: bytes, rest: bytes | memoryview = b"") -> None:
        """Nothing."""

    def finish(self) -> None:
        """Nothing."""

    def fail(self, code: object, detail: str) -> None:
        """A benchmark that fails must say so."""
        raise RuntimeError(f"{code}: {detail}")

    def pause_reading(self) -> None:
        """Nothing."""

    def resume_reading(self) -> None:
        """Nothing."""


class Faults:
    """FaultLog that raises."""

    def fault(self, event: str, request_id: str, error: BaseException) -> None:
        """A benchmark that fails must say so."""
        raise RuntimeError(f"{event} in {request_id}") from error


def services(endpoints: int) -> Services:
    """A picker with the default policy over a pool whose loads differ."""
    rng = Random(1)
    ledger = InFlightLedger()
    scheduler = Scheduler(build_policy(default_config(CATALOGUE)), ledger, rng, time.monotonic)
    roster = Roster(ledger, time.monotonic, metrics_stale_after_s=3600.0, slot_renewed=scheduler.forget_slot)
    pods = tuple(
        Endpoint.create(namespace="default", pod=f"pod-{n}", rank=0, address=f"127.95.{n // 250}.{n % 250}", port=8000)
        for n in range(endpoints)
    )
    roster.objects_changed(ObjectState(InferencePool("default", "pool", {"app": "vllm"}, (8000,)), pods))
    for pod in pods:
        roster.load_reported(pod, LoadReport(waiting=rng.randrange(4), running=8, kv_usage=rng.random()))
    router = Router(roster, scheduler, RoutingPolicy(), time.monotonic, rng)
    return Services(
        routing=router,
        metrics=TeeSink(PrometheusSink(), DecisionLog(time.time)),
        faults=Faults(),
        clock=time.monotonic,
        settings=ConversationSettings(may_rewrite=router.may_rewrite),
        budget=BodyBudget(1 << 30),
        new_request_id=lambda: "generated",
        wants_sample=lambda: False,
    )


def headers_message() -> bytes:
    """Request headers of a proxy that buffers bodies."""
    message = ProcessingRequest()
    message.protocol_config.request_body_mode = BUFFERED  # type: ignore[assignment]  # the enum's number
    for name, value in HEADERS.items():
        header = message.request_headers.headers.headers.add()
        header.key, header.raw_value = name, value.encode()
    return message.SerializeToString()


def body_message(number: int, prompt_bytes: int) -> bytes:
    """A completions body; every prompt differs from its first bytes on."""
    prompt = (f"{number:08d} what is in this document? " * (prompt_bytes // 35 + 1))[:prompt_bytes]
    message = ProcessingRequest()
    message.request_body.body = b'{"model":"base","prompt":"%b","max_tokens":64}' % prompt.encode()
    message.request_body.end_of_stream = True
    return message.SerializeToString()


def response_message() -> bytes:
    """Response headers."""
    message = ProcessingRequest()
    for name, value in {":status": "200", "content-type": "application/json", "content-length": "400"}.items():
        header = message.response_headers.headers.headers.add()
        header.key, header.raw_value = name, value.encode()
    return message.SerializeToString()


def reference_loop_s() -> float:
    """CPU seconds of a fixed piece of pure Python."""
    started = time.process_time()
    total = 0
    for number in range(200_000):
        total += number % 7
    return time.process_time() - started


async def measure(endpoints: int, prompt_bytes: int, requests: int) -> float:
    """Median over rounds: CPU seconds per request."""
    shared = services(endpoints)
    headers, answered = headers_message(), response_message()
    bodies = [body_message(number, prompt_bytes) for number in range(requests)]
    per_request = []
    for _ in range(ROUNDS):
        started = time.process_time()
        for body in bodies:
            stream = StreamExecutor(shared, Discard())
            stream.message_received(headers)
            stream.message_received(body)
            stream.message_received(answered)
            stream.closed()
            await asyncio.sleep(0)
        per_request.append((time.process_time() - started) / requests)
    return statistics.median(per_request)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="cost of one buffered request inside the picker")
    parser.add_argument("--endpoints", type=int, default=10)
    parser.add_argument("--prompt-bytes", type=int, default=800)
    parser.add_argument("--requests", type=int, default=500)
    options = parser.parse_args()
    reference = statistics.median(reference_loop_s() for _ in range(ROUNDS))
    cost = asyncio.run(measure(options.endpoints, options.prompt_bytes, options.requests))
    sys.stdout.write(
        f"{options.endpoints} endpoints, {options.prompt_bytes} byte prompts: {cost * 1e6:.0f} us per request, "
        f"{cost / reference:.4f} of the reference loop ({reference * 1e3:.1f} ms)\n"
    )


if __name__ == "__main__":
    main()
