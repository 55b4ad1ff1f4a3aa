"""Hostile containers: names that leave, links, doubles, bombs, and files that are not what they say."""

import io
import os
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tallystick_verify import ExitCode, Report, verify_pack
from tests.verify.packs import WITHOUT_CHECKPOINT, Evidence, Insider, no_progress, verified


def _zip(files: dict[str, bytes], *, prefix: str = "", compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(prefix + name, content)
    return buffer.getvalue()


def _verified_zip(content: bytes, folder: Path, evidence: Evidence) -> Report:
    path = folder / "pack.zip"
    path.write_bytes(content)
    return verify_pack(path, evidence.policy, WITHOUT_CHECKPOINT, no_progress)


@pytest.mark.parametrize("prefix", ["", "evidence/", "export_01/"])
@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_is_read_as_it_is(prefix: str, compression: int, evidence: Evidence, tmp_path: Path) -> None:
    content = _zip(evidence.files, prefix=prefix, compression=compression)

    report = _verified_zip(content, tmp_path, evidence)

    assert report.exit_code == ExitCode.OK, report.text()
    assert [one.name for one in tmp_path.iterdir()] == ["pack.zip"]


def test_a_zip_cut_short_at_any_place(evidence: Evidence, tmp_path: Path) -> None:
    content = _zip(evidence.files)
    for length in (0, 1, 100, len(content) // 2, len(content) - 1):
        report = _verified_zip(content[:length], tmp_path, evidence)
        assert report.exit_code == ExitCode.PACK, length


def test_a_zip_with_changed_bytes(evidence: Evidence, tmp_path: Path) -> None:
    content = _zip(evidence.files)
    for place in range(0, len(content), len(content) // 25):
        flipped = content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :]
        report = _verified_zip(flipped, tmp_path, evidence)
        # What differs may be a time stamp that means nothing; it never means another pack.
        assert report.exit_code in (ExitCode.OK, ExitCode.PACK), place
        assert report.exit_code == ExitCode.PACK or report.pack["events"] == 36


@pytest.mark.parametrize(
    "name",
    [
        "../events.jsonl",
        "/etc/passwd",
        "a/../b.txt",
        "C:\\x.txt",
        "checkpoints/../x.txt",
        "x",
        "..",
        ".x.txt",
    ],
)
def test_names_that_leave_the_pack(name: str, evidence: Evidence, tmp_path: Path) -> None:
    report = _verified_zip(_zip(evidence.files | {name: b"x\n"}), tmp_path, evidence)

    assert report.exit_code == ExitCode.PACK


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_a_name_twice(evidence: Evidence, tmp_path: Path) -> None:
    buffer = io.BytesIO(_zip(evidence.files))
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("events.jsonl", b"another log\n")

    report = _verified_zip(buffer.getvalue(), tmp_path, evidence)

    assert report.exit_code == ExitCode.PACK
    assert "twice" in report.findings[0].message


def test_a_bomb(evidence: Evidence, tmp_path: Path) -> None:
    insider = evidence.insider()
    insider.files["accounts.jsonl"] += b"0" * 50_000_000 + b"\n"
    insider.seal()

    report = _verified_zip(_zip(insider.files), tmp_path, evidence)

    assert report.exit_code == ExitCode.PACK
    assert "unpacks" in report.findings[0].message


def test_a_size_that_is_a_lie(evidence: Evidence, tmp_path: Path) -> None:
    content = _zip(evidence.files, compression=zipfile.ZIP_STORED)
    size = len(evidence.files["events.jsonl"]).to_bytes(4, "little")
    lied = content.replace(size * 2, (10).to_bytes(4, "little") * 2)
    assert lied != content

    assert _verified_zip(lied, tmp_path, evidence).exit_code == ExitCode.PACK


def test_a_link_in_a_zip(evidence: Evidence, tmp_path: Path) -> None:
    buffer = io.BytesIO(_zip({name: one for name, one in evidence.files.items() if name != "events.jsonl"}))
    with zipfile.ZipFile(buffer, "a") as archive:
        link = zipfile.ZipInfo("events.jsonl")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")

    assert _verified_zip(buffer.getvalue(), tmp_path, evidence).exit_code == ExitCode.PACK


def test_a_packing_that_is_not_read(evidence: Evidence, tmp_path: Path) -> None:
    content = _zip(evidence.files, compression=zipfile.ZIP_BZIP2)

    assert _verified_zip(content, tmp_path, evidence).exit_code == ExitCode.PACK


def _linked(folder: Path) -> None:
    (folder / "events.jsonl").rename(folder.parent / "elsewhere")
    (folder / "events.jsonl").symlink_to(folder.parent / "elsewhere")


def _piped(folder: Path) -> None:
    (folder / "events.jsonl").unlink()
    os.mkfifo(folder / "events.jsonl")


def _extra(folder: Path) -> None:
    (folder / "readme.txt").write_text("hello\n")


def _nested(folder: Path) -> None:
    (folder / "more").mkdir()
    (folder / "more" / "events.jsonl").write_text("\n")


def _extra_checkpoint(folder: Path) -> None:
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "1.txt").write_text("\n")


def _missing(folder: Path) -> None:
    (folder / "approvals.jsonl").unlink()


def _no_manifest(folder: Path) -> None:
    (folder / "manifest.json").unlink()


def _no_signature(folder: Path) -> None:
    (folder / "manifest.jws").unlink()


def _truncated(folder: Path) -> None:
    os.truncate(folder / "journal.jsonl", 1_000)


def _capitals(folder: Path) -> None:
    (folder / "events.jsonl").rename(folder / "Events.jsonl")


@pytest.mark.parametrize(
    "damage",
    [
        _linked,
        _piped,
        _extra,
        _nested,
        _extra_checkpoint,
        _missing,
        _no_manifest,
        _no_signature,
        _truncated,
        _capitals,
    ],
)
def test_folders_that_are_damaged(damage: Callable[[Path], None], evidence: Evidence, tmp_path: Path) -> None:
    folder = evidence.insider().save(tmp_path / "pack")
    damage(folder)

    report = verify_pack(folder, evidence.policy, WITHOUT_CHECKPOINT, no_progress)

    assert report.exit_code == ExitCode.PACK, report.text()


def test_a_pack_that_is_not_there(evidence: Evidence, tmp_path: Path) -> None:
    report = verify_pack(tmp_path / "nothing", evidence.policy, WITHOUT_CHECKPOINT, no_progress)

    assert report.exit_code == ExitCode.PACK


def _lines(content: bytes) -> Callable[[Insider], None]:
    def change(insider: Insider) -> None:
        insider.files["events.jsonl"] = content
        insider.seal()

    return change


@pytest.mark.parametrize(
    "content",
    [
        b"\n",
        b"{}\n",
        b"[]\n",
        b'{"index":0,"jws":"a.b.c"}',
        b'{"index":0, "jws":"a.b.c"}\n',
        b'{"index":00,"jws":"a.b.c"}\n',
        b'{"index":0,"index":0,"jws":"a.b.c"}\n',
        b"[" * 100_000 + b"\n",
        b"9" * 5_000 + b"\n",
        b'{"index":0,"jws":"' + b"A" * 1_100_000 + b'"}\n',
    ],
)
def test_logs_that_can_t_be_read(content: bytes, evidence: Evidence, tmp_path: Path) -> None:
    insider = evidence.insider()
    _lines(content)(insider)

    report = verified(insider.files, tmp_path / "pack", evidence.policy)

    assert report.exit_code == ExitCode.PACK, report.text()
