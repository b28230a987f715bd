"""`triptych audit keygen`, `sign` and `verify-signature`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from curation.cli.audit._options import FOUND, AsJson, AtVersion, StorePath, ledger_of
from curation.cli.audit._output import echo_json
from curation.cli.failure import fail
from curation.cli.stores import existing_store

if TYPE_CHECKING:
    from manifests.audit.ledger import Ledger

Passphrase = Annotated[
    str | None,
    typer.Option("--passphrase-env", metavar="NAME", help="Environment variable that holds the key's passphrase."),
]


def keygen(
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where the private key goes; FILE.pub beside it.")],
    passphrase_env: Passphrase = None,
) -> None:
    """Make an Ed25519 key: a private one for `sign`, and a public one for `verify-signature`.

    Example: `triptych audit keygen --out auditor.pem --passphrase-env KEY_PASSPHRASE`
    """
    from manifests.signing import SignatureError, new_key

    try:
        public = new_key(out, _passphrase(passphrase_env))
    except (SignatureError, OSError) as error:
        raise fail(str(error)) from None
    typer.echo(f"private key  {out} (keep it to yourself)\npublic key   {public}")


def sign(
    store: StorePath,
    key: Annotated[Path, typer.Option("--key", metavar="FILE", help="Private key, PEM.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where the signature goes.")],
    version: AtVersion = None,
    passphrase_env: Passphrase = None,
) -> None:
    """Sign a store's history up to a version. What is signed is the head of the chain, which covers all before it.

    The heads of the other tables' chains are signed with it, as they are now. Check the store with `triptych audit
    verify` first: a signature says who vouches for it, not that it is whole.

    Example: `triptych audit sign --store runs/demo --key auditor.pem --out demo.sig`
    """
    from manifests.signing import SignatureError
    from manifests.signing import sign as signed

    with ledger_of(store, version) as ledger:
        heads, beside = _heads(ledger), _beside(store)
        candidates = ledger.triplets.rows
        try:
            signature = signed(
                key,
                version=ledger.version,
                head=heads[ledger.version],
                candidates=candidates,
                tables={name: digests[-1] for name, digests in beside.items() if digests},
                passphrase=_passphrase(passphrase_env),
            )
            out.write_text(json.dumps(signature, indent=1) + "\n")
        except (SignatureError, OSError) as error:
            raise fail(str(error)) from None
    typer.echo(f"signed version {signature['version']} ({candidates:,} candidates), head {signature['head']}: {out}")


def verify_signature(
    store: StorePath,
    signature: Annotated[Path, typer.Option("--signature", metavar="FILE", help="What `sign` wrote.")],
    key: Annotated[Path, typer.Option("--key", metavar="FILE", help="Public key, PEM.")],
    as_json: AsJson = False,
) -> None:
    """Tell whether a store still has the history that was signed.

    Exit code 0: it has, with or without commits since; 1: another key, a forged statement, or another history.

    Example: `triptych audit verify-signature --store runs/demo --signature demo.sig --key auditor.pem.pub`
    """
    from manifests.signing import SignatureError, Standing, standing

    with ledger_of(store) as ledger:
        heads = _heads(ledger)
        try:
            found, statement = standing(
                _read(signature), key, heads=heads, newest=ledger.version, beside=_beside(store)
            )
        except SignatureError as error:
            raise fail(str(error)) from None
    sound = found in (Standing.SOUND, Standing.GROWN)
    if as_json:
        echo_json({"standing": found.value, "sound": sound, **vars(statement), "newest": max(heads)})
    else:
        typer.echo(_words(found.value, statement.version, max(heads), statement.signed))
    if not sound:
        raise typer.Exit(FOUND)


def _words(found: str, version: int, newest: int, signed: str) -> str:
    return {
        "sound": f"sound: version {version} is as it was signed on {signed}",
        "grown": f"sound: version {version} is as it was signed on {signed}; {newest - version} versions came since",
        "other key": "another key signed this; name its public key with --key",
        "forged": "forged: the statement is not what the key signed",
        "rewritten": f"rewritten: the store's history up to version {version} is not what was signed on {signed}",
    }[found]


def _heads(ledger: Ledger) -> dict[int, str]:
    """Return the digest of the chain at every version; versions outside of the chain keep that of the one before."""
    heads, digest = {}, ""
    for commit in ledger.commits:
        digest = commit.digest or digest
        heads[commit.version] = digest
    return heads


def _beside(store: str) -> dict[str, list[str]]:
    """Return the digests of the chains of the tables beside `triplets`, oldest first."""
    from manifests.side_tables import SideTable

    tables = existing_store(store).tables.values()
    return {table.name: table.digests() for table in tables if isinstance(table, SideTable)}


def _read(path: Path) -> dict[str, Any]:
    try:
        loaded = json.loads(path.read_text())
    except OSError as error:
        raise fail(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError:
        raise fail(f"{path}: is no JSON; `triptych audit sign` writes signatures") from None
    if not isinstance(loaded, dict):
        raise fail(f"{path}: holds no signature; `triptych audit sign` writes one")
    return loaded


def _passphrase(variable: str | None) -> bytes | None:
    if variable is None:
        return None
    if not os.environ.get(variable):
        raise fail(f"--passphrase-env: {variable} is not set")
    return os.environ[variable].encode()


def add_to(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command()(keygen)
    app.command()(sign)
    app.command("verify-signature")(verify_signature)
