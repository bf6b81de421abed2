"""HTTP/2 for a gRPC server: a connection without I/O, and a thin asyncio protocol around it (RFC 9113, RFC 7541)."""
