"""How many bytecodes of Python one buffered request takes inside the picker, by function.

    python -m bench.request_steps --endpoints 10 --prompt-bytes 800

Times waver by a third on a machine that does other things; these counts are the same in every run, so that a change of
a few percent shows. A bytecode takes some 7 ns here, with what it calls in C. Nothing here is asserted.
"""

import argparse
import asyncio
import sys
from collections import Counter
from types import CodeType, FrameType
from typing import Any, Self

from bench.request_path import Discard, body_message, headers_message, response_message, services
from epp.edge.extproc.executor import StreamExecutor

WARM_UP = 50


class Steps:
    """Counts while it is entered (with statement); slows everything down by far."""

    def __init__(self) -> None:
        self.bytecodes: Counter[CodeType] = Counter()
        self.calls: Counter[CodeType] = Counter()

    def __enter__(self) -> Self:
        sys.settrace(self._called)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)

    def _called(self, frame: FrameType, _event: str, _argument: object) -> Any:
        frame.f_trace_lines, frame.f_trace_opcodes = False, True
        self.calls[frame.f_code] += 1
        return self._stepped

    def _stepped(self, frame: FrameType, event: str, _argument: object) -> Any:
        if event == "opcode":
            self.bytecodes[frame.f_code] += 1
        return self._stepped


async def count(endpoints: int, prompt_bytes: int, requests: int) -> Steps:
    """Of `requests` requests, one after the other, after some that are not counted."""
    shared = services(endpoints)
    headers, answered = headers_message(), response_message()

    async def one(number: int) -> None:
        stream = StreamExecutor(shared, Discard())
        stream.message_received(headers)
        stream.message_received(body_message(number, prompt_bytes))
        stream.message_received(answered)
        stream.closed()
        await asyncio.sleep(0)

    for number in range(WARM_UP):
        await one(number)
    with Steps() as steps:
        for number in range(WARM_UP, WARM_UP + requests):
            await one(number)
    return steps


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--endpoints", type=int, default=10)
    parser.add_argument("--prompt-bytes", type=int, default=800)
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--functions", type=int, default=30, help="how many are shown")
    options = parser.parse_args()
    steps = asyncio.run(count(options.endpoints, options.prompt_bytes, options.requests))
    of = {code: number for code, number in steps.bytecodes.items() if "/bench/" not in code.co_filename}
    total, calls = sum(of.values()), sum(steps.calls[code] for code in of)
    lines = [f"{total / options.requests:9.0f} bytecodes and {calls / options.requests:.0f} calls a request\n"]
    for code, number in sorted(of.items(), key=lambda one: -one[1])[: options.functions]:
        called = steps.calls[code] / options.requests
        place = "/".join(code.co_filename.split("/")[-2:])
        lines.append(f"{number / options.requests:9.1f} in {called:5.2f} calls  {code.co_qualname}  ({place})\n")
    sys.stdout.writelines(lines)


if __name__ == "__main__":
    main()
