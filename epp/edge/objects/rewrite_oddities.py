"""What rewrites of one pool do that their authors may not expect: rules that never count, shares of nothing.

A fleet of generated objects may contradict itself ten thousand times: one notice per pair of objects is enough.
"""

from collections.abc import Iterator, Sequence

from epp.core.domain.model_rewrite import RewriteRule
from epp.edge.objects.decode_rewrite import RewriteObject
from epp.edge.objects.findings import Notice

MOST_MODELS_NAMED = 3
MOST_NOTICES = 100
"""of one state of the objects"""
GENERIC = ""
"""stands for a generic rule; no model has an empty name"""


def rewrite_oddities(rewrites: Sequence[RewriteObject]) -> Iterator[Notice]:
    """Notices about the rewrites of one pool, which come in order of precedence."""
    for count, notice in enumerate(_oddities(rewrites)):
        if count == MOST_NOTICES:
            yield Notice(notice.source, "and further oddities of InferenceModelRewrites, here and elsewhere")
            return
        yield notice


def _oddities(rewrites: Sequence[RewriteObject]) -> Iterator[Notice]:
    deciding: dict[str, tuple[RewriteObject, RewriteRule]] = {}
    for found in rewrites:
        lost: dict[int, tuple[RewriteObject, list[str]]] = {}
        for rule in found.rewrite.rules:
            for model in rule.models or (GENERIC,):
                owner, first = deciding.setdefault(model, (found, rule))
                if first is not rule:
                    lost.setdefault(id(owner), (owner, []))[1].append(model)
        yield from (_overruled(found, owner, models) for owner, models in lost.values())
        yield from _shares_of_nothing(found)


def _overruled(found: RewriteObject, owner: RewriteObject, models: list[str]) -> Notice:
    named = ", ".join(repr(model) if model else "every model (no matches)" for model in models[:MOST_MODELS_NAMED])
    more = f" and {len(models) - MOST_MODELS_NAMED} more" if len(models) > MOST_MODELS_NAMED else ""
    if owner is found:
        text = f"an earlier rule of the same object decides about {named}{more}; the later one never counts"
    else:
        rewrite = owner.rewrite
        other = f"{rewrite.namespace}/{rewrite.name} at {owner.origin}"
        text = f"{other} rewrites {named}{more} too; it {_reason(found, owner)} and counts"
    return _notice(found, text)


def _reason(found: RewriteObject, owner: RewriteObject) -> str:
    if found.rewrite.created_at == owner.rewrite.created_at:
        return "has the first name of equally old ones"
    return "is older"


def _shares_of_nothing(found: RewriteObject) -> Iterator[Notice]:
    if not found.rewrite.rules:
        yield _notice(found, "it has no rules and rewrites nothing")
    for number, rule in enumerate(found.rewrite.rules):
        without = [target.model for target in rule.targets if target.weight is None]
        if without and len(without) < len(rule.targets):
            named = ", ".join(map(repr, without[:MOST_MODELS_NAMED]))
            yield _notice(found, f"rules[{number}]: {named} without a weight beside targets with one gets no request")


def _notice(found: RewriteObject, text: str) -> Notice:
    name = f"InferenceModelRewrite {found.rewrite.namespace}/{found.rewrite.name}"
    return Notice(found.origin.source, f"{name}: {text}", found.origin.line)
