"""What `epp up --once` says at its end."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from epp.lab.verdict import MOST_NAMED, Verdict


def render_verdict(verdict: Verdict) -> RenderableType:
    """Picks per pod, counters, and either "all as decided" or what went wrong."""
    table = Table(title="picks per pod", title_justify="left")
    table.add_column("pod")
    table.add_column("requests", justify="right")
    for destination, count in sorted(verdict.picks.items()):
        table.add_row(destination, str(count))
    counters = ", ".join(f"{name} {value}" for name, value in verdict.counters.items())
    lines = [
        Text(f"answered {verdict.ok} of {verdict.answered}; bypassed the picker: {verdict.bypassed}"),
        Text(f"Envoy's ext_proc counters: {counters}"),
    ]
    if not verdict.problems:
        lines.append(Text("every picked request was served by the pod that the decision named", style="bold green"))
    lines += [Text(problem, style="bold red") for problem in verdict.problems[:MOST_NAMED]]
    if len(verdict.problems) > MOST_NAMED:
        lines.append(Text(f"and {len(verdict.problems) - MOST_NAMED} more problems", style="bold red"))
    return Group(table, *lines)
