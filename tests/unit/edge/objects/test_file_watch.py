"""Looking at files: changes, half-written files, symlinks, loops, what cannot be read."""

import os
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from epp.edge.objects.file_watch import FileChanges, FileWatch


def watch(root: Path, most_bytes: int = 1000) -> FileWatch:
    return FileWatch(root, most_bytes=most_bytes)


def read(changes: FileChanges, root: Path) -> dict[str, str]:
    return {str(Path(path).relative_to(root)): content.decode() for path, content in changes.changed.items()}


def overwrite(path: Path, text: str) -> None:
    """In place: same inode."""
    path.write_text(text)
    bump = path.stat().st_mtime_ns + 1_000_000
    os.utime(path, ns=(bump, bump))


def swap(path: Path, text: str) -> None:
    """Atomically: another inode."""
    other = path.with_name(f".{path.name}.new")
    other.write_text(text)
    other.rename(path)


def test_the_first_look_reads_everything_below_the_directory(tmp_path: Path) -> None:
    (tmp_path / "sub" / "deeper").mkdir(parents=True)
    for name in ("b.yaml", "a.yml", "sub/c.json", "sub/deeper/d.yaml"):
        (tmp_path / name).write_text(name)
    for name in ("notes.txt", ".hidden.yaml", "yaml"):
        (tmp_path / name).write_text("not ours")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "x.yaml").write_text("not ours")
    changes = watch(tmp_path).look()
    assert list(read(changes, tmp_path)) == ["a.yml", "b.yaml", "sub/c.json", "sub/deeper/d.yaml"]
    assert (changes.gone, changes.problems, changes.root_exists) == ((), (), True)


