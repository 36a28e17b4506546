"""Queries over columns of several names: ``label == "dog"`` asks whether a dog is among them."""

from __future__ import annotations

import ast
import re
from typing import Any

from activation_atlas.stages.tasks import Several

_BACKTICKS = re.compile(r"`[^`]*`")


def by_member(query: str, data: Any) -> tuple[str, Any]:
    """A sound query and its table, comparisons with columns of several names written as columns of yes and no.

    ``==``, ``!=``, ``in``, ``not in`` and ``isin`` are of members; what is unknown stays so. The text of such a column
    has all names, for ``label.str.contains``.
    """
    several = {
        name for name in data.columns if data[name].dtype == object and any(isinstance(v, Several) for v in data[name])
    }
    if not several:
        return query, data
    names: list[str] = []  # what is in backticks is no Python

    def held(match: re.Match[str]) -> str:
        if match[0][1:-1] in several:
            return match[0][1:-1]
        names.append(match[0])
        return f"_column_{len(names) - 1}_"

    members = _Members(several, data)
    text = ast.unparse(members.visit(ast.parse(_BACKTICKS.sub(held, query), mode="eval")))
    for k, name in enumerate(names):
        text = text.replace(f"_column_{k}_", name)
    return text, data.assign(**members.columns)


class _Members(ast.NodeTransformer):
    def __init__(self, several: set[str], data: Any) -> None:
        self.several, self.data = several, data
        self.columns: dict[str, Any] = {}

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        if len(node.ops) == 1:
            op, left, right = node.ops[0], node.left, node.comparators[0]
            if isinstance(op, (ast.Eq, ast.NotEq)) and isinstance(left, ast.Constant):
                left, right = right, left
            told = isinstance(op, (ast.Eq, ast.NotEq, ast.In, ast.NotIn))
            if told and (answer := self._among(left, right)) is not None:
                return ast.UnaryOp(ast.Not(), answer) if isinstance(op, (ast.NotEq, ast.NotIn)) else answer
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if isinstance(node.func, ast.Attribute) and node.func.attr == "isin" and len(node.args) == 1:
            if (answer := self._among(node.func.value, node.args[0])) is not None:
                return answer
        return self.generic_visit(node)

    def _among(self, column: ast.expr, values: ast.expr) -> ast.expr | None:
        """The column of answers to whether any of ``values`` is among the names; None where it is no such question."""
        import pandas as pd

        if not (isinstance(column, ast.Name) and column.id in self.several):
            return None
        given = values.elts if isinstance(values, (ast.List, ast.Tuple)) else [values]
        if not all(isinstance(one, ast.Constant) and isinstance(one.value, str) for one in given):
            return None
        asked = [one.value for one in given if isinstance(one, ast.Constant)]
        answers = [None if v is None else not _names(v).isdisjoint(asked) for v in self.data[column.id]]
        name = f"_among_{len(self.columns)}_"
        self.columns[name] = pd.array(answers, dtype="boolean")
        return ast.Name(name)


def _names(text: str) -> frozenset[str]:
    return frozenset(text.names if isinstance(text, Several) else [text])
