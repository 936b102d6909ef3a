"""The collections of a Milvus database and their aliases: made, found, loaded and dropped."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from image_search.errors import (
    CollectionExists,
    CollectionNotFound,
    Conflict,
    InvalidParameter,
    VectorStoreError,
)
from image_search.types import SCHEMA_VERSION, CollectionSpec
from image_search.vectors.alias_file import AliasFile
from image_search.vectors.checks import check_name, is_name
from image_search.vectors.milvus_connection import MilvusConnection
from image_search.vectors.milvus_schema import (
    BM25_COLUMN,
    DESCRIPTION_PROPERTY,
    PHASH_COLUMN,
    Capabilities,
    from_description,
    index_params,
    indexes,
    is_ours,
)

_DESCRIPTION_S = 1.0
"""How long a description is believed: another process may move an alias or make a collection anew."""


@dataclass(frozen=True, slots=True)
class OpenCollection:
    """A collection that is loaded, as it was when last looked at."""

    name: str
    """The collection's own."""
    spec: CollectionSpec
    present: frozenset[str]
    """Its columns."""
    generation: int
    """Of the connection that loaded it."""
    seen_s: float


class MilvusCatalogue:
    """Names of collections and what they mean now. Safe to call from several threads.

    `alias_file` is for an embedded library; without one the server's own aliases are used.
    """

    def __init__(self, connection: MilvusConnection, alias_file: AliasFile | None) -> None:
        self._connection = connection
        self._alias_file = alias_file
        self._lock = threading.Lock()
        self._opened: dict[str, OpenCollection] = {}

    def create(self, name: str, spec: CollectionSpec) -> None:
        """Make an empty collection. Raises CollectionExists, also where an alias has the name."""
        check_name("collection", name)
        if spec.schema_version != SCHEMA_VERSION:
            raise VectorStoreError(f"schema version {spec.schema_version}; {SCHEMA_VERSION} is written here")
        index_params(spec)
        if self._alias_file is not None and spec.index.kind != "FLAT":
            raise InvalidParameter(
                "index", f"{spec.index.kind!r}; an embedded library has FLAT only, the others need a server"
            )
        if self._connection.call("has_collection", name) or name in self.aliases():
            raise CollectionExists(f"collection {name!r} exists already")
        try:
            self._connection.create(name, spec)
        except VectorStoreError as error:
            if "duplicate collection" in str(error):
                raise CollectionExists(f"collection {name!r} exists already") from error
            raise
        self.forget()

    def names(self) -> list[str]:
        """Names of our collections, sorted; another program's are left out."""
        return sorted(name for name, _ in self._ours())

    def drop(self, name: str) -> None:
        """Remove a collection; an absent one is fine. Raises Conflict while an alias points to it."""
        pointing = sorted(alias for alias, target in self.aliases().items() if target == name)
        if pointing:
            raise Conflict(f"collection {name!r} is in use: the alias {pointing[0]!r} points to it")
        if name in self.names():
            self._connection.call("drop_collection", name)
        self.forget()

    def point(self, alias: str, name: str, *, new: bool = False) -> None:
        """Let `alias` mean `name`. Raises CollectionExists where a collection is called like the alias.

        With `new` also where the alias means another collection, whoever gave it that meaning in this very moment.
        """
        check_name("alias", alias)
        known = self.names()
        if alias in known:
            raise CollectionExists(f"{alias!r} is a collection: an alias needs a name of its own")
        if name not in known:
            raise CollectionNotFound(f"no collection {name!r}")
        if self._alias_file is not None:
            self._alias_file.change(lambda aliases: _point(aliases, alias, name, new=new))
        elif not new and alias in self.aliases():
            self._connection.call("alter_alias", name, alias)
        else:
            try:
                self._connection.call("create_alias", name, alias)
            except VectorStoreError as error:
                # Somebody was faster, which each server says in its own way.
                meant = self.aliases().get(alias) if new else None
                if meant is None:
                    raise
                if meant != name:
                    raise _alias_exists(alias) from error
        self.forget()

    def aliases(self) -> dict[str, str]:
        """Every alias and its collection."""
        if self._alias_file is not None:
            return self._alias_file.read()
        return {alias: name for name, aliases in self._ours() for alias in aliases}

    def forget(self) -> None:
        """Believe nothing that was read before."""
        with self._lock:
            self._opened.clear()

    def open(self, name: str, *, fresh: bool = False) -> OpenCollection:
        """The loaded collection that the name means; what was known a second ago will do unless `fresh`."""
        if not is_name(name):
            raise CollectionNotFound(f"no collection {name!r}")
        target = name if self._alias_file is None else self._alias_file.read().get(name, name)
        known = self._opened.get(target)
        loaded = known is not None and known.generation == self._connection.generation
        if known is not None and loaded and not fresh and time.monotonic() - known.seen_s < _DESCRIPTION_S:
            return known
        opened = self._describe(target)
        if not loaded:
            self._load(opened)
        opened = dataclasses.replace(opened, generation=self._connection.generation)
        with self._lock:
            self._opened[target] = opened
        return opened

    def _describe(self, name: str) -> OpenCollection:
        try:
            answer = self._connection.call("describe_collection", name)
        except CollectionNotFound as error:
            self.forget()
            raise CollectionNotFound(f"no collection {name!r}") from error
        return OpenCollection(
            name=answer["collection_name"],
            spec=from_description(name, _description(answer)),
            present=frozenset(column["name"] for column in answer["fields"]),
            generation=-1,
            seen_s=time.monotonic(),
        )

    def _load(self, opened: OpenCollection) -> None:
        can = Capabilities(PHASH_COLUMN in opened.present, BM25_COLUMN in opened.present)
        if len(self._connection.call("list_indexes", opened.name)) < len(indexes(opened.spec, can)):
            # Its maker was killed between making and indexing it: such a collection cannot be searched.
            self._connection.build_indexes(opened.name, opened.spec, can)
        self._connection.load(opened.name)

    def _ours(self) -> list[tuple[str, tuple[str, ...]]]:
        """(name, aliases) of our collections, of whatever schema version."""
        found = []
        for name in self._connection.call("list_collections"):
            try:
                answer = self._connection.call("describe_collection", name)
            except CollectionNotFound:
                continue  # dropped since it was listed
            if is_ours(_description(answer)):
                aliases = answer.get("aliases") or ()
                if self._connection.capabilities().lite3:
                    aliases = self._connection.call("list_aliases", name)["aliases"]
                found.append((name, tuple(aliases)))
        return found


def _point(aliases: dict[str, str], alias: str, name: str, *, new: bool) -> None:
    if new and aliases.get(alias, name) != name:
        raise _alias_exists(alias)
    aliases[alias] = name


def _alias_exists(alias: str) -> CollectionExists:
    return CollectionExists(f"the alias {alias!r} exists already")


def _description(answer: Mapping[str, Any]) -> str:
    kept = answer["description"] or answer.get("properties", {}).get(DESCRIPTION_PROPERTY, "")
    return str(kept)
