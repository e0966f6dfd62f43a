"""The messages of every error in the source, with an ellipsis in place of values.

The module walks the syntax trees of cudfkd/ and analysis/, so nobody has to keep a list of messages by hand.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from analysis.origin import ROOT

BASE = "CudfkdError"


class Message(NamedTuple):
    """A message that a user can meet, and the place in the source that makes it."""

    text: str
    where: str


def messages() -> list[Message]:
    """Every message of every error that derives from CudfkdError."""
    files = sorted(path for package in ("cudfkd", "analysis") for path in (ROOT / package).rglob("*.py"))
    trees = {path: ast.parse(path.read_text()) for path in files}
    kinds = errors(list(trees.values()))
    return [message for path, tree in trees.items() for message in messages_in(path, tree, kinds)]


def errors(trees: list[ast.Module]) -> set[str]:
    """The names of the classes that derive from CudfkdError, itself included."""
    classes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    names, before = {BASE}, set()
    while names != before:
        before = set(names)
        names |= {c.name for c in classes if any(isinstance(b, ast.Name) and b.id in names for b in c.bases)}
    return names


def constants() -> str:
    """All text in the source, for messages that are put together in other ways."""
    files = (path for package in ("cudfkd", "analysis") for path in (ROOT / package).rglob("*.py"))
    nodes = (node for path in files for node in ast.walk(ast.parse(path.read_text())))
    return "\n".join(str(node.value) for node in nodes if isinstance(node, ast.Constant))


def messages_in(path: Path, tree: ast.Module, kinds: set[str]) -> Iterator[Message]:
    """The messages of one module. `kinds` are the names of our error classes."""
    for scope in ast.walk(tree):
        if isinstance(scope, ast.Module | ast.FunctionDef):
            for node in _own(scope):
                if isinstance(node, ast.Call) and _name(node) in kinds and node.args:
                    for text in _texts(node.args[0], scope, tree):
                        yield Message(text, f"{path.relative_to(ROOT)}:{node.lineno}")


def _own(scope: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a scope, without those of functions inside it."""
    for child in ast.iter_child_nodes(scope):
        yield child
        if not isinstance(child, ast.FunctionDef):
            yield from _own(child)


def _texts(node: ast.expr, scope: ast.AST, tree: ast.Module) -> list[str]:
    """Possible texts of an expression. Names in f-strings are looked up; a helper's call gives its returns."""
    if isinstance(node, ast.Constant):
        return [str(node.value)]
    if isinstance(node, ast.JoinedStr):
        return _joined([_texts(piece, scope, tree) for piece in node.values])
    if isinstance(node, ast.BinOp):
        return _joined([_texts(piece, scope, tree) for piece in (node.left, node.right)])
    if isinstance(node, ast.IfExp):
        return [*_texts(node.body, scope, tree), *_texts(node.orelse, scope, tree)]
    if isinstance(node, ast.FormattedValue):
        return _texts(node.value, scope, tree) if isinstance(node.value, ast.Name) else ["…"]
    if isinstance(node, ast.Name):
        return _assigned(node.id, scope, tree, node.lineno) or ["…"]
    if isinstance(node, ast.Call):
        return _called(node, scope, tree)
    return ["…"]


def _name(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else ""


def _joined(parts: list[list[str]]) -> list[str]:
    whole = [""]
    for part in parts:
        whole = [before + text for before in whole for text in part]
    return whole


def _assigned(name: str, scope: ast.AST, tree: ast.Module, line: int) -> list[str]:
    """Texts of the last assignment to a name before a line of its function; else of its assignment at module level."""
    for place, latest in ((scope, line), (tree, 10**9)):
        nodes = [node for node in _own(place) if isinstance(node, ast.Assign) and node.lineno <= latest]
        named = [n for n in nodes if any(isinstance(t, ast.Name) and t.id == name for t in n.targets)]
        if named:
            return _texts(max(named, key=lambda node: node.lineno).value, scope, tree)
    return []


def _called(node: ast.Call, scope: ast.AST, tree: ast.Module) -> list[str]:
    if _name(node) == "unknown":
        return [f"unknown {text} …: known: …" for text in _texts(node.args[0], scope, tree)]
    helpers = [f for f in tree.body if isinstance(f, ast.FunctionDef) and f.name == _name(node)]
    texts = []
    for helper in helpers:
        for inner in _own(helper):
            if isinstance(inner, ast.Return) and inner.value is not None:
                texts += _texts(inner.value, helper, tree)
    return texts or ["…"]
