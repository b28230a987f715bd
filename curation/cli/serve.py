"""`triptych serve`: the service in front of a store, and the tokens that open it."""

from __future__ import annotations

import ipaddress
from typing import Annotated

import typer

from curation.cli.failure import fail
from curation.cli.stores import existing_store

app = typer.Typer(help="Serve a store: pages and an API.", invoke_without_command=True)
tokens = typer.Typer(help="Tokens that open the service.", no_args_is_help=True)
app.add_typer(tokens, name="token")

StorePath = Annotated[str, typer.Option("--store", metavar="DIR", help="Folder, or s3://bucket/prefix, of the store.")]


@app.callback()
def serve(
    context: typer.Context,
    store: Annotated[
        str | None, typer.Option("--store", metavar="DIR", help="Folder, or s3://bucket/prefix, of the store.")
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8080,
) -> None:
    """Serve pages and an API over a store.

    Without a token in the store it listens on the loopback interface alone, and is open to whoever uses this machine.

    Example: `triptych serve --store runs/demo --port 8080`
    """
    if context.invoked_subcommand is not None:
        return
    if store is None:
        raise fail("--store: name the store that is to be served")
    files = existing_store(store).files
    try:
        import uvicorn

        from curation.service.app import create_app
        from curation.service.settings import Settings
        from curation.service.tokens import read_tokens
    except ModuleNotFoundError as error:
        raise fail(f"the service needs {error.name}; pip install 'triptych[service]'") from None
    kept = read_tokens(files)
    if not kept and not _is_loopback(host):
        raise fail(
            f"--host {host}: other machines could reach the store, and nobody has a token yet; make one with "
            f"`triptych serve token add NAME --store {store}`, or listen on 127.0.0.1"
        )
    typer.echo(f"http://{host}:{port}" + ("" if kept else "  (no tokens: open to whoever uses this machine)"), err=True)
    uvicorn.run(
        create_app(Settings(store=store, open_to_all=not kept)),
        host=host,
        port=port,
        log_level="warning",
        server_header=False,
        timeout_keep_alive=15,
        limit_concurrency=512,
    )


@tokens.command()
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who it is for.")],
    store: StorePath,
    role: Annotated[str, typer.Option(metavar="ROLE", help="viewer, auditor or admin.")] = "viewer",
    days: Annotated[float, typer.Option(min=0.01, max=3660, help="How long it is good for.")] = 90,
) -> None:
    """Make a token, and print it: it is kept as a hash, and cannot be shown again.

    Example: `triptych serve token add ana --role auditor --store runs/demo`
    """
    from curation.service.tokens import Role, TokenError, add_token

    if role.upper() not in Role.__members__:
        raise fail(f"--role {role}: choose one of {', '.join(one.name.lower() for one in Role)}")
    try:
        typer.echo(add_token(existing_store(store).files, name, Role[role.upper()], days=days))
    except (TokenError, OSError) as error:
        raise fail(str(error)) from None


@tokens.command("list")
def list_tokens(store: StorePath) -> None:
    """List who has a token, with which role, and until when.

    Example: `triptych serve token list --store runs/demo`
    """
    from curation.service.tokens import read_tokens

    for token in read_tokens(existing_store(store).files):
        typer.echo(f"{token.name}  {token.role}  until {token.expires[:16]}")


@tokens.command()
def revoke(name: Annotated[str, typer.Argument(metavar="NAME", help="Whose token ends.")], store: StorePath) -> None:
    """Take a token away; the service knows within seconds.

    Example: `triptych serve token revoke ana --store runs/demo`
    """
    from curation.service.tokens import revoke_token

    if not revoke_token(existing_store(store).files, name):
        raise fail(f"{name} has no token; `triptych serve token list` names those who do")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
