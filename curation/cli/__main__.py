"""`python -m curation.cli`: the command without its console script."""

from curation.cli.main import app

app(prog_name="triptych")
