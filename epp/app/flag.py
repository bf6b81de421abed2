"""What a flag is, and the error of one that cannot be used; the flags themselves are in `epp.app.flags`."""

from enum import Enum

import msgspec

from epp.core.domain.errors import PickerError


class FlagType(Enum):
    """How a value is written."""

    TEXT = "text"
    INT = "integer"
    BOOL = "true|false"
    DURATION = "duration"
    """Go's form: 50ms, 2s, 1m30s"""
    QUANTITY = "quantity"
    """bytes in Kubernetes' form: 32Mi, 10M, 1048576"""
    CHOICE = "choice"
    ADDRESS = "IP address"
    PORTS = "ports"
    """with commas between them; a flag that is given several times adds to them"""


class Group(Enum):
    """Sections of the help text."""

    POOL = "Pool and objects"
    CLUSTER = "In a cluster"
    CONFIGURATION = "Scheduling configuration"
    REQUESTS = "Requests"
    LISTENING = "Listening and TLS"
    METRICS = "Metrics of model servers"
    SIGNALS = "Signals"
    PROCESS = "Process"
    COMPATIBILITY = "Accepted from the reference without effect"


class Flag(msgspec.Struct, frozen=True):
    """One flag; `default` is written as a user would write it."""

    name: str
    type: FlagType
    default: str
    group: Group
    text: str
    choices: tuple[str, ...] = ()
    no_effect: str = ""
    """why giving it changes nothing; empty for flags with effect"""
    short: str = ""
    without_cluster: str = ""
    """why it is refused where there is no API server, and what to do instead; empty for flags that need none"""
    variable: str = ""
    """of the environment, whose value is the default where there is one"""


class FlagError(PickerError):
    """A flag that cannot be used: which one, why, and what to do."""

    def __init__(self, flag: str, problem: str) -> None:
        self.flag = flag
        self.problem = problem
        super().__init__(f"--{flag}: {problem}")
