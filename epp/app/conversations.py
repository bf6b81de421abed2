"""What the conversations of one picker process share."""

import uuid

from epp.app.configuration import parser_table
from epp.app.options import ServeOptions
from epp.app.routing import Routing, sampler
from epp.core.config.settings import PickerConfig
from epp.core.domain.ports import Clock, MetricSink, TokenSource
from epp.core.protocol.request_assembly import MayRewrite
from epp.core.protocol.request_side import ConversationSettings
from epp.core.routing.priority import BodyPriority
from epp.edge.extproc.body_budget import BodyBudget
from epp.edge.extproc.services import FaultLog, Services


def conversation_settings(options: ServeOptions, config: PickerConfig, may_rewrite: MayRewrite) -> ConversationSettings:
    """What flags and configuration say about the conversation."""
    return ConversationSettings(
        max_body_bytes=options.max_body_bytes,
        assume_body_mode=options.assume_body_mode,
        parsers=parser_table(config),
        cut_priority=options.body_priority is BodyPriority.LARGER_FIRST,
        may_rewrite=may_rewrite,
        emit_endpoint_scores=options.emit_endpoint_scores,
    )


def services_of(
    options: ServeOptions,
    config: PickerConfig,
    routing: Routing,
    *,
    metrics: MetricSink,
    faults: FaultLog,
    clock: Clock,
    budget: BodyBudget,
    tokens: TokenSource | None,
) -> Services:
    """For streams that begin from now on."""
    return Services(
        routing=routing.port,
        metrics=metrics,
        faults=faults,
        clock=clock,
        settings=conversation_settings(options, config, routing.may_rewrite),
        budget=budget,
        tokens=tokens,
        new_request_id=lambda: str(uuid.uuid4()),
        wants_sample=sampler(options, every_request=routing.needs_every_usage, clock=clock),
    )
