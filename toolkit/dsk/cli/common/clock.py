"""The day that a command goes by."""

from __future__ import annotations

import datetime as dt


def today() -> dt.date:
    """Return the day in UTC, as evidence and packages are dated."""
    return dt.datetime.now(dt.UTC).date()
