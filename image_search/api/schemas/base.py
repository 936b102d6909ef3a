"""The two kinds of models. No Flask here, nor in its neighbours."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Request(BaseModel):
    """What comes in: nothing is converted, nothing unknown is passed over. null means the same as not given."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False, hide_input_in_errors=True)


class Answer(BaseModel):
    """What goes out. Answers are made as plain data; these models describe them, and the tests compare."""

    ok: Literal[True] = Field(description="For clients of the older interface.")


class Part(BaseModel):
    """A part of an answer."""


def with_old_key(schema: dict[str, Any]) -> None:
    """Describe the `key` that clients of the older interface send in the body; it is read before the body is."""
    schema["properties"]["key"] = {
        "type": "string",
        "writeOnly": True,
        "deprecated": True,
        "description": "The key, as the older interface sends it; a header is better.",
    }
