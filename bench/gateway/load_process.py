"""Runs the load generator as a child process, which ends with its run, with its time, or with us."""

import asyncio
import sys
from pathlib import Path

import msgspec

from bench.gateway.load import LoadPlan, LoadResult
from epp.lab.child_process import LOG_TAIL_LINES, bound_to_parent

START_S = 30.0
"""what a start and a look at the last answers may take on a busy machine"""


class LoadError(Exception):
    """The generator ended without a result; the message carries the end of its output."""


async def run_load(plan: LoadPlan, directory: Path) -> LoadResult:
    """One run of the plan, with its files in `directory`; raises LoadError."""
    plan_path, result_path, log_path = (directory / f"load{ending}" for ending in (".json", ".result.json", ".log"))
    plan_path.write_bytes(msgspec.json.encode(plan))
    result_path.unlink(missing_ok=True)
    command = [sys.executable, "-m", "bench.gateway.load", str(plan_path), str(result_path)]
    with log_path.open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *bound_to_parent(command),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    most_s = plan.warm_up_s + plan.duration_s + plan.drain_s + START_S
    try:
        code = await asyncio.wait_for(process.wait(), most_s)
    except TimeoutError:
        raise LoadError(f"the load generator had not ended after {most_s:g} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if code or not result_path.exists():
        tail = "\n".join(log_path.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:])
        raise LoadError(f"the load generator ended with code {code}:\n{tail}")
    return msgspec.json.decode(result_path.read_bytes(), type=LoadResult)
