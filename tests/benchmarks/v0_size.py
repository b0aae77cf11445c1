"""``python tests/benchmarks/v0_size.py``: v0's wheels against the field recipe's two torches.

The recipe's base image holds torch 2.3.0 for CUDA 12.1 with its libraries; the closure of v0 then
goes over it. Sizes are those of the wheels on the package index.
"""

from __future__ import annotations

from typing import Final

from dsk.locks import lock_file
from dsk.locks.resolve import best_wheel, files_of, tags_of
from dsk.matrix import load_matrix
from dsk.package_index import client

BASE: Final = {
    # torch 2.3.0's own demands on Linux, as its metadata pins them
    "torch": "2.3.0",
    "torchvision": "0.18.0",
    "torchaudio": "2.3.0",
    "triton": "2.3.0",
    "nvidia-cublas-cu12": "12.1.3.1",
    "nvidia-cuda-cupti-cu12": "12.1.105",
    "nvidia-cuda-nvrtc-cu12": "12.1.105",
    "nvidia-cuda-runtime-cu12": "12.1.105",
    "nvidia-cudnn-cu12": "8.9.2.26",
    "nvidia-cufft-cu12": "11.0.2.54",
    "nvidia-curand-cu12": "10.3.2.106",
    "nvidia-cusolver-cu12": "11.4.5.107",
    "nvidia-cusparse-cu12": "12.1.0.106",
    "nvidia-nccl-cu12": "2.20.5",
    "nvidia-nvtx-cu12": "12.1.105",
}


def main() -> None:
    """Ask the index for both lists' sizes and print them."""
    stack = load_matrix().stack("v0")
    locked = lock_file.parse(stack.lock_file)
    offered = files_of(stack, {one.name: one.version for one in locked})
    urls = {file.sha256: file.url for files in offered.values() for file in files}
    tags = tags_of(stack)
    recipe = [best_wheel(files, tags, name) for name, files in files_of(stack, BASE).items()]
    with client() as network:

        def size(url: str) -> int:
            return int(network.head(url).headers["content-length"])

        ours = sum(size(urls[one.sha256]) for one in locked)
        under = sum(size(file.url) for file in recipe)
    print(f"v0's locked wheels       {ours / 1e9:6.2f} GB ({len(locked)} wheels)")
    print(f"the recipe's first torch {under / 1e9:6.2f} GB ({len(recipe)} wheels)")
    print(f"share                    {ours / (ours + under):6.1%} (at most 60 %)")


if __name__ == "__main__":
    main()
