"""Reads a page of metrics with prometheus_client's own parser."""

from collections.abc import Mapping

from prometheus_client.parser import text_string_to_metric_families

Labels = frozenset[tuple[str, str]]


class ParsedPage:
    """Samples by name and labels, types by family."""

    def __init__(self, content: bytes) -> None:
        self.types: dict[str, str] = {}
        self.samples: dict[str, dict[Labels, float]] = {}
        for family in text_string_to_metric_families(content.decode("utf-8")):
            self.types[family.name] = family.type
            for sample in family.samples:
                values = self.samples.setdefault(sample.name, {})
                labels = frozenset(sample.labels.items())
                assert labels not in values, f"{sample.name}{dict(labels)} is there twice"
                values[labels] = sample.value

    def value(self, name: str, labels: Mapping[str, str] | None = None) -> float | None:
        """The value of the sample with exactly these labels, None without it."""
        return self.samples.get(name, {}).get(frozenset((labels or {}).items()))

    def label_values(self, name: str, label: str) -> set[str]:
        """All values of one label."""
        return {dict(labels)[label] for labels in self.samples.get(name, {})}
