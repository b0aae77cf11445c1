"""Values of Python's literals, as ``eval`` gives them, of text that is never run.

A model writes the text, so whatever calls, looks up or grows without bound has no value here.
"""

from __future__ import annotations

import ast
import operator
import warnings
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# The boxes of an answer of 8192 tokens have a third of it.
_MAX_CHARACTERS: Final = 100_000
_SIGNS: Final[dict[type[ast.unaryop], Callable[[Any], object]]] = {
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
    ast.Invert: operator.invert,
    ast.Not: operator.not_,
}
# Their results are no longer than the operands together. Powers and shifts are left out.
_OPERATORS: Final[dict[type[ast.operator], Callable[[Any, Any], object]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
}
# Between other operands these repeat a sequence and fill in a template.
_BETWEEN_NUMBERS: Final = (ast.Mult, ast.Mod)
_ERRORS: Final = (
    SyntaxError,
    TypeError,
    ValueError,
    ArithmeticError,
    RecursionError,
    MemoryError,
)


class NotALiteral(ValueError):
    """The text has no value, or none that is known without running it."""


def value(text: str) -> Any:
    """Return the value of an expression of literals.

    Those are numbers, strings, bytes, ``True``, ``False``, ``None`` and ``...``, displays of
    lists, tuples, sets and dictionaries, signs, arithmetic, and ``and`` and ``or``.

    Raises:
        NotALiteral: ``eval`` would raise an error as well, or the text has more than 100,000
            characters, a name, a call, a comprehension, a comparison, a subscript, a template, a
            power, a shift or a repetition.
    """
    # ``eval`` strips these two, and the parser by itself takes them for an indent.
    text = text.lstrip(" \t")
    if len(text) > _MAX_CHARACTERS:
        raise NotALiteral
    try:
        with warnings.catch_warnings():
            # Python warns of escapes such as "\d", and of ~True.
            warnings.simplefilter("ignore")
            return _value(ast.parse(text, mode="eval").body)
    except _ERRORS as error:
        raise NotALiteral from error


def _value(node: ast.expr) -> Any:
    result: Any
    match node:
        case ast.Constant(result):
            pass
        case ast.List(elements):
            result = list(_values(elements))
        case ast.Tuple(elements):
            result = tuple(_values(elements))
        case ast.Set(elements):
            result = set(_values(elements))
        case ast.Dict(keys, values) if None not in keys:
            result = dict(zip(_values(keys), _values(values), strict=True))
        case ast.UnaryOp(sign, operand):
            result = _SIGNS[type(sign)](_value(operand))
        case ast.BinOp(left, symbol, right) if type(symbol) in _OPERATORS:
            result = _combined(symbol, _value(left), _value(right))
        case ast.BoolOp(connective, operands):
            result = _connected(connective, operands)
        case _:
            raise NotALiteral
    return result


def _values(nodes: list[Any]) -> Iterator[Any]:
    for node in nodes:
        if isinstance(node, ast.Starred):
            yield from _value(node.value)
        else:
            yield _value(node)


def _combined(symbol: ast.operator, left: Any, right: Any) -> object:
    numbers = isinstance(left, int | float | complex) and isinstance(right, int | float | complex)
    if isinstance(symbol, _BETWEEN_NUMBERS) and not numbers:
        raise NotALiteral
    return _OPERATORS[type(symbol)](left, right)


def _connected(connective: ast.boolop, operands: list[ast.expr]) -> Any:
    """Return the first operand that decides, or the last one; those after it have no value."""
    decides = isinstance(connective, ast.Or)
    for operand in operands:
        result = _value(operand)
        if bool(result) is decides:
            break
    return result
