"""A million answers at random through the outputs: ``python tests/benchmarks/fuzz_outputs.py [N]``.

Each goes through the tag scanner, the boxes, the Markdown cleaner, the report's text and the
official scripts' text; every tenth is read by a Markdown reader, too. Ends with the first that
breaks anything, and prints it.
"""

from __future__ import annotations

import sys
import time
from itertools import islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.unit.ocr.outputs.answers import answers, check_outputs


def main() -> int:
    """Run; the exit code is 1 where something broke."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    started = time.process_time()
    characters = 0
    for number, answer in enumerate(islice(answers(seed), count)):
        characters += len(answer)
        try:
            check_outputs(answer, rendered=number % 10 == 0)
        except BaseException:
            print(f"answer {number} of seed {seed}: {answer!r}")
            raise
    seconds = time.process_time() - started
    print(f"{count} answers, {characters} characters, {seconds:.0f} s of one core: all held")
    return 0


if __name__ == "__main__":
    sys.exit(main())