def test_nothing_is_read_twice(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("1")
    looking = watch(tmp_path)
    looking.look()
    assert looking.look() == looking.look() == FileChanges({}, (), (), True)


@pytest.mark.parametrize("change", [overwrite, swap])
def test_a_change_counts_when_two_looks_agree(tmp_path: Path, change: object) -> None:
    assert callable(change)
    file = tmp_path / "a.yaml"
    file.write_text("1")
    looking = watch(tmp_path)
    looking.look()
    change(file, "2")
    assert looking.look().changed == {}
    assert read(looking.look(), tmp_path) == {"a.yaml": "2"}
    assert looking.look().changed == {}


def test_a_file_that_keeps_changing_is_not_read_before_it_rests(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("whole")
    looking = watch(tmp_path)
    looking.look()
    for half in ("", "w", "wh", "who"):
        overwrite(file, half)
        assert looking.look().changed == {}
    overwrite(file, "whole again")
    looking.look()
    assert read(looking.look(), tmp_path) == {"a.yaml": "whole again"}


def test_a_file_that_is_deleted_and_written_anew_was_never_gone(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("1")
    looking = watch(tmp_path)
    looking.look()
    file.unlink()
    assert looking.look().gone == ()
    file.write_text("22")
    looking.look()
    changes = looking.look()
    assert (read(changes, tmp_path), changes.gone) == ({"a.yaml": "22"}, ())


def test_a_removed_file_is_gone(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("1")
    looking = watch(tmp_path)
    looking.look()
    file.unlink()
    looking.look()
    assert looking.look().gone == (str(file),)
    assert looking.look().gone == ()


def test_a_root_that_comes_later(tmp_path: Path) -> None:
    root = tmp_path / "objects"
    looking = watch(root)
    assert looking.look() == FileChanges({}, (), (), False)
    root.mkdir()
    assert looking.look() == FileChanges({}, (), (), True)
    (root / "a.yaml").write_text("1")
    looking.look()
    assert read(looking.look(), root) == {"a.yaml": "1"}


def test_a_single_file_may_have_any_name(tmp_path: Path) -> None:
    file = tmp_path / "objects"
    file.write_text("1")
    looking = watch(file)
    assert looking.look().changed == {str(file): b"1"}
    file.unlink()
    looking.look()
    changes = looking.look()
    assert (changes.gone, changes.root_exists) == ((str(file),), False)


def config_map(root: Path, version: str, files: dict[str, str]) -> None:
    """The way in which the kubelet updates a mounted ConfigMap."""
    data = root / f"..{version}"
    data.mkdir()
    for name, text in files.items():
        (data / name).write_text(text)
    link = root / "..data_tmp"
    link.symlink_to(data.name)
    link.rename(root / "..data")
    for name in files:
        if not (root / name).is_symlink():
            (root / name).symlink_to(f"..data/{name}")


def test_a_config_map_mount(tmp_path: Path) -> None:
    config_map(tmp_path, "2026_01", {"pool.yaml": "pool 1", "pods.yaml": "pods 1"})
    looking = watch(tmp_path)
    assert read(looking.look(), tmp_path) == {"pods.yaml": "pods 1", "pool.yaml": "pool 1"}
    config_map(tmp_path, "2026_02", {"pool.yaml": "pool 2", "pods.yaml": "pods 2"})
    looking.look()
    assert read(looking.look(), tmp_path) == {"pods.yaml": "pods 2", "pool.yaml": "pool 2"}


def test_a_swap_counts_even_when_the_new_file_looks_the_same(tmp_path: Path) -> None:
    for version in ("v1", "v2"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "a.yaml").write_text(version)
        os.utime(tmp_path / version / "a.yaml", ns=(10**18, 10**18))
    link = tmp_path / "current"
    link.symlink_to("v1")
    looking = watch(link)
    assert read(looking.look(), link) == {"a.yaml": "v1"}
    link.unlink()
    link.symlink_to("v2")
    looking.look()
    assert read(looking.look(), link) == {"a.yaml": "v2"}


def test_symlinks_in_a_circle_end(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.yaml").write_text("1")
    (tmp_path / "sub" / "up").symlink_to("..")
    (tmp_path / "sub" / "self").symlink_to(".")
    (tmp_path / "b.yaml").symlink_to("b.yaml")
    (tmp_path / "c.yaml").symlink_to("nowhere.yaml")
    changes = watch(tmp_path).look()
    assert read(changes, tmp_path) == {"sub/a.yaml": "1"}
    assert [problem.source for problem in changes.problems] == [str(tmp_path / "b.yaml")]


def test_things_that_are_no_files_are_passed_over(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "dir.yaml").mkdir()
    assert watch(tmp_path).look() == FileChanges({}, (), (), True)
    assert "neither a file nor a directory" in str(watch(tmp_path / "pipe.yaml").look().problems[0])


def test_a_file_that_is_too_long_is_a_problem_and_stays_what_it_was(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("1")
    looking = watch(tmp_path, most_bytes=10)
    looking.look()
    overwrite(file, "x" * 11)
    looking.look()
    for _ in range(2):
        changes = looking.look()
        assert [str(problem) for problem in changes.problems] == [f"{file}: 11 bytes long, at most 10 are read"]
        assert (changes.changed, changes.gone) == ({}, ())
    overwrite(file, "x" * 10)
    looking.look()
    changes = looking.look()
    assert (read(changes, tmp_path), changes.problems) == ({"a.yaml": "x" * 10}, ())


def test_what_cannot_be_read_stays_known_and_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.yaml").write_text("1")
    (tmp_path / "b.yaml").write_text("1")
    looking = watch(tmp_path)
    looking.look()
    overwrite(tmp_path / "b.yaml", "2")
    real_scandir, real_open = os.scandir, Path.open

    def scandir(path: str) -> object:
        if path.endswith("sub"):
            raise PermissionError(13, "Permission denied")
        return real_scandir(path)

    def refuse(self: Path, *arguments: object) -> object:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", scandir)
    monkeypatch.setattr(Path, "open", refuse)
    looking.look()
    changes = looking.look()
    assert (changes.changed, changes.gone) == ({}, ())
    assert [str(problem) for problem in changes.problems] == [
        f"{tmp_path / 'sub'}: cannot be read: Permission denied",
        f"{tmp_path / 'b.yaml'}: cannot be read: Permission denied",
    ]
    monkeypatch.setattr(os, "scandir", real_scandir)
    monkeypatch.setattr(Path, "open", real_open)
    changes = looking.look()
    assert (read(changes, tmp_path), changes.problems) == ({"b.yaml": "2"}, ())


def test_a_file_that_changes_while_it_is_read_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("old")
    looking = watch(tmp_path)
    real_open = Path.open

    def interrupted(self: Path, mode: str) -> object:
        monkeypatch.setattr(Path, "open", real_open)
        overwrite(file, "half of the n")
        return real_open(self, mode)

    monkeypatch.setattr(Path, "open", interrupted)
    assert looking.look().changed == {}
    overwrite(file, "new")
    assert looking.look().changed == {}
    assert read(looking.look(), tmp_path) == {"a.yaml": "new"}


class WatchMachine(RuleBasedStateMachine):
    """After two quiet looks the watcher has told exactly what is on disk, whatever happened before."""

    names = st.sampled_from(["a.yaml", "b.yml", "sub/c.json"])

    @initialize()
    def start(self) -> None:
        import tempfile

        self.directory = tempfile.TemporaryDirectory()
        self.root = Path(self.directory.name)
        (self.root / "sub").mkdir()
        self.watch = watch(self.root)
        self.told: dict[str, str] = {}
        self.serial = 0

    @rule(name=names, in_place=st.booleans())
    def write(self, name: str, in_place: bool) -> None:
        self.serial += 1
        (swap if not in_place else overwrite)(self.root / name, f"text {self.serial}")

    @rule(name=names)
    def remove(self, name: str) -> None:
        (self.root / name).unlink(missing_ok=True)

    @rule(name=names)
    @precondition(lambda self: (self.root / "b.yml").exists())
    def rename(self, name: str) -> None:
        (self.root / "b.yml").rename(self.root / name)

    @rule()
    def look(self) -> None:
        changes = self.watch.look()
        assert not changes.problems
        self.told.update(read(changes, self.root))
        for path in changes.gone:
            del self.told[str(Path(path).relative_to(self.root))]

    @rule()
    def two_quiet_looks(self) -> None:
        self.look()
        self.look()
        on_disk = {
            str(path.relative_to(self.root)): path.read_text()
            for path in self.root.rglob("*.*")
            if not path.name.startswith(".")
        }
        assert self.told == on_disk

    def teardown(self) -> None:
        self.directory.cleanup()


WatchMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestWatch = WatchMachine.TestCase
