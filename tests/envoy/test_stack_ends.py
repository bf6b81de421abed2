"""What a local stack leaves behind when something in it failed."""

import pytest

from epp.lab.plan import StackPlan
from tests.support.live_stack import live_stack


async def test_a_failure_carries_how_each_picker_is_and_what_it_said_last() -> None:
    with pytest.raises(ConnectionError) as failure:
        async with live_stack(StackPlan(pods=1)) as stack:
            await stack.local.picker.kill()
            raise ConnectionError("the picker cannot be asked")
    (note,) = failure.value.__notes__
    assert note.startswith("picker ended with exit code -9; the end of its log:\n")
    assert '"pool changed"' in note
