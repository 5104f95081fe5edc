"""Starting, recognising and ending server processes that outlive this script."""

import os
import random
import signal
import socket
import subprocess
import time
from pathlib import Path

from fetch import SetupError

# How long a server may take to start.
START_TIMEOUT_S = 60
# How long a server may take to stop before it is killed.
STOP_TIMEOUT_S = 30


def run_as(user):
    """The arguments of subprocess that run a command as `user`, or as the caller if None."""
    if user is None:
        return {}
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def spawn(command, environment, log, user=None):
    with open(log, "ab") as out:
        return subprocess.Popen(
            list(map(str, command)),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
            cwd="/",
            **run_as(user),
        )


def wait_until(ready, process, what, log):
    give_up = time.monotonic() + START_TIMEOUT_S
    while not ready():
        if process.poll() is not None or time.monotonic() > give_up:
            last = log.read_text(errors="replace")[-1500:]
            raise SetupError(f"{what} did not start; the end of {log}:\n{last}")
        time.sleep(0.05)


def command_line(pid):
    """The command line of a running process; empty if it has ended."""
    try:
        if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
            return ""
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


def end_groups(pids, how):
    """Sends the signal `how` to the process groups and waits until their leaders have ended."""
    for pid in pids:
        send(os.killpg, pid, how)
    for pid in pids:
        wait_for_end(pid, os.killpg)


def end_process(pid, how):
    """Sends the signal `how` to one process and waits until it has ended."""
    if send(os.kill, pid, how):
        wait_for_end(pid, os.kill)


def send(kill, pid, how) -> bool:
    """Whether there was a process to signal."""
    try:
        kill(pid, how)
    except ProcessLookupError:
        return False
    return True


def wait_for_end(pid, kill):
    give_up = time.monotonic() + STOP_TIMEOUT_S
    while command_line(pid):
        if time.monotonic() > give_up:
            if not send(kill, pid, signal.SIGKILL):
                return
            give_up = time.monotonic() + 5
        try:
            os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            pass
        time.sleep(0.02)


def free_port():
    """A free port; where Linux tells, one that it gives to nobody who asks for any port.

    Otherwise another program could have it before the server starts, or while it is stopped.
    """
    try:
        end = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except OSError:
        end = 0
    own = range(20000, end)
    # The last asks for any port.
    for port in [*random.sample(own, min(100, len(own))), 0]:
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            return listener.getsockname()[1]
    raise SetupError("no port is free")


def write_private(path, text):
    """Writes a file that only its owner can read."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w") as file:
        file.write(text)
