from __future__ import annotations

import csv
import os
import pickle
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from pydantic import TypeAdapter, ValidationError

from curation.ingest.refusal import Reason, Refused
from curation.sources.base import Source
from curation.sources.folder import FolderSource
from curation.sources.procedural import ProceduralSource
from curation.sources.registry import AnySource


def image(path: Path, colour: str = "red") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (20, 20), colour).save(path)
    return path


def table(path: Path, rows: Sequence[Mapping[str, str | None]]) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist([dict(row) for row in rows]), path)
        return path
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def outcomes(source: Source) -> dict[str, Reason | None]:
    return {ref.locator: outcome(source, ref.locator) for ref in source.refs()}


def outcome(source: Source, locator: str) -> Reason | None:
    ref = next(ref for ref in source.refs() if ref.locator == locator)
    try:
        source.read(ref, size=64)
    except Refused as refused:
        return refused.reason
    return None


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "art"
    image(root / "ink" / "cat.png")
    image(root / "ink" / "dog.jpg")
    image(root / "photos" / "cat.jpg")
    return root


def test_without_a_table_subject_and_style_are_told_by_the_path(folder: Path) -> None:
    source = FolderSource(path=folder, licence="CC0-1.0")
    assert [(ref.locator, ref.subject, ref.style, ref.licence) for ref in source.refs()] == [
        ("ink/cat.png", "cat", "ink", "CC0-1.0"),
        ("ink/dog.jpg", "dog", "ink", "CC0-1.0"),
        ("photos/cat.jpg", "cat", "photos", "CC0-1.0"),
    ]
    first = source.refs()[0]
    assert source.read(first, size=64) == (folder / "ink" / "cat.png").read_bytes()
    assert (first.source, source.realistic_family) == ("folder", None)


@pytest.mark.parametrize("file_name", ["credits.csv", "credits.parquet"])
def test_a_table_describes_the_images_and_says_which_are_used(folder: Path, file_name: str) -> None:
    rows = [
        {
            "file": "ink/dog.jpg",
            "caption": "a dog, asleep",
            "licence": "CC-BY-4.0",
            "author": "Ana",
            "subject": "dog",
            "style": "ink wash",
            "attribution_url": "page 7",
            "note": "not used",
        },
        {"file": "photos/cat.jpg", "caption": "", "licence": "", "author": "", "subject": "", "style": "", "note": ""},
    ]
    path = table(folder / file_name, [{**rows[0]}, {**dict.fromkeys(rows[0], ""), **rows[1]}])
    source = FolderSource(path=folder, table=path, licence="CC0-1.0", realistic_style="photos", name="mine")
    dog, cat = source.refs()
    assert (dog.caption, dog.licence, dog.author, dog.subject, dog.family, dog.attribution_url) == (
        *("a dog, asleep", "CC-BY-4.0", "Ana", "dog", "ink wash", "page 7"),
    )
    assert (cat.caption, cat.licence, cat.author, cat.subject, cat.family) == (None, "CC0-1.0", None, "cat", "photos")
    assert (dog.source, source.realistic_family) == ("mine", "photos")


def test_rows_that_name_no_usable_file_are_listed_and_refused(folder: Path, tmp_path: Path) -> None:
    image(tmp_path / "secret.png")
    (folder / "way_out").symlink_to(tmp_path)
    names = ["ink/cat.png", "../secret.png", "/etc/hostname", "ink/lost.png", "", "ink", "ink/cat.png", "ink\\dog.jpg"]
    path = table(folder / "t.csv", [{"file": name} for name in [*names, "way_out/secret.png", f"{'x' * 400}.png"]])
    expected = {
        "ink/cat.png": None,
        "../secret.png": Reason.UNSAFE_PATH,
        "/etc/hostname": Reason.UNSAFE_PATH,
        "ink/lost.png": Reason.MISSING,
        "@row 5": Reason.MISSING,
        "ink": Reason.NOT_A_FILE,
        "ink/cat.png@row 7": Reason.DUPLICATE_MEMBER,
        "ink\\dog.jpg": Reason.UNSAFE_PATH,
        "way_out/secret.png": Reason.UNSAFE_PATH,
        f"{'x' * 400}.png": Reason.UNREADABLE,
    }
    assert outcomes(FolderSource(path=folder, table=path)) == {**expected, "@row 5": Reason.MISSING}


