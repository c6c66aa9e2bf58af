"""Report that a config file may have changed. It is imported after READY, because watchdog takes 40 ms.

inotify reports at once. Polling every second finds what inotify misses (a folder that is moved away and made again, a
lost event), and is used alone where inotify has no watches left. A report may be wrong: the caller compares.
"""

import logging
import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers.api import BaseObserver, ObservedWatch
from watchdog.observers.inotify import InotifyEmitter
from watchdog.observers.inotify_c import InotifyConstants

from gateway.config.trail import Names, follow, merge

if TYPE_CHECKING:
    from watchdog.observers.inotify_c import Mask  # since watchdog 7; an int before

Mode = Literal["inotify", "polling", "off"]
State = tuple[int, ...] | None

log = logging.getLogger("gateway.config")

_MASK = cast(
    "Mask",
    InotifyConstants.IN_CREATE
    | InotifyConstants.IN_MODIFY
    | InotifyConstants.IN_ATTRIB
    | InotifyConstants.IN_CLOSE_WRITE
    | InotifyConstants.IN_MOVED_TO
    | InotifyConstants.IN_DELETE
    | InotifyConstants.IN_DELETE_SELF
    | InotifyConstants.IN_ONLYDIR,
)


class _Emitter(InotifyEmitter):
    """Without IN_MOVED_FROM: watchdog delays it, and all events behind it, by 0.5 s to pair it with an IN_MOVED_TO.

    A file that appears under the config's name is reported; one that disappears is found by polling. Reading (open,
    close without write) is not watched either, or our own reload would cause the next one.
    """

    def get_event_mask_from_filter(self) -> "Mask":
        return _MASK


class Watch(FileSystemEventHandler):
    """Calls `on_change` from a thread. The caller must read the files once after `start` and `retarget`, because a
    change just before is not reported."""

    def __init__(
        self,
        files: Iterable[Path],
        on_change: Callable[[], None],
        *,
        poll_s: float = 1.0,
        force_polling: bool = False,
    ) -> None:
        self._files = tuple(files)
        self._on_change = on_change
        self._poll_s = poll_s
        self._force_polling = force_polling
        self._mode: Mode = "off"
        self._arming = threading.RLock()
        """Never taken in `dispatch`: watchdog calls that while it holds a lock that `schedule` needs too."""
        self._observer: BaseObserver | None = None
        self._armed: dict[str, tuple[ObservedWatch, State]] = {}
        """Folder -> its watch, and device and inode: a new folder with the same name has another watch."""
        self._stale: set[str] = set()
        self._names: Names = {}
        self._states: dict[Path, State] = {}
        self._wake = threading.Event()
        self._stopping = False
        self._thread: threading.Thread | None = None

    @property
    def mode(self) -> Mode:
        return self._mode

    def start(self) -> None:
        self._mode = "polling" if self._force_polling else "inotify"
        if self._mode == "inotify":
            self._observer = BaseObserver(_Emitter)
            self._observer.start()
        self._states = self._look()
        self._arm()
        self._thread = threading.Thread(target=self._run, name="config-watch", daemon=True)
        self._thread.start()

    def retarget(self, files: Iterable[Path]) -> None:
        """Watch these files from now on, such as the includes of the config just read.

        The thread `config-watch` adds the watches, and then looks for changes since this call.
        """
        with self._arming:
            self._files = tuple(files)
            now, before = self._look(), self._states
            self._states = {file: before.get(file, state) for file, state in now.items()}
            self._names = merge([follow(file) for file in self._files])
        self._wake.set()

    def stop(self) -> None:
        """Wait for the threads: `on_change` is not called afterwards. It must not be called within `on_change`."""
        self._stopping = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
        self._stop_observer()
        self._mode = "off"

    # watchdog's thread

    def dispatch(self, event: FileSystemEvent) -> None:
        path = os.fsdecode(event.src_path)
        folder, name = os.path.split(path)
        if event.event_type == "deleted" and path in self._armed:
            self._stale.add(path)
            self._wake.set()
        if self._stopping or name not in self._names.get(folder, ()):
            return
        self._states = self._look()
        # A link or a folder may have been replaced, so other folders may have to be watched.
        self._wake.set()
        self._on_change()

    # the thread `config-watch`

    def _run(self) -> None:
        while not self._stopping:
            self._wake.wait(self._poll_s)
            self._wake.clear()
            if not self._stopping:
                self._arm()
                self._compare()

    def _compare(self) -> None:
        now, before = self._look(), self._states
        self._states = now
        if now != before:
            self._on_change()

    def _look(self) -> dict[Path, State]:
        return {file: _state(file) for file in self._files}

    def _arm(self) -> None:
        """Watch the folders that the files are in now."""
        with self._arming:
            self._names = merge([follow(file) for file in self._files])
            if self._observer is None:
                return
            try:
                self._schedule(self._observer)
            except FileNotFoundError:
                self._wake.set()  # a folder has just disappeared: look again
            except OSError as error:
                self._fall_back(error)

    def _schedule(self, observer: BaseObserver) -> None:
        stale = frozenset(self._stale)
        self._stale -= stale
        identities = {folder: _state(folder, identity=True) for folder in self._names}
        for folder, (watch, identity) in list(self._armed.items()):
            if identities.get(folder) != identity or folder in stale:
                del self._armed[folder]
                observer.unschedule(watch)
        missing = self._names.keys() - self._armed.keys()
        for folder in missing:
            self._armed[folder] = (observer.schedule(self, folder), identities[folder])
        if missing:
            _set_cloexec()

    def _fall_back(self, error: OSError) -> None:
        log.warning("inotify is not to be had (%s); looking at the config every %g s instead", error, self._poll_s)
        self._mode = "polling"
        self._stop_observer()

    def _stop_observer(self) -> None:
        observer, self._observer = self._observer, None
        self._armed.clear()
        if observer is not None:
            observer.stop()
            observer.join()


def _state(path: Path | str, *, identity: bool = False) -> State:
    """A value that changes with the file, without reading it; links are followed."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    if identity:
        return (found.st_dev, found.st_ino)
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _set_cloexec() -> None:
    """watchdog opens inotify without CLOEXEC: each hot restart would inherit one more instance, up to the limit."""
    for name in os.listdir("/proc/self/fd"):
        try:
            if os.readlink(f"/proc/self/fd/{name}") == "anon_inode:inotify":
                os.set_inheritable(int(name), False)
        except OSError:
            continue  # closed meanwhile, such as the descriptor of this listing
