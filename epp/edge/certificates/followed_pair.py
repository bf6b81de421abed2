"""A pair that follows its directory. A half-written pair is never used: the last good one stays in force."""

from collections.abc import Callable
from pathlib import Path

from epp.core.domain.errors import InvalidInput
from epp.core.domain.ports import Clock, Pem
from epp.edge.certificates.pair import CERTIFICATE_FILE, KEY_FILE, read_pair, self_signed

CHECK_EVERY_S = 1.0


class FollowedPair:
    """CertificatePair of a directory, or a self-signed one where there is none.

    The files are looked at most once in CHECK_EVERY_S, when somebody asks. `on_problem` hears of a pair that cannot be
    used, once per version of the files. Raises InvalidInput when that is so at the start.
    """

    def __init__(
        self,
        directory: Path | None,
        *,
        reload: bool,
        clock: Clock,
        on_problem: Callable[[InvalidInput], None],
    ) -> None:
        self._directory = directory
        self._reload = reload and directory is not None
        self._clock = clock
        self._on_problem = on_problem
        self._signature = self._sign()
        self._pair = self_signed() if directory is None else read_pair(directory)
        self._checked_at = clock()

    @property
    def may_change(self) -> bool:
        """See CertificatePair."""
        return self._reload

    def current(self) -> Pem:
        """See CertificatePair."""
        now = self._clock()
        if self._reload and now - self._checked_at >= CHECK_EVERY_S:
            self._checked_at = now
            self._refresh()
        return self._pair

    def _refresh(self) -> None:
        signature = self._sign()
        if signature == self._signature or self._directory is None:
            return
        self._signature = signature
        try:
            self._pair = read_pair(self._directory)
        except InvalidInput as problem:
            self._on_problem(problem)

    def _sign(self) -> tuple[tuple[int, int, int], ...]:
        """What tells one version of the files from another: inode, time and size behind any symbolic links."""
        found = []
        for name in (KEY_FILE, CERTIFICATE_FILE) if self._directory is not None else ():
            try:
                status = (self._directory / name).stat()  # type: ignore[operator]  # not None inside this loop
            except OSError:
                found.append((0, 0, 0))
            else:
                found.append((status.st_ino, status.st_mtime_ns, status.st_size))
        return tuple(found)
