"""Envoy's access log as a test reads it: one JSON object a request."""

import json
from pathlib import Path
from typing import Any

from epp.lab.envoy_parts import Config, http_manager


def with_access_log(config: Config, path: Path, **formats: str) -> Config:
    """The configuration with an access log of request ids and what `formats` say, by name, in Envoy's operators."""
    log: dict[str, Any] = {
        "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
        "path": str(path),
        "log_format": {"json_format": {"request": "%REQ(X-REQUEST-ID)%", **formats}},
    }
    manager = http_manager(config)
    manager["access_log"] = [{"name": "envoy.access_loggers.file", "typed_config": log}]
    manager["access_log_options"] = {"access_log_flush_interval": "0.1s"}
    return config


def log_entries(path: Path, request_id: str) -> list[dict[str, Any]]:
    """What the log has of one request by now."""
    lines = path.read_text().splitlines() if path.exists() else []
    entries = [json.loads(line) for line in lines if line.endswith("}")]
    return [entry for entry in entries if entry["request"] == request_id]
