#!/usr/bin/env bash
# Packs stack v0's wheels into parts of at most 60 MB, for a machine with a GPU, Python 3.12, torch of
# its own for CUDA 13, and no network:
#   v0_pack.sh OUT
# On that machine:
#   cat OUT/d*/part-* | tar x && bash v0/unpack.sh SITE && export PYTHONPATH=SITE VLLM_USE_V1=0
# What V0 calls is the lock's, cuBLAS and the CUDA runtime too; cuDNN, NCCL and cuRAND are that
# machine's; of cuFFT, cuSPARSE and cuSPARSELt, which torch is linked with and V0 never calls, there
# are empty ones, bound late. That is 1.9 GB of 3.4.
set -euo pipefail
out=$(realpath -m "${1:?output folder}")
root=$(dirname "$(dirname "$(dirname "$(realpath "$0")")")")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
left='^(nvidia-(cudnn|cufft|cusolver|cusparse|cusparselt|curand|nccl|nvtx)-|nvidia-cu[a-z]+lt-|cupy|ray=|torchaudio|uv=|hatchling|opencv|scipy|matplotlib|fonttools)'
grep -oE '^[a-zA-Z0-9_.-]+==[^ \\]+' "$root/compat/locks/v0.txt" | grep -vE "$left" >"$work/need"
tags=()
for n in 39 35 34 31 28 27 24 17 14 12 5; do tags+=(--platform "manylinux_2_${n}_x86_64"); done
for name in manylinux2014 manylinux2010 manylinux1 linux; do tags+=(--platform "${name}_x86_64"); done
mkdir -p "$work/v0"
python3 -m pip download -q --no-deps --only-binary=:all: --python-version 3.12 --implementation cp \
    --abi cp312 --abi abi3 --abi none "${tags[@]}" -d "$work/v0" -r "$work/need"
cat >"$work/v0/unpack.sh" <<'UNPACK'
#!/usr/bin/env bash
set -euo pipefail
site=$(realpath -m "${1:?folder}")
here=$(dirname "$(realpath "$0")")
theirs=$(python3 -c 'import nvidia; print(list(nvidia.__path__)[0])')
python3 -m pip install -q --no-index --no-deps --no-compile --target "$site" "$here"/*.whl
empty() {
    mkdir -p "$site/$1"
    gcc -shared -x c /dev/null -o "$site/$1/$2" -Wl,-soname,"$2"
}
empty nvidia/cufft/lib libcufft.so.11
empty nvidia/cusparse/lib libcusparse.so.12
empty cusparselt/lib libcusparseLt.so.0
for library in libcudnn.so.9 libnccl.so.2 libcurand.so.10; do
    found=$(find "$theirs" -name "$library" | grep -m1 .)
    kind=${library#lib} && kind=${kind%%.*}
    mkdir -p "$site/nvidia/$kind"
    ln -sfn "$(dirname "$found")" "$site/nvidia/$kind/lib"
done
echo 'import os, sys; sys.setdlopenflags(os.RTLD_LAZY)' >"$site/sitecustomize.py"
UNPACK
tar -C "$work" -c v0 | split -b 60000000 -d -a 3 - "$work/part-"
rm -rf "$out"
for part in "$work"/part-*; do
    mkdir -p "$out/d${part##*-}"
    mv "$part" "$out/d${part##*-}/"
done
du -sh "$out"
