"""Envoy's external processing protocol: transport, codec, executor, health, and the one table from error to HTTP."""
