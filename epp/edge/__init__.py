"""One package per outside world; siblings never import one another: they meet through ports, joined in `epp.app`."""
