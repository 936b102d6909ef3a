"""The settings' sections: a frozen dataclass for each, with default and explanation beside every key. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from image_search.types import DEFAULT_COLLECTION, IndexKind


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
    trash_days: int = _setting(
        30, "Days that a deleted picture can be restored, before its files go too; 0 = they go at once."
    )


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
    device: Literal["auto", "cpu", "cuda"] = _setting(
        "auto",
        "What the network runs on: cuda = an NVIDIA card, with the package of image-search[gpu]; auto = that where it "
        "can be used, else the processor.",
    )
    threads: int = _setting(0, "Threads of the network; 0 = one for each core, shared by the workers of a service.")
    batch_size: int = _setting(
        0, "Pictures in one run of the network during a bulk run; 0 = 16 on the processor, 64 on a graphics card."
    )
    cache_dir: str = _setting("", "Folder for downloaded models. Empty: `models` in the data folder.")


@dataclass(frozen=True)
class MilvusSettings:
    """Where the vectors are stored and how they are indexed."""

    uri: str = _setting(
        "",
        "A Milvus server (http(s)://host:19530) or a Milvus Lite file (.db). Empty: library.db in the data folder.",
    )
    token: str = _setting("", "user:password or API key of the server.", secret=True)
    db_name: str = _setting("", "Database on the server; empty = its default.")
    ca_file: str = _setting(
        "", "Certificate (PEM) of the authority that signed an https server's; empty = the machine's authorities."
    )
    timeout_s: float = _setting(30.0, "Longest wait for one call, in seconds.")
    index: Literal["auto"] | IndexKind = _setting(
        "auto", "Index of new collections; auto = FLAT (Lite), HNSW (server)."
    )
    index_params: str = _setting("", "Build parameters of the index, as in `M=16, efConstruction=200`.")
    ef: int = _setting(128, "HNSW, DISKANN: size of the candidate list of a search.")
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
    ca_file: str = _setting(
        "", "Certificate (PEM) of the authority that signed the S3 server's; empty = the machine's authorities."
    )
    timeout_s: float = _setting(10.0, "Longest wait for one call, in seconds.")
    image_urls: Literal["proxy", "presigned"] = _setting(
        "proxy",
        "Where the addresses of pictures in HTTP answers lead: proxy = to this service; presigned = to the S3 server "
        "itself, signed for `url_expiry_s` and for whoever has them.",
    )
    public_endpoint: str = _setting(
        "", "http(s)://host:port by which browsers reach the S3 server, for presigned addresses; empty = `endpoint`."
    )
    url_expiry_s: int = _setting(
        900, "Longest time that a presigned address is good for, in seconds; it is good for half of it at least."
    )


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
    embedded_words: bool = _setting(
        True,
        "Take title, tags, text, date and camera from the pictures' own files (EXIF, IPTC, XMP) where nothing else "
        "tells them; never the place where they were taken.",
    )


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
    keep_queries: bool = _setting(
        False,
        "Keep the pictures that are searched with, as queries/DAY/... in the image store: never listed, found or "
        "removed by the service.",
    )
    max_image_bytes: int = _setting(20_000_000, "Largest picture in a request.")
    max_request_bytes: int = _setting(64_000_000, "Largest request body.")
    max_import_bytes: int = _setting(
        4_000_000_000, "Largest file of vectors that is imported over HTTP; it waits in the data folder."
    )


@dataclass(frozen=True)
class SecuritySettings:
    """Who may do what."""

    user_key: str = _setting("", "Key for searching; empty = search is open.", secret=True)
    admin_key: str = _setting(
        "",
        "Key for inserting, deleting, indexing; empty = one is made and kept in the data folder.",
        secret=True,
    )
    metrics_key: str = _setting(
        "", "Key that opens /metrics and nothing else; empty = the admin key does.", secret=True
    )
    signing_key: str = _setting(
        "",
        "Signs addresses of pictures and tokens of queries, at least 32 characters, the same on every machine that "
        "serves a library; empty = one is made and kept in the data folder.",
        secret=True,
    )
    requests_per_minute: int = _setting(
        0,
        "Searches, changes and questions about pictures and jobs that one key, or one address without a key, may ask "
        "for; each item of a batch counts, the files of pictures do not; 0 = no limit.",
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
    batch_s: float = _setting(
        30.0, "Time from the beginning of a batch within which its addresses are fetched, in seconds."
    )
    at_once: int = _setting(
        4,
        "Pictures fetched at once, in each worker, but by no more than all but 2 of its threads; further ones are "
        "refused until one of them is done.",
    )

    @property
    def rules(self) -> str:
        """Stands for which addresses are admitted: another text where others are."""
        return f"{self.mode} {sorted(self.allow)} {sorted(self.ports)}"


@dataclass(frozen=True)
class FetchSettings:
    """`image-search fetch`: pictures of the web into a folder. Which addresses may be asked, `url_fetch` says."""

    jobs: int = _setting(16, "Pictures fetched at once.")
    per_host: int = _setting(4, "Pictures fetched at once from one host.")
    attempts: int = _setting(4, "Tries for one picture whose server does not answer as it should.")
    backoff_s: float = _setting(1.0, "Seconds before the second try; twice as long before each further one.")
    longest_wait_s: float = _setting(
        120.0, "A host that asks to be left alone for longer (Retry-After) is left to a later run, in seconds."
    )
    read_s: float = _setting(10.0, "Longest wait for the next bytes, in seconds.")
    total_s: float = _setting(60.0, "Longest time for one picture, in seconds.")
    user_agent: str = _setting(
        "", "What servers are told of us; some want an address to complain to. Empty: image-search and its version."
    )


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
    "fetch": FetchSettings,
}
