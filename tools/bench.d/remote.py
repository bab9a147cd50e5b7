"""The ssh path by the ways that lead to a sidecar, each forced by what it needs, with a real Docker Engine and a real
sshd: at hand, by a login to the engine's machine, and by a command of the engine."""
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import report
from testbed import TIMEOUT, Failed, background, run

SUPPORT = Path(__file__).resolve().parents[2] / "tests" / "support"
PORT = 8088
SERVER = "198.51.100.2"
# Way → the namespace of the command and of the service, and how its sidecar must have been dialled. The engine is in
# "engine". "laptop" has a link to it and the login, "apart" nothing but the engine's Unix socket.
WAYS = {"at hand": ("engine", "address"), "by ssh": ("laptop", "forward"), "by exec": ("apart", "exec")}
# Figure → heading, digits.
FIGURES = {"start": ("start, ms", 0), "p50": ("p50, µs", 0), "p99": ("p99, µs", 0), "request32": ("req/s × 32", 0),
           "upload": ("to the host, MB/s", 1), "download": ("from the host, MB/s", 1)}


def inside(namespace, *words):
    return ["ip", "netns", "exec", namespace, *words]


def make_networks():
    """This namespace gets a name, so that all are entered alike."""
    run(["ip", "netns", "attach", "engine", os.getpid()])
    for name in ("laptop", "apart"):
        run(["ip", "netns", "add", name])
        run(["ip", "-n", name, "link", "set", "lo", "up"])
    run(["ip", "link", "add", "login", "type", "veth", "peer", "name", "login", "netns", "laptop"])
    run(["ip", "address", "add", f"{SERVER}/30", "dev", "login"])
    run(["ip", "-n", "laptop", "address", "add", "198.51.100.1/30", "dev", "login"])
    for words in (["ip"], ["ip", "-n", "laptop"]):
        run([*words, "link", "set", "login", "up"])


def make_login(folder):
    """A real sshd here. Returns the folder of an `ssh` that knows its way there, whatever its user's own files say."""
    for key in ("client", "server"):
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / key])
    (folder / "authorized").write_text((folder / "client.pub").read_text())
    (folder / "known").write_text(f"{SERVER} {(folder / 'server.pub').read_text()}")
    (folder / "sshd_config").write_text("\n".join((
        f"ListenAddress {SERVER}:22", f"HostKey {folder}/server", f"AuthorizedKeysFile {folder}/authorized", "UsePAM no",
        "PidFile none", "StrictModes no", "PermitRootLogin yes", "MaxStartups 100", "")))
    (folder / "ssh_config").write_text(f"Host *\n IdentityFile {folder}/client\n IdentitiesOnly yes\n"
                                       f" UserKnownHostsFile {folder}/known\n GlobalKnownHostsFile none\n")
    Path("/run/sshd").mkdir(exist_ok=True)
    background(["/usr/sbin/sshd", "-D", "-f", folder / "sshd_config"], stderr=subprocess.DEVNULL)
    programs = folder / "bin"
    programs.mkdir()
    (programs / "ssh").write_text(f'#!/bin/sh\nexec /usr/bin/ssh -F {folder}/ssh_config "$@"\n')
    (programs / "ssh").chmod(0o755)
    for _ in range(100):
        if run(inside("laptop", programs / "ssh", "-o", "BatchMode=yes", f"root@{SERVER}", "true"), check=False)[0] == 0:
            return programs
        time.sleep(0.05)
    raise Failed("no login to the engine's machine")


