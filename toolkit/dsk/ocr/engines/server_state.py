"""State of one server during a run: ready, busy, away or lost, and until when it is waited for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 30.0
# Seconds of waiting that nobody is told of: a server that is busy for a moment is no news.
_SILENCE: Final = 3.0


class ServerState:
    """Waits for a server with growing pauses, and gives it up after ``wait_seconds``.

    All times are of `time.monotonic`, in seconds.

    Args:
        address: the server's URL, to print.
        wait_seconds: the longest that the server may be away or busy without one answer between.
        notify: called once with what is waited for, and when that is over.
    """

    def __init__(self, address: str, wait_seconds: float, notify: Callable[[str], None]) -> None:
        self._address = address
        self._wait_seconds = wait_seconds
        self._notify = notify
        self._pause = FIRST_PAUSE
        self._resume_at = 0.0
        self._waits_since: float | None = None
        self._reason = ""
        self._is_away = False
        self._is_probed = False
        self._is_reported = False
        self.lost = ""
        """The reason why the server is not asked again in this run."""

    def is_ready(self, now: float) -> bool:
        """Return True if a page may be sent."""
        return not (self.lost or self._is_away) and self._resume_at <= now

    def is_to_be_probed(self, now: float) -> bool:
        """Return True if the server is away and is to be asked whether it is back."""
        is_due = self._is_away and not self._is_probed and self._resume_at <= now
        return is_due and not self.lost

    def mark_probed(self) -> None:
        """Record that the server is being asked."""
        self._is_probed = True

    def take_probe(self, *, is_back: bool, now: float) -> None:
        """Take the result of a probe: send pages again, or wait on."""
        self._is_probed = False
        if is_back:
            self._is_away = False
        else:
            self.wait(None, self._reason, now)

    def mark_away(self, reason: str, now: float) -> None:
        """Record that the server cannot be reached: it is probed from now on."""
        # Each of the pages that were with it says so.
        if not self._is_away:
            self._is_away = True
            self.wait(None, reason, now)

    def wait(self, seconds: float | None, reason: str, now: float) -> None:
        """Leave the server alone for the seconds it asks for, or for longer each time."""
        # Pages that were sent before the first of them was refused count as one refusal.
        if now < self._resume_at:
            return
        self._reason = reason
        self._waits_since = now if self._waits_since is None else self._waits_since
        self._resume_at = now + (self._pause if seconds is None else seconds)
        # A wait that ends in time is followed by one more try.
        end = self._waits_since + self._wait_seconds
        if now < end:
            self._resume_at = min(self._resume_at, end)
        else:
            self.give_up(f"{reason}; it was waited for {self._wait_seconds:g} s")
        self._pause = min(2 * self._pause, LONGEST_PAUSE)

    def give_up(self, reason: str) -> None:
        """Leave the server out for the rest of the run."""
        if not self.lost:
            self.lost = reason
            self._notify(f"the server {self._address} is left out from now on: {reason}")

    def mark_answered(self, now: float) -> None:
        """Forget that the server was waited for."""
        if self._is_reported and self._waits_since is not None:
            waited = now - self._waits_since
            self._notify(f"the server {self._address} answers again after {waited:.0f} s")
        self._waits_since, self._pause, self._is_reported = None, FIRST_PAUSE, False

    def report(self, now: float) -> None:
        """Say once what is waited for, if the server has been waited for some seconds."""
        if self._waits_since is None or self._is_reported or self.lost:
            return
        if now - self._waits_since >= min(_SILENCE, self._wait_seconds / 2):
            self._is_reported = True
            self._notify(
                f"{self._reason}: waiting up to {self._wait_seconds:g} s for the server "
                f"{self._address} (--wait-seconds)"
            )
