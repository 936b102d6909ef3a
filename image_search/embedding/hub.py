"""Registered models from the Hugging Face hub: the one importer of its client."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
from pathlib import Path

from image_search.embedding.models import REGISTRY, ModelFile, ModelSpec, checked, registered_path
from image_search.errors import ConfigError, FetchError, is_disk_full


def pull_model(name: str, cache_dir: Path) -> ModelFile:
    """Download a registered model, resuming where an earlier try stopped; one that is there is only checked.

    One that comes with the package is never downloaded.

    Shows the hub's own progress bar on stderr. Raises ConfigError, FetchError (with how to supply the file by hand).
    """
    if name not in REGISTRY:
        raise ConfigError(f"unknown model {name!r}: known are {', '.join(sorted(REGISTRY))}")
    spec = REGISTRY[name]
    path = registered_path(spec, cache_dir)
    if spec.repo_id and not path.is_file():
        _download(spec, path)
    return checked(spec, path)


def _download(spec: ModelSpec, path: Path) -> None:
    # Imported here: only this command needs the hub's client, and it is slow to import.
    from httpx2 import HTTPError  # the hub client's own HTTP library
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.file_download import http_get

    # Not hf_hub_download: since 2.0 it throws away what a stopped download had, and fetches all of it again.
    url = hf_hub_url(spec.repo_id, spec.filename, revision=spec.revision)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remote = get_hf_file_metadata(url, token=False)
        # A part belongs to one content: the tag is the SHA-256 of a large file.
        part = path.with_name(f"{path.name}.{re.sub('[^0-9A-Za-z]', '', remote.etag or '')[:64]}.part")
        with os.fdopen(os.open(part, os.O_RDWR | os.O_CREAT, 0o666), "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if path.is_file():
                # Another process, for which this one waited, has brought it.
                part.unlink(missing_ok=True)
                return
            start = file.seek(0, os.SEEK_END)
            http_get(url, file, resume_size=start, expected_size=remote.size, displayed_filename=path.name)
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            if re.fullmatch("[0-9a-f]{64}", remote.etag or "") and digest != remote.etag:
                part.unlink()
                raise OSError("what came is not what the hub has")
            # Before the lock is given up: who waits for it looks for this file next.
            part.replace(path)
    except (HfHubHTTPError, HTTPError, OSError) as error:
        raise FetchError(
            f"model {spec.name!r} could not be fetched from the hub ({spec.repo_id}, revision {spec.revision})"
            f"{': the disk is full' if is_disk_full(error) else ''}. "
            f"Without network: fetch {spec.filename} elsewhere and either put it into the model cache as "
            f"{spec.name}/{spec.filename}, or name the file itself in embedding.model with a .json beside it",
            retryable=True,
        ) from error
