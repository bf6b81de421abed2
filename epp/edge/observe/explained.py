"""Decisions in words: the shape of /debug/decisions."""

import msgspec


class ExplainedEndpoint(msgspec.Struct, frozen=True):
    """An endpoint by name and address."""

    name: str
    destination: str


class ExplainedCandidate(msgspec.Struct, frozen=True):
    """What the scorers said of one candidate: each score 0..1 before its weight, and the weighted sum."""

    name: str
    destination: str
    total: float
    scores: dict[str, float]


class ExplainedStage(msgspec.Struct, frozen=True):
    """A stage of the request that runs elsewhere, with what ExplainedDecision says of the pick that answers."""

    stage: str
    picked: ExplainedEndpoint
    fallbacks: list[ExplainedEndpoint]
    profile: str
    weights: dict[str, float]
    candidates: list[ExplainedCandidate]
    candidates_left_off: int


class ExplainedRefusal(msgspec.Struct, frozen=True):
    """Why there was no endpoint."""

    code: str
    message: str
    hint: str
    reason: str


class ExplainedEnd(msgspec.Struct, frozen=True):
    """How the request ended; see RequestReport."""

    outcome: str
    status: int
    served: str
    duration_s: float
    first_token_s: float | None
    response_bytes: int | None


class ExplainedDecision(msgspec.Struct, frozen=True):
    """One record, for people to read."""

    when: str
    """ISO 8601, UTC"""
    request_id: str
    model: str
    target_model: str
    model_rewrite: str
    """name of the InferenceModelRewrite that gave the target, empty without one"""
    priority: int
    fairness_id: str
    streaming: bool
    body_bytes: int
    prompt_tokens: int
    """as the picker estimated them"""
    scheduler_s: float | None
    picked: ExplainedEndpoint | None
    fallbacks: list[ExplainedEndpoint]
    profile: str
    weights: dict[str, float]
    candidates: list[ExplainedCandidate]
    """best first"""
    candidates_left_off: int
    refusal: ExplainedRefusal | None
    end: ExplainedEnd | None
    """None while the request is under way"""
    stages: list[ExplainedStage] = []
    """prefill and encode, where these run on another endpoint"""
    disaggregation: str = ""
    """which stages there are, and one that found nobody; empty where the policy has no stages"""
    request_headers: dict[str, str] = {}
    """what the picker told the model server"""
