"""A script that does not come true fails, and says how far it came."""

import pytest

from epp.core.protocol.commands import Continue, Phase
from epp.core.protocol.events import BodyMode
from tests.support.playbook import ANY_ROUTE, Playbook, a_route, get, post


def test_another_command_than_the_script_says() -> None:
    script = Playbook() >> post(BodyMode.BUFFERED)
    with pytest.raises(AssertionError, match=r"(?s)>> RequestHeaders.*expected << a_route.*got << Continue"):
        script << ANY_ROUTE


def test_a_command_that_does_not_come() -> None:
    script = Playbook() >> post(BodyMode.FULL_DUPLEX_STREAMED)
    with pytest.raises(AssertionError, match="got nothing"):
        script << Continue(Phase.REQUEST_HEADERS)


def test_a_command_that_the_script_does_not_mention() -> None:
    script = Playbook() >> post(BodyMode.BUFFERED)
    with pytest.raises(AssertionError, match="expected nothing"):
        script.nothing()
    with pytest.raises(AssertionError, match="expected nothing"):
        script >> get(BodyMode.BUFFERED)


def test_a_request_that_is_routed_with_another_field() -> None:
    script = Playbook() >> get(BodyMode.BUFFERED)
    with pytest.raises(AssertionError, match=r"a_route\(path='/other'\)"):
        script << a_route(path="/other")