def test_links_and_special_files_never_lead_out_or_block(folder: Path, tmp_path: Path) -> None:
    outside = image(tmp_path / "elsewhere" / "secret.png")
    (folder / "link_in.png").symlink_to(folder / "ink" / "cat.png")
    (folder / "link_out.png").symlink_to(outside)
    (folder / "folder_out").symlink_to(outside.parent)
    (folder / "folder_in").symlink_to(folder / "ink")
    (folder / "device.png").symlink_to("/dev/zero")
    os.mkfifo(folder / "fifo.png")
    found = outcomes(FolderSource(path=folder))
    assert {name: reason for name, reason in found.items() if "/" not in name} == {
        "device.png": Reason.UNSAFE_PATH,
        "fifo.png": Reason.NOT_A_FILE,
        "folder_out": Reason.UNSAFE_PATH,
        "link_in.png": None,
        "link_out.png": Reason.UNSAFE_PATH,
    }
    assert not any(name.startswith("folder_in/") for name in found)


def test_hidden_files_are_left_out_and_extensions_choose_the_rest(folder: Path) -> None:
    image(folder / ".cache" / "x.png")
    image(folder / ".hidden.png")
    (folder / "ink" / "notes.txt").write_text("words")
    (folder / "ink" / "SHOUTED.PNG").write_bytes(b"")
    assert "ink/notes.txt" not in outcomes(FolderSource(path=folder))
    assert list(outcomes(FolderSource(path=folder, extensions=("PNG",)))) == ["ink/SHOUTED.PNG", "ink/cat.png"]
    everything = list(outcomes(FolderSource(path=folder, extensions=None)))
    assert everything == ["ink/SHOUTED.PNG", "ink/cat.png", "ink/dog.jpg", "ink/notes.txt", "photos/cat.jpg"]


def test_a_file_that_changed_has_another_fingerprint_and_one_that_vanished_is_missing(folder: Path) -> None:
    source = FolderSource(path=folder)
    before = source.refs()[0]
    assert FolderSource(path=folder).refs()[0] == before
    image(folder / "ink" / "cat.png", "blue")
    os.utime(folder / "ink" / "cat.png", ns=(1, 1))
    assert FolderSource(path=folder).refs()[0].fingerprint != before.fingerprint
    (folder / "ink" / "cat.png").unlink()
    with pytest.raises(Refused) as caught:
        source.read(before, size=64)
    assert caught.value.reason is Reason.MISSING


def test_a_file_that_became_a_link_out_of_the_folder_after_listing_is_still_refused(
    folder: Path, tmp_path: Path
) -> None:
    outside = image(tmp_path / "secret.png")
    source = FolderSource(path=folder)
    ref = source.refs()[0]
    (folder / ref.locator).unlink()
    (folder / ref.locator).symlink_to(outside)
    with pytest.raises(Refused) as caught:
        source.read(ref, size=64)
    assert caught.value.reason is Reason.UNSAFE_PATH


def test_names_that_are_no_text_are_listed_and_read(folder: Path) -> None:
    (folder / "ink" / "cat.png").rename(folder / "ink" / os.fsdecode(b"caf\xe9.png"))
    source = FolderSource(path=folder)
    ref = source.refs()[0]
    assert (ref.locator, ref.subject) == ("ink/caf\\xe9.png", "caf\\xe9")
    assert ref.model_dump_json()
    assert source.read(ref, size=64).startswith(b"\x89PNG")


def test_a_locator_that_was_never_listed_is_not_read(folder: Path) -> None:
    source = FolderSource(path=folder)
    stranger = source.refs()[0].model_copy(update={"locator": "../secret.png"})
    with pytest.raises(Refused) as caught:
        source.read(stranger, size=64)
    assert caught.value.reason is Reason.MISSING


def test_a_source_travels_to_a_worker_without_its_list(folder: Path) -> None:
    source = FolderSource(path=folder)
    small = len(pickle.dumps(source))
    refs = source.refs()
    assert len(pickle.dumps(source)) == small
    other = pickle.loads(pickle.dumps(source))
    assert other == source
    assert other.refs() == refs
    assert source.model_copy(update={"path": folder / "ink"}).refs() != refs


def test_links_that_lead_in_circles_cost_one_row_each_and_not_the_job(folder: Path) -> None:
    (folder / "ink" / "loop.png").symlink_to("loop.png")
    (folder / "ink" / "there.png").symlink_to("back.png")
    (folder / "ink" / "back.png").symlink_to("there.png")
    (folder / "ink" / "self").symlink_to(".")
    circles = dict.fromkeys(("ink/back.png", "ink/loop.png", "ink/there.png"), Reason.UNREADABLE)
    assert outcomes(FolderSource(path=folder)) == {
        **circles,
        **dict.fromkeys(("ink/cat.png", "ink/dog.jpg", "photos/cat.jpg")),
    }


def test_subfolders_are_left_out_on_request(folder: Path) -> None:
    image(folder / "top.png")
    assert [ref.locator for ref in FolderSource(path=folder, recursive=False).refs()] == ["top.png"]
    assert [ref.locator for ref in ProceduralSource(path=folder, recursive=False).refs()] == ["top.png"]


