"""Producers: which plugins consume what, and the order in which producers must run.

A consumer may name its producer, for some needs also one of a type that is never taken unnamed (prefix matches of a
burst). Otherwise the declared producer of the needed type is taken, or a declared one of the other type that will do
(precise in place of approximate prefix matches); when there is none, one is made with the consumer's own parameters
(prefix-cache-scorer of v1.0 to v1.4) and shared by equal consumers.
"""

from collections.abc import Iterable

import msgspec

from epp.core.config.catalogue import Need
from epp.core.config.mistakes import did_you_mean
from epp.core.config.plugins import Declared, PluginTable


class NeedResolver:
    """Walks from consumers to producers, depth first, so that a producer comes after those that it needs itself."""

    def __init__(self, table: PluginTable) -> None:
        self._table = table
        self._order: list[str] = []
        self._visited: set[str] = set()
        self._under_way: list[str] = []

    def resolve(self, consumers: Iterable[str]) -> tuple[str, ...]:
        """Completes the settings of the consumers and all that they need; returns the producers in running order."""
        for name in consumers:
            self._visit(name)
        return tuple(self._order)

    def _visit(self, name: str) -> None:
        if name in self._visited:
            return
        self._visited.add(name)
        self._under_way.append(name)
        consumer = self._table[name]
        for need in consumer.type.needs(consumer.settings.parameters):
            producer = self._producer_for(consumer, need)
            if producer is None:
                continue
            producer.is_used = True
            found = producer.settings.name
            if found in self._under_way:
                circle = " -> ".join([*self._under_way[self._under_way.index(found) :], found])
                self._table.findings.mistake(consumer.path, f"plugins need one another in a circle: {circle}")
                continue
            self._bind(consumer, need, found)
            self._visit(found)
            if found not in self._order:
                self._order.append(found)
        self._under_way.pop()

    def _bind(self, consumer: Declared, need: Need, producer: str) -> None:
        settings = consumer.settings
        consumer.settings = msgspec.structs.replace(
            settings,
            parameters=msgspec.structs.replace(settings.parameters, **{need.field: producer}),
            needs=(*settings.needs, producer),
        )

    def _producer_for(self, consumer: Declared, need: Need) -> Declared | None:
        named: str = getattr(consumer.settings.parameters, need.field)
        if named:
            return self._named(consumer, need, named)
        present = self._table.of_type(need.type)
        declared = [producer for producer in present if producer.path] or self._other(need)
        if not declared:
            return self._made(consumer, need, present)
        same_name = [producer for producer in declared if producer.settings.name == producer.type.name]
        if len(declared) > 1 and not same_name:
            names = ", ".join(repr(producer.settings.name) for producer in declared)
            problem = f"several plugins of type {declared[0].type.name} are declared: {names}"
            suggestion = f"name one of them in {_written(consumer, need)}"
            self._table.findings.mistake((*consumer.path, "parameters"), problem, suggestion)
            return None
        self._note_overruled(consumer, need, (same_name or declared)[0])
        return (same_name or declared)[0]

    def _other(self, need: Need) -> list[Declared]:
        """The declared ones of the other type."""
        return [producer for producer in self._table.of_type(need.or_type) if producer.path] if need.or_type else []

    def _named(self, consumer: Declared, need: Need, name: str) -> Declared | None:
        path = (*consumer.path, "parameters", _written(consumer, need))
        usable = (*self._table.of_type(need.type), *self._other(need), *self._table.of_type(need.or_named))
        if not self._table.knows(name):
            known = [producer.settings.name for producer in usable if producer.path]
            self._table.findings.mistake(path, f"no plugin is named {name!r}", did_you_mean(name, known))
            return None
        found = next((producer for producer in usable if producer.settings.name == name), None)
        if found is None:
            self._table.findings.mistake(path, f"{name!r} is not a plugin of type {need.type}")
            return None
        self._note_overruled(consumer, need, found)
        return found

    def _made(self, consumer: Declared, need: Need, present: list[Declared]) -> Declared | None:
        if need.created_with is None:
            return None
        for producer in present:
            if need.takes_any or producer.settings.parameters == need.created_with:
                return producer
        return self._table.fill_in(need.type, need.created_with, qualifier=consumer.settings.name)

    def _note_overruled(self, consumer: Declared, need: Need, producer: Declared) -> None:
        """The consumer's parameters for a producer of its own count for nothing beside a declared one."""
        if need.created_with is not None and need.created_with != type(need.created_with)():
            text = f"the index parameters here have no effect: those of {producer.settings.name!r} count"
            self._table.findings.notice((*consumer.path, "parameters"), text)


def _written(consumer: Declared, need: Need) -> str:
    """The name that the field has in the file."""
    fields = msgspec.structs.fields(consumer.settings.parameters)
    return next(field.encode_name for field in fields if field.name == need.field)
