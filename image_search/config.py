"""Settings: the one reader of conf/config.ini (configparser) and of the process's environment.

A command-line flag beats `IMAGE_SEARCH_<SECTION>__<KEY>` in the environment, that beats the file, that the default.
"""

from __future__ import annotations

import configparser
import math
import os
import re
import textwrap
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from image_search.errors import ConfigError, InvalidParameter
from image_search.names import check_collection_name, parse_projection
from image_search.settings import (
    SECTIONS,
    EmbeddingSettings,
    FetchSettings,
    HttpServerSettings,
    ImagingSettings,
    IngestSettings,
    LibrarySettings,
    MilvusSettings,
    SecuritySettings,
    StorageSettings,
    UrlFetchSettings,
)
from image_search.urls import Allowed

ENV_PREFIX = "IMAGE_SEARCH_"
ENV_CONFIG_FILE = "IMAGE_SEARCH_CONFIG"


@dataclass(frozen=True)
class Settings:
    """Every setting, and for each `section.key` where its value came from."""

    library: LibrarySettings = field(default_factory=LibrarySettings)
    embedding: EmbeddingSettings = field(default_factory=EmbeddingSettings)
    milvus: MilvusSettings = field(default_factory=MilvusSettings)
    storage: StorageSettings = field(default_factory=StorageSettings)
    imaging: ImagingSettings = field(default_factory=ImagingSettings)
    ingest: IngestSettings = field(default_factory=IngestSettings)
    http_server: HttpServerSettings = field(default_factory=HttpServerSettings)
    security: SecuritySettings = field(default_factory=SecuritySettings)
    url_fetch: UrlFetchSettings = field(default_factory=UrlFetchSettings)
    fetch: FetchSettings = field(default_factory=FetchSettings)
    origins: Mapping[str, str] = field(default_factory=dict)

    @property
    def data_dir(self) -> Path:
        """The library's folder, absolute; it need not exist."""
        return _absolute(self.library.data_dir) if self.library.data_dir else _default_data_dir()

    @property
    def milvus_uri(self) -> str:
        """The server's address, or the absolute path of the Lite file."""
        uri = self.milvus.uri
        if not uri:
            return str(self.data_dir / "library.db")
        return uri if "://" in uri else str(_absolute(uri))

    @property
    def model_cache_dir(self) -> Path:
        """Folder for downloaded models."""
        return _absolute(self.embedding.cache_dir) if self.embedding.cache_dir else self.data_dir / "models"

    def rows(self) -> list[tuple[str, str, str]]:
        """(section.key, value, origin) of every setting; secrets are masked."""
        rows = []
        for section, cls in SECTIONS.items():
            for f in fields(cls):
                key = f"{section}.{f.name}"
                text = _to_text(getattr(getattr(self, section), f.name))
                if f.metadata["secret"] and text:
                    text = "********"
                # A password may stand inside an address too.
                text = re.sub(r"://[^/@\s]+@", "://********@", text)
                if key == "library.data_dir":
                    text = str(self.data_dir)
                rows.append((key, text, self.origins.get(key, "default")))
        return rows


def load_settings(
    config_file: Path | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, str] | None = None,
) -> Settings:
    """Settings from file, environment and `overrides` ({"section.key": text}).

    Raises ConfigError for an unknown section or key, a value of the wrong type, or a file that is not there.
    """
    environ = os.environ if environ is None else environ
    found = _from_file(_find_config_file(config_file, environ))
    found |= _from_environment(environ)
    for key, value in (overrides or {}).items():
        _check_known(*key.split(".", 1), where="command line")
        found[key] = (value, "command line")

    sections: dict[str, Any] = {}
    for section, cls in SECTIONS.items():
        hints = get_type_hints(cls)
        values = {}
        for f in fields(cls):
            if (entry := found.get(f"{section}.{f.name}")) is not None:
                values[f.name] = _from_text(entry[0], hints[f.name], f"{section}.{f.name}", entry[1])
        sections[section] = cls(**values)
    settings = Settings(**sections, origins={key: origin for key, (_, origin) in found.items()})
    _check_together(settings)
    return settings


