"""The memory of large images is the system's again."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import io, pickle, threading
from PIL import Image
from dsk.vllm_plugin.gate.memory import return_large_blocks

def resident():
    status = open("/proc/self/status").read()
    return int(status.partition("VmRSS:")[2].split()[0]) // 1024

def read():
    image = Image.open(io.BytesIO(data))
    copy = bytes(pickle.dumps(image.convert("RGB")))

file = io.BytesIO()
Image.new("L", (5000, 5000)).save(file, "PNG")
data = file.getvalue()
del file
return_large_blocks()
before = resident()
for _ in range(3):
    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
print(resident() - before)
"""


def test_large_images_leave_nothing_behind() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 30
