"""The model that a request is served by.

1. A rule of an InferenceModelRewrite for the client's model; a generic rule also where the body names none.
2. Else the header that names a target.
3. Else the client's model.
A body in which no model can be written, because it is not JSON or its API has no model, is left as it is.
"""

from random import Random
from typing import Final

from epp.core.domain.record import replaced
from epp.core.domain.request import InferenceRequest, ModelField
from epp.core.routing.priority import header_value
from epp.core.state.rewrite_table import RewriteTable

TARGET_MODEL_HEADERS: Final = ("x-llm-d-model-name-rewrite", "x-gateway-model-name-rewrite")
_WRITABLE: Final = frozenset((ModelField.REQUIRED, ModelField.OPTIONAL))


def may_rewrite(request: InferenceRequest, table: RewriteTable) -> bool:
    """Whether the request has to be served by a model other than its body may name.

    For a body that the proxy does not show: whether that is so whatever it names.
    """
    if not request.model and request.model_field is ModelField.NONE:
        return False
    return table.find(request.model) is not None or bool(header_value(request.headers, TARGET_MODEL_HEADERS))


def rewritten(request: InferenceRequest, table: RewriteTable, rng: Random) -> InferenceRequest:
    """The request with its final target model; the very same object when nothing rewrites it."""
    if not request.model and request.model_field not in _WRITABLE:
        return request
    targets = table.find(request.model)
    if targets is not None:
        target = targets.choose(rng)
        return replaced(request, target_model=target, model_rewrite=targets.rewrite)
    named = header_value(request.headers, TARGET_MODEL_HEADERS)
    return replaced(request, target_model=_as_utf8(named)) if named else request


def _as_utf8(value: str) -> str:
    """Header values come as Latin-1; a name that is UTF-8 is meant as such."""
    if value.isascii():
        return value
    try:
        return value.encode("latin-1").decode()
    except UnicodeError:
        return value