def parse_index_params(text: str) -> dict[str, int]:
    """{"M": 16} from "M=16". Raises ConfigError."""
    params = {}
    for part in filter(None, (p.strip() for p in text.split(","))):
        name, _, value = part.partition("=")
        if not re.fullmatch(r"[A-Za-z_]+", name.strip()) or not re.fullmatch(r"[0-9]{1,9}", value.strip()):
            raise ConfigError(f"milvus.index_params: {part!r} is not of the form name=number")
        params[name.strip()] = int(value)
    return params


def render_default_ini() -> str:
    """Text of conf/config.ini: every key with its explanation and its default, commented out."""
    lines = [
        "# Every setting with its default. Take the # away before a key to change it.",
        "# A setting can also be given as IMAGE_SEARCH_<SECTION>__<KEY> in the environment; `image-search config show`",
        "# prints the values in force and where each came from.",
    ]
    for section, cls in SECTIONS.items():
        lines += ["", f"[{section}]"]
        for f in fields(cls):
            lines += textwrap.wrap(_help_of(cls, f), 116, initial_indent="# ", subsequent_indent="# ")
            lines.append(f"#{f.name} = {_to_text(f.default)}".rstrip())
    return "\n".join(lines) + "\n"


def _help_of(cls: type[Any], f: Field[Any]) -> str:
    hint = get_type_hints(cls)[f.name]
    choices = _choices(hint)
    text = str(f.metadata["help"])
    return f"{text} One of: {', '.join(choices)}." if choices else text


def _choices(hint: Any) -> list[str]:
    if get_origin(hint) is Literal:
        return [str(a) for a in get_args(hint)]
    return [c for arg in get_args(hint) if get_origin(arg) is Literal for c in _choices(arg)]


def _default_data_dir() -> Path:
    base = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return _absolute(base) / "image-search"


def _absolute(text: str) -> Path:
    return Path(text).expanduser().absolute()


def _find_config_file(explicit: Path | None, environ: Mapping[str, str]) -> Path | None:
    if explicit is None and environ.get(ENV_CONFIG_FILE):
        explicit = Path(environ[ENV_CONFIG_FILE])
    if explicit is not None:
        if not explicit.is_file():
            raise ConfigError(f"configuration file {str(explicit)!r} does not exist, or is no file")
        return explicit
    # Beside the package lies the checkout's conf/ (editable install); in a wheel it is inside the package.
    package = Path(__file__).parent
    for candidate in (
        Path("conf/config.ini"),
        package.parent / "conf/config.ini",
        package / "conf/config.ini",
    ):
        if candidate.is_file():
            return candidate
    return None


def _from_file(path: Path | None) -> dict[str, tuple[str, str]]:
    if path is None:
        return {}
    parser = configparser.ConfigParser(interpolation=None, default_section="\0")
    try:
        # Some editors begin a UTF-8 file with a byte order mark.
        parser.read_string(path.read_text(encoding="utf-8-sig"), source=path.name)
    except UnicodeDecodeError as error:
        raise ConfigError(f"configuration file {path.name}: is no text in UTF-8") from error
    except (configparser.Error, OSError) as error:
        raise ConfigError(f"configuration file {path.name}: {error}") from error
    found = {}
    for section in parser.sections():
        for key, value in parser[section].items():
            _check_known(section, key, where=path.name)
            found[f"{section}.{key}"] = (value, path.name)
        _check_known(section, None, where=path.name)
    return found


