"""Running facefleet for a measurement, without the settings of the caller's environment."""

import os
import subprocess
import sys

from scan_vs_opencv import FACEFLEET, ROOT


def environment_of(settings):
    """The caller's environment with these settings of facefleet only."""
    others = {key: value for key, value in os.environ.items() if not key.startswith("FACEFLEET__")}
    return {**others, **settings}


def run_facefleet(arguments, settings) -> str:
    """What the command prints. An error ends the script."""
    command = [str(FACEFLEET), *map(str, arguments)]
    finished = subprocess.run(
        command, cwd=ROOT, env=environment_of(settings), capture_output=True, text=True
    )
    if finished.returncode:
        sys.exit(f"capacity: {' '.join(command)} failed:\n{finished.stderr[-2000:]}")
    return finished.stdout
