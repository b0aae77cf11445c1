"""Tables about the models: what they say is what the commands do."""

from dsk import models
from dsk.errors import EngineMissing
from dsk.generated import model_tables
from dsk.matrix import load_matrix
from dsk.models.reference import resolve
from dsk.vllm_plugin import stack_support


def rows(text: str) -> list[list[str]]:
    lines = [line.strip("| ").split(" | ") for line in text.splitlines()]
    return [[cell.strip().strip("`") for cell in line] for line in (lines[0], *lines[2:])]


def test_every_name_of_the_table_is_one_that_is_taken() -> None:
    _, *found = rows(model_tables.models())
    for model, (model_id, name, aliases, hub, revision, _) in zip(
        models.profiles().values(), found, strict=True
    ):
        names = [model_id, name, hub, *(alias.strip("`") for alias in aliases.split(", ") if alias)]
        assert all(resolve(text).profile is model for text in names)
        assert model.record.revision.startswith(revision)


def test_a_stack_reads_a_model_exactly_where_the_table_says_so() -> None:
    matrix = load_matrix()
    (_, *stacks), *found = rows(model_tables.stacks(matrix))
    assert stacks == [stack.id for stack in matrix.current]
    for model, (name, *cells) in zip(models.profiles().values(), found, strict=True):
        assert name == model.name
        for stack, cell in zip(stacks, cells, strict=True):
            try:
                support = stack_support.require(matrix.stack(stack), model.record, matrix)
            except EngineMissing:
                assert cell.startswith("no: needs vLLM")
            else:
                assert cell == f"{'dsk' if support.package else 'vLLM'}'s" + (
                    f", {support.engine}" if support.package else f" own, {support.engine}"
                )


def test_the_figures_are_those_of_the_profiles() -> None:
    _, *found = rows(model_tables.figures())
    for model, (name, tokens, context, *_) in zip(models.profiles().values(), found, strict=True):
        assert name == model.name
        assert tokens.endswith(f" to {model.max_page_tokens}")
        assert int(context) == model.record.language.max_positions
