"""disagg-profile-handler: one request, several endpoints, one for each stage of inference.

The pick of the decode profile answers the request. Its sidecar has the prompt computed by the endpoint that
`x-prefiller-host-port` names (the prefill profile's first pick) and images encoded by those of `x-encoder-hosts-ports`
(all picks of the encode profile). decode-first: decode, then encode and prefill where their decider says so, looking
at the decode endpoint. prefill-first: prefill always, then decode, then encode.

A decode profile that leaves nobody refuses the request. Another one that leaves nobody is left out and counted
(`onStageFailure: skip`; the reference leaves it out without a word), or refuses the request. A prefill pick that is
the decode endpoint itself is no further stage: that endpoint computes the prompt anyway.
Source: disagg-profile-handler of the reference endpoint picker.
"""

from epp.core.domain.decision import Disaggregation, Stage
from epp.core.domain.errors import DroppedReason, ResourceExhausted
from epp.core.scheduling.cycle import Cycle, ProfileResult
from epp.core.scheduling.plugins import Conclusion, Decider, FurtherStage, ProfileResults
from epp.core.scheduling.profiles.data_parallel import DATA_PARALLEL, through_port
from epp.core.scheduling.profiles.disagg_parameters import StagePlan

PREFILLER = "x-prefiller-host-port"
ENCODERS = "x-encoder-hosts-ports"


class DisaggProfileHandler:
    """A decider is None for a stage that never runs, or always."""

    def __init__(self, plan: StagePlan, prefill_decider: Decider | None, encode_decider: Decider | None) -> None:
        self._plan = plan
        self._prefill_decider = prefill_decider
        self._encode_decider = encode_decider

    def next_profile(self, cycle: Cycle, names: tuple[str, ...], results: ProfileResults) -> str | None:
        """See the module; no decider is asked twice."""
        plan = self._plan
        if not results and plan.is_prefill_first and plan.prefill in names:
            return plan.prefill
        decode = results.get(plan.decode)
        if decode is None:
            return plan.decode
        encode, prefill = self._encode_decider, self._prefill_decider
        was_encode_asked = plan.encode in results or (plan.prefill in results and not plan.is_prefill_first)
        if encode is not None and not was_encode_asked and encode.wants_stage(cycle, decode):
            return plan.encode
        if prefill is not None and plan.prefill not in results and prefill.wants_stage(cycle, decode):
            return plan.prefill
        return None

    def profile_failed(self, cycle: Cycle, name: str, refusal: ResourceExhausted) -> None:  # noqa: ARG002  protocol
        """Raises ResourceExhausted where the request cannot or must not go on without the profile."""
        plan = self._plan
        if name != plan.decode and plan.may_fail:
            return
        stage = "decode" if name == plan.decode else self._stage_of(name).value
        raise ResourceExhausted(
            f"failed to find target endpoint: failed to find available {stage} workers",
            hint=refusal.hint,
            reason=DroppedReason.SATURATED,
            retry_after_s=refusal.retry_after_s,
        ) from refusal

    def conclude(self, cycle: Cycle, results: ProfileResults) -> Conclusion:  # noqa: ARG002  protocol's shape
        """Decode answers; the other picks go into headers."""
        plan = self._plan
        decode = results[plan.decode]
        if decode is None:
            return Conclusion(plan.decode)
        stages: list[FurtherStage] = []
        headers: list[tuple[str, str]] = []
        failed = ""
        for name, result in results.items():
            if name == plan.decode:
                continue
            stage = self._stage_of(name)
            if result is None:
                failed = failed or stage.value
            elif stage is Stage.ENCODE or result.slot != decode.slot:
                stages.append(FurtherStage(stage, name))
                headers.append(_header(stage, result))
        destination = ""
        if plan.primary_port:
            headers.append((DATA_PARALLEL, decode.endpoint.destination))
            destination = through_port(decode.endpoint, plan.primary_port)
        return Conclusion(
            plan.decode, tuple(stages), tuple(headers), Disaggregation(_said(stages), failed), destination
        )

    def _stage_of(self, name: str) -> Stage:
        return Stage.PREFILL if name == self._plan.prefill else Stage.ENCODE


def _header(stage: Stage, result: ProfileResult) -> tuple[str, str]:
    if stage is Stage.PREFILL:
        return PREFILLER, result.endpoint.destination
    return ENCODERS, ",".join([endpoint.destination for endpoint in result.endpoints])


def _said(stages: list[FurtherStage]) -> str:
    """The words of the reference, in the order in which the stages take place."""
    if not stages:
        return "decode-only"
    return "-".join([*sorted(further.stage.value for further in stages), "decode"])
