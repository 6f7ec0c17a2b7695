"""Unpack a downloaded zip file: completely or not at all, and never outside its folder."""

import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PureWindowsPath

from ser.errors import DownloadError

MAX_UNPACKED_BYTES = 16 * 2**30
MAX_RATIO = 100  # of unpacked to packed size; audio reaches 3, a table of text 20
MAX_MEMBERS = 100_000


def unpack(archive: Path, folder: Path, *, remove_damaged: bool = True) -> None:
    """Unpack a zip file into a new folder, which appears only when it is complete.

    Args:
        archive: The zip file.
        folder: Replaced if it exists.
        remove_damaged: Remove a damaged zip file, so that it is downloaded again.

    Raises:
        DownloadError: If the zip file is damaged or unsafe: paths outside the folder, links, or far more bytes than its
            size justifies. Nothing is unpacked then.
    """
    half = archive.with_name(archive.name + ".half")
    shutil.rmtree(half, ignore_errors=True)
    with opened(archive, remove_damaged=remove_damaged) as zipped:
        zipped.extractall(half)
    if folder.exists():
        shutil.rmtree(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    half.replace(folder)


@contextmanager
def opened(archive: Path, *, remove_damaged: bool = True) -> Iterator[zipfile.ZipFile]:
    """Open a zip file after checking its members.

    Raises:
        DownloadError: If it is damaged, even if that is detected only while it is read, or unsafe.
    """
    try:
        with zipfile.ZipFile(archive) as zipped:
            _check_members(archive, zipped)
            yield zipped
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        advice = "Download it again."
        if remove_damaged:
            archive.unlink()
            advice = "It was removed. Run the same command again."
        raise DownloadError(f"{archive} must be a whole zip file; got a damaged one ({error}). {advice}") from error


def _check_members(archive: Path, zipped: zipfile.ZipFile) -> None:
    members = zipped.infolist()
    for member in members:
        path = PureWindowsPath(member.orig_filename)  # its rules are the stricter: drives, and both kinds of slash
        if path.anchor or ".." in path.parts:
            raise DownloadError(
                f"{archive} must hold only paths inside its folder; got {member.orig_filename!r}. Nothing was unpacked."
            )
        if stat.S_ISLNK(member.external_attr >> 16):
            raise DownloadError(f"{archive} must not hold links; got {member.orig_filename!r}. Nothing was unpacked.")
    total = sum(member.file_size for member in members)
    if len(members) > MAX_MEMBERS or total > min(MAX_UNPACKED_BYTES, MAX_RATIO * archive.stat().st_size):
        raise DownloadError(
            f"{archive} must not unpack to far more than its own size; got {len(members)} files of {total / 1e6:.0f} MB. "
            "Nothing was unpacked."
        )
    check_space(archive.parent, total)


def check_space(folder: Path, needed: int) -> None:
    """Check that the disk of a folder has room for this many bytes.

    Raises:
        DownloadError: If there is not enough room.
    """
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DownloadError(
            f"The disk of {folder} is full: {needed / 1e6:.0f} MB are needed and {free / 1e6:.0f} MB are free. Make "
            "room and run the same command again, or choose another folder with paths.corpora=/folder."
        )
