"""Acceptance of guards by model runners, on sources cut down to what decides in vLLM's own.

The real releases are read by `dsk matrix check`, and were by hand: 0.24.0, 0.28.0 to 0.33.0.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import dsk
from dsk.vllm_plugin.guard.acceptance import (
    V2_MEMBERS,
    Interface,
    interfaces_of,
    judge,
    read_model_runner,
)

CONFIG = "vllm/config/vllm.py"
V1_FILE = "vllm/v1/sample/logits_processor/interface.py"
V2_FILE = "vllm/v1/worker/gpu/sample/logits_processor/interface.py"

CHOICE = """
class VllmConfig:
    @property
    def use_v2_model_runner(self) -> bool:
        if envs.VLLM_USE_V2_MODEL_RUNNER is not None:
            return envs.VLLM_USE_V2_MODEL_RUNNER
        return not self._get_v2_model_runner_unsupported_features()

    def _get_v2_model_runner_unsupported_features(self) -> list[str]:
        unsupported: list[str] = []
        {reason}
        return unsupported
"""
GIVES_WAY = "if self.model_config.logits_processors: unsupported.append('custom logits processors')"
NO_REASON = "pass"

INTERFACE = """
class LogitsProcRequestState:
    device: torch.device
    max_num_reqs: int
    vocab_size: int
    all_token_ids: StagedWriteTensor
    prompt_len: UvaBackedTensor


class LogitsContext:
    expanded_idx_mapping: torch.Tensor
    idx_mapping_np: np.ndarray
    expanded_local_pos: torch.Tensor
    input_ids: torch.Tensor
    pos: torch.Tensor


class LogitsProcessor(ABC):
    def __init__(self, vllm_config: VllmConfig, req_states: LogitsProcRequestState):
        '''Nothing.'''

    @classmethod
    def validate_params(cls, sampling_params: SamplingParams) -> None:
        '''Nothing.'''

    def add_request(self, req_idx: int, sampling_params: SamplingParams) -> bool:
        return True

    def apply_staged_writes(self) -> None:
        '''Nothing.'''

    @abstractmethod
    def apply(self, logits: torch.Tensor, ctx: LogitsContext) -> torch.Tensor:
        raise NotImplementedError
"""

RELEASES: dict[str, dict[str, str]] = {
    "0.19.0": {CONFIG: "class VllmConfig: pass", V1_FILE: ""},
    "0.30.0": {CONFIG: CHOICE.format(reason=GIVES_WAY), V1_FILE: ""},
    "0.31.0": {CONFIG: CHOICE.format(reason=NO_REASON), V1_FILE: "", V2_FILE: INTERFACE},
    # Not there yet: the old runner is gone, and nothing is left to choose.
    "0.99.0": {CONFIG: "class VllmConfig: pass", V2_FILE: INTERFACE},
}

OLD, NEW = (
    "from vllm.v1.sample.logits_processor import LogitsProcessor\n",
    ("from vllm.v1.worker.gpu.sample.logits_processor.interface import LogitsProcessor\n"),
)


def accepted(version: str, *interfaces: Interface) -> bool:
    runner = read_model_runner(RELEASES[version].get)
    return judge(version, "guards:Mine", interfaces, runner).accepted


@pytest.mark.parametrize("version", ["0.19.0", "0.30.0"])
def test_until_0_30_a_gpu_takes_the_runner_of_the_old_interface(version: str) -> None:
    assert read_model_runner(RELEASES[version].get).taken == "V1"
    assert accepted(version, "V1")
    assert accepted(version, "V1", "V2")
    assert not accepted(version, "V2")


@pytest.mark.parametrize("version", ["0.31.0", "0.99.0"])
def test_from_0_31_on_a_gpu_takes_v2_which_refuses_the_old_interface(version: str) -> None:
    assert read_model_runner(RELEASES[version].get).taken == "V2"
    assert accepted(version, "V2")
    assert accepted(version, "V1", "V2")
    assert not accepted(version, "V1")


def test_a_refusal_names_the_variable_where_it_helps() -> None:
    texts: dict[str, str] = {}
    old: tuple[Interface, ...] = ("V1",)
    for version in ("0.31.0", "0.99.0"):
        runner = read_model_runner(RELEASES[version].get)
        texts[version] = judge(version, "guards:Mine", old, runner).text
    assert texts["0.31.0"] == (
        "with vLLM 0.31.0 a GPU takes the V2 model runner, which refuses guards:Mine:"
        " it has the interface of V1 alone;"
        " it runs with VLLM_USE_V2_MODEL_RUNNER=0 alone, on the old runner"
    )
    assert "VLLM_USE_V2_MODEL_RUNNER" not in texts["0.99.0"]


def test_an_interface_that_has_changed_refuses_what_was_written_for_it() -> None:
    changed = INTERFACE.replace("sampling_params: SamplingParams) -> bool", "request) -> bool")
    runner = read_model_runner((RELEASES["0.31.0"] | {V2_FILE: changed}).get)
    judged = judge("0.34.0", "guards:Mine", ("V1", "V2"), runner)
    assert not judged.accepted
    assert "it lacks LogitsProcessor.add_request(req_idx, sampling_params)" in judged.text


def test_a_v2_without_logits_processors_refuses_all() -> None:
    runner = read_model_runner({CONFIG: RELEASES["0.31.0"][CONFIG], V1_FILE: ""}.get)
    judged = judge("0.31.0", "guards:Mine", ("V1", "V2"), runner)
    assert not judged.accepted
    assert "takes no logits processors" in judged.text


@pytest.mark.parametrize(
    ("source", "interfaces"),
    [(OLD, {"V1"}), (NEW, {"V2"}), (OLD + NEW, {"V1", "V2"}), ("import vllm\n", set())],
)
def test_a_guard_has_the_interfaces_that_its_module_imports(
    source: str, interfaces: set[str]
) -> None:
    assert interfaces_of("guards:Mine", {"guards.py": source}.get) == interfaces


def test_the_cut_down_interface_has_all_that_our_guard_needs() -> None:
    runner = read_model_runner(RELEASES["0.31.0"].get)
    assert runner.v2_members == V2_MEMBERS


@pytest.mark.parametrize("version", RELEASES)
def test_our_own_guard_is_accepted_by_every_runner(version: str) -> None:
    guard = "dsk.vllm_plugin.v1.guard:NgramGuardProcessor"
    own = interfaces_of(guard, lambda name: (Path(dsk.__file__).parent.parent / name).read_text())
    runner = read_model_runner(RELEASES[version].get)
    assert judge(version, guard, own, runner).accepted