def _from_environment(environ: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    found = {}
    for name, value in environ.items():
        if not name.startswith(ENV_PREFIX):
            continue
        if "__" not in name:
            _refuse_near_miss(name)
        else:
            section, key = name.removeprefix(ENV_PREFIX).lower().split("__", 1)
            _check_known(section, key, where=f"environment variable {name}")
            found[f"{section}.{key}"] = (value, f"environment {name}")
    return found


def _refuse_near_miss(name: str) -> None:
    """One underscore where two belong: silently ignored, it would cost somebody an hour."""
    rest = name.removeprefix(ENV_PREFIX).lower()
    for section in SECTIONS:
        if rest.startswith(f"{section}_"):
            wanted = f"{ENV_PREFIX}{section.upper()}__{rest.removeprefix(f'{section}_').upper()}"
            raise ConfigError(f"environment variable {name}: two underscores follow the section, as in {wanted}")


def _check_known(section: str, key: str | None, *, where: str) -> None:
    if section not in SECTIONS:
        raise ConfigError(f"{where}: unknown section {section!r}; known are {', '.join(SECTIONS)}")
    known = [f.name for f in fields(SECTIONS[section])]
    if key is not None and key not in known:
        raise ConfigError(f"{where}: unknown key {key!r} in [{section}]; known are {', '.join(known)}")


def _from_text(text: str, hint: Any, key: str, origin: str) -> Any:
    text = text.strip()
    choices = _choices(hint)
    problem = ""
    if choices:
        if text in choices:
            return text
        problem = f"one of {', '.join(choices)}"
    elif hint is bool:
        value = configparser.ConfigParser.BOOLEAN_STATES.get(text.lower())
        if value is not None:
            return value
        problem = "true or false"
    elif hint in (int, float):
        try:
            number = hint(text.replace("_", ""))
        except ValueError:
            number = None
        if number is not None and 0 <= number < math.inf:
            return number
        problem = "a whole number, not negative" if hint is int else "a number, not negative"
    elif get_origin(hint) is tuple:
        item = get_args(hint)[0]
        return tuple(_from_text(part, item, key, origin) for part in text.split(",") if part.strip())
    else:
        return text
    raise ConfigError(f"{key} = {text!r} ({origin}): must be {problem}")


def _to_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return str(value)


def _check_together(settings: Settings) -> None:
    imaging, server = settings.imaging, settings.http_server
    for key, number in (("imaging.thumbnail_px", imaging.thumbnail_px), ("http_server.threads", server.threads)):
        if number < 1:
            raise ConfigError(f"{key} = {number}: must be at least 1")
    if server.port > 65_535:
        raise ConfigError(f"http_server.port = {server.port}: a port is a number up to 65535")
    parse_index_params(settings.milvus.index_params)
    lite = "://" not in settings.milvus_uri
    if lite and settings.http_server.workers > 1:
        raise ConfigError("http_server.workers > 1: a Milvus Lite file serves one process; set milvus.uri to a server")
    if lite and settings.milvus.index not in ("auto", "FLAT"):
        raise ConfigError(f"milvus.index = {settings.milvus.index}: Milvus Lite searches exactly, with FLAT only")
    if settings.storage.backend == "minio" and not settings.storage.endpoint:
        raise ConfigError("storage.backend = minio needs storage.endpoint, access_key and secret_key")
    if settings.storage.backend == "minio" and settings.ingest.originals != "copy":
        raise ConfigError(f"ingest.originals = {settings.ingest.originals}: only copy is possible with an S3 server")
    try:
        check_collection_name(settings.library.collection)
        parse_projection(settings.embedding.projection)
    except InvalidParameter as error:
        raise ConfigError(f"{'library' if error.field == 'collection' else 'embedding'}.{error}") from error
    if "*" in settings.http_server.cors_origins:
        raise ConfigError("http_server.cors_origins: name the origins; * is never accepted")
    fetch = settings.url_fetch
    for text in fetch.allow:
        Allowed.parse(text)
    if fetch.mode == "allowlist" and not fetch.allow:
        raise ConfigError("url_fetch.mode = allowlist needs url_fetch.allow")
    if not fetch.ports or not all(0 < port <= 65_535 for port in fetch.ports):
        raise ConfigError(f"url_fetch.ports = {_to_text(fetch.ports)}: must be numbers from 1 to 65535")
    for key in ("connect_s", "read_s", "total_s", "batch_s", "at_once"):
        if not getattr(fetch, key):
            raise ConfigError(f"url_fetch.{key} = 0: must be more than 0")
