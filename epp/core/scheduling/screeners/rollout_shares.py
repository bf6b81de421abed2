"""How many ready pods each revision of a rollout has per role, and what share of the requests it may take.

A revision is covered when every required role has a pod in it. The weight of a covered revision is

    sum:       its pods of all required roles
    max-role:  its pods of the role that has the most pods over all covered revisions; the first such role of the list
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence

from epp.core.domain.endpoint import Endpoint

Weights = Mapping[str, int]
"""by revision; those that are not covered have none"""


def revision_weights(
    endpoints: Sequence[Endpoint],
    in_scope: Callable[[Mapping[str, str]], bool],
    labels: tuple[str, str],
    roles: Sequence[str],
    *,
    by_largest_role: bool,
) -> Weights:
    """Weights of the covered revisions; `labels` are the keys of revision and role. Ranks of a pod count once."""
    pods = {(endpoint.namespace, endpoint.pod): endpoint.labels for endpoint in endpoints}
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    revision_key, role_key = labels
    for of_pod in pods.values():
        revision, role = of_pod.get(revision_key), of_pod.get(role_key)
        if revision and role and in_scope(of_pod):
            counts[revision][role] += 1
    covered = {revision: count for revision, count in counts.items() if all(count[role] for role in roles)}
    if by_largest_role:
        role = max(roles, key=lambda role: sum(count[role] for count in covered.values()))
        return {revision: count[role] for revision, count in covered.items()}
    return {revision: sum(count[role] for role in roles) for revision, count in covered.items()}