class Way:
    """A command in one of the namespaces, the service on its 127.0.0.1, and the container that reaches it."""

    def __init__(self, name, number, tools, folder, programs, docker):
        self.name, self.tools = name, tools
        self.namespace, self.dialled_by = WAYS[name]
        self.container = f"app{number}"
        run([*docker, "run", "-d", "--name", self.container, "--network", "web", "alpine:3.19", "sleep", "3600"])
        self.pid = run([*docker, "inspect", "-f", "{{.State.Pid}}", self.container])[1].strip()
        login = f"ssh://root@{SERVER}{folder}/docker.sock"
        runtime = folder / f"leases{number}"
        runtime.mkdir()
        self.environment = os.environ | {"DOCKER_HOST": login if self.namespace == "laptop" else f"unix://{folder}/docker.sock",
                                         "TC_HOSTNET_RUNTIME_DIR": str(runtime), "PATH": f"{programs}:{os.environ['PATH']}"}
        self.server = subprocess.Popen([str(word) for word in (tools.loadgen, "server", "--netns", self.namespace,
                                                               f"127.0.0.1:{PORT}")], stdout=subprocess.PIPE, text=True)
        if not self.server.stdout.readline().startswith("listening"):
            raise Failed("the server did not start")
        self.lease = None

    def command(self, *words):
        return inside(self.namespace, str(self.tools.command), *words)

    def start(self):
        """Milliseconds until the line that says that the port is reachable."""
        begin = time.monotonic()
        self.lease = subprocess.Popen(self.command("expose", str(PORT), "--container", self.container, "--via", "ssh"),
                                      stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                      env=self.environment)
        if not self.lease.stdout.readline():
            raise Failed(f"{self.name}: expose failed: {self.lease.stderr.read()}")
        took = (time.monotonic() - begin) * 1000
        said = subprocess.run(self.command("list", "--json"), env=self.environment, capture_output=True, text=True,
                              timeout=TIMEOUT).stdout
        (listed,) = [json.loads(line) for line in said.splitlines()]
        if listed["tunnel"]["dialled_by"] != self.dialled_by:
            raise Failed(f"{self.name}: the sidecar was dialled by {listed['tunnel']['dialled_by']}, not by {self.dialled_by}")
        self.gateway = listed["gateway"]
        return took

    def measure(self, metric, seconds):
        return json.loads(run(["nsenter", "--target", self.pid, "--net", self.tools.loadgen, "client", metric,
                               f"{self.gateway}:{PORT}", seconds])[1])

    def end(self):
        if self.lease:
            self.lease.terminate()
            self.lease.communicate(timeout=TIMEOUT)
            self.lease = None


def measure(ways, rounds, seconds):
    """Way → figure → one value per round. Each round has leases of its own; all ways of one metric run in succession, in
    random order."""
    values = {way.name: {figure: [] for figure in FIGURES} for way in ways}
    for number in range(-1, rounds):  # the first one makes what later ones find
        found = {way.name: {} for way in ways}
        try:
            for way in random.sample(ways, len(ways)):
                found[way.name]["start"] = way.start()
            for metric in ("request", "request32", "upload", "download"):
                for way in random.sample(ways, len(ways)):
                    found[way.name] |= way.measure(metric, seconds)
        finally:
            for way in ways:
                way.end()
        if number >= 0:
            for name, of in found.items():
                for figure in FIGURES:
                    values[name][figure].append(of[figure])
        if sys.stderr.isatty():
            print(f"\rround {number + 1} of {rounds}", end="\n" if number + 1 == rounds else "", file=sys.stderr)
    return values


def bench(tools, pace):
    rounds, seconds = {"check": (2, 0.05), "quick": (5, 0.3), "full": (11, 0.7)}[pace]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        docker = ["docker", "-H", f"unix://{folder}/docker.sock"]
        make_networks()
        programs = make_login(folder)
        run([SUPPORT / "own-dockerd", folder])
        try:
            run([SUPPORT / "images", folder, "alpine", "sshd"])
            run([*docker, "network", "create", "web"])
            ways = [Way(name, number, tools, folder, programs, docker) for number, name in enumerate(WAYS)]
            values = measure(ways, rounds, seconds)
        finally:
            run([SUPPORT / "own-dockerd", "--stop", folder])
    figures = {name: {figure: report.summary(of[figure]) for figure in FIGURES} for name, of in values.items()}
    ratio = {name: {figure: report.ratios(of[figure], values["at hand"][figure]) for figure in FIGURES}
             for name, of in values.items() if name != "at hand"}
    print(f"\nThe ssh path by the way to its sidecar, {rounds} rounds: median (quartiles).\n")
    header = ["sidecar"] + [heading for heading, _ in FIGURES.values()]
    report.table(header, [[name] + [report.cell(of[figure], digits) for figure, (_, digits) in FIGURES.items()]
                          for name, of in figures.items()])
    print("Ratios to the sidecar at hand in the same round: median (quartiles).\n")
    report.table(header, [[name] + [report.cell(of[figure]) for figure in FIGURES] for name, of in ratio.items()])
    return {"rounds": rounds, "seconds": seconds, "figures": figures, "ratio_to_at_hand": ratio}
