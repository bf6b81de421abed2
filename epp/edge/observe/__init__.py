"""Signals: the metric catalogue (implements MetricSink), logs, decision records and the self-check."""
