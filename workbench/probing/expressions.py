"""What the user wants of a probe, as texts: fields, filters and metrics.

The grammar is a part of Python's, read by :mod:`ast` and never run::

    pid tid uid gid cpu cgroup comm        the task that is there
    latency retval                         of a function's call
    arg0 arg1 ...                          arguments by number
    args.file.f_inode.i_ino  file.f_...    by name; pointers are followed by themselves
    task.real_parent.tgid                  the current task_struct
    names[2]                               elements of arrays, and behind pointers
    str(x)  str(x, 200)                    the text that x is or points to, and its longest length
    ptr(x)                                 the pointer itself, where x is a text
    u8(x) ... i64(x)                       another type of number
    i32p(x)[1]  u64p(x + 16)[0]            what a plain word points to
"""

from __future__ import annotations

import ast
import io
import itertools
import keyword
import tokenize
import warnings
from dataclasses import dataclass
from difflib import get_close_matches

from workbench.ctype import INT, NUMBERS, CType, pointer_to
from workbench.errors import ParameterError
from workbench.probe.kernel_types import kernel_types
from workbench.probing.operands import KERNEL, NUMBER, TEXT, TEXT_AT, Operand
from workbench.probing.scopes import Scope

U32, U64, CHARS_16 = NUMBERS["u32"], NUMBERS["u64"], CType("array", "char[16]", 16, count=16)
BUILTINS = {
    "pid": (U32, "process (thread group) id"),
    "tid": (U32, "thread id"),
    "uid": (U32, "user id"),
    "gid": (U32, "group id"),
    "cpu": (NUMBERS["u16"], "CPU on which it happened"),
    "cgroup": (U64, "cgroup v2 id"),
    "comm": (CHARS_16, "thread name"),
    "latency": (U64, "time from the function's entry to its return"),
}
COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Eq: "eq",
    ast.NotEq: "ne",
    ast.Lt: "lt",
    ast.LtE: "le",
    ast.Gt: "gt",
    ast.GtE: "ge",
}
METRICS = ("sum", "avg", "min", "max", "hist")
MAX_TEXT = 64
MAX_LENGTH = 512
MAX_EXPRESSION = 1000
KEYWORD_MARK = "__word__"
_NO_EXPRESSION = (
    *(SyntaxError, SyntaxWarning, ValueError, RecursionError, MemoryError),
    tokenize.TokenError,
)


@dataclass(frozen=True)
class Value:
    """A field: what is read, how, and for texts how many bytes there are for it."""

    operand: Operand
    read: str
    length: int = 0

    @property
    def size(self) -> int:
        """Bytes in the record."""
        return self.operand.type.size if self.read == NUMBER else self.length

    @property
    def can_fail(self) -> bool:
        """Whether reading it can fail: it is not among the registers, nor in the record itself."""
        source = self.operand.source
        return source == "task" or (source == "context" and len(self.operand.chain) > 1)


@dataclass(frozen=True)
class Term:
    """A comparison of a field with a constant."""

    value: Value
    compare: str
    wanted: int | bytes
    mask: int = 2**64 - 1


@dataclass(frozen=True)
class Metric:
    """A figure of a group: ``kind`` is one of :data:`METRICS`."""

    kind: str
    value: Value
    text: str


