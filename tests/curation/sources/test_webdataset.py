from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest
import webdataset
from PIL import Image
from pydantic import ValidationError

from curation.ingest.decode import decode
from curation.ingest.limits import Limits
from curation.ingest.refusal import Reason, Refused
from curation.sources.webdataset import WebDatasetSource


def png(colour: str = "red") -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (20, 20), colour).save(stream, "PNG")
    return stream.getvalue()


def tar_of(path: Path, members: dict[str, bytes | str | dict[str, object]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            text = json.dumps(content) if isinstance(content, dict) else content
            data = text.encode() if isinstance(text, str) else text
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def outcomes(source: WebDatasetSource) -> dict[str, Reason | None]:
    found: dict[str, Reason | None] = {}
    for ref in source.refs():
        try:
            source.read(ref, size=64)
            found[ref.locator] = None
        except Refused as refused:
            found[ref.locator] = refused.reason
    return found


def test_caption_and_metadata_beside_an_image_describe_it(tmp_path: Path) -> None:
    metadata = {"subject": "cat", "style": "ink", "licence": "CC0-1.0", "author": "Ana", "attribution_url": "p", "n": 3}
    path = tar_of(
        tmp_path / "a.tar",
        {
            "0001.txt": " a cat \n",
            "0001.json": metadata,
            "0001.png": png(),
            "set/0002.v2.PNG": png("blue"),
            "x.cls": "7",
        },
    )
    source = WebDatasetSource(urls=(str(path),), licence="CC-BY-4.0")
    (cat,) = source.refs()
    assert (cat.locator, cat.caption, cat.subject, cat.family) == ("a.tar#0001.png", "a cat", "cat", "ink")
    assert (cat.licence, cat.author, cat.attribution_url) == ("CC0-1.0", "Ana", "p")
    assert source.read(cat, size=64) == png()


def test_without_metadata_key_and_folder_describe_an_image(tmp_path: Path) -> None:
    path = tar_of(tmp_path / "oils.tar", {"dog.png": png(), "ink/cat.jpeg": png(), "ink/cat.seg.png": png()})
    source = WebDatasetSource(urls=(str(path),), licence="CC-BY-4.0", realistic_style="oils")
    assert [(ref.locator, ref.subject, ref.family, ref.licence) for ref in source.refs()] == [
        ("oils.tar#dog.png", "dog", "oils", "CC-BY-4.0"),
        ("oils.tar#ink/cat.jpeg", "cat", "ink", "CC-BY-4.0"),
    ]
    assert source.realistic_family == "oils"


def test_archives_that_webdataset_wrote_are_read_to_the_same_pixels(tmp_path: Path) -> None:
    path = tmp_path / "w.tar"
    with webdataset.TarWriter(str(path)) as writer:
        for number in range(5):
            writer.write(
                {"__key__": f"{number:04}", "png": png("green"), "txt": f"number {number}", "json": {"subject": "x"}}
            )
    source = WebDatasetSource(urls=(str(path),))
    theirs = list(webdataset.WebDataset(str(path), shardshuffle=False))
    assert [ref.caption for ref in source.refs()] == [sample["txt"].decode() for sample in theirs]
    for ref, sample in zip(source.refs(), theirs, strict=True):
        data = source.read(ref, size=64)
        assert data == sample["png"]
        assert decode(data, Limits()).pixels[0, 0].tolist() == [0, 128, 0]


def test_braces_and_wildcards_find_tars_once_and_in_order(tmp_path: Path) -> None:
    for number in (2, 0, 1):
        tar_of(tmp_path / f"part-{number:03}.tar", {"cat.png": png()})
    source = WebDatasetSource(urls=(str(tmp_path / "part-{000..001}.tar"), str(tmp_path / "part-*.tar")))
    expected = [f"part-{number:03}.tar#cat.png" for number in range(3)]
    assert [ref.locator for ref in source.refs()] == expected
    assert all(reason is None for reason in outcomes(source).values())


def test_two_tars_of_one_name_have_locators_of_their_own(tmp_path: Path) -> None:
    paths = [
        tar_of(tmp_path / part / "00.tar", {"cat.png": png(colour)}) for part, colour in (("a", "red"), ("b", "blue"))
    ]
    source = WebDatasetSource(urls=tuple(map(str, paths)))
    assert [ref.locator for ref in source.refs()] == ["a/00.tar#cat.png", "b/00.tar#cat.png"]
    assert [source.read(ref, size=64) for ref in source.refs()] == [png("red"), png("blue")]


def test_unreadable_metadata_refuses_its_image_and_no_other(tmp_path: Path) -> None:
    members: dict[str, bytes | str | dict[str, object]] = {"good.png": png(), "good.json": {"style": "ink"}}
    bad: dict[str, bytes | str | dict[str, object]] = {
        "cut": '{"style": "in',
        "list": "[1, 2]",
        "deep": "[" * 100_000,
        "number": {"subject": 7},
        "surrogate": '{"subject": "\\ud800"}',
        "latin": b'{"subject": "caf\xe9"}',
        "large": '{"subject": "' + "x" * 2_000_000 + '"}',
    }
    for key, content in bad.items():
        members |= {f"{key}.png": png(), f"{key}.json": content}
    members |= {"caption.png": png(), "caption.txt": b"\xff\xfe\xfa"}
    found = outcomes(WebDatasetSource(urls=(str(tar_of(tmp_path / "a.tar", members)),)))
    expected = {f"a.tar#{key}.png": Reason.METADATA for key in [*bad, "caption"]}
    assert found == {"a.tar#good.png": None, **expected}


def test_an_image_whose_metadata_the_archive_does_not_serve_takes_no_other_licence(tmp_path: Path) -> None:
    link = tar_of(tmp_path / "link.tar", {"cat.png": png()})
    with tarfile.open(link, "a") as tar:
        member = tarfile.TarInfo("cat.json")
        member.type, member.linkname = tarfile.SYMTYPE, "elsewhere.json"
        tar.addfile(member)
    cut = tar_of(tmp_path / "cut.tar", {"cat.png": png(), "cat.json": {"licence": "CC-BY-4.0"}})
    cut.write_bytes(cut.read_bytes()[: cut.read_bytes().index(b'{"licence') + 5])
    source = WebDatasetSource(urls=(str(link), str(cut)), licence="CC0-1.0")
    assert outcomes(source) == {
        "link.tar#cat.png": Reason.METADATA,
        "link.tar#cat.json": Reason.NOT_A_FILE,
        "cut.tar#cat.png": Reason.METADATA,
        "cut.tar#cat.json": Reason.TRUNCATED,
    }


def test_hostile_members_and_a_cut_are_rows_with_reasons(tmp_path: Path) -> None:
    path = tar_of(
        tmp_path / "a.tar",
        {"ink/cat.png": png(), "../../climbs.png": png(), "/etc/absolute.conf": b"x", "ink/late.png": png()},
    )
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"ink/late.png") + 512 + 20])
    source = WebDatasetSource(urls=(str(path),))
    assert outcomes(source) == {
        "a.tar#ink/cat.png": None,
        "a.tar#../../climbs.png": Reason.UNSAFE_PATH,
        "a.tar#/etc/absolute.conf": Reason.UNSAFE_PATH,
        "a.tar#ink/late.png": Reason.TRUNCATED,
    }
    assert all(ref.subject and ref.family for ref in source.refs())


