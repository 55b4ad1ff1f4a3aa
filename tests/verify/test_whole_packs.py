"""Packs that the service makes are verified, and say what they leave unproven."""

from pathlib import Path

from tests.verify.packs import Evidence, verified


def test_a_pack_is_verified(evidence: Evidence, tmp_path: Path) -> None:
    report = verified(evidence.files, tmp_path / "pack", evidence.policy)

    assert report.findings == []
    assert report.exit_code == 0
