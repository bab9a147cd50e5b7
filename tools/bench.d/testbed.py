"""The small networks for the measurements, and functions that run programs in them. A bed is one host and one
container. Each path that changes a host (rules, conntrack) has its own bed, because even an unused conntrack
hook slows down all other traffic of that host."""
import json
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

GATEWAY = "198.18.0.1"
BRIDGE = "br0"
TIMEOUT = 120  # seconds, for any one program


class Failed(Exception):
    """A precondition of a measurement failed."""


@dataclass
class Tools:
    loadgen: Path
    command: Path  # tc-hostnet
    tunnel: Path
    relay: Path
    handoff: Path  # tc-hostnet-handoff
    startup: Path
    leases: Path
    reaper: Path  # tc-hostnet-reaper


def run(command, check=True):
    """Runs the command to its end and returns (exit code, stdout). Output goes to files, not pipes: a process
    left in the background keeps a pipe open and its reader waiting."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        try:
            code = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                                  timeout=TIMEOUT).returncode
        except subprocess.TimeoutExpired as expired:
            raise Failed(str(expired)) from None
        out.seek(0), err.seek(0)
        if check and code != 0:
            words = " ".join(str(word) for word in command)
            raise Failed(f"{words[:300]}: exit code {code}: {err.read()[-1000:].strip()}")
        return code, out.read()


class Bed:
    def __init__(self, name, tools):
        self.name, self.tools = name, tools
        host, container = self.namespaces = f"host-{name}", f"container-{name}"
        for namespace in self.namespaces:
            run(["ip", "netns", "add", namespace])
            # Room for many short connections, apart from the ports that services listen on.
            run(["ip", "netns", "exec", namespace, "sysctl", "-qw", "net.ipv4.ip_local_port_range=15000 65000"])
            run(["ip", "-n", namespace, "link", "set", "lo", "up"])
        run(["ip", "-n", host, "link", "add", BRIDGE, "type", "bridge"])
        run(["ip", "-n", host, "addr", "add", f"{GATEWAY}/24", "dev", BRIDGE])
        run(["ip", "-n", host, "link", "add", "veth0", "type", "veth", "peer", "name", "eth0", "netns", container])
        run(["ip", "-n", host, "link", "set", "veth0", "master", BRIDGE, "up"])
        run(["ip", "-n", host, "link", "set", BRIDGE, "up"])
        run(["ip", "-n", container, "addr", "add", "198.18.0.2/24", "dev", "eth0"])
        run(["ip", "-n", container, "link", "set", "eth0", "up"])
        run(["ip", "-n", container, "route", "add", "default", "via", GATEWAY])

    def on_host(self, *command):
        return ["ip", "netns", "exec", self.namespaces[0], *command]

    def in_container(self, *command):
        return ["ip", "netns", "exec", self.namespaces[1], *command]

    def measure(self, metric, port, seconds, address=GATEWAY):
        """One run of the load generator in the container against that address."""
        command = self.in_container(self.tools.loadgen, "client", metric, f"{address}:{port}", seconds)
        return json.loads(run(command)[1])

    def reaches(self, port, address=GATEWAY):
        command = self.in_container(self.tools.loadgen, "client", "check", f"{address}:{port}", 1)
        return run(command, check=False)[0] == 0

    def wait_until_reached(self, port, what, address=GATEWAY):
        for _ in range(100):
            if self.reaches(port, address):
                return
            time.sleep(0.05)
        raise Failed(f"{what}: the container does not reach {address}:{port}")

    def time(self, *command):
        """Milliseconds of a command (or several, with "+" between) from spawn to exit, and its first line."""
        result = json.loads(run(self.on_host(self.tools.loadgen, "spawn-time", "--", *command))[1])
        return result["ms"], result["line"]


class Server:
    """The one service behind all paths; `endpoints` gives each bed's addresses."""

    def __init__(self, tools, endpoints):
        words = [tools.loadgen, "server"]
        for bed, addresses in endpoints.items():
            words += ["--netns", bed.namespaces[0], *addresses]
        self.process = subprocess.Popen([str(word) for word in words], stdout=subprocess.PIPE, text=True)
        if not self.process.stdout.readline().startswith("listening"):
            raise Failed("the server did not start")


def background(command, stderr=None):
    """A program that runs until this one ends: both are in one process namespace."""
    return subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            stderr=stderr)
