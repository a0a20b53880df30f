"""Describes a check for the documentation and the API: its meaning, its options, an example. All come from its
class."""

import types
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import msgspec

from tidemill.checks.check import Check

_TYPES: Final = {str: "text", float: "number", int: "integer", bool: "boolean"}


class Option(msgspec.Struct, frozen=True):
    """An option of a check. `meaning` is "" where the check does not describe it."""

    name: str
    type: str
    required: bool
    default: Any
    meaning: str


def check_meaning(check: type[Check]) -> str:
    """A check's docstring as one paragraph."""
    return " ".join((check.__doc__ or "").split())


def check_options(check: type[Check]) -> list[Option]:
    """The options of a check, in their order."""
    described = []
    for field in msgspec.structs.fields(check):
        kind, text = _annotated(field.type)
        default = None if field.required else _default(field)
        described.append(Option(field.name, _type(kind), field.required, default, text))
    return described


def check_example(check: type[Check], name: str = "") -> str:
    """A rule that uses the check, as TOML of a feed. `name`: the name of a plug-in's entry point, instead of the
    check's own."""
    action = f'action = "{check.example_action}"\n' if check.example_action else ""
    return f'[[rules]]\ncheck = "{name or check.name}"\n{action}options = {{ {check.example} }}\n'


def _default(field: msgspec.structs.FieldInfo) -> Any:
    return field.default if field.default is not msgspec.NODEFAULT else field.default_factory()


def _annotated(kind: Any) -> tuple[Any, str]:
    if get_origin(kind) is not Annotated:
        return kind, ""
    inner, *metas = get_args(kind)
    return inner, next((m.description for m in metas if isinstance(m, msgspec.Meta) and m.description), "")


def _type(kind: Any) -> str:
    kind = _annotated(kind)[0]
    origin, inside = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return " or ".join(_type(part) for part in inside if part is not types.NoneType)
    if origin is Literal:
        return " or ".join(f'"{part}"' for part in inside)
    if origin in (tuple, list):
        return f"list of {_type(inside[0])}"
    return _TYPES.get(kind, getattr(kind, "__name__", str(kind)))
