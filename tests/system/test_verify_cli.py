"""`triptych audit verify` and `takedown` as a user calls them: what is printed, and exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from curation.cli.main import app
from curation.deduplicate import perceptual_hash
from manifests.arrow_schema import to_table
from manifests.records import Asset
from manifests.store import Store
from tests.manifests.audit.whole_stores import asset, whole_store

TARGET = str(asset("target", 4).asset_id)


def audit(*words: str | Path) -> Result:
    return CliRunner().invoke(app, ["audit", *map(str, words)], env={"COLUMNS": "200"})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return Path(whole_store(tmp_path / "store", 2).root)


def test_a_sound_store_and_one_with_a_flipped_bit(root: Path, tmp_path: Path) -> None:
    sound = audit("verify", "--store", root, "--workers", "2", "--state", tmp_path / "state")
    assert (sound.exit_code, sound.stdout) == (0, "2 shards, 8 samples, 12 candidates: sound\n")
    (first, *_) = sorted((root / "shards").glob("*.tar"))
    data = bytearray(first.read_bytes())
    data[600] ^= 1
    first.write_bytes(data)
    for verb in (("audit", "verify"), ("store", "verify")):
        found = CliRunner().invoke(app, [*verb, "--store", str(root)])
        assert found.exit_code == 1
        assert found.stdout.startswith(f"shard_damaged        shards/{first.name}: ")
    told = json.loads(audit("verify", "--store", root, "--json").stdout)
    assert not told["sound"]
    assert told["findings"][0].keys() == {"kind", "place", "text"}
    assert audit("verify", "--store", root, "--sample", "0.5", "--seed", "1").stdout.count("(1 of them read)") == 1


def test_a_signature_is_over_every_table(root: Path, tmp_path: Path) -> None:
    key, signature = tmp_path / "key.pem", tmp_path / "signature.json"
    assert audit("keygen", "--out", key).exit_code == 0
    assert audit("sign", "--store", root, "--key", key, "--out", signature).exit_code == 0
    assert json.loads(signature.read_text())["tables"].keys() == {"assets", "judgements", "jobs"}
    words = ("verify", "--store", root, "--signature", signature, "--key", f"{key}.pub")
    assert audit(*words).exit_code == 0
    (root / "tables/jobs/_delta_log/00000000000000000001.json").unlink()
    found = audit(*words)
    assert found.exit_code == 1
    assert "history_rewritten" in found.stdout
    assert audit("verify", "--store", root, "--signature", signature).exit_code == 2


def test_a_takedown_is_shown_first_and_done_with_yes(root: Path) -> None:
    words = ("takedown", "--store", root, "--asset", TARGET[:10])
    shown = audit(*words, "--dry-run")
    assert shown.exit_code == 0
    assert "folder:target-4.png" in shown.stdout
    assert "1 images would go (1 as named, the others with them), and 1 candidates, 1 of them accepted" in shown.stdout
    unsure = audit(*words)
    assert (unsure.exit_code, "--yes" in unsure.stderr) == (2, True)
    assert audit("verify", "--store", root).exit_code == 0
    done = audit(*words, "--yes")
    assert done.exit_code == 0
    assert "1 images, 1 candidates (1 accepted), 1 judgements are gone" in done.stdout
    assert audit("verify", "--store", root).exit_code == 0
    again = audit(*words, "--yes")
    assert (again.exit_code, again.stdout) == (1, "nothing in the store is named so\n")


def test_one_that_was_interrupted_needs_no_name(root: Path) -> None:
    from manifests.takedown.journal import begin
    from manifests.takedown.reach import reach_of
    from manifests.takedown.run import planned
    from manifests.takedown.wanted import Wanted

    store = Store(root)
    wanted = Wanted(assets=[TARGET])
    begin(store, planned(store, wanted, reach_of(store, wanted)))
    assert "takedown_unfinished" in audit("verify", "--store", root).stdout
    done = audit("takedown", "--store", root, "--json")
    assert done.exit_code == 0, done.output
    (receipt,) = json.loads(done.stdout)
    assert receipt["images"] == 1
    assert audit("verify", "--store", root).exit_code == 0


def test_images_are_named_by_a_picture_and_by_sql(root: Path, tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "like.png")
    alike = asset("target", 99).model_copy(update={"perceptual_hash": perceptual_hash(pixels)})
    Store(root).add_assets(to_table(Asset, [alike]))
    like = audit("takedown", "--store", root, "--like", tmp_path / "like.png", "--dry-run", "--json")
    assert [one["locator"] for one in json.loads(like.stdout)["images"]] == ["target-99.png"]
    sql = audit("takedown", "--store", root, "--sql", "locator like 'style-%'", "--dry-run", "--json")
    assert json.loads(sql.stdout)["named"] == 4
    nothing = audit("takedown", "--store", root, "--dry-run")
    assert (nothing.exit_code, "name what is to go" in nothing.stderr) == (2, True)
    wrong = audit("takedown", "--store", root, "--sql", "no_such = 1", "--dry-run")
    assert wrong.exit_code == 2
