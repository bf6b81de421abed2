"""request-attribute-reporter: gives the gateway a number worked out of an answer's token usage.

number = expression, a part of the Common Expression Language (see epp.core.cel) over `usage`, cut to a whole number; as
dynamic metadata `key.namespace` / `key.name` with the last message of the answer. Nothing is reported where condition
is false, the number is 0, or the usage lacks a field that is needed.

| field of `usage`                      | unit   | from                                        |
| ------------------------------------- | ------ | ------------------------------------------- |
| `prompt_tokens`, `completion_tokens`  | tokens | the answer                                  |
| `total_tokens`                        | tokens | their sum, where the answer has one of them |
| `prompt_tokens_details.cached_tokens` | tokens | the answer                                  |

Source: request-attribute-reporter of the reference endpoint picker.
"""

import math

from epp.core.cel import CelError, Fields, compile_expression
from epp.core.config.parameters import Text
from epp.core.config.structure import Section
from epp.core.domain.decision import MetadataNumber
from epp.core.domain.ports import TokenUsage

PROMPT, COMPLETION, TOTAL = "prompt_tokens", "completion_tokens", "total_tokens"
CACHED = "prompt_tokens_details.cached_tokens"
KNOWN = frozenset((PROMPT, COMPLETION, TOTAL, CACHED))
VARIABLE = "usage"
LARGEST = 2**53
"""whole numbers up to this one travel as they are"""


class AttributeName(Section, frozen=True):
    """Where the number stands in the dynamic metadata."""

    name: Text
    namespace: Text = "envoy.lb"


class Attribute(Section, frozen=True):
    """`condition` empty: always."""

    key: AttributeName
    expression: Text
    condition: str = ""

    def __post_init__(self) -> None:
        compile_expression(self.expression, VARIABLE, KNOWN)
        if self.condition:
            compile_expression(self.condition, VARIABLE, KNOWN)


class RequestAttributeReporterParameters(Section, frozen=True):
    """Exactly one attribute, as in the reference."""

    attributes: tuple[Attribute, ...]

    def __post_init__(self) -> None:
        if len(self.attributes) != 1:
            raise ValueError("attributes must contain exactly one entry")


class RequestAttributeReporter:
    """See the module."""

    def __init__(self, parameters: RequestAttributeReporterParameters) -> None:
        (attribute,) = parameters.attributes
        self._key = attribute.key
        self._value = compile_expression(attribute.expression, VARIABLE, KNOWN)
        self._condition = compile_expression(attribute.condition or "true", VARIABLE, KNOWN)

    def report(self, usage: TokenUsage) -> MetadataNumber | None:
        """See the module."""
        fields = usage_fields(usage)
        try:
            if self._condition(fields) is not True:
                return None
            value = self._value(fields)
        except CelError:  # an answer without that field is nothing unusual: not every API counts everything
            return None
        if isinstance(value, bool) or not math.isfinite(value) or abs(value) > LARGEST or not int(value):
            return None
        return MetadataNumber(self._key.namespace, self._key.name, int(value))


def usage_fields(usage: TokenUsage) -> Fields:
    """The fields of `usage` that the answer has."""
    counts = {PROMPT: usage.prompt_tokens, COMPLETION: usage.completion_tokens, CACHED: usage.cached_tokens}
    if usage.prompt_tokens is not None or usage.completion_tokens is not None:
        counts[TOTAL] = (usage.prompt_tokens or 0) + (usage.completion_tokens or 0)
    return {path: float(count) for path, count in counts.items() if count is not None}
