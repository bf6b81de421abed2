"""Headers that name the pod."""

import asyncio
from unittest.mock import create_autospec

import pytest
from aiohttp.test_utils import make_mocked_request

from epp.lab.fake_vllm.replies import Replies


@pytest.mark.parametrize(
    ("host", "sockname", "served_by"),
    [
        ("127.0.0.11", ("127.0.0.11", 8000), "127.0.0.11:8000"),
        ("::1", ("::1", 8000, 0, 0), "[::1]:8000"),
        ("0.0.0.0", ("10.1.2.3", 8000), "10.1.2.3:8000"),
        ("::", ("2001:db8::7", 8000, 0, 0), "[2001:db8::7]:8000"),
    ],
)
async def test_the_address_is_the_one_the_client_reached(
    host: str, sockname: tuple[object, ...], served_by: str
) -> None:
    transport = create_autospec(asyncio.Transport, instance=True)
    transport.get_extra_info.side_effect = lambda name, default=None: sockname if name == "sockname" else default
    request = make_mocked_request("GET", "/health", headers={"X-Request-Id": "r"}, transport=transport)

    headers = Replies("pod", host, 8000).headers(request, "text/plain")

    assert headers["x-served-by"] == served_by
    assert headers["x-fake-pod"] == "pod"
    assert headers["x-request-id"] == "r"
