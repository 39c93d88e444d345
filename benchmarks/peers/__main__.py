"""``python -m benchmarks.peers``: the environments of other libraries, as far as this Python has them."""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv

from benchmarks.peers import PEERS, Peer

#: Seconds that one environment may take.
_PATIENCE = 600.0


def make(peer: Peer) -> str:
    """Make its environment, unless that is there, and say what came of it."""
    if peer.ready.exists():
        return f"{peer.name}: there already"
    venv.create(peer.folder, clear=True, with_pip=True)
    pip = [str(peer.python), "-m", "pip", "install", "-qq", "--disable-pip-version-check", "--no-input"]
    runs = [[*pip, *peer.packages], [str(peer.python), "-m", f"benchmarks.peers.{peer.name}", "import"]]
    for command in runs:
        try:
            done = subprocess.run(
                command, check=False, capture_output=True, text=True, timeout=_PATIENCE, input=""
            )
        except subprocess.TimeoutExpired:
            reason = f"not done within {_PATIENCE:g} s"
        else:
            if done.returncode == 0:
                continue
            reason = (done.stderr.strip() or done.stdout.strip()).rpartition("\n")[2]
        shutil.rmtree(peer.folder)
        return f"{peer.name}: cannot be had for Python {sys.version.split()[0]}, and is left out ({reason})"
    peer.ready.touch()
    return f"{peer.name}: installed"


if __name__ == "__main__":
    for each in PEERS:
        print(make(each), flush=True)