def test_a_cell_of_spaces_is_blank_and_one_file_by_two_names_is_a_repetition(folder: Path) -> None:
    rows = [
        {"file": "ink/cat.png", "licence": " ", "subject": " cat "},
        {"file": "./ink//cat.png", "licence": "MIT", "subject": "cat"},
        {"file": "", "licence": "", "subject": ""},
        {"file": ".", "licence": "", "subject": ""},
    ]
    source = FolderSource(path=folder, table=table(folder / "rows.csv", rows), licence="CC0-1.0")
    first = source.refs()[0]
    assert (first.licence, first.subject) == ("CC0-1.0", "cat")
    assert list(outcomes(source).values()) == [None, Reason.DUPLICATE_MEMBER, Reason.MISSING, Reason.NOT_A_FILE]


def test_file_names_stored_as_bytes_are_read_as_utf8(folder: Path) -> None:
    pq.write_table(pa.table({"file": [b"ink/cat.png"]}), folder / "bytes.parquet")
    assert outcomes(FolderSource(path=folder, table=folder / "bytes.parquet")) == {"ink/cat.png": None}


def test_a_plus_in_a_style_does_not_read_as_a_treatment(folder: Path) -> None:
    image(folder / "ink+wash" / "cow.png")
    source = FolderSource(path=folder, realistic_style="ink+wash")
    assert source.realistic_family == "ink-wash"
    assert "ink-wash" in {ref.style for ref in source.refs()}


def _files(folder: Path) -> Iterable[tuple[dict[str, object], str]]:
    (folder / "no_file.csv").write_text("path,caption\na.png,x\n")
    (folder / "latin.csv").write_bytes("file\ncaf\xe9.png\n".encode("latin-1"))
    (folder / "broken.parquet").write_bytes(b"PAR1 not really")
    pq.write_table(pa.table({"file": [b"caf\xe9.png"]}), folder / "latin.parquet")
    (folder / "sheet.xlsx").write_bytes(b"PK")
    (folder / "good.csv").write_text("file\nink/cat.png\n")
    yield {"path": folder / "nowhere"}, "does not exist; name the folder"
    yield {"path": folder / "ink" / "cat.png"}, "is a file; name the folder"
    yield {"path": folder, "table": folder / "nowhere.csv"}, "does not exist; name a .csv"
    yield {"path": folder, "table": folder / "no_file.csv"}, "no column `file`.*found: path, caption"
    yield {"path": folder, "table": folder / "latin.csv"}, "save it as UTF-8"
    yield {"path": folder, "table": folder / "latin.parquet"}, "latin.parquet is not UTF-8"
    yield {"path": folder, "table": folder / "broken.parquet"}, "not readable as Parquet"
    yield {"path": folder, "table": folder / "sheet.xlsx"}, "neither .csv nor .parquet"
    yield {"path": folder, "realistic_style": "phots"}, "styles found: ink, photos"
    yield {"path": folder, "table": folder / "good.csv", "realistic_style": "photos"}, "styles found: ink"
    yield {"path": folder, "colour": "red"}, "Extra inputs"


def test_a_source_that_cannot_be_used_says_the_mend_before_any_work_starts(folder: Path) -> None:
    for parameters, words in _files(folder):
        with pytest.raises(ValidationError, match=words):
            FolderSource.model_validate(parameters)


def test_photographs_are_all_of_one_family_and_play_the_realistic_side(folder: Path) -> None:
    source = ProceduralSource(path=folder)
    assert source.realistic_family == "photo"
    assert {(ref.subject, ref.family, ref.source) for ref in source.refs()} == {
        ("cat", "photo", "procedural"),
        ("dog", "photo", "procedural"),
    }
    path = table(folder / "t.csv", [{"file": "photos/cat.jpg", "subject": "tabby", "style": "ignored"}])
    (ref,) = ProceduralSource(path=folder, table=path).refs()
    assert (ref.subject, ref.family) == ("tabby", "photo")
    assert source.read(source.refs()[0], size=64)
    with pytest.raises(ValidationError, match="name the folder"):
        ProceduralSource(path=folder / "nowhere")


def test_a_spec_names_a_source_by_its_kind(folder: Path) -> None:
    adapter: TypeAdapter[AnySource] = TypeAdapter(AnySource)
    assert isinstance(adapter.validate_python({"kind": "folder", "path": str(folder)}), FolderSource)
    assert isinstance(adapter.validate_python({"kind": "procedural", "path": str(folder)}), ProceduralSource)
    with pytest.raises(ValidationError, match="'iconify', 'folder', 'webdataset', 'procedural'"):
        adapter.validate_python({"kind": "s3", "path": str(folder)})
