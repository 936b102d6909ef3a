"""Every exception the product raises.

    ImageSearchError            message: the thing, the value seen, what would be accepted
    ├─ ConfigError              a setting is unknown, malformed or contradicts another
    ├─ InvalidInput             what the caller gave cannot be used
    │  ├─ InvalidParameter      .field names the parameter
    │  │  └─ NotAdmitted        an address that the settings do not admit
    │  ├─ InvalidImage          bytes that do not decode to a picture
    │  ├─ ImageTooLarge         more bytes or pixels than the limit
    │  ├─ UnsupportedFormat     a picture, but of a format outside the allow-list
    │  └─ DatasetFormatError    an HDF5 or .npy file that is not what it should be
    ├─ NotFound
    │  ├─ CollectionNotFound · ImageNotFound · JobNotFound
    ├─ Conflict
    │  ├─ CollectionExists
    │  └─ ModelMismatch         a collection of another model, projection or dimension
    └─ BackendError             .retryable: the same call may succeed later
       ├─ VectorStoreError · ImageStoreError · EmbedderError · FetchError

Exceptions carry data, not status codes: HTTP statuses are a table in `api/problems.py`, exit
codes one in `cli/context.py`.
"""

from __future__ import annotations

import errno


class ImageSearchError(Exception):
    """Base of all; its message is written for the person who has to act on it."""


class ConfigError(ImageSearchError):
    """A setting is unknown, malformed or contradicts another."""


class InvalidInput(ImageSearchError):
    """What the caller gave cannot be used."""


class InvalidParameter(InvalidInput):
    """A parameter has the wrong type or is out of range; `field` names it."""

    def __init__(self, field: str, reason: str, *, malformed: bool = False) -> None:
        # A reason about a part of the field begins with the path to that part.
        named = not field or reason.startswith((f"{field}:", f"{field}."))
        super().__init__(reason if named else f"{field}: {reason}")
        self.field = field
        self.reason = reason
        self.malformed = malformed
        """The request as a whole could not be parsed (broken JSON), as opposed to a value out of range."""


class NotAdmitted(InvalidParameter):
    """An address that the settings do not admit, by its form."""

    def __init__(self, field: str, reason: str, *, admitted_by: str = "") -> None:
        super().__init__(field, reason)
        self.admitted_by = admitted_by
        """The entry of url_fetch.allow that would admit it."""


class InvalidImage(InvalidInput):
    """The bytes do not decode to a picture."""


class ImageTooLarge(InvalidInput):
    """More bytes or pixels than the limit, which the message names."""


class UnsupportedFormat(InvalidInput):
    """Not one of the picture formats that are accepted."""


class DatasetFormatError(InvalidInput):
    """A dataset file is cut, of another layout, or of another version."""


class NotFound(ImageSearchError):
    """Something that was named does not exist."""


class CollectionNotFound(NotFound):
    """No collection of that name."""


class ImageNotFound(NotFound):
    """No picture, or no stored object, of that id."""


class JobNotFound(NotFound):
    """No job of that id."""


class Conflict(ImageSearchError):
    """The state of the library does not admit the request."""


class CollectionExists(Conflict):
    """A collection of that name exists already."""


class ModelMismatch(Conflict):
    """The collection was made with another model, projection or dimension: its vectors cannot be compared."""


class BackendError(ImageSearchError):
    """A part that we depend on failed; `retryable` says whether the same call may succeed later."""

    def __init__(self, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.retryable = retryable


class VectorStoreError(BackendError):
    """Milvus, or whatever holds the vectors."""


class ImageStoreError(BackendError):
    """The folder or bucket that holds the pictures."""


class EmbedderError(BackendError):
    """The network that turns pictures into vectors."""


class FetchError(BackendError):
    """Something that should have been fetched from the network was not."""

    def __init__(
        self,
        message: str,
        *,
        retryable: bool = False,
        reason: str = "",
        status: int | None = None,
        retry_after_s: float | None = None,
        admitted_by: str = "",
    ) -> None:
        super().__init__(message, retryable=retryable)
        self.reason = reason or message
        """What exactly happened: for the log and for whoever runs a command here, never for an answer over HTTP."""
        self.status = status
        """Of the answer; None = there was none."""
        self.retry_after_s = retry_after_s
        """How long the server asks to be left alone, in seconds."""
        self.admitted_by = admitted_by
        """The entry of url_fetch.allow that would admit the address; "" = it was not refused by the settings."""


def way_out(error: FetchError | NotAdmitted) -> str:
    """What to set where the settings refuse an address, to stand after the reason; "" where they do not."""
    return f"; to admit it, add {error.admitted_by} to url_fetch.allow" if error.admitted_by else ""


def is_disk_full(error: BaseException | None) -> bool:
    """Whether it says that a disk, or somebody's share of it, has no room left."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
