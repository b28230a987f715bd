from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from curation.ingest.decode import decode
from curation.ingest.limits import Limits
from curation.ingest.refusal import Reason, Refused
from curation.sources.folder import FolderSource
from tests.curation.ingest.hostile import encoded, hostile_bytes, picture, png_of_size, write_hostile

pytestmark = pytest.mark.filterwarnings("ignore:.*EXIF data:UserWarning", "ignore:Truncated File Read:UserWarning")

HOSTILE = hostile_bytes()


@pytest.mark.parametrize("name", HOSTILE)
def test_a_broken_or_hostile_file_is_refused_with_the_right_reason(name: str) -> None:
    reason, data = HOSTILE[name]
    with pytest.raises(Refused) as caught:
        decode(data, Limits())
    assert caught.value.reason is reason, caught.value
    assert caught.value.detail
    assert " at 0x" not in caught.value.detail, "details go to manifests, which are the same in every run"


def test_each_reason_that_bytes_alone_can_cause_is_covered() -> None:
    by_place_or_limit = {
        Reason.MISSING,
        Reason.UNSAFE_PATH,
        Reason.NOT_A_FILE,
        Reason.UNREADABLE,
        Reason.DUPLICATE_MEMBER,
        Reason.TOO_MANY_BYTES,
        Reason.TAKEN_DOWN,
    }
    assert {reason for reason, _ in HOSTILE.values()} == set(Reason) - by_place_or_limit


def test_a_folder_of_hostile_files_between_good_ones_lets_the_good_ones_through(tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    good = ["a_good.png", "m_good.jpg", "z_good.webp"]
    for name, image_format in zip(good, ("PNG", "JPEG", "WEBP"), strict=True):
        (folder / name).write_bytes(encoded(picture(), image_format))
    expected = write_hostile(folder)
    assert len(expected) >= 40
    source = FolderSource(path=folder)
    verdicts: dict[str, Reason | None] = {}
    for ref in source.refs():
        try:
            decode(source.read(ref, size=64), Limits())
            verdicts[ref.locator] = None
        except Refused as refused:
            verdicts[ref.locator] = refused.reason
    assert verdicts == {**expected, **dict.fromkeys(good)}


def test_a_larger_file_than_allowed_is_not_even_looked_at() -> None:
    with pytest.raises(Refused) as caught:
        decode(encoded(picture(), "PNG") + bytes(2000), Limits(max_bytes=1024))
    assert caught.value.reason is Reason.TOO_MANY_BYTES


def test_bombs_are_refused_in_a_process_that_could_not_hold_their_pixels(tmp_path: Path) -> None:
    """Under 1 GB of address space: the header is judged, pixels and metadata are not unpacked."""
    bombs = [name for name, (reason, _) in HOSTILE.items() if reason is Reason.BOMB]
    write_hostile(tmp_path)
    (tmp_path / "long_lie.png").write_bytes(png_of_size(2**31 - 1, 2**31 - 1))
    script = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from curation.ingest.decode import decode\n"
        "from curation.ingest.limits import Limits\n"
        "from curation.ingest.refusal import Refused\n"
        "resource.setrlimit(resource.RLIMIT_AS, (1_000_000_000, 1_000_000_000))\n"
        "for name in sys.argv[1:]:\n"
        "    try:\n"
        "        decode(Path(name).read_bytes(), Limits())\n"
        "    except Refused as refused:\n"
        "        print(refused.reason)\n"
    )
    names = [str(tmp_path / name) for name in [*bombs, "long_lie.png"]]
    done = subprocess.run([sys.executable, "-c", script, *names], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["decompression_bomb"] * len(names)


def test_a_postscript_program_is_never_run(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[object] = []
    monkeypatch.setattr(subprocess, "Popen", lambda *command, **_: started.append(command))
    _, program = HOSTILE["program.eps"]
    with pytest.raises(Refused):
        decode(program, Limits())
    assert started == []


def test_decoding_leaves_the_settings_of_pillow_alone() -> None:
    from PIL import Image, ImageFile, PngImagePlugin

    before = (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, PngImagePlugin.MAX_TEXT_CHUNK)
    for _, data in HOSTILE.values():
        with pytest.raises(Refused):
            decode(data, Limits())
    assert before == (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, PngImagePlugin.MAX_TEXT_CHUNK)
