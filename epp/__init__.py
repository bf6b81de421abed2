"""Endpoint picker: tells Envoy which model server should serve each LLM request."""

__version__ = "0.1.0"
