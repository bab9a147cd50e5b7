"""The ssh path against OpenSSH's `ssh -N -R` into the same sidecar: one sshd, one run, interleaved."""
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import report
from testbed import BRIDGE, TIMEOUT, Bed, Failed, Server, background, run

SIDECAR = "198.18.0.9"
REFERENCE = "ssh -R"
OURS = "tc-hostnet ssh"

# Variant → the port that the container dials for most figures, and a second one for the ping beside bulk.
PORTS = {OURS: (7001, 7011), REFERENCE: (7002, 7012), "ssh -R, aes128-gcm": (7003, 7013)}
CIPHER = {"ssh -R, aes128-gcm": ["-c", "aes128-gcm@openssh.com"]}

# Figure → heading, unit, whether less is better, and the goal for its ratio to the reference, or None.
FIGURES = {
    "upload": ("bulk to host", "MB/s", False, 1.45),
    "download": ("bulk from host", "MB/s", False, 1.45),
    "connect32": ("new conns/s at 32", "/s", False, 1.0),
    "request": ("req/s, 1 conn", "/s", False, None),
    "request32": ("req/s, 32 conns", "/s", False, 1.0),
    "request256": ("req/s, 256 conns", "/s", False, 1.3),
    "p99_256": ("p99 at 256", "µs", True, 0.35),
    "rss": ("RSS at 2,000 conns", "MiB", True, 0.25),
}
# These have goals for the absolute value, not for a ratio.
ABSOLUTE = {
    "fairness": ("slowest of 8 bulk streams to fastest", "", False, 0.6),
    "beside": ("p50 of a ping beside bulk on another port", "µs", True, 1000),
    "requests_stalled": ("req/s at 32 beside a stalled reader, relative to without", "", False, 0.9),
    "bulk_stalled": ("bulk from host beside a stalled reader, relative to without", "", False, 0.9),
}
RATES = ("upload", "download", "connect32", "request", "request32", "request256")

# Runs the start command, $1, with its own /run and /etc, since it writes to both.
CONTAINER = r"""set -e
mount -t tmpfs tmpfs /run
mkdir /run/etc
cp /etc/group /etc/nsswitch.conf /etc/ld.so.cache /run/etc/
printf 'root:x:0:0::/:/bin/sh\nsshd:x:100:65534::/run/sshd:/bin/false\n' >/run/etc/passwd
printf 'root:*:19000:0:99999:7:::\nsshd:!:19000::::::\n' >/run/etc/shadow
mount --bind /run/etc /etc
exec sh -c "$1" """


