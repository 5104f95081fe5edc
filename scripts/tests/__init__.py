"""Tests of the scripts' pure parts: `python3 -m unittest discover --start-directory scripts/tests`.

They need the standard library only: no server, no download, no package.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "benches")]
sys.dont_write_bytecode = True