@dataclass(frozen=True)
class Reader:
    """Reads texts as they are meant in a scope.

    Parameters
    ----------
    scope : Scope
    string_size : int
        Bytes for a text whose length is not given.
    """

    scope: Scope
    string_size: int = 64

    def field(self, text: str) -> Value:
        """Return what a field reads.

        Raises
        ------
        ParameterError
            It is no expression, names what is not there, or is of a type that no column holds.
        """
        return self._value(_parsed(text), text)

    def filter(self, text: str) -> list[Term]:
        """Return the comparisons of a filter, all of which must hold.

        Raises
        ------
        ParameterError
        """
        if not text.strip():
            return []
        node = _parsed(text)
        parts = node.values if isinstance(node, ast.BoolOp) else [node]
        if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or):
            raise ParameterError(
                f"The filter {text!r} has an `or`.",
                advice="Comparisons are joined by `and`; capture with two probes, or filter the "
                "dataframe.",
            )
        return [self._term(part) for part in parts]

    def metric(self, text: str) -> Metric:
        """Return a figure such as ``sum(size)``.

        Raises
        ------
        ParameterError
        """
        node = _parsed(text)
        name = (
            node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
        )
        if not isinstance(node, ast.Call) or name not in METRICS or len(node.args) != 1:
            raise ParameterError(
                f"{text!r} is no aggregate.",
                advice=f"There are count and {', '.join(f'{m}(field)' for m in METRICS)}.",
            )
        value = self._value(node.args[0], text)
        if value.read != NUMBER:
            raise ParameterError(f"{text!r}: {value.operand.text} is a text.")
        return Metric(name, value, _shown(node.args[0]))

    def defaults(self) -> list[str]:
        """Return the fields that are taken if none is named: all arguments that a column holds."""
        found = []
        for name, operand in self.scope.arguments.items():
            if name.startswith("common_") or name == "__syscall_nr":
                continue
            try:
                operand.value()
            except ParameterError:
                continue
            found.append(f"args.{name}")
        return found

    def _term(self, node: ast.expr) -> Term:
        text = _shown(node)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitAnd):
            return self._term(ast.Compare(node, [ast.NotEq()], [ast.Constant(0)]))
        if not isinstance(node, ast.Compare) or len(node.ops) != 1:
            raise _no_comparison(text)
        compare = COMPARISONS.get(type(node.ops[0]))
        left, mask = node.left, 2**64 - 1
        if compare is None:
            raise _no_comparison(text)
        if isinstance(left, ast.BinOp) and isinstance(left.op, ast.BitAnd):
            mask = _integer(left.right, text) & (2**64 - 1)
            left = left.left
        value = self._value(left, text)
        wanted = _constant(node.comparators[0], text)
        if isinstance(wanted, bytes) != (value.read != NUMBER):
            is_text = "a text" if value.read != NUMBER else "a number"
            raise ParameterError(f"The filter {text!r} compares two kinds of things.",
                                 why=f"{_shown(left)} is {is_text}.")  # fmt: skip
        if isinstance(wanted, bytes):
            _check_text(value, wanted, compare, mask, text)
        elif not _fits(value.operand.type, wanted):
            kind = value.operand.type
            raise ParameterError(
                f"The filter {text!r} is never true, or always.",
                why=f"{_shown(left)} is {kind.name}, of {kind.size} bytes.",
            )
        return Term(value, compare, wanted, mask)

    def _value(self, node: ast.expr, text: str) -> Value:
        operand, length = self._operand(node), 0
        if isinstance(node, ast.Call) and len(node.args) == 2:
            length = _integer(node.args[1], text)
            if not 1 < length <= MAX_LENGTH:
                raise ParameterError(f"{text!r}: a text has 2 to {MAX_LENGTH} bytes.")
        operand = operand.value()
        if operand.source == "comm":
            return Value(operand, TEXT, 16)
        if operand.read == TEXT_AT:
            return Value(operand, TEXT_AT, length or self.string_size)
        if operand.type.kind == "array":
            return Value(operand, TEXT, length or operand.type.size or self.string_size)
        return Value(operand, NUMBER)

    def _operand(self, node: ast.expr) -> Operand:
        text = _shown(node)
        if isinstance(node, ast.Name):
            return self._name(node.id)
        if isinstance(node, ast.Attribute):
            if isinstance(node.value, ast.Name) and node.value.id == "args":
                return self._argument(node.attr.removesuffix(KEYWORD_MARK))
            return self._operand(node.value).member(node.attr.removesuffix(KEYWORD_MARK))
        if isinstance(node, ast.Subscript):
            return self._operand(node.value).item(_integer(node.slice, text))
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
            count = _integer(node.right, text)
            return self._operand(node.left).plus(
                count if isinstance(node.op, ast.Add) else -count, text
            )
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
            return self._call(node, node.func.id, text)
        raise ParameterError(
            f"{text!r} is nothing that a probe can read.",
            advice="Fields are names, members, elements, casts: args.path, task.tgid, str(arg0).",
        )

    def _call(self, node: ast.Call, name: str, text: str) -> Operand:
        casts = {**NUMBERS, **{f"{n}p": pointer_to(kind) for n, kind in NUMBERS.items()}}
        if name == "str" and len(node.args) in (1, 2):
            return self._operand(node.args[0]).as_text(text)
        if name == "ptr" and len(node.args) == 1:
            inner = self._operand(node.args[0])
            return inner.cast(U64, text)
        if name in casts and len(node.args) == 1:
            return self._operand(node.args[0]).cast(casts[name], text)
        raise ParameterError(
            f"{text!r} is no cast.", advice=f"There are str, ptr, {', '.join(casts)}."
        )

    def _name(self, name: str) -> Operand:
        if name == "retval":
            if self.scope.returned is None:
                raise ParameterError("There is no retval.", why=f"{self.scope.no_return}.")
            return self.scope.returned
        if name == "task":
            return _current_task()
        if name in BUILTINS:
            kind, meaning = BUILTINS[name]
            stage = "return" if name == "latency" else "any"
            return Operand(name, kind, name, stage=stage, origin=meaning)
        return self._argument(name)

    def _argument(self, name: str) -> Operand:
        scope = self.scope
        name = scope.name_of(name)
        if name in scope.arguments:
            return scope.arguments[name]
        if name in scope.reasons:
            raise ParameterError(f"{name} cannot be read.", why=f"{scope.reasons[name]}.")
        found = scope.position(name)
        if found is not None:
            return found
        raise self._unknown(name)

    def _unknown(self, name: str) -> ParameterError:
        there = [*self.scope.arguments, *BUILTINS, "retval", "task"]
        close = get_close_matches(name, there, 5, 0.5)
        known = self.scope.known
        why = f"{known} has: {', '.join(self.scope.arguments) or 'no arguments'}." if known else ""
        if not known and self.scope.point.kind not in ("perf",):
            why = (
                "The names and types of its arguments are not known (no BTF or debug information): "
            )
            why += "they are arg0, arg1, ... here."
        advice = (
            f"Similar: {', '.join(close)}." if close else f"There are also {', '.join(BUILTINS)}."
        )
        return ParameterError(f"There is no {name!r} to read.", why=why, advice=advice)


