"""The process of a script: started as by hand, in its own session, and ended with all its processes."""

from __future__ import annotations

import ctypes
import os
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from resource import struct_rusage

from bench.errors import UsageError
from bench.execution import imports
from bench.host.process_tree import ProcessTree
from bench.spec.command import Command
from bench.text.nearest import did_you_mean

MARK_VARIABLE = "BENCH_SCRIPT"
# Programs whose first argument is a file to run, unless it is an option.
INTERPRETERS = ("python", "python3", "pypy", "sh", "bash", "dash", "zsh", "node", "Rscript", "julia", "perl", "ruby")
PR_SET_PDEATHSIG = 1
PIPE_BYTES = 1 << 20


class ScriptProcess:
    """A command that has not been started yet; `start` it, read from `output`, wait for `exit_source`, ask `has_ended`.

    It has the signals and the environment of a command by hand, no standard input, and standard output and error
    together in one pipe. On Linux it is killed when this process ends.
    """

    def __init__(self, argv: Sequence[str], cwd: Path, env: Mapping[str, str]) -> None:
        """Raises `UsageError` if there is no such program, or no such file for its interpreter."""
        check_program(argv, cwd, env)
        token = secrets.token_hex(8)
        self.argv, self.cwd = list(argv), cwd
        self.env = {**env, MARK_VARIABLE: token}
        self.output, self._writer = os.pipe()
        os.set_blocking(self.output, False)
        self.began_s = 0.0
        self.ended_s: float | None = None
        self.exit_code: int | None = None
        # Which signal asks it to end.
        self.asked: Callable[[], signal.Signals] = lambda: signal.SIGTERM
        self._mark = f"{MARK_VARIABLE}={token}"
        self._child: subprocess.Popen[bytes] | None = None
        self._pidfd: int | None = None

    def start(self) -> None:
        """Start it now. Raises `UsageError` if the system refuses."""
        _hear_of_ends()
        _enlarge(self._writer)
        self.began_s = time.monotonic()
        try:
            self._child = subprocess.Popen(
                self.argv,
                cwd=self.cwd,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=self._writer,
                stderr=self._writer,
                start_new_session=True,
                preexec_fn=_as_by_hand,
            )
        except (OSError, subprocess.SubprocessError) as error:
            os.close(self.output)
            raise UsageError(_why_not_started(self.argv, error)) from None
        finally:
            os.close(self._writer)
        self.tree = ProcessTree(self.pid, self._mark)
        with suppress(AttributeError, OSError):  # not on this system
            self._pidfd = os.pidfd_open(self.pid)

    @property
    def pid(self) -> int:
        assert self._child is not None
        return self._child.pid

    @property
    def exit_source(self) -> list[int]:
        """What becomes readable at the exit; empty on systems that cannot tell."""
        return [self._pidfd] if self._pidfd is not None and self.ended_s is None else []

    def has_ended(self) -> bool:
        """Whether the command itself has ended; then `ended_s`, `exit_code` and the memory are known."""
        if self.ended_s is not None:
            return True
        pid, status, usage = os.wait4(self.pid, os.WNOHANG)
        if not pid:
            return False
        self.ended_s = time.monotonic()
        self._note_end(status, usage)
        return True

    def terminate(self) -> None:
        """Ask it to end, as Ctrl-C or a SIGTERM does: the whole of its session."""
        self._signal_session(self.asked())

    def kill(self) -> None:
        """End it and all that it has started."""
        self._signal_session(signal.SIGKILL)
        self.tree.send(signal.SIGKILL)

    def pause(self) -> None:
        self._signal_session(signal.SIGSTOP)

    def go_on(self) -> None:
        self._signal_session(signal.SIGCONT)

    def close(self) -> None:
        """Let go of the pipe; the process must have ended."""
        for number in (self.output, self._pidfd):
            if number is not None:
                with suppress(OSError):
                    os.close(number)
        self._pidfd = None

    def _note_end(self, status: int, usage: struct_rusage) -> None:
        assert self._child is not None
        self.exit_code = self._child.returncode = os.waitstatus_to_exitcode(status)
        self.tree.take_usage(usage)

    def _signal_session(self, number: signal.Signals) -> None:
        # Its number is not reused before it has been waited for.
        if self.ended_s is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)