def test_a_tar_that_was_rewritten_has_other_fingerprints(tmp_path: Path) -> None:
    path = tar_of(tmp_path / "a.tar", {"a.png": png(), "b.png": png()})
    first = [ref.fingerprint for ref in WebDatasetSource(urls=(str(path),)).refs()]
    assert len(set(first)) == 2
    tar_of(path, {"a.png": png(), "b.png": png(), "c.png": png()})
    assert not set(first) & {ref.fingerprint for ref in WebDatasetSource(urls=(str(path),)).refs()}


def test_a_source_without_usable_archives_says_the_mend(tmp_path: Path) -> None:
    (tmp_path / "z.tar").write_bytes(b"\x1f\x8b\x08\x00" + bytes(40))
    plain = tar_of(tmp_path / "a.tar", {"cat.png": png()})
    for parameters, words in (
        ({"urls": ()}, "at least 1 item"),
        ({"urls": (str(tmp_path / "none-*.tar"),)}, "no tar file matches"),
        ({"urls": ("pipe:cat a.tar",)}, "is not a local path; download"),
        ({"urls": ("s3://bucket/a.tar",)}, "is not a local path; download"),
        ({"urls": (str(tmp_path / "a{0..2.tar"),)}, "unbalanced brace"),
        ({"urls": (str(tmp_path / "a{0..999999999}.tar"),)}, "use a wildcard"),
        ({"urls": (str(tmp_path / "z.tar"),)}, "compressed with gzip; decompress it"),
        ({"urls": (str(plain),), "realistic_style": "photo"}, "styles found: a"),
    ):
        with pytest.raises(ValidationError, match=words):
            WebDatasetSource.model_validate(parameters)
