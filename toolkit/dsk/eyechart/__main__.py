"""``python -m dsk.eyechart FOLDER SIZE SIDE SEED``: write a test model, inside an environment."""

from __future__ import annotations

import sys
from pathlib import Path

from dsk.errors import DskError
from dsk.eyechart import checkpoint


def main() -> int:
    """Write the model; print a line of progress for each chart."""
    # No option parser: `dsk.eyechart.cache` is the only caller, and checks the values.
    folder, size, side, seed = sys.argv[1:]

    def progress(done: int, total: int) -> None:
        print(f"{done}/{total}", flush=True)

    try:
        checkpoint.write(Path(folder), size=size, side=int(side), seed=int(seed), progress=progress)
    except DskError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
