"""The model that a request is served by: rules, header, client, in that order."""

from random import Random

import pytest

from epp.core.domain.model_rewrite import InferenceModelRewrite, RewriteRule, RewriteTarget
from epp.core.domain.request import InferenceRequest, ModelField
from epp.core.routing.model_rewrite import TARGET_MODEL_HEADERS, may_rewrite, rewritten
from epp.core.state.rewrite_table import NO_REWRITES, RewriteTable

EXACT = RewriteRule(("alias",), (RewriteTarget("target"),))
GENERIC = RewriteRule((), (RewriteTarget("fallback"),))
OLD, NEW = "x-gateway-model-name-rewrite", "x-llm-d-model-name-rewrite"
BY_HEADER = {OLD: "named"}


def table(*rules: RewriteRule) -> RewriteTable:
    return RewriteTable.of([InferenceModelRewrite("default", "rules", "pool", rules)])


def asked(
    model: str = "alias", headers: dict[str, str] | None = None, field: ModelField = ModelField.REQUIRED
) -> InferenceRequest:
    return InferenceRequest("r", model=model, target_model=model, model_field=field, headers=headers or {})


@pytest.mark.parametrize(
    ("request_", "rules", "target", "name"),
    [
        (asked(), NO_REWRITES, "alias", ""),
        (asked(), table(EXACT), "target", "rules"),
        (asked("other"), table(EXACT), "other", ""),
        (asked("other"), table(EXACT, GENERIC), "fallback", "rules"),
        (asked(headers=BY_HEADER), NO_REWRITES, "named", ""),
        (asked("other", BY_HEADER), table(EXACT), "named", ""),
        (asked(headers=BY_HEADER), table(EXACT), "target", "rules"),
        (asked("other", BY_HEADER), table(GENERIC), "fallback", "rules"),
        (asked(headers={OLD: "old", NEW: "new"}), NO_REWRITES, "new", ""),
        (asked(headers={OLD: "old", NEW: ""}), NO_REWRITES, "old", ""),
        (asked(headers={OLD: ""}), NO_REWRITES, "alias", ""),
        (asked(""), table(GENERIC), "fallback", "rules"),
        (asked("", field=ModelField.OPTIONAL), table(GENERIC), "fallback", "rules"),
        (asked("", BY_HEADER), NO_REWRITES, "named", ""),
        (asked("alias", field=ModelField.NONE), table(EXACT), "target", "rules"),
    ],
)
def test_the_target(request_: InferenceRequest, rules: RewriteTable, target: str, name: str) -> None:
    decided = rewritten(request_, rules, Random(1))
    assert (decided.target_model, decided.model_rewrite) == (target, name)
    assert decided.model == request_.model, "the client's name stays"
    assert may_rewrite(request_, rules) == (bool(name) or target == "named" or target in {"new", "old"})


@pytest.mark.parametrize("headers", [{}, BY_HEADER])
def test_a_body_without_room_for_a_model_is_left_alone(headers: dict[str, str]) -> None:
    request = asked("", headers, ModelField.NONE)
    assert rewritten(request, table(EXACT, GENERIC), Random(1)) is request
    assert not may_rewrite(request, table(EXACT, GENERIC))


@pytest.mark.parametrize(
    ("rules", "headers", "is_due"),
    [
        (table(GENERIC), {}, True),
        (NO_REWRITES, BY_HEADER, True),
        (table(EXACT), {}, False),
        (NO_REWRITES, {}, False),
    ],
)
def test_a_body_that_is_not_shown_cannot_be_rewritten(
    rules: RewriteTable, headers: dict[str, str], is_due: bool
) -> None:
    request = asked("", headers, ModelField.UNSEEN)
    assert rewritten(request, rules, Random(1)) is request
    assert may_rewrite(request, rules) is is_due


def test_nothing_is_made_anew_where_nothing_is_rewritten() -> None:
    request = asked()
    assert rewritten(request, NO_REWRITES, Random(1)) is request


@pytest.mark.parametrize(("value", "name"), [("modèle".encode().decode("latin-1"), "modèle"), ("mod\xe8le", "modèle")])
@pytest.mark.parametrize("header", TARGET_MODEL_HEADERS)
def test_a_name_in_a_header_may_be_utf8(header: str, value: str, name: str) -> None:
    assert rewritten(asked(headers={header: value}), NO_REWRITES, Random(1)).target_model == name
