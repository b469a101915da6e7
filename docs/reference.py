"""Writes the generated parts of docs/configuration.md and docs/cli.md: keys of serve_config.yaml, options of commands.

A part stands between ``<!-- generated: NAME -->`` and ``<!-- end of generated -->``; nothing else of a page is touched.
``make reference`` writes them, a test compares them.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from deployments import args
from lightfm_serve.cli import main

DOCS = Path(__file__).parent
PAGES = (DOCS / "configuration.md", DOCS / "cli.md")
_PART = re.compile(r"(<!-- generated: ([\w -]+) -->\n).*?(<!-- end of generated -->)", re.DOTALL)
_WORDS = {int: "whole number", float: "number", bool: "true or false", str: "text"}
_LIMITS = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}


def filled(page: str) -> str:
    """Page with its generated parts as the code has them."""
    return _PART.sub(lambda found: f"{found[1]}\n{part(found[2])}\n{found[3]}", page)


def part(name: str) -> str:
    """Generated part, by its name: ``args``, ``args model``, ``command train``."""
    kind, _, of = name.partition(" ")
    return _PARTS[kind](of)


def keys_of(section: str) -> str:
    """Table of the keys of ``args``, or of a section of it: ``training``, ``training forget``."""
    model: type[BaseModel] = args.AppArgs
    for name in section.split():
        found = model.model_fields[name].annotation
        assert isinstance(found, type)
        assert issubclass(found, BaseModel)
        model = found
    meanings = dict(_attribute_docstrings(model))
    rows = [
        [f"`{name}`", type_in_words(field), _default(field), _plain(meanings[name])]
        for name, field in model.model_fields.items()
        if not _is_section(field)
    ]
    return table(["key", "type", "default", "meaning"], rows)


def options_of(name: str) -> str:
    """Usage of a command and the table of its options."""
    command, path = main, "recommender"
    with click.Context(main, info_name="recommender") as context:
        for word in name.split():
            assert isinstance(command, click.Group)
            found = command.get_command(context, word)
            assert found is not None, f"there is no command {name!r}"
            command, path = found, f"{path} {word}"
        usage = " ".join([path, *command.collect_usage_pieces(context)])
        rows = [
            [_spelled(option), _escaped(option.help or ""), _default_of(option, context)]
            for option in command.params
            if isinstance(option, click.Option)
        ]
    return f"`{usage}`\n\n{table(['option', 'meaning', 'default'], rows)}"


def type_in_words(field: FieldInfo) -> str:
    """Type of a key and its limits, in words."""
    limits = [
        f"{word} {getattr(each, name)}"
        for each in field.metadata
        for name, word in _LIMITS.items()
        if getattr(each, name, None) is not None
    ]
    return ", ".join([_in_words(field.annotation), *limits])


def _in_words(kind: Any) -> str:
    origin, members = get_origin(kind), get_args(kind)
    if origin is Literal:
        return " or ".join(f"`{str(each).lower() if each is False else each}`" for each in members)
    if origin is Annotated:
        inner = FieldInfo.from_annotation(kind)
        return type_in_words(inner)
    if origin in (Union, UnionType):
        return " or ".join("null" if each is NoneType else _in_words(each) for each in members)
    if origin is dict:
        return f"map of {_in_words(members[0])} to {_in_words(members[1])}"
    if origin is tuple:
        return f"list of {_in_words(members[0])}"
    return _WORDS[kind]


def _is_section(field: FieldInfo) -> bool:
    return isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)


def _default(field: FieldInfo) -> str:
    value = field.default
    if value is None:
        return "null"
    if value == ():
        return "`[]`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _attribute_docstrings(model: type[BaseModel]) -> Iterator[tuple[str, str]]:
    """Strings behind the attributes of a class."""
    body = ast.parse(inspect.getsource(model)).body[0]
    assert isinstance(body, ast.ClassDef)
    for statement, after in zip(body.body, body.body[1:], strict=False):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            told = after.value if isinstance(after, ast.Expr) else None
            meaning = told.value if isinstance(told, ast.Constant) and isinstance(told.value, str) else ""
            yield statement.target.id, meaning


def _plain(docstring: str) -> str:
    """On one line, with Markdown's quotes."""
    return _escaped(" ".join(docstring.split()).replace("``", "`"))


def _spelled(option: click.Option) -> str:
    names = ", ".join(f"`{name}`" for name in [*option.opts, *option.secondary_opts])
    if isinstance(option.type, click.Choice):
        return f"{names} {_escaped(' | '.join(map(str, option.type.choices)))}"
    return names if option.is_flag else f"{names} {(option.metavar or option.type.name).upper()}"


def _default_of(option: click.Option, context: click.Context) -> str:
    if option.required:
        return "required"
    if isinstance(option.show_default, str):
        return _escaped(option.show_default)
    default = option.get_default(context) if option.show_default else None
    return "" if default is None else f"`{default}`"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


def table(head: list[str], rows: list[list[str]]) -> str:
    """Markdown table."""
    return "".join(f"| {' | '.join(cells)} |\n" for cells in [head, ["---"] * len(head), *rows])


_PARTS: dict[str, Callable[[str], str]] = {"args": keys_of, "command": options_of}

if __name__ == "__main__":
    for each in PAGES:
        each.write_text(filled(each.read_text()))
