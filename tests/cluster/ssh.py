"""A real SSH server on loopback, in a folder, with a key of its own."""

import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

from slurm import free_ports, until

CONFIGURATION = """\
ListenAddress 127.0.0.1:{port}
HostKey {folder}/host
AuthorizedKeysFile {folder}/user.pub
PidFile none
StrictModes no
UsePAM no
PermitRootLogin prohibit-password
PasswordAuthentication no
Subsystem sftp internal-sftp
"""


def missing() -> str:
    """Why there can be no SSH server, or no remote of DVC on it; empty if nothing is in the way."""
    if not shutil.which("sshd"):
        return "sshd is not installed: apt-get install openssh-server"
    if not find_spec("dvc_ssh"):
        return "dvc-ssh is not installed: pip install 'penumbra[ssh]'"
    return ""


class Server:
    """A running server; `end` stops it."""

    def __init__(self, folder: Path):
        folder.mkdir()
        self.port = free_ports(1)[0]
        self.key = folder / "user"
        for name in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
        (folder / "sshd_config").write_text(CONFIGURATION.format(port=self.port, folder=folder))
        Path("/run/sshd").mkdir(exist_ok=True)  # which Debian's asks for
        log = folder / "log"
        log.touch()
        command = ["setpriv", "--pdeathsig", "KILL", str(shutil.which("sshd")), "-D", "-f", folder / "sshd_config", "-E", log]
        self._daemon = subprocess.Popen(command)
        until(lambda: "Server listening" in log.read_text(), "sshd; its log:", said=log)

    def end(self) -> None:
        """Stop the server."""
        self._daemon.terminate()
        self._daemon.wait()
