"""A reader sees the old file or the new one, whole, wherever a path leads and whenever the writer is killed."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from steering import SteeringError
from steering.atomic_write import atomic_write, check_file, check_folder, files_in, new_folder
from tests.helpers.disks import files_limited_to, read_only_folder, small_disk


def write(path: Path, text: str = "new") -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(text)


def write_half(context: AbstractContextManager[Path]) -> None:
    with context as temporary:
        (temporary / "half" if temporary.is_dir() else temporary).write_text("half")
        raise KeyboardInterrupt


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_new_files_have_the_mode_that_the_umask_leaves_whoever_wrote_them(mask: int, tmp_path: Path) -> None:
    with umask(mask):
        (tmp_path / "plain").write_text("x")
        write(tmp_path / "text")
        with atomic_write(tmp_path / "tensors") as temporary:
            save_file({"a": torch.zeros(3)}, temporary)  # by itself a file that others can't read
        with new_folder(tmp_path / "folder") as folder:
            save_file({"a": torch.zeros(3)}, folder / "tensors")
    modes = {oct((tmp_path / name).stat().st_mode) for name in ("plain", "text", "tensors", "folder/tensors")}
    assert modes == {oct(0o100666 & ~mask)}
    assert (tmp_path / "folder").stat().st_mode & 0o777 == 0o777 & ~mask


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o666])
def test_a_file_that_is_replaced_keeps_its_mode(mode: int, tmp_path: Path) -> None:
    for name in ("text", "tensors"):
        (tmp_path / name).write_text("old")
        (tmp_path / name).chmod(mode)
    write(tmp_path / "text")
    with atomic_write(tmp_path / "tensors") as temporary:
        save_file({"a": torch.zeros(3)}, temporary)
    assert {(tmp_path / name).stat().st_mode & 0o777 for name in ("text", "tensors")} == {mode}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_file_that_root_replaces_stays_its_owners(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    os.chown(tmp_path / "file", 1234, 4321)
    write(tmp_path / "file")
    found = (tmp_path / "file").stat()
    assert (found.st_uid, found.st_gid) == (1234, 4321)


def test_nobody_else_can_read_a_file_before_it_is_in_place(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "file") as temporary:
        temporary.touch()
        assert temporary.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("there", [True, False])
def test_a_symbolic_link_is_followed_to_the_file_that_it_names(there: bool, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    named, link = tmp_path / "other/file", tmp_path / "link"
    if there:
        named.write_text("old")
    link.symlink_to("other/file")
    write(link)
    assert link.is_symlink()
    assert named.read_text() == "new"
    assert (names(tmp_path), names(tmp_path / "other")) == (["link", "other"], ["file"])


def test_what_is_no_regular_file_is_refused_and_stays(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "null").symlink_to("/dev/null")
    (tmp_path / "loop").symlink_to("loop")
    for name in ("fifo", "null", "loop"):
        with pytest.raises(SteeringError, match=f"Can't write '.*{name}': it is no regular file; name one"):
            write(tmp_path / name)
        with pytest.raises(SteeringError, match="no regular file"):
            check_file(tmp_path / name)
    with pytest.raises(SteeringError, match="is a folder"):
        write(tmp_path)
    with pytest.raises(SteeringError, match=r"'.*none' doesn't exist; create it"):
        write(tmp_path / "none/file")
    assert names(tmp_path) == ["fifo", "loop", "null"]
    assert (tmp_path / "fifo").is_fifo()
    assert Path("/dev/null").is_char_device()


def test_contents_are_on_the_disk_before_the_name_and_the_name_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = []
    sync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (done.append(os.readlink(f"/proc/self/fd/{fd}")), sync(fd)))
    monkeypatch.setattr(Path, "replace", lambda old, new: (done.append("rename"), replace(old, new)))
    write(tmp_path / "file")
    assert (Path(done[0]).name, done[1:]) == ("file", ["rename", str(tmp_path)])
    done.clear()
    with new_folder(tmp_path / "folder") as folder:
        (folder / "one").write_text("1")
    assert [Path(name).name for name in done] == ["one", "folder", "rename", tmp_path.name]


@pytest.mark.parametrize("there", [None, "old"])
def test_a_body_that_raises_leaves_what_was_there(there: str | None, tmp_path: Path) -> None:
    if there:
        (tmp_path / "file").write_text(there)
    before = names(tmp_path)
    for context in (atomic_write(tmp_path / "file"), new_folder(tmp_path / "folder")):
        with pytest.raises(KeyboardInterrupt):
            write_half(context)
    assert names(tmp_path) == before
    assert not there or (tmp_path / "file").read_text() == there


def test_a_folder_is_new_or_empty_and_appears_at_the_end(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("empty", "new"):
        with new_folder(tmp_path / name) as folder:
            (folder / "file").write_text("x")
            assert not (tmp_path / name / "file").exists()
        assert names(tmp_path / name) == ["file"]
    with (
        pytest.raises(SteeringError, match="exists and isn't an empty folder; name a new one"),
        new_folder(tmp_path / "new"),
    ):
        pass
    with pytest.raises(SteeringError, match=r"'.*none' doesn't exist"), new_folder(tmp_path / "none/new"):
        pass
    assert names(tmp_path) == ["empty", "new"]


def test_files_in_a_folder_appear_together_and_leave_others_alone(tmp_path: Path) -> None:
    for folder in (tmp_path / "a/b", tmp_path / "a/b"):
        with files_in(folder) as temporary:
            (temporary / "one").write_text("1")
            (temporary / "two").write_text("2")
            assert not folder.exists() or (folder / "one").read_text() == "old"
        assert names(folder) == ["one", "two"]
        (folder / "one").write_text("old")
    (folder / "mine").write_text("mine")
    with files_in(folder) as temporary:
        (temporary / "one").write_text("1")
    assert [(folder / name).read_text() for name in names(folder)] == ["mine", "1", "2"]


def test_errors_in_nested_writes_name_the_place_and_no_temporary_one(tmp_path: Path) -> None:
    with (
        pytest.raises(SteeringError, match=f"Can't write '{tmp_path}/folder/sub/file'"),
        new_folder(tmp_path / "folder") as folder,
    ):
        write(folder / "sub/file")


BIG = {"a": torch.zeros(50_000)}
WRITERS = {
    "text": lambda path: path.write_text("x" * 200_000),
    "safetensors": lambda path: save_file(BIG, path),
    "torch": lambda path: torch.save(BIG, path),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_a_full_disk_is_one_sentence_and_the_old_file_stays(writer: str) -> None:
    with small_disk(2**16) as folder:
        (folder / "file").write_text("old")
        with (
            pytest.raises(
                SteeringError, match=r"Can't write '.*file': .*No space left on device.*; check the space left"
            ),
            atomic_write(folder / "file") as temporary,
        ):
            WRITERS[writer](temporary)
        with pytest.raises(SteeringError, match="No space left"), new_folder(folder / "new") as made:
            WRITERS[writer](made / "file")
        assert (names(folder), (folder / "file").read_text()) == (["file"], "old")


@pytest.mark.parametrize("writer", WRITERS)
def test_a_quota_is_one_sentence_and_the_old_file_stays(writer: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    with (
        pytest.raises(SteeringError, match=r"Can't write '.*file': .*; check the space left"),
        atomic_write(tmp_path / "file") as temporary,
        files_limited_to(20_000),
    ):
        WRITERS[writer](temporary)
    assert (names(tmp_path), (tmp_path / "file").read_text()) == (["file"], "old")


def test_a_folder_without_the_right_to_write_is_one_sentence_before_the_work() -> None:
    with read_only_folder() as folder:
        for refused in (
            lambda: check_file(folder / "new"),
            lambda: check_folder(folder),
            lambda: check_folder(folder / "new/newer"),
            lambda: write(folder / "new"),
        ):
            with pytest.raises(SteeringError, match=r"Can't write '.*': Permission denied; check .* your rights there"):
                refused()
        assert names(folder) == ["old"]


KILLED = """
import os, signal, sys
from steering.atomic_write import atomic_write, new_folder
with atomic_write(sys.argv[1]) as file, new_folder(sys.argv[2]) as folder:
    file.write_text("half")
    (folder / "half").write_text("half")
    (folder / ".tmpOther").write_text("as other libraries leave it")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_writer_left_is_removed_by_the_next_one_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    script = [sys.executable, "-c", KILLED, tmp_path / "file", tmp_path / "folder"]
    assert subprocess.run(script).returncode == -signal.SIGKILL
    assert ((tmp_path / "file").read_text(), len(names(tmp_path))) == ("old", 3)
    mine = [".trimtab-notes", ".trimtab-0123456789", ".file.1a2b3c4d"]
    for name in mine:
        (tmp_path / name).mkdir()
    (tmp_path / ".trimtab-01234567").write_text("a file by such a name is nobody's folder")
    with atomic_write(tmp_path / "other") as living:
        living.write_text("1")
        write(tmp_path / "file")  # sweeps, and finds one whose writer lives
    assert (tmp_path / "other").read_text() == "1"
    assert names(tmp_path) == sorted([*mine, ".trimtab-01234567", "file", "other"])


def test_a_folder_that_holds_only_what_a_killed_writer_left_is_empty(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    script = [sys.executable, "-c", KILLED, tmp_path / "folder/file", tmp_path / "folder/new"]
    assert subprocess.run(script).returncode == -signal.SIGKILL
    with files_in(tmp_path / "folder") as temporary:
        (temporary / "whole").write_text("1")
    assert names(tmp_path / "folder") == ["whole"]


def test_a_file_system_without_locks_is_written_to_and_not_swept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_descriptor: int, _operation: int) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    (tmp_path / ".trimtab-01234567").mkdir()
    monkeypatch.setattr(fcntl, "flock", refuse)
    write(tmp_path / "file")
    assert names(tmp_path) == [".trimtab-01234567", "file"]
