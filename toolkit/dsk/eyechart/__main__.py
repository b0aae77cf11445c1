"""``python -m dsk.eyechart FOLDER MODEL SIZE SIDE SEED``: write a test model in an environment."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

from dsk import models
from dsk.errors import DskError
from dsk.eyechart import checkpoint
from dsk.eyechart.recipe import Recipe

if TYPE_CHECKING:
    from dsk.eyechart.recipe import Size


def main() -> int:
    """Write the model; print a line of progress for each chart."""
    # No option parser: `dsk.eyechart.cache` is the only caller, and checks the values.
    folder, model, size, side, seed = sys.argv[1:]

    def progress(done: int, total: int) -> None:
        print(f"{done}/{total}", flush=True)

    try:
        recipe = Recipe(
            profile=models.profile(model),
            size=cast("Size", size),
            side=int(side),
            seed=int(seed),
        )
        checkpoint.write(Path(folder), recipe, progress=progress)
    except DskError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
