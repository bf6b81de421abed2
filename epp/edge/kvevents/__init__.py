"""KV-cache events of the model servers over ZeroMQ."""
