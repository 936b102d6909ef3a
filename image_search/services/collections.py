"""Collections as people name them: which one, made for which model and projection, and the embedder that fits it.

A name that people use is an alias; what it points to is `<name>__<n>`, so that a rebuild can make the next one beside
it and switch.
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from image_search.errors import CollectionExists, CollectionNotFound, EmbedderError, ModelMismatch
from image_search.interfaces import Embedder, EmbedderProvider, VectorStore
from image_search.names import check_collection_name, parse_projection
from image_search.services.gate import SwitchGate
from image_search.types import CollectionSpec, IndexSpec

T = TypeVar("T")
U = TypeVar("U")

_TRIES = 5
"""To make a collection that others are making: each try takes the next number."""


@dataclass(frozen=True)
class OpenCollection:
    """A collection with the embedder of its model and projection."""

    name: str
    """As people name it."""
    physical: str
    """The collection that the name pointed to when it was opened."""
    spec: CollectionSpec
    embedder: Embedder
    provider: EmbedderProvider
    """Of the model that it was built with."""


class Collections:
    """Opens, makes and lists collections. Safe to call from several threads."""

    def __init__(
        self,
        store: VectorStore,
        provider: EmbedderProvider,
        *,
        projection: str,
        default_index: Callable[[], IndexSpec],
        gate: SwitchGate,
    ) -> None:
        """`projection` is what a new collection is made with: none, random:N, or pca:N (none until it is fitted)."""
        self.store = store
        self.provider = provider
        self.projection = projection
        self.gate = gate
        self._default_index = default_index
        self._lock = threading.Lock()

    def names(self) -> list[str]:
        """Names that people use, sorted."""
        return sorted(self.store.aliases())

    def exists(self, name: str) -> bool:
        """Whether there is such a collection."""
        return check_collection_name(name) in self.store.aliases()

    def spec(self, name: str) -> CollectionSpec:
        """What it was made for. Raises CollectionNotFound that says which there are."""
        return self._find(name)[1]

    def _find(self, name: str) -> tuple[str, CollectionSpec]:
        with self._saying_which(name):
            physical = self.store.resolve(check_collection_name(name))
            return physical, self.store.describe_collection(physical)

    def _physical(self, name: str) -> str:
        """`_find` where the spec is not wanted: half of the questions to the store, for each thumbnail."""
        with self._saying_which(name):
            return self.store.resolve(check_collection_name(name))

    @contextlib.contextmanager
    def _saying_which(self, name: str) -> Iterator[None]:
        try:
            yield
        except CollectionNotFound as error:
            known = ", ".join(self.names()) or "none yet: ingest some pictures first"
            raise CollectionNotFound(f"no collection {name!r}; there are: {known}") from error

    def open(self, name: str) -> OpenCollection:
        """The collection with its embedder. Raises CollectionNotFound, ModelMismatch."""
        return self._open(name, raw=False)

    def _open(self, name: str, *, raw: bool) -> OpenCollection:
        physical, spec = self._find(name)
        provider = self._provider_of(name, spec)
        embedder = provider.get("none" if raw else spec.projection_id)
        if not raw and embedder.dim != spec.dim:
            raise ModelMismatch(
                f"collection {name!r} holds vectors of {spec.dim} numbers; its model and projection give {embedder.dim}"
            )
        return OpenCollection(name, physical, spec, embedder, provider)

    def provider_for(self, name: str) -> EmbedderProvider:
        """The embedders of a collection's model; of the one it would be made with where there is none yet.

        Raises ModelMismatch, EmbedderError where that model cannot be used here.
        """
        return self._provider_of(name, self.spec(name)) if self.exists(name) else self.provider

    def _provider_of(self, name: str, spec: CollectionSpec) -> EmbedderProvider:
        try:
            return self.provider.for_model(spec.model_id)
        except ModelMismatch as error:
            raise ModelMismatch(f"collection {name!r} was {error}") from error
        except EmbedderError as error:
            raise EmbedderError(
                f"collection {name!r} cannot be used: {error}. Or begin a new library (--collection NAME)"
            ) from error

    def open_raw(self, name: str) -> OpenCollection:
        """The collection with the embedder of raw vectors, also where its projection's artefact is lost.

        Raises CollectionNotFound, ModelMismatch.
        """
        return self._open(name, raw=True)

    def open_or_create(self, name: str, provider: EmbedderProvider | None = None) -> OpenCollection:
        """The collection; where there is none yet, made for a model (default: the one that a new library takes)."""
        provider = provider or self.provider

        def spec() -> CollectionSpec:
            wanted = parse_projection(self.projection)
            projection_id = provider.make_random(wanted.dim) if wanted.kind == "random" else "none"
            return self.new_spec(projection_id, provider=provider)

        self.create_if_absent(name, spec)
        return self.open(name)

    def create_if_absent(self, name: str, spec: Callable[[], CollectionSpec]) -> None:
        """Make an empty collection under a name that people use, unless there is one; `spec` is asked only then."""
        if not self.exists(name):
            # One process at a time: two first writers would make two collections, one of which nobody would see.
            with self._lock, self.gate.switching():
                self._create_if_absent(name, spec)

    def _create_if_absent(self, name: str, spec: Callable[[], CollectionSpec]) -> None:
        for tries_left in reversed(range(_TRIES)):
            if self.exists(name):
                return
            try:
                self.create(name, spec())
            except CollectionExists:
                # Another machine, which the gate does not hold up, was faster; or it has not come to the name yet.
                if not tries_left and not self.exists(name):
                    raise

    def read(self, name: str, action: Callable[[OpenCollection], T]) -> T:
        """What `action` returns for the open collection, again where a rebuild replaced it meanwhile."""
        return self._retrying(name, lambda: self._opened(name), action, writes=False)

    def look(self, name: str, action: Callable[[str], T]) -> T:
        """`read` for an action on rows that makes no vectors, given the collection's own name: it needs no model."""
        return self._retrying(name, lambda: (self._physical(name),) * 2, action, writes=False)

    def write(self, name: str, action: Callable[[OpenCollection], T]) -> T:
        """The same for an action that writes (and may be repeated): it is repeated where a rebuild switched to the
        next collection while it ran, so that nothing is written only to one that is about to be dropped. On one
        machine the gate keeps writers and switches apart; the repetition is for several."""
        with self.gate.writing():
            return self._retrying(name, lambda: self._opened(name), action, writes=True)

    def alter(self, name: str, action: Callable[[str], T]) -> T:
        """`write` for an action on rows that makes no vectors, given the collection's own name: it needs no model."""
        with self.gate.writing():
            return self._retrying(name, lambda: (self._physical(name),) * 2, action, writes=True)

    def _opened(self, name: str) -> tuple[str, OpenCollection]:
        opened = self.open(name)
        return opened.physical, opened

    def _retrying(self, name: str, look: Callable[[], tuple[str, U]], action: Callable[[U], T], *, writes: bool) -> T:
        while True:
            physical, subject = look()
            try:
                result = action(subject)
            except CollectionNotFound:
                if self.store.resolve(name) == physical:
                    raise
                continue
            if not writes or self.store.resolve(name) == physical:
                return result

    def new_spec(
        self, projection_id: str, index: IndexSpec | None = None, *, provider: EmbedderProvider | None = None
    ) -> CollectionSpec:
        """The spec of a collection for a model (default: the one that a new library takes) and a saved projection."""
        embedder = (provider or self.provider).get(projection_id)
        return CollectionSpec(
            model_id=embedder.model_id,
            dim=embedder.dim,
            projection_id=projection_id,
            index=index or self.default_index(),
        )

    def default_index(self) -> IndexSpec:
        """The index that a new collection gets."""
        return self._default_index()

    def create(self, name: str, spec: CollectionSpec) -> None:
        """Make an empty collection under a name that people use. Raises CollectionExists."""
        if self.exists(name):
            raise CollectionExists(f"collection {name!r} exists already")
        physical = self.create_beside(name, spec)
        try:
            self.store.point(name, physical, new=True)
        except CollectionExists:
            self.store.drop_collection(physical)
            raise

    def create_beside(self, name: str, spec: CollectionSpec) -> str:
        """Make an empty collection that a later `point` can put in the place of `name`; returns its own name."""
        own = re.compile(re.escape(check_collection_name(name)) + r"__(\d+)")
        taken = [int(m[1]) for m in map(own.fullmatch, self.store.list_collections()) if m]
        physical = f"{name}__{max(taken, default=0) + 1}"
        self.store.create_collection(physical, spec)
        return physical

    def leftovers(self, name: str) -> list[str]:
        """Collections of a rebuild that did not come to its end."""
        own = re.compile(re.escape(check_collection_name(name)) + r"__\d+")
        used = set(self.store.aliases().values())
        return [c for c in self.store.list_collections() if own.fullmatch(c) and c not in used]


def remove_gone(copy: VectorStore, copy_name: str, store: VectorStore, name: str) -> None:
    """Remove from a copy of a collection the rows that the collection no longer has."""
    for records, _ in copy.iterate(copy_name):
        ids = [record.image_id for record in records]
        there = store.get(name, ids)
        missing = [image_id for image_id in ids if image_id not in there]
        if not missing:
            continue
        # What another process has just written must not be taken for deleted. Only these are asked for again: a look
        # at the latest costs a server 200 ms, and writers may be waiting.
        there = store.get(name, missing, latest=True)
        gone = [image_id for image_id in missing if image_id not in there]
        if gone:
            copy.delete(copy_name, gone)
