"""The page at /: links to the others."""

INDEX = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>endpoint picker</title>
<h1>endpoint picker</h1>
<ul>
<li><a href="/metrics">/metrics</a> for Prometheus
<li><a href="/healthz">/healthz</a> the process runs
<li><a href="/readyz">/readyz</a> requests may come
<li><a href="/debug/decisions">/debug/decisions</a> the last decisions and why; ?limit=, ?request_id=, ?model=
<li><a href="/debug/endpoints">/debug/endpoints</a> every endpoint: load, books, staleness
<li><a href="/debug/config">/debug/config</a> the policy in force
<li><a href="/debug/self-check">/debug/self-check</a> what does not fit, and what to do
</ul>
"""