def environment_of(command: Command, seed: int, without: Collection[str] = ()) -> dict[str, str]:
    """The user's environment, before this process changed anything, `without` some variables, and what the command
    sets."""
    theirs = {name: value for name, value in imports.ENVIRONMENT.items() if name not in without}
    return theirs | command.env_of(seed)


def folder_of(command: Command, root: Path) -> Path:
    """Where the command runs. Raises `UsageError` if there is no such folder in `root`."""
    folder = (root / command.cwd).resolve()
    if not folder.is_dir():
        raise UsageError(f"cwd: there is no folder {command.cwd} in {root}")
    if not folder.is_relative_to(root.resolve()):
        raise UsageError(f"cwd: {command.cwd} leads out of {root}; give a folder inside it")
    return folder


def check_program(argv: Sequence[str], cwd: Path, env: Mapping[str, str]) -> None:
    """Raises `UsageError` if the program is missing or cannot be run, or if its interpreter would find no file."""
    program = argv[0]
    if os.sep in program:
        path = cwd / program
        if not os.path.isfile(path):  # `Path.is_file` raises for what is too long to be a name
            raise UsageError(f"there is no program {program} in {cwd}{_beside(path)}")
        if not os.access(path, os.X_OK):
            raise UsageError(
                f"{program} cannot be run: it is not executable; `chmod +x {shlex.quote(program)}`, or name its "
                "interpreter first"
            )
    elif shutil.which(program, path=env.get("PATH", os.defpath)) is None:
        here = f"; {program} in {cwd} is run as ./{program}" if os.path.isfile(cwd / program) else ""
        words = "; it is one word for the system, so leave out the quotes around it" if " " in program else ""
        near = "" if words else did_you_mean(program, INTERPRETERS)
        raise UsageError(f"there is no program {program!r} on PATH{near}{here}{words}")
    file = _file_to_run(argv)
    if file is not None and not os.path.exists(cwd / file):
        raise UsageError(f"{Path(program).name} would find no file {file} in {cwd}{_beside(cwd / file)}")


def _file_to_run(argv: Sequence[str]) -> str | None:
    """The file given to a known interpreter; None for other programs and other arguments."""
    if Path(argv[0]).name.rstrip("0123456789.") not in INTERPRETERS:
        return None
    # An option may take the next argument, so nothing is known after one.
    return argv[1] if len(argv) > 1 and not argv[1].startswith("-") else None


def _beside(path: Path) -> str:
    """The nearest names in the same folder."""
    try:
        return did_you_mean(path.name, [entry.name for entry in path.parent.iterdir()])
    except OSError:
        return ""


def _why_not_started(argv: Sequence[str], error: Exception) -> str:
    why = getattr(error, "strerror", None) or str(error)
    hint = "; name its interpreter first, or begin the file with #!" if "Exec format" in why else ""
    return f"{argv[0]} cannot be run: {why}{hint}"


def _hear_of_ends() -> None:
    """Undo an ignored SIGCHLD that was inherited, with which the system keeps no exit code for whoever waits."""
    if signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def _enlarge(pipe: int) -> None:
    """Enlarge the pipe for a script that briefly prints faster than it is read."""
    with suppress(AttributeError, OSError, ImportError):
        import fcntl

        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)


# Looked up here, because the child must not wait for a lock that another thread held when it was forked.
_PRCTL = ctypes.CDLL(None).prctl if sys.platform == "linux" else None


def _as_by_hand() -> None:
    """In the child: reset signals as a shell does, and die when the parent dies."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGVTALRM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    if _PRCTL is not None:
        _PRCTL(PR_SET_PDEATHSIG, signal.SIGKILL)
