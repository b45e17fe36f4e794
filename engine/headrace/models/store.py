"""The ``model.json`` of every kind of model: settings, features, and the numbers that the kind adds.

Floats are written as the shortest text that reads back to the same bits, so a model read back predicts the same.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from headrace.errors import BundleError, HeadraceError
from headrace.models.settings import ModelSettings

FORMAT = 1
FILE_NAME = "model.json"


def write_settings(folder: Path, settings: ModelSettings, features: tuple[str, ...], numbers: dict[str, Any]) -> None:
    """Write ``model.json`` into `folder`, which is made if it is not there; the same model gives the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {"format": FORMAT, "settings": dataclasses.asdict(settings), "features": list(features), **numbers}
    (folder / FILE_NAME).write_text(json.dumps(content, sort_keys=True, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def read_settings(folder: Path) -> tuple[ModelSettings, dict[str, Any]]:
    """Return the settings and the whole content of ``model.json``.

    Raises
    ------
    BundleError
        The file is missing, no JSON, of another format, or names what this version does not know.
    """
    path = folder / FILE_NAME
    try:
        content = json.loads(read_bytes(path))
    except ValueError:
        content = None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise BundleError("no model of a format that this version reads", file=str(path), hint=f"format {FORMAT} is read")
    try:
        features = content["features"]
        if not isinstance(features, list) or not all(isinstance(name, str) for name in features):
            raise BundleError("features are not a list of names", file=str(path))
        settings = ModelSettings(**content["settings"])
        if not isinstance(settings.n_classes, int):
            raise TypeError(f"{settings.n_classes!r} classes")
        return settings, content
    except (KeyError, TypeError, AttributeError) as error:
        raise BundleError(f"a model without its settings: {error}", file=str(path)) from error
    except BundleError:
        raise
    except HeadraceError as error:
        raise BundleError(f"settings that this version does not know: {error}", file=str(path)) from error


def read_bytes(path: Path) -> bytes:
    """Return a file's bytes; raise BundleError if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise BundleError(f"cannot be read: {error.strerror}", file=str(path)) from error
