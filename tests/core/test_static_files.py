from __future__ import annotations

import gzip
import os
from pathlib import Path

from campaign.web.static_files import compress
from tests.conftest import Client

STYLE = "body { color: black; }\n" * 100


def test_a_style_sheet_gets_its_compressed_twin_once(tmp_path: Path) -> None:
    style = tmp_path / "page.css"
    style.write_text(STYLE)
    (tmp_path / "tiny.css").write_text("a{}")
    (tmp_path / "font.woff2").write_bytes(b"x" * 5000)
    assert [path.name for path in compress(tmp_path)] == ["page.css.gz"]
    assert gzip.decompress((tmp_path / "page.css.gz").read_bytes()).decode() == STYLE
    assert compress(tmp_path) == []
    later = style.stat().st_mtime + 10
    style.write_text(STYLE.replace("black", "white"))
    os.utime(style, (later, later))
    assert len(compress(tmp_path)) == 1
    assert b"white" in gzip.decompress((tmp_path / "page.css.gz").read_bytes())


def test_whoever_takes_gzip_gets_it(client: Client) -> None:
    small = client.get("/static/public.css", headers={"Accept-Encoding": "gzip"})
    whole = client.get("/static/public.css")
    assert small.headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in whole.headers
    assert gzip.decompress(small.data) == whole.data
    assert len(small.data) < len(whole.data) / 2
