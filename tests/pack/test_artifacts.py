"""Generated files are replaced as a whole and compared byte for byte; no other file is touched."""

from __future__ import annotations

from pathlib import Path

import pytest

from mnemoscope.errors import MnemoscopeError
from mnemoscope.generation import artifacts
from mnemoscope.generation.artifacts import Artifacts
from mnemoscope.model.settings import Settings

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


@pytest.fixture
def made(tmp_path: Path) -> Artifacts:
    made = Artifacts(tmp_path / "out", {"rules/a.yaml": "a\n", "b.md": "b\n"}, {tmp_path / "pages" / "P.md": "p\n"})
    artifacts.write(made)
    return made


def test_what_was_written_is_not_stale_and_is_not_written_again(made: Artifacts) -> None:
    assert artifacts.stale(made) == []
    before = (made.output / "b.md").stat().st_ino
    assert artifacts.write(made) == []
    assert (made.output / "b.md").stat().st_ino == before


def test_a_changed_a_missing_and_a_superfluous_file_are_each_named(made: Artifacts, tmp_path: Path) -> None:
    (made.output / "b.md").write_text("edited\n")
    (made.output / "rules" / "a.yaml").unlink()
    smaller = Artifacts(made.output, {"b.md": "b\n", "c.md": "c\n"}, made.pages)
    (made.output / "rules" / "a.yaml").write_text("a\n")
    found = {problem.where.removeprefix(f"{tmp_path}/"): problem.message for problem in artifacts.stale(smaller)}
    assert set(found) == {"out/b.md", "out/c.md", "out/rules/a.yaml"}
    assert "does not match" in found["out/b.md"]
    assert "missing" in found["out/c.md"]
    assert "no longer generated" in found["out/rules/a.yaml"]


def test_a_file_that_is_no_longer_generated_is_removed_and_an_unlisted_file_is_kept(made: Artifacts) -> None:
    stranger = made.output / "notes.txt"
    stranger.write_text("mine")
    artifacts.write(Artifacts(made.output, {"b.md": "b\n"}, {}))
    assert not (made.output / "rules" / "a.yaml").exists()
    assert stranger.read_text() == "mine"


def test_a_tampered_manifest_cannot_make_it_remove_a_file_outside(made: Artifacts, tmp_path: Path) -> None:
    outside = tmp_path / "precious.txt"
    outside.write_text("keep")
    (made.output / artifacts.MANIFEST).write_text("../precious.txt\n")
    artifacts.write(Artifacts(made.output, {"b.md": "b\n"}, {}))
    assert outside.exists()


def test_a_failed_replacement_leaves_the_old_file_whole_and_no_leftovers(
    made: Artifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_self: Path, _target: object) -> None:
        raise OSError(28, "No space left on device", "b.md")

    monkeypatch.setattr(Path, "replace", broken)
    with pytest.raises(MnemoscopeError, match=r"b\.md: cannot be written: No space left on device"):
        artifacts.write(Artifacts(made.output, {"b.md": "new\n"}, {}))
    assert (made.output / "b.md").read_text() == "b\n"
    assert sorted(path.name for path in made.output.iterdir()) == [".manifest", "b.md", "rules"]


def test_rendering_twice_gives_the_same_text() -> None:
    first, second = (artifacts.render(Settings(), ROOT) for _ in range(2))
    assert dict(first.files) == dict(second.files)
    assert list(first.files) == list(second.files)


def test_the_committed_files_are_fresh() -> None:
    assert [str(problem) for problem in artifacts.stale(artifacts.render(Settings(), ROOT))] == []


def test_everything_the_pack_promises_is_generated() -> None:
    files = set(artifacts.render(Settings(), ROOT).files)
    assert {f"dashboards/{uid}.json" for uid in ("dual-memory", "cognitive-metrics", "canary-comparison")} <= files
    assert {"dashboards/slo-compliance.json", "kubernetes/prometheusrule.yaml", "metrics.md", "checks.md"} <= files
    for folder in ("rules/", "rule-tests/", "provisioning/", "kubernetes/"):
        assert any(name.startswith(folder) for name in files), folder
