"""Workers that need not import: a process per environment has imported what its cells need, and forks them."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Literal

from sdtui import settings
from sdtui.model.cell import Cell
from sdtui.model.codec import encode
from sdtui.model.job import READY, Job
from sdtui.model.machine import Interpreter
from sdtui.supervisor import caches, limits
from sdtui.supervisor.launch import Channels, Worker, worker_environ, worker_path
from sdtui.supervisor.sitting import Sitting

State = Literal["importing", "ready", "gone"]

_MESSAGE_BYTES = 4096
_NVML_CHECK = {"PYTORCH_NVML_BASED_CUDA_CHECK": "1"}
"""Lets ``torch.cuda.is_available()``, which packages call when imported, begin nothing that forbids a fork."""
_EAGER = "torchao"
"""What diffusers imports where it is installed, to load weights that it quantised, and what then begins to use the GPU
(`torchao 0.18`). Modes that quantise import it themselves."""


class ForkServer:
    """The process of one environment; it dies with its supervisor, and its workers with it.

    Attributes:
        state: ``gone`` where it forks no workers (any more).
        problem: Why not, where it said so; empty where it died, or forks.
    """

    def __init__(
        self, interpreter: Interpreter, cells: Sequence[Cell], gpu_uuid: str | None, path: Path, log: Path
    ) -> None:
        """Starts it; it imports meanwhile.

        Args:
            interpreter: Whose Python runs it.
            cells: That are to be measured in it; one at least.
            gpu_uuid: The one GPU that workers may see; ``None`` hides all.
            path: From `launch.worker_path`.
            log: What the libraries print while they are imported is appended to it.

        Raises:
            OSError: The interpreter cannot be started, or the log not written.
        """
        self.state: State = "importing"
        self.problem = ""
        self._interpreter = interpreter
        self._gpu_uuid = gpu_uuid
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.settimeout(limits.EXIT_S)
        hidden = _EAGER if all(cell.weights == "random" for cell in cells) else ""
        arguments = [str(theirs.fileno()), str(os.getpid()), hidden, *_classes(cells)]
        try:
            with theirs, log.open("ab") as output:
                self._process = subprocess.Popen(
                    [interpreter.python, "-u", "-m", "sdtui.worker.forkserver", *arguments],
                    cwd=path,
                    env=worker_environ(os.environ, cells[0], interpreter, gpu_uuid) | _NVML_CHECK,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    pass_fds=[theirs.fileno()],
                    process_group=0,
                )
        except OSError:
            self._socket.close()
            raise

    @property
    def pid(self) -> int:
        """Of the process that imports and forks."""
        return self._process.pid

    def await_ready(self, seconds: float, *wakers: int) -> None:
        """Waits until it has imported, at most so long, or until a descriptor of ``wakers`` can be read."""
        ours = self._socket.fileno()
        readable, _, _ = select.select([ours, *wakers], [], [], seconds)
        if ours not in readable:
            return
        said = self._receive()
        if said == READY:
            self.state = "ready"
        else:
            self.close()
            self.problem = said.decode(errors="replace")

    def fork(self, job: Job, cache: Mapping[str, str] | None = None, asks: bool = False) -> Worker | None:
        """Forks a worker and hands it its job; arguments as of `launch.start_worker`.

        Returns:
            ``None`` where the server turns out to be gone.
        """
        environ = worker_environ(os.environ, job.cell, self._interpreter, self._gpu_uuid, cache)
        found = caches.found(job.cell, environ)
        channels = Channels(asks)
        stdin, handle = os.pipe()
        pid = b""
        try:
            socket.send_fds(self._socket, [b"fork"], [stdin, *channels.of_worker])
            pid = self._receive()
        except OSError:  # it died, or hangs
            pass
        finally:
            os.close(stdin)
            channels.keep(ours=bool(pid))
        if not pid:
            os.close(handle)
            self.close()
            return None
        process = _Forked(self, int(pid), open(handle, "wb", buffering=0))
        worker = channels.worker(process, found, forked=True)
        worker.hand_over({"environ": environ, "job": encode(job)})
        return worker

    def reap(self, pid: int) -> int:
        """Waits for a worker's end and returns its exit status; of one whose server is gone, that it was killed."""
        try:
            self._socket.send(str(pid).encode())
            return int(self._receive())
        except (OSError, ValueError):
            self.close()
            return -signal.SIGKILL

    def close(self) -> None:
        """Ends it, and a worker of it that is left."""
        self.state = "gone"
        self._socket.close()
        self._process.kill()
        self._process.wait()

    def _receive(self) -> bytes:
        """Returns the next message; empty where the server is gone."""
        try:
            return self._socket.recv(_MESSAGE_BYTES)
        except ConnectionResetError:
            return b""


class ForkServers:
    """Those of a sitting that forks: one for each environment in which it has more than one cell to measure."""

    def __init__(self, sitting: Sitting, gpu_uuid: str | None, logs: Path) -> None:
        """Starts none yet; ``logs`` is the folder that what they print goes to."""
        self._interpreters = sitting.environments if sitting.forks else ()
        self._gpu_uuid = gpu_uuid
        self._logs = logs
        self._servers: dict[str, ForkServer] = {}

    @contextlib.contextmanager
    def started(self, cells_of: Callable[[str], Sequence[Cell]]) -> Iterator[None]:
        """Starts them all, and in the end closes them.

        Args:
            cells_of: Returns what there is to measure in the environment of that name.
        """
        try:
            for interpreter in self._interpreters:
                cells = cells_of(interpreter.name)
                if len(cells) > 1:
                    self._start(interpreter, cells)
            yield
        finally:
            for server in self._servers.values():
                server.close()

    def _start(self, interpreter: Interpreter, cells: Sequence[Cell]) -> None:
        log = self._logs / f"import.{interpreter.name}.log"
        path = worker_path(settings.cache_dir())
        if os.access(interpreter.python, os.X_OK):  # else its cells say what is wrong with it
            self._servers[interpreter.name] = ForkServer(interpreter, cells, self._gpu_uuid, path, log)

    def importing(self) -> list[ForkServer]:
        """Lists those that are not ready yet."""
        return [server for server in self._servers.values() if server.state == "importing"]

    def problems(self) -> Iterator[str]:
        """Says of each that cannot fork why not, where it said so itself."""
        for name, server in self._servers.items():
            if server.problem:
                yield f"environment '{name}': every cell imports torch anew, since {server.problem}"

    def give_up(self, environment: str) -> None:
        """Closes an environment's, whose workers cannot do what fresh ones can."""
        self._servers[environment].close()

    def of(self, interpreter: Interpreter) -> ForkServer | None:
        """Returns the environment's, where it is ready."""
        server = self._servers.get(interpreter.name)
        return server if server and server.state == "ready" else None


class _Forked:
    """A worker's process, whose parent is the fork server."""

    def __init__(self, server: ForkServer, pid: int, stdin: IO[bytes]) -> None:
        self._server = server
        self.pid = pid
        self.stdin: IO[bytes] | None = stdin
        self.returncode: int | None = None

    def wait(self) -> int:
        if self.returncode is None:
            self.returncode = self._server.reap(self.pid)
        return self.returncode


def _classes(cells: Iterable[Cell]) -> list[str]:
    """Returns the classes that the cells' pipelines are made of, such as ``diffusers.UNet2DConditionModel``."""
    found: dict[str, None] = {}
    for cell in cells:
        for stage in cell.stages:
            found[f"diffusers.{stage.pipeline_class}"] = None
            found |= {f"{component.library}.{component.class_name}": None for component in stage.components}
    return list(found)
