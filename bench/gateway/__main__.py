"""The picker behind a real Envoy, measured: CPU per request beside Envoy's, added latency, memory, errors.

    python -m bench.gateway                            everything, in less than a quarter of an hour
    python -m bench.gateway --quick                    the most important cases, in about a minute
    python -m bench.gateway --only "grpcio: 0.8 KB"    cases whose name holds the text, and what they need
    python -m bench.gateway --list                     names of all cases
    python -m bench.gateway --write-docs               docs/performance.md and its plot with these figures
    python -m bench.gateway --from results.json        the report of an earlier run

Everything runs on 127.0.0.0/8 and ends with the run, on Ctrl-C too. Exit code 1: a request failed, went where the
picker had not said, or passed by it, as answers and Envoy's counters tell.
"""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from bench.gateway.cases import QUICK, USUAL, Case, all_cases, selected
from bench.gateway.findings import Findings
from bench.gateway.machine import this_machine
from bench.gateway.progress import CaseProgress
from bench.gateway.report import write_report
from bench.gateway.runner import Runner
from bench.gateway.steps import measure_steps

DOCS = Path(__file__).resolve().parents[2] / "docs"
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.gateway", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer cases, shorter")
    parser.add_argument("--only", action="append", default=[], metavar="TEXT", help="may be given several times")
    parser.add_argument("--list", action="store_true", help="print the names of the cases, measure nothing")
    parser.add_argument("--write-docs", action="store_true", help="write docs/performance.md and docs/performance.svg")
    parser.add_argument("--from", dest="source", type=Path, metavar="FILE", help="JSON of an earlier run")
    options = parser.parse_args(arguments)
    if options.write_docs and (options.quick or options.only):
        parser.error("--write-docs wants the whole run: not with --quick or --only")
    cases = selected(all_cases(quick=options.quick), options.only)
    if options.list:
        sys.stdout.writelines(f"{case.name}\n" for case in cases)
        return 0
    if options.source:
        findings = msgspec.json.decode(options.source.read_bytes(), type=Findings)
    elif not cases:
        parser.error(f"no case has {' or '.join(options.only)} in its name; --list shows the names")
    else:
        try:
            findings = _measured(cases, quick=options.quick, everything=not options.only)
        except KeyboardInterrupt:
            sys.stderr.write("interrupted; everything that was started has been ended\n")
            return INTERRUPTED
    folder = Path(tempfile.mkdtemp(prefix="epp-bench-report-"))
    sys.stdout.write(write_report(findings, folder, docs=DOCS if options.write_docs else None))
    return 1 if findings.problems else 0


def _measured(cases: Sequence[Case], *, quick: bool, everything: bool) -> Findings:
    durations = QUICK if quick else USUAL
    with CaseProgress(cases, durations) as progress:
        runner = Runner(durations, progress.begin)
        asyncio.run(runner.run(cases))
        steps = measure_steps(progress.note) if everything and not quick else ()
    return Findings(this_machine(), tuple(runner.findings), tuple(runner.missing), steps, quick=quick)


if __name__ == "__main__":
    sys.exit(main())
