"""Resources of an API server: where they lie, and which part of them is wanted."""

from urllib.parse import quote

import msgspec

from epp.core.domain.pool import POOL_GROUP
from epp.edge.objects.decode_pool import ALPHA_POOL_GROUP

LLM_D_GROUP = "llm-d.ai"
POOL_VERSIONS = {POOL_GROUP: "v1", ALPHA_POOL_GROUP: "v1alpha2"}
"""version of InferencePool by its group"""


class Resource(msgspec.Struct, frozen=True):
    """A kind of object in one namespace, restricted by selectors that the server applies."""

    group: str
    """empty for the core group"""
    version: str
    plural: str
    kind: str
    namespace: str
    label_selector: str = ""
    field_selector: str = ""

    @property
    def api_version(self) -> str:
        """As objects write it."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def path(self) -> str:
        """Of the collection."""
        root = f"/apis/{self.group}" if self.group else "/api"
        return f"{root}/{self.version}/namespaces/{quote(self.namespace, safe='')}/{self.plural}"

    @property
    def title(self) -> str:
        """As RBAC writes it: `pods`, `inferencepools.inference.networking.k8s.io`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def name_of(self, name: str) -> str:
        """What messages call one object; unique among all resources."""
        return f"{self.title} {self.namespace}/{name}"

    @property
    def query(self) -> tuple[tuple[str, str], ...]:
        """The selectors as parameters."""
        given = (("labelSelector", self.label_selector), ("fieldSelector", self.field_selector))
        return tuple((name, value) for name, value in given if value)


def pools(group: str, namespace: str, name: str) -> Resource:
    """The one InferencePool of that name; `group` is one of POOL_VERSIONS."""
    one = f"metadata.name={name}"
    return Resource(group, POOL_VERSIONS[group], "inferencepools", "InferencePool", namespace, field_selector=one)


def pods(namespace: str, label_selector: str) -> Resource:
    """Pods with these labels."""
    return Resource("", "v1", "pods", "Pod", namespace, label_selector=label_selector)


def attached(namespace: str) -> tuple[Resource, ...]:
    """What names its pool itself, in each group that has it."""
    kinds = (("inferenceobjectives", "InferenceObjective"), ("inferencemodelrewrites", "InferenceModelRewrite"))
    return tuple(
        Resource(group, "v1alpha2", plural, kind, namespace)
        for group in (LLM_D_GROUP, ALPHA_POOL_GROUP)
        for plural, kind in kinds
    )
