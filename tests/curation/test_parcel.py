"""A spec travels with the small files that it names, and reads the same at the other end."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from curation import parcel
from curation.parcel import SPEC, pack_spec
from curation.spec.load import load_spec
from manifests.yaml_file import YamlError
from tests.system.jobs import write_spec

RULES = "- {column: style_leak, max: 0.7}\n"


def sent(packed: Path, elsewhere: Path) -> Path:
    """Move what was packed to another place, as Ray does."""
    shutil.copytree(packed, elsewhere)
    return elsewhere / SPEC


def test_the_spec_at_the_other_end_is_the_same_but_for_where_its_files_lie(tmp_path: Path) -> None:
    here, packed = tmp_path / "here", tmp_path / "packed"
    (here / "rules").mkdir(parents=True)
    packed.mkdir()
    (here / "rules" / "strict.yaml").write_text(RULES)
    spec = write_spec(here, policy="rules/strict.yaml")
    made = pack_spec(spec, ["image.size=96"], packed)
    there = load_spec(sent(packed, tmp_path / "there"))
    assert [path.name for path in made.shipped] == ["strict.yaml"]
    assert made.awaited == []
    before = load_spec(spec, ["image.size=96"])
    assert there.policy == before.policy
    assert there.ray.address == "auto"
    assert there.model_copy(update={"ray": before.ray}) == before


def test_a_file_named_twice_travels_once_and_two_of_one_name_do_not_meet(tmp_path: Path) -> None:
    packed = tmp_path / "packed"
    packed.mkdir()
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "list.csv").write_text(name)
    listed = [str(tmp_path / name / "list.csv") for name in ("a", "b", "a")]
    spec = write_spec(tmp_path, sources=[{"kind": "webdataset", "urls": listed}])
    made = pack_spec(spec, [], packed)
    urls = yaml.safe_load((packed / SPEC).read_text())["sources"][0]["urls"]
    assert [(packed / url).read_text() for url in urls] == ["a", "b", "a"]
    assert len(made.shipped) == 2


def test_folders_and_large_files_stay_and_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed, photos, table = tmp_path / "packed", tmp_path / "photos", tmp_path / "large.csv"
    packed.mkdir()
    photos.mkdir()
    table.write_text("x" * 100)
    monkeypatch.setattr(parcel, "_LARGEST", 99)
    spec = write_spec(tmp_path, sources=[{"kind": "folder", "path": "photos", "table": "large.csv"}])
    made = pack_spec(spec, [], packed)
    assert made.shipped == []
    assert set(made.awaited) == {photos, table}
    source = yaml.safe_load((packed / SPEC).read_text())["sources"][0]
    assert (source["path"], source["table"]) == (str(photos), str(table))


def test_the_family_that_ships_is_each_installations_own(tmp_path: Path) -> None:
    packed = tmp_path / "packed"
    packed.mkdir()
    spec = write_spec(tmp_path, experts={"stylize": [{"kind": "uso", "model": "{nano}/stylize.safetensors"}]})
    pack_spec(spec, [], packed)
    expert = yaml.safe_load((packed / SPEC).read_text())["experts"]["stylize"][0]
    assert expert["model"] == "{nano}/stylize.safetensors"


def test_a_spec_that_is_none_is_refused(tmp_path: Path) -> None:
    spec = write_spec(tmp_path, ray="auto")
    with pytest.raises(YamlError, match="ray: a mapping"):
        pack_spec(spec, [], tmp_path)
