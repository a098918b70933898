"""Test data in archives and folders: what is read, and what is refused before it is."""

from __future__ import annotations

import contextlib
import io
import tempfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from problem_files import zipped

from eval.judge import records
from eval.judge.archive import MAX_MEMBER, holds, open_archive
from eval.judge.records import Stream


@given(st.lists(st.sampled_from([b"a", b"\r", b"\n", b"\r\n"]), max_size=30), st.integers(1, 5))
def test_line_ends_are_the_same_however_the_file_is_cut(parts: list[bytes], size: int) -> None:
    data = b"".join(parts)
    kept, records._CHUNK = records._CHUNK, size
    try:
        read = Stream("x", lambda: io.BytesIO(data), text=True).read()
    finally:
        records._CHUNK = kept
    whole = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    assert read == (whole if whole.endswith(b"\n") or not whole else whole + b"\n")


@given(st.binary(max_size=400), st.integers(1, 50), st.sampled_from(["stored", "deflated"]))
def test_members_come_out_as_they_went_in(content: bytes, size: int, method: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.zip")
        with zipfile.ZipFile(path, "w", getattr(zipfile, f"ZIP_{method.upper()}")) as archive:
            archive.writestr("first", b"x" * size)
            archive.writestr("second", content * size)
        with open_archive(path).stream("second").open() as stream:
            parts = list(iter(lambda: stream.read(size), b""))
    assert b"".join(parts) == content * size
    assert all(len(part) <= size for part in parts)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_changed_byte_is_noticed_or_changes_nothing(tmp_path: Path, at: int, change: int) -> None:
    content = bytes(range(256)) * 4
    data = bytearray(zipped(tmp_path / "a.zip", {"x": content}).read_bytes())
    data[at % len(data)] ^= change
    (tmp_path / "a.zip").write_bytes(data)
    with contextlib.suppress(ValueError):
        assert open_archive(tmp_path / "a.zip").stream("x").read() == content


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../x", "..\\x", "a\\..\\x"])
def test_zip_slip_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="leads out"):
        open_archive(zipped(tmp_path / "a.zip", {name: b""}))


def test_links_encryption_and_bombs_are_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "l.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(ValueError, match="is a link"):
        open_archive(tmp_path / "l.zip")
    data = bytearray(zipped(tmp_path / "b.zip", {"x": b"small"}).read_bytes())
    at = data.rindex(b"PK\x01\x02")
    data[at + 24 : at + 28] = (MAX_MEMBER + 1).to_bytes(4, "little")
    (tmp_path / "b.zip").write_bytes(data)
    with pytest.raises(ValueError, match="unpacks to"):
        open_archive(tmp_path / "b.zip")
    data[at + 24 : at + 28] = (5).to_bytes(4, "little")
    data[at + 8] |= 1
    (tmp_path / "b.zip").write_bytes(data)
    with pytest.raises(ValueError, match="is encrypted"):
        open_archive(tmp_path / "b.zip")


def test_a_folder_shows_nothing_outside(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "link").symlink_to(tmp_path / "secret")
    (tmp_path / "p" / "real").write_text("x")
    assert open_archive(tmp_path / "p").names == ["real"]


def test_links_lead_nowhere_but_to_the_blobs_of_a_snapshot(tmp_path: Path) -> None:
    blobs, problem = tmp_path / "repo" / "blobs", tmp_path / "repo" / "snapshots" / ("0" * 40) / "p"
    (blobs / "deeper").mkdir(parents=True)
    problem.mkdir(parents=True)
    for file in (blobs / "kept", blobs / "deeper" / "x", tmp_path / "secret"):
        file.write_bytes(b"test data")
    (problem / "plain").write_bytes(b"test data")
    for name, target in {
        "blob": "../../../blobs/kept",
        "outside": "../../../../secret",
        "through": "../../../blobs/../../secret",
        "deeper": "../../../blobs/deeper/x",
    }.items():
        (problem / name).symlink_to(target)
    assert open_archive(problem).names == ["blob", "plain"]
    assert not holds(blobs, problem / "outside")
