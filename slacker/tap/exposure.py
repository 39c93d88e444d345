"""``--expose``: from ``[name=]package.module[:mapping]`` to what a server takes."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from importlib import import_module
from types import ModuleType
from typing import Any

from slacker.errors import ConfigurationError
from slacker.tap.starting import one_line

Exposed = ModuleType | Mapping[str, Any]


def resolve_exposure(text: str) -> Exposed:
    """What ``[name=]package.module[:mapping]`` stands for, as ``SlackerServer`` takes it.

    :raises ConfigurationError: if there is no such module or mapping, or the module does not load.
    """
    name, equals, path = text.rpartition("=")
    module_name, colon, mapping_name = path.partition(":")
    if not module_name or (equals and not name) or (colon and not mapping_name):
        raise ConfigurationError(f"--expose {text!r} should be [name=]package.module[:mapping]")
    module = _import(text, module_name)
    if not colon:
        return {name: module} if name else module
    mapping = getattr(module, mapping_name, None)
    if not isinstance(mapping, Mapping):
        problem = "has no" if mapping is None else "holds no dictionary in"
        raise ConfigurationError(f"--expose {text!r}: module {module_name} {problem} {mapping_name!r}")
    holds_namespaces = all(isinstance(value, (Mapping, ModuleType)) for value in mapping.values())
    if not holds_namespaces:
        return {name or module_name: mapping}
    if name:
        raise ConfigurationError(
            f"--expose {text!r}: {mapping_name} holds whole namespaces, which have their names already"
        )
    return mapping


def _import(text: str, module_name: str) -> ModuleType:
    # The twistd script looks in its own folder, where python -m looks in the current one.
    if "" not in sys.path and os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    try:
        return import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and (module_name == error.name or module_name.startswith(f"{error.name}.")):
            raise ConfigurationError(f"--expose {text!r}: there is no module {error.name!r} here") from None
        raise ConfigurationError(f"--expose {text!r}: {module_name} needs a module: {error}") from None
    except SystemExit as error:
        raise ConfigurationError(
            f"--expose {text!r}: {module_name} exits on import, with {error.code!r}; "
            "what it does as a script belongs under if __name__ == '__main__'"
        ) from None
    except Exception as error:  # the module's own code may raise anything
        raise ConfigurationError(
            f"--expose {text!r}: {module_name} does not load: {type(error).__name__}: {one_line(error)}"
        ) from error
