"""The lab: fake model servers and the local stack that a laptop can run without a cluster."""
