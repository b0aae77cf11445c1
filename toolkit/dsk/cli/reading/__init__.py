"""Options and plan preview that `dsk run` and `dsk bench` share."""
