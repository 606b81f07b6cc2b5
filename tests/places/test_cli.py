"""`campaign places load`."""

from __future__ import annotations

from pathlib import Path

from flask import Flask

from campaign.db import db
from campaign.places import queries
from tests.factories.campaigns import collection, square


def test_without_files_it_is_chicago(app: Flask) -> None:
    for _ in range(2):
        done = app.test_cli_runner().invoke(args=["places", "load"])
        assert done.exit_code == 0
        assert done.output == "50 districts and 175 shares of postal codes are loaded.\n"
    assert queries.district_for("60637")[1] == 0.516


def test_other_places(app: Flask, tmp_path: Path) -> None:
    areas, codes = tmp_path / "areas.geojson", tmp_path / "codes.csv"
    areas.write_text(collection(d1=[square(0, 0)]))
    codes.write_text("postal_code,code,area_share\n00001,1,1\n")
    given = ["--districts", str(areas), "--postal-codes", str(codes), "--kind", "county"]
    assert app.test_cli_runner().invoke(args=["places", "load", *given]).exit_code == 0
    assert [district.kind for district in queries.districts("county")] == ["county"]
    assert queries.district_for("00001", "county")[1] == 1


def test_a_wrong_file_is_refused_whole(app: Flask, tmp_path: Path) -> None:
    codes = tmp_path / "codes.csv"
    codes.write_text("postal_code,code,area_share\n00001,99,1\n")
    done = app.test_cli_runner().invoke(args=["places", "load", "--postal-codes", str(codes)])
    assert done.exit_code == 1
    assert "Line 2" in done.output
    codes.write_bytes(b"\xff\xfe\x00")
    done = app.test_cli_runner().invoke(args=["places", "load", "--postal-codes", str(codes)])
    assert (done.exit_code, "UTF-8" in done.output) == (1, True)
    db.session.rollback()
    assert queries.districts() == []
