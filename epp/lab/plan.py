"""What a local stack consists of."""

import socket
from pathlib import Path
from typing import Literal

import msgspec

from epp.core.domain.pool import AppProtocol

POOL_NAME = "vllm-llama3.1-8b-instruct"
BASE_MODEL = "meta-llama/Llama-3.1-8B-Instruct"
ADAPTERS = ("food-review", "cad-fabricator")
FIRST_HOST = 11
USUAL_PORT = 8000


class StackPlan(msgspec.Struct, frozen=True):
    """Names and defaults are those of the GKE Inference Gateway tutorial."""

    pods: int = 4
    kube: bool = False
    """the objects are in an API server, a process of its own; else in a directory"""
    pickers: int = 1
    """replicas; with more than one the API server says which of them leads"""
    network: str = "127.0.0"
    """first three numbers of the pods' addresses"""
    body_mode: Literal["buffered", "full-duplex"] = "buffered"
    failure_mode: Literal["open", "close"] = "open"
    secure: bool = False
    """TLS between Envoy and the picker"""
    config_file: Path | None = None
    """EndpointPickerConfig for the picker"""
    listener_port: int = 0
    """port for clients; 0 picks a free one"""
    speed: float = 1.0
    """divides every duration of the fake pods"""
    max_loras: int = 2
    kv_blocks: int = 2000
    """small enough that the sample traffic shows in the KV column"""
    app_protocol: AppProtocol = "http"
    """how Envoy speaks to the pods"""
    pool_port: int = 0
    """port of the model servers where these are others than the fake pods, on the same hosts; the fake pods then only
    show their metrics"""
    picker_flags: tuple[str, ...] = ()
    pod_flags: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    """label `llm-d.ai/role` of the pods in their order; none where it is empty or the tuple too short"""

    @property
    def hosts(self) -> tuple[str, ...]:
        """One loopback address per pod."""
        return tuple(f"{self.network}.{FIRST_HOST + index}" for index in range(self.pods))


def free_port(hosts: tuple[str, ...], wanted: int = USUAL_PORT) -> int:
    """A port that is free on every host: the wanted one if possible."""
    port = wanted
    while not all(_is_free(host, port) for host in hosts):
        with socket.socket() as probe:
            probe.bind((hosts[0], 0))
            port = probe.getsockname()[1]
    return port


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