def _current_task() -> Operand:
    kind = kernel_types().struct("task_struct")
    if kind is None:
        raise ParameterError("task cannot be read.", why="the kernel has no BTF")
    return Operand("task", kind, "task", (0,), (KERNEL,), origin="the kernel's BTF", stage="any")


def _parsed(text: str) -> ast.expr:
    try:
        with warnings.catch_warnings():  # "1or 2" is one
            warnings.simplefilter("error", SyntaxWarning)
            return ast.parse(_members_named(text.strip()[:MAX_EXPRESSION]), mode="eval").body
    except _NO_EXPRESSION as error:
        reason = error.msg if isinstance(error, SyntaxError) else str(error)
        raise ParameterError(
            f"{text!r} is no expression.",
            why=reason,
            advice="Examples: args.size, str(arg0), size >= 4096 and comm == 'dd'.",
        ) from None


def _members_named(text: str) -> str:
    """Return the text with members whose names are words of Python (``o.in``) marked."""
    tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    found, at = [], 0
    for before, token in itertools.pairwise(tokens):
        if before.string == "." and keyword.iskeyword(token.string) and token.start[0] == 1:
            found += [text[at : token.end[1]], KEYWORD_MARK]
            at = token.end[1]
    return "".join([*found, text[at:]])


def _shown(node: ast.AST) -> str:
    return ast.unparse(node).replace(KEYWORD_MARK, "")


def _integer(node: ast.expr, text: str) -> int:
    value = _constant(node, text)
    if isinstance(value, bytes):
        raise ParameterError(f"{text!r}: {_shown(node)} is no whole number.")
    return value


def _constant(node: ast.expr, text: str) -> int | bytes:
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError):
        value = None
    if isinstance(value, int) and -(2**63) <= value < 2**64:
        return int(value)
    if isinstance(value, str | bytes):
        return value.encode() if isinstance(value, str) else value
    raise ParameterError(
        f"{text!r}: {_shown(node)} is no constant.",
        advice="Fields are compared with numbers and texts: size >= 4096, comm == 'dd'.",
    )


def _fits(kind: CType, wanted: int) -> bool:
    """Whether a number can be a value of that type (pointers are unsigned)."""
    if kind.kind == INT and kind.signed:
        return -(1 << 8 * kind.size - 1) <= wanted < 1 << 8 * kind.size - 1
    return 0 <= wanted < 1 << 8 * kind.size


def _check_text(value: Value, wanted: bytes, compare: str, mask: int, text: str) -> None:
    if compare not in ("eq", "ne") or mask != 2**64 - 1:
        raise ParameterError(f"The filter {text!r}: texts are compared with == and != only.")
    most = min(value.length, MAX_TEXT) - 1
    if len(wanted) > most or b"\0" in wanted:
        raise ParameterError(
            f"The filter {text!r} can never hold.",
            why=f"The text has {most} bytes at most here, and no zero byte.",
        )


def _no_comparison(text: str) -> ParameterError:
    return ParameterError(
        f"The filter {text!r} is no comparison.",
        advice="Write FIELD OP CONSTANT with ==, !=, <, <=, >, >=, FIELD & MASK, joined by `and`.",
    )
