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
from image_search.types import DEFAULT_COLLECTION, IndexKind
from image_search.urls import Allowed

ENV_PREFIX = "IMAGE_SEARCH_"
ENV_CONFIG_FILE = "IMAGE_SEARCH_CONFIG"


def _setting(default: Any, help_text: str, *, secret: bool = False) -> Any:
    return field(default=default, metadata={"help": help_text, "secret": secret}, repr=not secret)


@dataclass(frozen=True)
class LibrarySettings:
    """Where a library lies and what it is called."""

    data_dir: str = _setting(
        "",
        "Folder of the library: vectors, pictures, shards, keys, jobs. Empty: image-search in the user's data "
        "folder ($XDG_DATA_HOME, else ~/.local/share).",
    )
    collection: str = _setting(DEFAULT_COLLECTION, "Collection that is used where none is named.")


@dataclass(frozen=True)
class EmbeddingSettings:
    """Which network turns pictures into vectors."""

    model: str = _setting(
        "auto",
        "auto: the model that a library was built with, and for a new one `compact`, which comes with the package. Or "
        "the name of a model (`image-search models list`), or the path of an .onnx file with a .json beside it.",
    )
    projection: str = _setting(
        "none",
        "Projection of a new library: none, random:N, or pca:N (begins with none, and is fitted at the end of the "
        "first ingest that brings it 10 N pictures).",
    )
    threads: int = _setting(0, "Threads of the network; 0 = one for each core.")
    batch_size: int = _setting(16, "Pictures in one run of the network during a bulk run.")
    cache_dir: str = _setting("", "Folder for downloaded models. Empty: `models` in the data folder.")


@dataclass(frozen=True)
class MilvusSettings:
    """Where the vectors are stored and how they are indexed."""

    uri: str = _setting(
        "",
        "A Milvus server (http://host:19530) or a Milvus Lite file (.db). Empty: library.db in the data folder.",
    )
    token: str = _setting("", "user:password or API key of the server.", secret=True)
    db_name: str = _setting("", "Database on the server; empty = its default.")
    timeout_s: float = _setting(30.0, "Longest wait for one call, in seconds.")
    index: Literal["auto"] | IndexKind = _setting(
        "auto", "Index of new collections; auto = FLAT (Lite), HNSW (server)."
    )
    index_params: str = _setting("", "Build parameters of the index, as in `M=16, efConstruction=200`.")
    ef: int = _setting(128, "HNSW: size of the candidate list of a search.")
    nprobe: int = _setting(32, "IVF: clusters that a search visits.")


@dataclass(frozen=True)
class StorageSettings:
    """Where the pictures themselves are kept."""

    backend: Literal["local", "minio"] = _setting("local", "local = files in the data folder; minio = any S3 server.")
    endpoint: str = _setting("", "host:port of the S3 server.")
    bucket: str = _setting("image-search", "Bucket of the pictures; it stays private.")
    access_key: str = _setting("", "Access key of the S3 server.", secret=True)
    secret_key: str = _setting("", "Secret key of the S3 server.", secret=True)
    region: str = _setting("us-east-1", "Region of the bucket; given, so that it is never looked up.")
    secure: bool = _setting(True, "Speak TLS to the S3 server.")
    timeout_s: float = _setting(10.0, "Longest wait for one call, in seconds.")


@dataclass(frozen=True)
class ImagingSettings:
    """Limits and sizes of pictures."""

    max_pixels: int = _setting(50_000_000, "Largest picture accepted over HTTP, in pixels, read before it is decoded.")
    max_local_pixels: int = _setting(200_000_000, "The same for files that the library's owner ingests.")
    max_local_bytes: int = _setting(1_000_000_000, "Largest file that is ingested, in bytes.")
    thumbnail_px: int = _setting(320, "Longest edge of a thumbnail.")


@dataclass(frozen=True)
class IngestSettings:
    """How a bulk run works."""

    originals: Literal["copy", "hardlink", "reference"] = _setting(
        "copy",
        "How originals enter the image store: copy; hardlink (no second copy on the same disk); reference (the file "
        "stays where it is and must not move or change).",
    )
    threads: int = _setting(0, "Threads that read and decode; 0 = one for each core.")
    chunk_size: int = _setting(128, "Pictures that are committed together: what a kill -9 can make a later run repeat.")


@dataclass(frozen=True)
class HttpServerSettings:
    """The HTTP service."""

    host: str = _setting("127.0.0.1", "Address to listen on; 0.0.0.0 = every network of the machine.")
    port: int = _setting(5000, "Port to listen on.")
    threads: int = _setting(8, "Requests worked on at once, in each worker.")
    workers: int = _setting(1, "Processes; more than 1 needs a Milvus server.")
    max_at_once: int = _setting(
        0, "Searches and inserts that are worked on at once, in each worker; more are answered 429; 0 = no limit."
    )
    cors_origins: tuple[str, ...] = _setting(
        (), "Origins whose pages may call the service, comma-separated; `null` = a page opened as a file."
    )
    public_url: str = _setting("", "Address the service is known by, for the URLs in answers; empty = the request's.")
    trusted_proxies: int = _setting(0, "Number of proxies in front whose X-Forwarded-* headers are believed.")
    max_image_bytes: int = _setting(20_000_000, "Largest picture in a request.")
    max_request_bytes: int = _setting(64_000_000, "Largest request body.")


@dataclass(frozen=True)
class SecuritySettings:
    """Who may do what."""

    user_key: str = _setting("", "Key for searching; empty = search is open.", secret=True)
    admin_key: str = _setting(
        "",
        "Key for inserting, deleting, indexing; empty = one is made and kept in the data folder.",
        secret=True,
    )
    requests_per_minute: int = _setting(
        0, "Searches and changes that one key, or one address without a key, may ask for; 0 = no limit."
    )


@dataclass(frozen=True)
class UrlFetchSettings:
    """Pictures that the server fetches by their URL."""

    mode: Literal["off", "allowlist", "public"] = _setting(
        "public", "Which addresses: none; only those in `allow`; every public one and those in `allow`."
    )
    allow: tuple[str, ...] = _setting(
        (),
        "Host names, IP addresses and networks, comma-separated, as in `nas.lan, 192.168.1.0/24, 127.0.0.1:8080`: the "
        "one way to hosts of the LAN. Without a port those of `ports` are meant. A listed name may lead into the LAN.",
    )
    ports: tuple[int, ...] = _setting((80, 443), "Ports that may be asked, comma-separated.")
    connect_s: float = _setting(3.0, "Longest wait for a connection, in seconds.")
    read_s: float = _setting(5.0, "Longest wait for the next bytes, in seconds.")
    total_s: float = _setting(10.0, "Longest time for one picture, redirects included, in seconds.")


SECTIONS: Mapping[str, type[Any]] = {
    "library": LibrarySettings,
    "embedding": EmbeddingSettings,
    "milvus": MilvusSettings,
    "storage": StorageSettings,
    "imaging": ImagingSettings,
    "ingest": IngestSettings,
    "http_server": HttpServerSettings,
    "security": SecuritySettings,
    "url_fetch": UrlFetchSettings,
}


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
            raise ConfigError(f"configuration file {str(explicit)!r} does not exist")
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
    except (configparser.Error, UnicodeDecodeError, OSError) as error:
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
    for key in ("connect_s", "read_s", "total_s"):
        if not getattr(fetch, key):
            raise ConfigError(f"url_fetch.{key} = 0: must be more than 0")
