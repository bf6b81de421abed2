"""A child process that never outlives us: if this process dies in any way the kernel kills it.

PR_SET_PDEATHSIG watches the thread that started the child, which is to be the main one.
"""

import os
import sys
from collections.abc import Sequence

# Runs between fork and exec in a process of its own, because a preexec_fn is unsafe once there are threads.
DIE_WITH_PARENT = """
import ctypes, os, signal, sys
PR_SET_PDEATHSIG = 1
ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
if os.getppid() != int(sys.argv[1]):
    os._exit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""


def bound_to_parent(command: Sequence[str]) -> list[str]:
    """`command`, wrapped so that the kernel kills it when this process dies; its first word is an absolute path."""
    return [sys.executable, "-I", "-S", "-c", DIE_WITH_PARENT, str(os.getpid()), *command]
