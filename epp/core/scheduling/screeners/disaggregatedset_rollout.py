"""disaggregatedset-rollout-screener: a request stays within one revision of a prefill/decode rollout.

1. A strict header selector: where the request has the header, only endpoints whose label has that value stay.
2. Revision gating (mode sum or max-role): one covered revision is drawn with probability weight / sum of weights (see
   rollout_shares), among those that have a candidate; only its endpoints stay. A request that names its revision by a
   strict header is not drawn for, but its revision must be covered.
3. The response gets the served endpoint's label of every header selector, strict or prefer, in that header.

Source: disaggregatedset-rollout-screener of the reference endpoint picker. It counts all pods of the namespace within
scope; here those of the pool are counted, so that the pool must hold every required role.
"""

from collections.abc import Callable
from functools import partial
from typing import Literal

import numpy as np

from epp.core.config.parameters import Text
from epp.core.config.structure import Section
from epp.core.domain.endpoint import Endpoint
from epp.core.scheduling.cycle import Candidates, Cycle
from epp.core.scheduling.per_snapshot import PerSnapshot
from epp.core.scheduling.screeners.rollout_shares import Weights, revision_weights
from epp.core.scheduling.selector_text import parse_selector
from epp.core.state.snapshot import PoolSnapshot


class Scope(Section, frozen=True):
    """Which pods count."""

    label_selector: Text

    def __post_init__(self) -> None:
        parse_selector(self.label_selector)


class HeaderSelector(Section, frozen=True):
    """`strict` leaves only endpoints with the label; `prefer` leaves that to header-label-affinity-scorer."""

    name: Text
    header_name: Text
    label_key: Text
    mode: Literal["strict", "prefer"]


class RequireRoles(Section, frozen=True):
    """Roles without which a revision cannot serve."""

    values: tuple[Text, ...] = ()


class RevisionGating(Section, frozen=True):
    """How a revision is chosen."""

    mode: Literal["sum", "max-role", "disabled"]
    require_roles: RequireRoles = RequireRoles()
    revision_label_key: Text = "disaggregatedset.x-k8s.io/revision"
    role_label_key: Text = "disaggregatedset.x-k8s.io/role"

    def __post_init__(self) -> None:
        if self.mode != "disabled" and not self.require_roles.values:
            raise ValueError(f"the mode {self.mode} needs requireRoles.values")


class DisaggregatedSetRolloutParameters(Section, frozen=True):
    """Names and defaults of the reference."""

    scope: Scope
    revision_gating: RevisionGating
    header_selectors: tuple[HeaderSelector, ...] = ()


class DisaggregatedSetRolloutScreener:
    """See the module."""

    def __init__(self, parameters: DisaggregatedSetRolloutParameters) -> None:
        gating = parameters.revision_gating
        self._gating = gating
        self._in_scope = parse_selector(parameters.scope.label_selector).selects
        self._weights: PerSnapshot[Weights] = PerSnapshot(self._count)
        self._strict = tuple(
            (selector.header_name.lower(), selector.label_key)
            for selector in parameters.header_selectors
            if selector.mode == "strict"
        )
        self._stamps = tuple(
            partial(_stamp, selector.header_name.lower(), selector.label_key)
            for selector in parameters.header_selectors
        )

    @property
    def stamps(self) -> tuple[Callable[[Endpoint], tuple[str, str] | None], ...]:
        """Labels of the endpoint that served, for the response."""
        return self._stamps

    def screen(self, cycle: Cycle, candidates: Candidates) -> Candidates:
        """See the module."""
        named_revision = None
        for header, key in self._strict:
            wanted = cycle.request.headers.get(header)
            if wanted:
                candidates = _with_label(candidates, key, wanted)
                named_revision = wanted if key == self._gating.revision_label_key else named_revision
        if self._gating.mode == "disabled" or not len(candidates):
            return candidates
        weights = self._weights.of(cycle.snapshot)
        key = self._gating.revision_label_key
        if named_revision is not None:
            return candidates if named_revision in weights else candidates.keep([])
        present = {endpoint.labels.get(key, "") for endpoint in candidates.endpoints}
        eligible = [(revision, weight) for revision, weight in sorted(weights.items()) if revision in present]
        if not eligible:
            return candidates.keep([])
        revisions, shares = zip(*eligible, strict=True)
        (drawn,) = cycle.rng.choices(revisions, shares)
        return _with_label(candidates, key, drawn)

    def _count(self, snapshot: PoolSnapshot) -> Weights:
        gating = self._gating
        if gating.mode == "disabled":
            return {}
        return revision_weights(
            snapshot.endpoints,
            self._in_scope,
            (gating.revision_label_key, gating.role_label_key),
            gating.require_roles.values,
            by_largest_role=gating.mode == "max-role",
        )


def _with_label(candidates: Candidates, key: str, value: str) -> Candidates:
    return candidates.keep(np.array([endpoint.labels.get(key) == value for endpoint in candidates.endpoints]))


def _stamp(header: str, key: str, endpoint: Endpoint) -> tuple[str, str] | None:
    value = endpoint.labels.get(key)
    return (header, value) if value else None