class Sidecar:
    """Debian's sshd on the bed's bridge, run as in a sidecar; our tunnel and those of ssh, one process
    each."""

    def __init__(self, bed, tools, folder, ports=None):
        """`ports` as PORTS, for some of its variants."""
        self.bed, self.tools, self.ports = bed, tools, ports or PORTS
        self.processes = {}
        folder = Path(folder)
        run(["ip", "netns", "add", "sidecar"])
        run(["ip", "-n", bed.namespaces[0], "link", "add", "veth9", "type", "veth", "peer", "name", "eth0", "netns",
             "sidecar"])
        run(["ip", "-n", bed.namespaces[0], "link", "set", "veth9", "master", BRIDGE, "up"])
        for words in (["link", "set", "lo", "up"], ["addr", "add", f"{SIDECAR}/24", "dev", "eth0"],
                      ["link", "set", "eth0", "up"]):
            run(["ip", "-n", "sidecar", *words])
        words = [f"{port}={port}" for port in self.ports[OURS]]
        words += [f"+{port}" for name in self.ports if name != OURS for port in self.ports[name]]
        self.tunnel = subprocess.Popen([str(word) for word in bed.on_host(tools.tunnel, folder, *words)],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self.tunnel.stdout.readline() != "prepared\n":
            raise Failed("the tunnel did not start")
        environment = dict(item.split("=", 1) for item in (folder / "environment").read_text().split("\0") if item)
        background(["ip", "netns", "exec", "sidecar", "unshare", "--mount",
                    "--propagation", "private", "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
                    *[f"{name}={value}" for name, value in environment.items()],
                    "sh", "-c", CONTAINER, "sh", (folder / "command").read_text()],
                   stderr=subprocess.DEVNULL)
        self.tunnel.stdin.write(f"{SIDECAR}\n")
        self.tunnel.stdin.flush()
        line = self.tunnel.stdout.readline()
        if not line:
            raise Failed("the tunnel did not come up")
        self.start = json.loads(line)
        self.processes[OURS] = self.tunnel
        for name in self.ports:
            if name != OURS:
                self.processes[name] = self.start_ssh(name, folder / "key")

    def start_ssh(self, name, key):
        forwards = [word for port in self.ports[name] for word in ("-R", f"0.0.0.0:{port}:127.0.0.1:{port}")]
        return background(self.bed.on_host(
            "ssh", "-F", "none", "-N", "-i", key, "-o", "IdentitiesOnly=yes", "-o",
            "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o",
            "ExitOnForwardFailure=yes", *CIPHER.get(name, []), *forwards, f"root@{SIDECAR}"))

    def client(self, metric, port, seconds):
        return [str(word) for word in self.bed.in_container(self.tools.loadgen, "client", metric,
                                                            f"{SIDECAR}:{port}", seconds)]

    def measure(self, metric, port, seconds):
        return json.loads(run(self.client(metric, port, seconds))[1])

    def wait_until_reached(self):
        for name, ports in self.ports.items():
            for port in ports:
                for _ in range(100):
                    if run(self.client("check", port, 1), check=False)[0] == 0:
                        break
                    time.sleep(0.05)
                else:
                    raise Failed(f"{name}: the container does not reach {SIDECAR}:{port}")

    def together(self, metric, port, seconds, count):
        """The same with several clients at once."""
        clients = [subprocess.Popen(self.client(metric, port, seconds), stdout=subprocess.PIPE, text=True)
                   for _ in range(count)]
        said = [client.communicate(timeout=TIMEOUT)[0] for client in clients]
        if any(client.returncode for client in clients):
            raise Failed(f"{metric} by {count} clients at once failed")
        return [json.loads(text)[metric] for text in said]

    def fairness(self, name, seconds):
        rates = self.together("download", PORTS[name][0], max(seconds, 1), 8)
        return {"fairness": min(rates) / max(rates)}

    def beside(self, name, seconds):
        bulk = subprocess.Popen(self.client("download", PORTS[name][0], 2 * seconds + 1), stdout=subprocess.DEVNULL)
        time.sleep(0.4)
        try:
            return {"beside": self.measure("request", PORTS[name][1], seconds)["p50"]}
        finally:
            bulk.wait(TIMEOUT)

    def stalled(self, name, seconds):
        """The rates beside a reader that stalls on the same port, relative to those without it."""
        metrics, port = ("request32", "download"), PORTS[name][0]
        def rates():
            return {metric: self.measure(metric, port, seconds)[metric] for metric in metrics}
        def rates_beside():
            reader = subprocess.Popen(self.client("stall", port, 60), stdout=subprocess.PIPE, text=True)
            try:
                if not reader.stdout.readline():
                    raise Failed(f"{name}: no reader could stall")
                found = rates()
                if reader.poll() is not None:
                    raise Failed(f"{name}: the stalled reader's connection did not last")
                return found
            finally:
                reader.kill()
                reader.communicate(timeout=TIMEOUT)
        if random.random() < 0.5:
            alone, beside = rates(), rates_beside()
        else:
            beside, alone = rates_beside(), rates()
        return {f"{figure}_stalled": beside[metric] / alone[metric]
                for figure, metric in zip(("requests", "bulk"), metrics)}

    def rss(self, name):
        holder = subprocess.Popen(self.client("hold", PORTS[name][0], 0.5), stdout=subprocess.PIPE, text=True)
        if not holder.stdout.readline():
            raise Failed(f"{name}: 2,000 connections could not be held")
        with open(f"/proc/{self.processes[name].pid}/status") as status:
            resident = next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
        holder.communicate(timeout=TIMEOUT)
        return {"rss": resident / 1024}


def measure(sidecar, rounds, seconds):
    """Variant → figure → one value per round; all variants of one metric run in succession, in random
    order."""
    values = {name: {figure: [] for figure in (*FIGURES, *ABSOLUTE)} for name in PORTS}
    # Memory last: an allocator does not return the memory of 2,000 connections.
    runs = [lambda name, metric=metric: sidecar.measure(metric, PORTS[name][0], seconds) for metric in RATES]
    runs += [lambda name, of=of: of(name, seconds) for of in (sidecar.fairness, sidecar.beside, sidecar.stalled)]
    for number in range(rounds):
        for one in [*runs, sidecar.rss] if number + 1 == rounds else runs:
            for name in random.sample(list(PORTS), len(PORTS)):
                for figure, value in one(name).items():
                    if figure in values[name]:
                        values[name][figure].append(value)
        if sys.stderr.isatty():
            print(f"\rround {number + 1} of {rounds}", end="\n" if number + 1 == rounds else "", file=sys.stderr)
    for of in values.values():
        of["rss"] *= rounds  # measured once; the tables take one value per round
    return values


def bench(tools, pace):
    rounds, seconds = {"check": (2, 0.05), "quick": (5, 0.3), "full": (11, 0.7)}[pace]
    if not os.access("/usr/sbin/sshd", os.X_OK):
        raise Failed("there is no /usr/sbin/sshd: install openssh-server")
    # For 2,000 connections; child processes inherit it.
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    bed = Bed("ssh", tools)
    Server(tools, {bed: [f"127.0.0.1:{port}" for ports in PORTS.values() for port in ports]})
    with tempfile.TemporaryDirectory() as folder:
        sidecar = Sidecar(bed, tools, folder)
        sidecar.wait_until_reached()
        values = measure(sidecar, rounds, seconds)

    absolute = {name: {figure: report.summary(list_of) for figure, list_of in of.items()}
                for name, of in values.items()}
    ratio = {name: {figure: report.ratios(of[figure], values[REFERENCE][figure]) for figure in FIGURES}
             for name, of in values.items()}
    print(f"\nThe ssh path, {rounds} rounds of {seconds} s a cell: median ratio to `ssh -N -R` with its default cipher "
          f"(quartiles). Rates: more is better; latencies and memory: less is.\n")
    report.table(["path"] + [facts[0] for facts in FIGURES.values()],
                 [[f"{REFERENCE} itself"] + [f"{report.plain(absolute[REFERENCE][figure]['median'])} {facts[1]}"
                                             for figure, facts in FIGURES.items()]] +
                 [[name] + [report.cell(row[figure]) for figure in FIGURES]
                  for name, row in ratio.items() if name != REFERENCE])
    report.table(["path"] + [facts[0] for facts in ABSOLUTE.values()],
                 [[name] + [report.cell(of[figure]) for figure in ABSOLUTE] for name, of in absolute.items()])
    print(f"Start of the tunnel: key exchange {sidecar.start['handshake_us'] / 1000:.1f} ms, login "
          f"{sidecar.start['login_us'] / 1000:.1f} ms, forwards {sidecar.start['forwards_us'] / 1000:.1f} ms; cipher "
          f"{sidecar.start['cipher']}")
    verdicts = [report.verdict((facts[0], "", *facts[2:]), ratio[OURS][figure]) for figure, facts in FIGURES.items() if facts[3] is not None]
    verdicts += [report.verdict(facts, absolute[OURS][figure]) for figure, facts in ABSOLUTE.items()]
    print("Goals: " + "; ".join(verdicts), flush=True)
    return {"rounds": rounds, "seconds": seconds, "start": sidecar.start, "absolute": absolute,
            "ratio_to_ssh": ratio}
