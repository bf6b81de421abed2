"""Times as metadata has them."""

import datetime as dt


def timestamp(unix_s: float) -> str:
    """UTC, whole seconds."""
    return dt.datetime.fromtimestamp(unix_s, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
