"""A pool whose pods have roles, behind the whole router: for tests of requests with several stages.

pool = StagedPool("prefill", "decode", policy=ALWAYS_PD)
decision = pool.decide("a prompt")
"""

from random import Random
from typing import Any

from epp.core.config.load import load_config
from epp.core.config.settings import PickerConfig
from epp.core.domain.decision import Decision
from epp.core.domain.endpoint import Endpoint
from epp.core.domain.ports import ObjectState
from epp.core.routing.router import Router, RoutingPolicy
from epp.core.scheduling.build import build_policy
from epp.core.scheduling.catalogue import CATALOGUE
from epp.core.scheduling.scheduler import Scheduler
from epp.core.state.roster import Roster
from tests.support.small_pool import POOL, SmallPool, text_request

HEAD = "apiVersion: llm-d.ai/v1alpha1\nkind: EndpointPickerConfig\n"
PROFILES = """\
- {type: decode-filter}
- {type: prefill-filter}
- {type: encode-filter}
- {type: active-request-scorer}
- {type: max-score-picker}
- {type: max-score-picker, name: two, parameters: {maxNumOfEndpoints: 2}}
schedulingProfiles:
- {name: decode, plugins: [{pluginRef: decode-filter}, {pluginRef: active-request-scorer}, {pluginRef: two}]}
- {name: prefill, plugins: [{pluginRef: prefill-filter}, {pluginRef: active-request-scorer}, {pluginRef: two}]}
- {name: encode, plugins: [{pluginRef: encode-filter}, {pluginRef: active-request-scorer}, {pluginRef: two}]}
"""


def staged(handler: str, *more: str) -> str:
    """A configuration with the three usual profiles; `handler` and `more` are plugins as YAML flow mappings."""
    return "plugins:\n" + "".join(f"- {plugin}\n" for plugin in (handler, *more)) + PROFILES


def disagg(parameters: str, *more: str) -> str:
    """The same with disagg-profile-handler, the two simple deciders and `parameters`."""
    return staged(
        f"{{type: disagg-profile-handler, parameters: {{{parameters}}}}}",
        "{type: always-disagg-pd-decider, name: always}",
        "{type: always-disagg-multimodal-decider, name: media}",
        *more,
    )


ALWAYS_PD = disagg("deciders: {prefill: always}")
ALWAYS_EPD = disagg("deciders: {prefill: always, encode: media}")


def loaded(text: str) -> PickerConfig:
    """The configuration, without its head."""
    return load_config(HEAD + text, "stages.yaml", CATALOGUE)


class StagedPool(SmallPool):
    """One pod per role, `vllm-0` first; the empty role is no label. The clock stands still."""

    def __init__(self, *roles: str, policy: str, ranks: int = 1) -> None:
        super().__init__(len(roles), ranks=ranks, labels=[{"llm-d.ai/role": role} if role else {} for role in roles])
        self.scheduler = Scheduler(build_policy(loaded(policy)), self.ledger, Random(1), lambda: self.now)
        self.roster = Roster(self.ledger, lambda: self.now, slot_renewed=self.scheduler.forget_slot)
        self.router = Router(self.roster, self.scheduler, RoutingPolicy(), lambda: self.now)
        self.members(*self.endpoints)

    def members(self, *endpoints: Endpoint) -> None:
        """From now on these are the pool."""
        self.roster.objects_changed(ObjectState(POOL, endpoints))

    def decide(self, prompt: str = "x" * 400, **fields: Any) -> Decision:
        """Routes a request; `fields` are those of InferenceRequest."""
        decision = self.router.decide(text_request(prompt, **fields))
        assert isinstance(decision, Decision)
        return decision

    def booked(self) -> dict[str, tuple[int, int]]:
        """Requests and tokens in flight by pod, where there are any."""
        found = {}
        for position, endpoint in enumerate(self.snapshot.endpoints):
            slot = self.slot(position)
            if self.ledger.requests[slot]:
                found[endpoint.pod] = (int(self.ledger.requests[slot]), int(self.ledger.tokens[slot]))
        return found
