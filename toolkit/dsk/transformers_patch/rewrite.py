"""Rewriting of the model's source, so that names removed from transformers come from `shims`.

The result is the same for every transformers release: `shims` decides at run time.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Final

import libcst as cst
from libcst import matchers as m

from dsk.transformers_patch import detection
from dsk.transformers_patch.detection import LLAMA, MASK

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet

ALIAS: Final = "_dsk"

# Names taken from `shims`, from whatever module of transformers the source imports them.
NAMES: Final = LLAMA | {
    "ALL_LAYERNORM_LAYERS",
    "GenerationMixin",
    "PreTrainedConfig",
    "PreTrainedModel",
    "PretrainedConfig",
    "_prepare_4d_causal_attention_mask",
    "add_start_docstrings",
    "add_start_docstrings_to_model_forward",
    "is_flash_attn_greater_or_equal_2_10",
    "is_torch_fx_available",
    "is_torch_greater_or_equal_than_1_13",
    "replace_return_docstrings",
}

# Names that other modules have with other meanings: taken from `shims` in place of Llama's only.
LLAMA_MODULE: Final = "transformers.models.llama.modeling_llama"
LLAMA_FUNCTIONS: Final = frozenset({"apply_rotary_pos_emb", "repeat_kv"})

CACHE_CALLS: Final = frozenset({"get_max_length", "get_usable_length", "to_legacy_cache"})
SEEN: Final = "seen_tokens"
_CACHE_NAME: Final = m.SimpleString(
    m.MatchIfTrue(lambda text: text.strip("'\"") in {*CACHE_CALLS, SEEN})
)
PREPARE: Final = "prepare_inputs_for_generation"
# Methods that generation calls, and the function of `shims` that adapts each.
METHODS: Final = {PREPARE: "old_call", "_reorder_cache": "reordering"}
# Packages that the code imports for drawings that nobody asks for: they are imported when used.
NEEDLESS: Final = frozenset({"matplotlib"})


class UnknownCode(Exception):
    """File that uses removed names in a way this module does not know."""


@functools.cache
def revision() -> str:
    """Return twelve hex digits that change whenever this module does."""
    return detection.sha256(Path(__file__).read_bytes())[:12]


def rewritten(source: bytes) -> bytes:
    """Return the file rewritten, with a header; the same bytes if there is nothing to rewrite.

    Raises:
        UnknownCode: it is not Python, or uses Llama's attention in a way that is not known.
    """
    try:
        tree = cst.parse_module(source)
    except (cst.ParserSyntaxError, UnicodeDecodeError) as error:
        message = "it is not Python that can be parsed"
        raise UnknownCode(message) from error
    uses = _Uses()
    tree.visit(uses)
    if uses.unknown:
        message = f"it uses {uses.unknown} in a way that is not known"
        raise UnknownCode(message)
    rewriting = _Rewriting(calls_mask=uses.calls_mask, attention=LLAMA | uses.subclasses)
    changed = tree.visit(rewriting)
    return detection.header(revision(), source) + changed.bytes if rewriting.count else source


_EAGER: Final = m.Name("LlamaAttention")


class _Uses(cst.CSTVisitor):
    """Uses of Llama's classes: known as base, as a dictionary's values, in calls; else unknown."""

    def __init__(self) -> None:
        self.unknown = ""
        self.calls_mask = False
        self.subclasses: set[str] = set()
        self._known: set[cst.CSTNode] = set()

    def visit_ImportFrom(self, node: cst.ImportFrom) -> bool:  # noqa: N802
        if isinstance(node.names, cst.ImportStar) and _module(node).startswith("transformers."):
            self.unknown = f"everything of {_module(node)}"
        return False

    def visit_ClassDef(self, node: cst.ClassDef) -> None:  # noqa: N802
        # `shims` has the whole of this class as it was; of the others a subclass may use more.
        bases = [base.value for base in node.bases if m.matches(base.value, _EAGER)]
        self._known.update(bases)
        if bases:
            self.subclasses.add(node.name.value)

    def visit_DictElement(self, node: cst.DictElement) -> None:  # noqa: N802
        self._known.add(node.value)

    def visit_Call(self, node: cst.Call) -> None:  # noqa: N802
        self._known.add(node.func)

    def visit_Attribute(self, node: cst.Attribute) -> None:  # noqa: N802
        # Reached through its module, the name is not rewritten with the imports.
        if node.attr.value in LLAMA:
            self.unknown = node.attr.value
        self.calls_mask |= node.attr.value == MASK

    def visit_Name(self, node: cst.Name) -> None:  # noqa: N802
        if node.value in LLAMA and node not in self._known:
            self.unknown = node.value


class _Rewriting(cst.CSTTransformer):
    """Transformation in one pass; each method is one repair."""

    def __init__(self, *, calls_mask: bool, attention: AbstractSet[str]) -> None:
        self.count = 0
        self._calls_mask = calls_mask
        self._attention = attention

    def _shim(self, name: str) -> cst.Attribute:
        self.count += 1
        return cst.Attribute(cst.Name(ALIAS), cst.Name(name))

    def _call(self, name: str, *arguments: cst.BaseExpression) -> cst.Call:
        return cst.Call(self._shim(name), [cst.Arg(argument) for argument in arguments])

    def leave_Module(  # noqa: N802
        self,
        original_node: cst.Module,  # noqa: ARG002
        updated_node: cst.Module,
    ) -> cst.Module:
        """Add the import of `shims`, after a docstring and imports from the future."""
        if not self.count:
            return updated_node
        body = list(updated_node.body)
        first = next((i for i, line in enumerate(body) if not _must_lead(line)), len(body))
        line = cst.parse_statement(f"from dsk.transformers_patch import shims as {ALIAS}\n")
        return updated_node.with_changes(body=[*body[:first], line, *body[first:]])

    def leave_SimpleStatementLine(  # noqa: N802
        self,
        original_node: cst.SimpleStatementLine,  # noqa: ARG002
        updated_node: cst.SimpleStatementLine,
    ) -> cst.SimpleStatementLine | cst.FlattenSentinel[cst.SimpleStatementLine]:
        """Take removed names from `shims`; import needless packages when they are used."""
        if len(updated_node.body) != 1:
            return updated_node
        statement = updated_node.body[0]
        if isinstance(statement, cst.ImportFrom):
            statements = self._from_shims(statement)
        elif isinstance(statement, cst.Import):
            statements = self._when_used(statement)
        else:
            return updated_node
        if statements == [statement]:
            return updated_node
        # The first statement keeps the comments and blank lines above the line.
        first, *others = [cst.SimpleStatementLine([small]) for small in statements]
        first = updated_node.with_changes(body=first.body)
        return cst.FlattenSentinel([first, *others])

    def _from_shims(self, statement: cst.ImportFrom) -> list[cst.BaseSmallStatement]:
        """Return an import from transformers without removed names, which become assignments."""
        if isinstance(statement.names, cst.ImportStar) or statement.relative:
            return [statement]
        if _module(statement).split(".")[0] != "transformers":
            return [statement]
        names = NAMES | LLAMA_FUNCTIONS if _module(statement) == LLAMA_MODULE else NAMES
        removed = [alias for alias in statement.names if alias.evaluated_name in names]
        kept = [alias for alias in statement.names if alias.evaluated_name not in names]
        statements: list[cst.BaseSmallStatement] = []
        if kept:
            kept[-1] = kept[-1].with_changes(comma=cst.MaybeSentinel.DEFAULT)
            statements.append(statement.with_changes(names=kept) if removed else statement)
        for alias in removed:
            name = alias.evaluated_alias or alias.evaluated_name
            statements.append(_assign(name, self._shim(alias.evaluated_name)))
        return statements

    def _when_used(self, statement: cst.Import) -> list[cst.BaseSmallStatement]:
        """Return ``import matplotlib.pyplot as plt`` as an assignment of a lazy module."""
        late = [
            alias for alias in statement.names if alias.evaluated_name.split(".")[0] in NEEDLESS
        ]
        kept = [alias for alias in statement.names if alias not in late]
        statements: list[cst.BaseSmallStatement] = []
        if kept:
            kept[-1] = kept[-1].with_changes(comma=cst.MaybeSentinel.DEFAULT)
            statements.append(statement.with_changes(names=kept) if late else statement)
        for alias in late:
            # Without a name of its own the import binds the package, with its module as attribute.
            bound = alias.evaluated_alias or alias.evaluated_name.split(".")[0]
            module = alias.evaluated_name if alias.evaluated_alias else bound
            lazy = self._call("when_used", cst.SimpleString(f'"{module}"'))
            statements.append(_assign(bound, lazy))
        return statements

    def leave_Call(  # noqa: N802
        self,
        original_node: cst.Call,  # noqa: ARG002
        updated_node: cst.Call,
    ) -> cst.Call:
        """Replace calls of methods that caches no longer have, also by ``getattr``."""
        function = updated_node.func
        if m.matches(updated_node, m.Call(m.Name("getattr"), [m.Arg(), m.Arg(_CACHE_NAME)])) or (
            m.matches(
                updated_node, m.Call(m.Name("getattr"), [m.Arg(), m.Arg(_CACHE_NAME), m.Arg()])
            )
        ):
            return self._cache_attribute(updated_node)
        if not isinstance(function, cst.Attribute):
            return updated_node
        if function.attr.value in CACHE_CALLS:
            arguments = [cst.Arg(function.value), *updated_node.args]
            return cst.Call(self._shim(function.attr.value), arguments)
        if m.matches(function, m.Attribute(m.Name("DynamicCache"), m.Name("from_legacy_cache"))):
            return updated_node.with_changes(func=self._shim("from_legacy_cache"))
        return updated_node

    def _cache_attribute(self, call: cst.Call) -> cst.Call:
        past, name, *default = call.args
        if cst.ensure_type(name.value, cst.SimpleString).evaluated_value == SEEN:
            return self._call(SEEN, past.value)
        return cst.Call(self._shim("cache_method"), [past, name, *default])

    def leave_Attribute(  # noqa: N802
        self,
        original_node: cst.Attribute,  # noqa: ARG002
        updated_node: cst.Attribute,
    ) -> cst.BaseExpression:
        """Replace the attribute that caches no longer have."""
        if updated_node.attr.value == SEEN:
            return self._call(SEEN, updated_node.value)
        return updated_node

    def leave_Dict(  # noqa: N802
        self,
        original_node: cst.Dict,  # noqa: ARG002
        updated_node: cst.Dict,
    ) -> cst.BaseExpression:
        """Wrap the map from names to attention classes."""
        elements = updated_node.elements
        values = [element.value for element in elements if isinstance(element, cst.DictElement)]
        if any(isinstance(value, cst.Name) and value.value in self._attention for value in values):
            return self._call("attention_classes", updated_node)
        return updated_node

    def leave_FunctionDef(  # noqa: N802
        self,
        original_node: cst.FunctionDef,  # noqa: ARG002
        updated_node: cst.FunctionDef,
    ) -> cst.FunctionDef:
        """Let generation call its methods with the old arguments."""
        adapter = METHODS.get(updated_node.name.value)
        if adapter is None:
            return updated_node
        # Innermost: what is below `staticmethod` is a plain function.
        decorator = cst.Decorator(self._shim(adapter))
        return updated_node.with_changes(decorators=[*updated_node.decorators, decorator])

    def leave_ClassDef(  # noqa: N802
        self,
        original_node: cst.ClassDef,  # noqa: ARG002
        updated_node: cst.ClassDef,
    ) -> cst.ClassDef:
        """Let a model inherit generation, and its override of the causal mask be called."""
        body = updated_node.body.body
        methods = {line.name.value for line in body if isinstance(line, cst.FunctionDef)}
        bases: Sequence[cst.Arg] = updated_node.bases
        inherits = any(m.matches(base.value, m.Name("GenerationMixin")) for base in bases)
        if PREPARE in methods and bases and not inherits:
            # From 4.50 on PreTrainedModel does not inherit it.
            bases = [*bases, cst.Arg(self._shim("GenerationMixin"))]
        if MASK in methods and bases and not self._calls_mask:
            first = bases[0].with_changes(
                value=self._call("calling_update_causal_mask", bases[0].value)
            )
            bases = [first, *bases[1:]]
        return (
            updated_node if bases is updated_node.bases else updated_node.with_changes(bases=bases)
        )


def _assign(name: str, value: cst.BaseExpression) -> cst.Assign:
    return cst.Assign([cst.AssignTarget(cst.Name(name))], value)


def _must_lead(line: cst.BaseStatement) -> bool:
    # Only a docstring and other imports from the future may come before "from __future__".
    return m.matches(
        line,
        m.SimpleStatementLine([m.Expr(m.SimpleString() | m.ConcatenatedString())]),
    ) or m.matches(line, m.SimpleStatementLine([m.ImportFrom(module=m.Name("__future__"))]))


def _module(statement: cst.ImportFrom) -> str:
    return cst.Module([]).code_for_node(statement.module) if statement.module else ""
