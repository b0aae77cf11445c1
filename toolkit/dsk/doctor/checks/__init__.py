"""One module a group of checks; `dsk.doctor.chain` finds each by its ``GROUP``."""
