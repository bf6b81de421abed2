"""Writes what Envoy reads: the file of the pool's endpoints (`eds`).

Errors, all below EdsError:
    EndpointAddressError   an endpoint has no IP address or an impossible port
    EdsWriteError          the file could not be put in place
"""
