"""What verification can find."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """Every kind of fault; the value is its name in reports and JSON."""

    SHARD_MISSING = "shard_missing"
    SHARD_TRUNCATED = "shard_truncated"
    SHARD_DAMAGED = "shard_damaged"
    INDEX_MISSING = "index_missing"
    INDEX_WRONG = "index_wrong"
    SAMPLE_MISSING = "sample_missing"
    """An accepted candidate is not in the shard where it should lie."""
    SAMPLE_UNKNOWN = "sample_unknown"
    """A shard holds a sample that is no accepted candidate of it."""
    IMAGE_SWAPPED = "image_swapped"
    RECORD_DIFFERS = "record_differs"
    """The record beside a sample's images and the row of `triplets` do not say the same."""
    ROW_EDITED = "row_edited"
    ROW_DELETED = "row_deleted"
    ROW_ADDED = "row_added"
    ROW_REPEATED = "row_repeated"
    LOG_ENTRY_MISSING = "log_entry_missing"
    LOG_ENTRY_DAMAGED = "log_entry_damaged"
    CHAIN_BROKEN = "chain_broken"
    """A commit does not follow the one before it."""
    COMMIT_REWRITTEN = "commit_rewritten"
    """A commit does not match its own digest."""
    DATA_FILE_MISSING = "data_file_missing"
    DATA_FILE_DAMAGED = "data_file_damaged"
    CHECKPOINT_EDITED = "checkpoint_edited"
    LISTING_WRONG = "listing_wrong"
    """`index.json`, or that of a split, does not list the shards of the data set."""
    MOVES_WRONG = "moves_wrong"
    """`moves/` does not say what the chain says."""
    TOMBSTONE_EDITED = "tombstone_edited"
    TOMBSTONE_MISSING = "tombstone_missing"
    ERASED_REMAINS = "erased_remains"
    """What a takedown removed is there again."""
    TAKEDOWN_UNFINISHED = "takedown_unfinished"
    SIGNED_BY_ANOTHER = "signed_by_another"
    SIGNATURE_FORGED = "signature_forged"
    HISTORY_REWRITTEN = "history_rewritten"
    """The chain is sound in itself and is not the one that was signed."""


@dataclass(frozen=True)
class Finding:
    """One fault."""

    kind: Kind
    place: str
    """A file of the store, or a table and one of its commits."""
    text: str
    """What is wrong, in one sentence."""

    def __str__(self) -> str:
        return self.text
