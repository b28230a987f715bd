"""Tables beside `triplets`: each with a chain of its own over what was added to it."""

from __future__ import annotations

from collections.abc import Callable

from manifests.chain import Chain, following, record_leaf, record_words
from manifests.files import WritableFiles
from manifests.tables import Addition, Table


class SideTable(Table):
    """A table whose additions carry a Merkle root over their rows, and the digest of the addition before.

    Its chain is apart from that of `triplets`: jobs and judgements hold times, and two runs of a job that give the same
    candidates are to have the same head. A signature covers the heads of all.
    """

    def __init__(self, files: WritableFiles, name: str) -> None:
        super().__init__(files, name)
        self.chain = Chain(self.log)
        self.watch(self.chain.take)

    def commit(self, prepare: Callable[[], Addition | None]) -> int | None:
        """Append as `Table.commit`; rows are told what they follow."""

        def linked() -> Addition | None:
            addition = prepare()
            if addition is None:
                return addition
            previous = self.chain.head(self.version)
            if addition.removed:  # rows of before: they follow what they followed
                return Addition(addition.rows, {**addition.info, **record_words(previous, [])}, addition.removed)
            rows = addition.rows.select(self.schema.names).cast(self.schema)
            words = record_words(previous, [record_leaf(row) for row in rows.to_pylist()])
            return Addition(following(rows, previous), {**addition.info, **words}, addition.removed)

        return super().commit(linked)

    def head(self) -> str:
        """Return the digest of the newest addition, which covers all before it."""
        return self.chain.head(self.catch_up())

    def digests(self) -> list[str]:
        """Return the digests of all additions, oldest first. Raises DeltaLogError on a gap in the log."""
        return [one.digest for one in self.chain.links(self.catch_up())]
