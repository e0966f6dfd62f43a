"""The lock of a run folder: one process at a time writes the folder, and in it one thread."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import get_ident
from time import sleep

from filelock import FileLock, Timeout

from cudfkd.base.errors import ConfigError, DataError

LOCK = ".lock"
BLINK = 0.1  # seconds that a process tries to get a lock: longer than `is_busy` has it to look at it
PAUSE = 0.5  # seconds between two looks at a lock
_WRITERS: dict[Path, int] = {}  # threads of this process that write a folder, by the folder


class BusyError(ConfigError):
    """Another process or thread is writing the run folder."""


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Locks a run folder inside the block. The lock ends with the process, even in a crash.

    Raises:
        BusyError: another process is writing the folder, or another thread of this process.
        ConfigError: a callback of its own run asks.
        DataError: the lock cannot be written.
    """
    lock, place = FileLock(path / LOCK, timeout=BLINK, poll_interval=BLINK / 10), path.resolve()
    try:
        lock.acquire()
    except Timeout:
        _refuse_own_callback(path)
        raise BusyError(f"{path} is being written by another process: choose another folder") from None
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise DataError(f"{path} cannot be written ({why}): choose another folder") from error
    try:
        _WRITERS[place] = get_ident()
        yield
    finally:
        _WRITERS.pop(place, None)
        lock.release()


def is_busy(path: Path) -> bool:
    """Returns whether another process or thread is writing a run folder, which may not exist.

    Raises:
        ConfigError: a callback of its own run asks.
    """
    _refuse_own_callback(path)
    if not (path / LOCK).exists():
        return False
    try:
        with FileLock(path / LOCK, timeout=0):
            return False
    except Timeout:
        return True
    except OSError:  # whoever claims the folder meets this error, too, and reports it
        return False


def wait_until_free(path: Path) -> None:
    """Waits until nobody writes a run folder: its writer has ended, or was killed. Raises as `is_busy`."""
    while is_busy(path):
        sleep(PAUSE)


def _refuse_own_callback(path: Path) -> None:
    if _WRITERS.get(path.resolve()) == get_ident():
        raise ConfigError(f"{path} is being written by the run whose callback asks for it: ask after its end")
