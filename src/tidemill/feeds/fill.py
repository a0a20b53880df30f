"""Fills in `${NAME}`, `${NAME:-default}` and `${file:PATH}` inside [source], and collects the secrets among the values.

A value from a file, or from a variable that has no default or an empty one, is treated as a secret: a fault at a key
with such a value does not show the value. Files are read from one folder only (an administrator's feed must not be a
way to read the server's disk), and only by a process that polls: other processes keep the reference as written.
`variables.py` decides by tenant which variables and which folder may be read.
"""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from tidemill.feeds.convert import DefinitionFault
from tidemill.feeds.key_lines import Key
from tidemill.feeds.variables import AS_WRITTEN, variable_refusal

_REFERENCE: Final = re.compile(r"\$\{(?:file:([^}]*)|([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?)\}")
_MAX_BYTES: Final = 64 * 1024
_HOLDS_SECRETS: Final = frozenset({"url", "params", "headers", "options", "body", "basic", "api_key", "oauth2", "mqtt"})
_URL: Final[Key] = ("source", "url")
_HINT: Final = "write its value again, or look at where it comes from"


class Filler:
    """Fills one [source] table. `secrets_folder` None: files are not read; `environment` AS_WRITTEN: no variable is."""

    def __init__(self, environment: Mapping[str, str], secrets_folder: Path | None) -> None:
        self._environment = environment
        self._folder = secrets_folder
        self._faults: list[DefinitionFault] = []
        self._hiding: set[Key] = set()  # keys whose values hold a secret
        self._unread: set[Key] = set()  # keys whose values hold a reference that could not be filled in
        self._blank: set[Key] = set()  # keys whose texts are empty once their references are filled in
        self.secrets: list[str] = []
        self.files: dict[str, str] = {}  # path -> SHA-256 of its text

    def fill(self, node: Any, key: Key) -> Any:
        """`node` with every reference in its texts filled in."""
        if isinstance(node, dict):
            return {name: self.fill(value, (*key, name)) for name, value in node.items()}
        if isinstance(node, list):
            return [self.fill(value, (*key, n)) for n, value in enumerate(node)]
        if not isinstance(node, str):
            return node
        filled = _REFERENCE.sub(lambda match: self._variable_value(match, key), node)
        if node and not filled and key not in self._unread:
            self._blank.add(key)
        return filled

    def has_blank_url(self) -> bool:
        """Whether the URL is a reference that was left empty on purpose (`${NAME:-}`): nothing is to be polled."""
        return _URL in self._blank

    def merge_faults(self, faults: list[DefinitionFault]) -> list[DefinitionFault]:
        """The filler's own faults, then `faults` (of the filled table) without values that must not be shown. Faults of
        keys that could not be filled in are left out: the filler has a fault of its own for them. Of an unknown key
        only that is said."""
        unknown = {fault.key for fault in faults if fault.code == "unknown_key"}
        merged = [fault for fault in self._faults if not any(fault.key[: len(key)] == key for key in unknown)]
        for fault in faults:
            if fault.key in unknown:
                merged.append(fault)
                continue
            if fault.key in self._hiding:
                message = f"what was filled in is not right ({fault.code}); {_HINT}"
                fault = msgspec.structs.replace(fault, message=message)  # noqa: PLW2901
            if fault.key not in self._unread and not (fault.key == _URL and self.has_blank_url()):
                merged.append(fault)
        return merged

    def _variable_value(self, match: re.Match[str], key: Key) -> str:
        path, name, default = match.groups()
        if path is not None:
            return self._file_value(path, match[0], key)
        if self._environment is AS_WRITTEN:
            self._unread.add(key)
            return match[0]
        if (why := variable_refusal(self._environment, name, default)) is not None:
            self._faults.append(DefinitionFault(key, "variable_refused", why))
            self._unread.add(key)
            return ""
        value = self._environment.get(name)
        if value is None and default is None:
            message = f"the environment has no {name}; set it, or give a default: ${{{name}:-...}}"
            self._faults.append(DefinitionFault(key, "variable_unset", message))
            self._unread.add(key)
        if value is not None and not default:
            self._keep_secret(value, key)
        return (default or "") if value is None else value

    def _file_value(self, path: str, reference: str, key: Key) -> str:
        if not _HOLDS_SECRETS.intersection(key[1:2]):
            names = ", ".join(sorted(_HOLDS_SECRETS))
            self._faults.append(DefinitionFault(key, "misplaced_secret", f"a secret is filled in inside {names} only"))
        if self._folder is None:
            self._unread.add(key)
            return reference
        try:
            value = _read_secret(Path(path), self._folder)
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or error
            self._faults.append(DefinitionFault(key, "secret_unreadable", f"the secret {path} cannot be read: {why}"))
            self._unread.add(key)
            return ""
        self._keep_secret(value, key)
        self.files[path] = _digest(value)
        return value

    def _keep_secret(self, value: str, key: Key) -> None:
        if value and _HOLDS_SECRETS.intersection(key[1:2]):
            self._hiding.add(key)
            if value not in self.secrets:
                self.secrets.append(value)


def changed_files(files: Mapping[str, str], folder: Path) -> bool:
    """Whether a file (`files`: path -> SHA-256 of its text) has a different text by now. False if a file cannot be
    read: it may be about to be written."""
    try:
        return any(_digest(_read_secret(Path(path), folder)) != digest for path, digest in files.items())
    except (OSError, ValueError):
        return False


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _read_secret(path: Path, folder: Path) -> str:
    """The text of a file without the newline at its end. Raises OSError, or ValueError with a sentence that does not
    show the text."""
    try:
        inside = path.is_absolute() and path.resolve().is_relative_to(folder.resolve())
    except RuntimeError:  # raised by Python before 3.13 for a symbolic link to itself
        inside = False
    if not inside:
        raise ValueError(f"it must be a file below {folder} (setting `secrets`, a folder for each tenant)")
    if not path.is_file():
        raise FileNotFoundError(2, "there is no such file")
    with path.open("rb") as file:
        data = file.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        raise ValueError(f"it is longer than {_MAX_BYTES} bytes")
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8 text") from None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise ValueError("it is empty")
    return text
