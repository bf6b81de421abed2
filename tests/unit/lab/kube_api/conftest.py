"""A server and a client for every test of this folder."""

from tests.support.kube_api import api, kube

__all__ = ["api", "kube"]
