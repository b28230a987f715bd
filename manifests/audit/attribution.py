"""The attribution file that licences ask for: title, author, source and licence of every work (TASL)."""

from __future__ import annotations

from collections.abc import Iterator

from manifests.audit.ledger import Ledger
from manifests.audit.licences import key_of, use_images
from manifests.licences import licence, split_licences

_BATCH = 20_000


def attribution(ledger: Ledger) -> Iterator[str]:
    """Yield the lines of the attribution file, as Markdown: works by licence, then author and package.

    Licences of Creative Commons ask for title, author, source and licence, with a link, and for changes to be said.
    A work is a file of a source; it stands once, however often it was painted or moved. Works of a licence that asks
    for nothing are left out; those of an unknown licence are listed, since nothing says that they need no credit.
    """
    use_images(ledger)
    yield f"# Attribution\n\nWorks in the data set {ledger.root}, version {ledger.version}.\n"
    head: tuple[str, str, str, str] | None = None
    for rows in ledger.batches(_works(ledger), _BATCH):
        for spdx, author, package, url, locator, changes in rows:
            facts = licence(None if spdx == "unknown" else spdx)
            if not facts.attribution:
                continue
            if head is None or head[0] != spdx:
                yield f"\n## {facts.title}\n\n{' '.join(_links(spdx)) or 'The source states no licence.'}\n"
            if head != (spdx, author, package, url):
                yield (
                    f"\n{author or 'Author not stated'}" + "".join(f", {one}" for one in (package, url) if one) + ":\n"
                )
            head = (spdx, author, package, url)
            yield f"- {locator}" + (f" (changed: {', '.join(changes)})" if changes else "") + "\n"


def _works(ledger: Ledger) -> str:
    changed = (
        "CASE WHEN source = 'generated' THEN 'drawn by an expert from works named by package and author' "
        "WHEN treatment <> 'none' THEN 'treatment ' || treatment "
        "WHEN transform IS NOT NULL THEN 'moved or resized' END"
    )
    return (
        "SELECT coalesce(licence, 'unknown') AS licence, coalesce(author, '') AS author, "
        "coalesce(package, source) AS package, coalesce(attribution_url, '') AS url, locator, "
        f"list_sort(list(DISTINCT {changed}) FILTER ({changed} IS NOT NULL)) AS changes "
        f"FROM ({ledger.assets.select()}) WHERE {key_of('ref_id')} IN (FROM used) "
        "GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5"
    )


def _links(spdx: str) -> list[str]:
    return [f"<{licence(part).url}>" for part in split_licences(spdx) if licence(part).url]
