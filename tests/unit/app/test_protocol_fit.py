"""A pool whose appProtocol the parsers cannot work with is named, with who needs what."""

import msgspec
import pytest

from epp.app.protocol_fit import protocol_mismatch
from epp.core.domain.pool import AppProtocol, InferencePool
from epp.core.protocol.apis.parsers import ParserTable

POOL = InferencePool("default", "pool", {"app": "vllm"}, (8000,))
GRPC = ParserTable(["vllmgrpc-parser"])


def mismatch(app_protocol: AppProtocol | None, parsers: ParserTable) -> str:
    return protocol_mismatch(msgspec.structs.replace(POOL, app_protocol=app_protocol), parsers)


@pytest.mark.parametrize("app_protocol", ["http", "kubernetes.io/h2c", None])
def test_the_default_parsers_fit_every_pool(app_protocol: AppProtocol | None) -> None:
    assert mismatch(app_protocol, ParserTable()) == ""


def test_grpc_parsers_need_h2c() -> None:
    assert mismatch("kubernetes.io/h2c", GRPC) == ""
    assert mismatch("http", GRPC) == (
        "InferencePool pool: appProtocol is http, but vllmgrpc-parser needs kubernetes.io/h2c"
    )
    both = ParserTable(["openai-parser", "vertexai-parser", "vllmgrpc-parser"])
    assert mismatch("http", both).endswith(
        "but vertexai-parser needs kubernetes.io/h2c and vllmgrpc-parser needs kubernetes.io/h2c"
    )


def test_a_pool_that_does_not_say_fits() -> None:
    assert mismatch(None, GRPC) == ""
    assert protocol_mismatch(None, GRPC) == ""
