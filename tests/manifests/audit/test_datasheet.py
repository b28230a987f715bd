"""The datasheet says what the tables say, shows pictures, and lets nothing of the data act on the page."""

from __future__ import annotations

from pathlib import Path

from manifests.audit.datasheet import datasheet, datasheet_page
from manifests.audit.ledger import Ledger
from tests.manifests.audit.test_explain import make


def test_it_counts_names_and_shows(tmp_path: Path) -> None:
    make(tmp_path / "store")
    sheet = datasheet(Ledger(tmp_path / "store", cache=tmp_path / "cache"), name="birds")
    assert (sheet.accepted, sheet.candidates) == (1, 3)
    assert sheet.rules == ["style_leak at most 0.5"]
    assert [expert["title"] for expert in sheet.experts if expert["digest"] == "d1"] == ["painter"]
    assert len(sheet.accepted_shown) == 1
    assert [picture.role for picture in sheet.accepted_shown[0].pictures] == ["target", "content", "style"]
    page = datasheet_page(sheet)
    assert "<h1>birds</h1>" in page
    assert page.count('src="data:image/') >= 3
    assert "http://" not in page.replace("http://www.w3.org", "")


def test_what_the_data_says_is_text(tmp_path: Path) -> None:
    make(tmp_path / "store", subject="<script>alert(1)</script>")
    page = datasheet_page(datasheet(Ledger(tmp_path / "store", cache=tmp_path / "cache")))
    assert "<script" not in page
    assert "&lt;script&gt;" in page
