"""Whether the tests run on compiled modules (`make test-compiled`), where sources cannot be looked at."""

import os

import pytest

IS_COMPILED = bool(os.environ.get("EPP_EXPECT_COMPILED"))
on_sources = pytest.mark.skipif(IS_COMPILED, reason="looks at the sources, which are not what runs here")
