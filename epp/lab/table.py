"""The live table of the local stack: what each pod does, who gets the picks, and why the last one went where."""

import json
from collections.abc import Mapping, Sequence

import msgspec
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from epp.edge.observe.explained import ExplainedDecision
from epp.edge.observe.pool_reading import EndpointReading
from epp.lab.plan import ADAPTERS


class Tally(msgspec.Struct):
    """What the sample traffic has met so far."""

    sent: int = 0
    ok: int = 0
    refused: int = 0
    """answered with an error of the picker or the pod"""
    failed: int = 0
    """cut, or never answered"""
    bypassed: int = 0
    """let through by Envoy without the picker"""


class View(msgspec.Struct, frozen=True):
    """One moment of the stack."""

    url: str
    endpoints: Sequence[EndpointReading]
    picks: Mapping[str, int]
    """by destination, since the start"""
    last: ExplainedDecision | None
    tally: Tally
    picker_is_up: bool = True


def curl_line(url: str) -> str:
    """A request that can be pasted into a shell."""
    body = json.dumps({"model": ADAPTERS[0], "prompt": "Is this soup any good?", "max_tokens": 20, "temperature": "0"})
    return f"curl -i -X POST {url}/v1/completions -H 'Content-Type: application/json' -d '{body}'"


def render(view: View) -> RenderableType:
    """The table, a line about the last decision, totals, and the curl line."""
    return Group(_pods(view), _last(view.last), _totals(view), Text(curl_line(view.url), style="dim", no_wrap=False))


def _pods(view: View) -> Table:
    weights = view.last.weights if view.last else {}
    scores = {row.destination: row for row in view.last.candidates} if view.last else {}
    picked = view.last.picked.destination if view.last and view.last.picked else ""
    table = Table(title="endpoint picker, local stack", title_justify="left", expand=False)
    for name in ("pod", "address"):
        table.add_column(name)
    for name in ("queue", "running", "KV", "in flight", "picks"):
        table.add_column(name, justify="right")
    table.add_column("adapters")
    for scorer, weight in weights.items():
        table.add_column(f"{_short(scorer)} ×{weight:g}", justify="right")
    table.add_column("total", justify="right")
    for endpoint in view.endpoints:
        candidate = scores.get(endpoint.destination)
        table.add_row(
            endpoint.pod,
            endpoint.destination,
            f"{endpoint.waiting:g}",
            f"{endpoint.running:g}",
            f"{endpoint.kv_usage:.0%}",
            str(endpoint.in_flight),
            str(view.picks.get(endpoint.destination, 0)),
            ", ".join(endpoint.running_adapters) or "-",
            *(f"{candidate.scores[scorer]:.2f}" if candidate else "-" for scorer in weights),
            f"{candidate.total:.2f}" if candidate else "-",
            style=_style(endpoint, is_picked=endpoint.destination == picked),
        )
    return table


def _style(endpoint: EndpointReading, *, is_picked: bool) -> str:
    if is_picked:
        return "bold green"
    return "dim" if endpoint.stale or endpoint.cooling else ""


def _short(plugin: str) -> str:
    return plugin.removesuffix("-scorer").removesuffix("-utilization")


def _last(last: ExplainedDecision | None) -> Text:
    if last is None or last.picked is None:
        return Text("no decision yet")
    return Text(
        f"last decision: {last.request_id} ({last.model}, priority {last.priority}, about {last.prompt_tokens} prompt "
        f"tokens) went to {last.picked.destination}"
    )


def _totals(view: View) -> Text:
    tally = view.tally
    text = Text(f"sent {tally.sent}, answered {tally.ok}, refused {tally.refused}, failed {tally.failed}")
    text.append(f", bypassed the picker {tally.bypassed}", style="bold red" if tally.bypassed else "")
    if not view.picker_is_up:
        text.append("   the picker is down: Envoy lets requests through", style="bold red")
    return text
