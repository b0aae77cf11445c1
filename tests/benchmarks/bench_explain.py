"""How fast `dsk explain` reads: at least 50 MB/s of CPU time, and linear in the log's size."""

import io
import time

from dsk.explain import explain_text, rules

LINE = (
    "(EngineCore_DP0 pid=86) INFO 11-20 08:{:02d}:{:02d} [loggers.py:127] Engine 000: Avg prompt "
    "throughput: {}.1 tokens/s, Avg generation throughput: {}.8 tokens/s, Running: {} reqs, "
    "Waiting: 0 reqs, GPU KV cache usage: {}.4%, Prefix cache hit rate: 0.0%\n"
)
END = "RuntimeError: CUDA error: no kernel image is available for execution on the device\n"


def server_log(lines: int) -> bytes:
    made = (
        LINE.format(n // 60 % 60, n % 60, n % 977, n % 311, n % 90, n % 99) for n in range(lines)
    )
    return ("".join(made) + END).encode()


def seconds(log: bytes, *, expected: str) -> float:
    """CPU seconds to explain the log, the best of three."""
    rules.load()
    taken = []
    for _ in range(3):
        start = time.process_time()
        found = explain_text(io.BytesIO(log))
        taken.append(time.process_time() - start)
        assert found.causes[0].rule == expected
    return min(taken)


def test_a_long_server_log_is_read_at_50_megabytes_a_second() -> None:
    log = server_log(200_000)
    assert len(log) / 1e6 / seconds(log, expected="no-kernel-for-gpu") >= 50


def test_the_time_is_linear_even_where_every_line_is_a_failure() -> None:
    failure = b"ERROR 11-20 08:00:%d CUDA out of memory. Tried to allocate %d.00 GiB here\n"
    short, long = (
        b"".join(failure % (n % 60, n % 97) for n in range(count)) for count in (20_000, 80_000)
    )
    few = seconds(short, expected="cuda-out-of-memory")
    assert seconds(long, expected="cuda-out-of-memory") < 8 * few + 0.2
