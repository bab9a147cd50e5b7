"""Traffic from a container to a host's service on each path, as ratios to a service bound on the gateway
address, and what the paths that copy take for it. The ssh path has a measurement of its own, too (ssh.py)."""
import json
import os
import random
import resource
import subprocess
import sys
import tempfile

import report
import ssh
from testbed import BRIDGE, GATEWAY, TIMEOUT, Bed, Failed, Server, background, run

GOAL = 0.95  # of direct's throughput at least; at most its inverse of direct's latency
INSIDE = "127.0.0.77"  # where the relay listens in the container
# The relay's three kinds of lease: port, and address.
RELAYS = {"relay (setns)": (7004, INSIDE), "relay (hand-off)": (7008, INSIDE), "relay (gateway)": (7009, GATEWAY)}
SSH_PORTS = {ssh.OURS: (7005, 7015), ssh.REFERENCE: (7006, 7016)}
FIREWALLS = "nftables", "iptables"  # `auto` takes the first on a stock Debian 12

# Metric of the load generator → its figures: heading, unit, whether less is better.
METRICS = {
    "upload": {"upload": ("bulk to host", "MB/s", False)},
    "download": {"download": ("bulk from host", "MB/s", False)},
    "request": {"request": ("req/s, 1 conn", "/s", False), "p50": ("latency p50", "µs", True),
                "p99": ("latency p99", "µs", True)},
    "request32": {"request32": ("req/s, 32 conns", "/s", False)},
    "connect": {"connect": ("new conns/s", "/s", False)},
}
FIGURES = {figure: facts for figures in METRICS.values() for figure, facts in figures.items()}

# Of the paths on which processes of this machine copy: heading, unit, whether less is better, and the relay's goal:
# a value, as a string a share of our ssh path's, or none.
COPYING = {
    "cpu_upload": ("CPU to host", "s/GB", True, "0.15"),
    "cpu_download": ("CPU from host", "s/GB", True, "0.15"),
    "fairness": ("slowest of 8 bulk streams to fastest", "", False, 0.8),
    "beside": ("p50 of a ping beside bulk", "µs", True, 200),
    "stalled": ("req/s, 32 conns, beside a stalled reader to without", "", False, 0.9),
    "burst": ("512 connects at once", "ms", True, None),
    "memory": ("memory at 2,000 conns", "MiB", True, 8),
}

RELAY_TO_DIRECT = {"upload": 0.6, "download": 0.6, "request32": 0.5, "connect": 0.4, "p50": 2.2}


def find_docker_proxy():
    for path in ("/usr/sbin/docker-proxy", "/usr/bin/docker-proxy"):
        if os.access(path, os.X_OK):
            return path
    return None


def start_proxies(bed):
    """Name → (port on the gateway, process), for each proxy that is installed; and what is missing, as sentences."""
    proxies, missing = {}, []
    if docker_proxy := find_docker_proxy():
        # It reports on descriptor 3, which dockerd normally passes to it.
        process = background(bed.on_host("sh", "-c", 'exec "$@" 3>/dev/null', "sh", docker_proxy, "-proto", "tcp",
                                         "-host-ip", GATEWAY, "-host-port", 7001, "-container-ip", "127.0.0.1",
                                         "-container-port", 7001))
        proxies["docker-proxy"] = 7001, process
    else:
        missing.append("no row docker-proxy: it is not installed (Debian: docker.io)")
    if os.access("/usr/bin/socat", os.X_OK):
        # Its default backlog of 5 would measure SYN retransmits instead of the connection rate, and its
        # timeout of half a second after a half-close would truncate answers.
        process = background(bed.on_host("/usr/bin/socat", "-t", "10",
                                         f"TCP-LISTEN:7002,bind={GATEWAY},fork,reuseaddr,nodelay,backlog=1024",
                                         "TCP:127.0.0.1:7002,nodelay"))
        proxies["socat"] = 7002, process
    else:
        missing.append("no row socat: it is not installed (Debian: socat)")
    return proxies, missing


def relay_command(tools, name, bed):
    """The words that make its sockets and serve them."""
    port, address = RELAYS[name]
    container = f"/run/netns/{bed.namespaces[1]}"
    where = {"relay (setns)": ("setns", container), "relay (hand-off)": ("handoff", container, tools.handoff),
             "relay (gateway)": ("gateway", BRIDGE, address)}
    return bed.on_host(tools.relay, *where[name], f"{port}={port}")


def native(firewall):
    return f"native, {firewall}"


def beside(firewall):
    """The row of the service itself, on the host with tc-hostnet's rules."""
    return f"direct beside {firewall}"


def read_proc(pid, file):
    """Empty for a process that has ended: a proxy may start one for each connection."""
    try:
        with open(f"/proc/{pid}/{file}") as lines:
            return lines.read()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def family(pid):
    """The process and all below it."""
    return [pid, *(one for child in read_proc(pid, f"task/{pid}/children").split() for one in family(int(child)))]


def cpu_seconds(pids):
    """Of the processes and of those that they have waited for."""
    ticks = 0
    for pid in pids:
        ticks += sum(map(int, read_proc(pid, "stat").rpartition(")")[2].split()[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def memory(pids):
    """MiB. Of several processes, each page counts once."""
    total = 0
    for pid in pids:
        field, file = ("VmRSS", "status") if len(pids) == 1 else ("Pss", "smaps_rollup")
        total += sum(int(line.split()[1]) for line in read_proc(pid, file).splitlines() if line.startswith(field + ":"))
    return total / 1024


class Copier:
    """The processes of one path that copies."""

    def __init__(self, process, namespace=None):
        """`namespace`: the sidecar's, whose processes count for the CPU."""
        self.process, self.namespace = process, namespace

    def cpu(self):
        more = run(["ip", "netns", "pids", self.namespace])[1].split() if self.namespace else []
        return cpu_seconds([*family(self.process.pid), *map(int, more)])

    def memory(self):
        return memory(family(self.process.pid))


def set_up(tools, folder):
    """Firewall → bed; variant → (bed, port, address) in the order of the table's rows; variant → Copier; and the rows
    that are missing, as sentences."""
    plain, blog = Bed("plain", tools), Bed("blog", tools)
    ours = {firewall: Bed(firewall, tools) for firewall in FIREWALLS}
    Server(tools, {plain: [f"{GATEWAY}:7000", "127.0.0.1:7001", "127.0.0.1:7002",
                           *(f"127.0.0.1:{port}" for port, _ in RELAYS.values()),
                           *(f"127.0.0.1:{port}" for ports in SSH_PORTS.values() for port in ports)],
                   blog: ["127.0.0.1:7003"]} |
           {bed: [f"{GATEWAY}:7000", "127.0.0.1:7003"] for bed in ours.values()})
    variants = {"direct": (plain, 7000)}
    for firewall, bed in ours.items():
        run(bed.on_host(tools.command, "expose", 7003, "--bridge", BRIDGE, "--detach", "--firewall", firewall))
        variants |= {beside(firewall): (bed, 7000), native(firewall): (bed, 7003)}
    run(blog.on_host("sysctl", "-qw", f"net.ipv4.conf.{BRIDGE}.route_localnet=1"))
    run(blog.on_host("iptables-legacy", "-w", "-t", "nat", "-I", "PREROUTING", "-i", BRIDGE, "-p", "tcp", "--dport",
                     "7003", "-j", "DNAT", "--to-destination", "127.0.0.1:7003"))
    variants["blog recipe"] = (blog, 7003)
    proxies, missing = start_proxies(plain)
    variants |= {name: (plain, port) for name, (port, _) in proxies.items()}
    copiers = {name: Copier(process) for name, (_, process) in proxies.items()}
    variants = {name: (*place, GATEWAY) for name, place in variants.items()}
    for name, place in RELAYS.items():
        variants[name] = (plain, *place)
        copiers[name] = Copier(background(relay_command(tools, name, plain)))
    if os.access("/usr/sbin/sshd", os.X_OK):
        sidecar = ssh.Sidecar(plain, tools, folder, SSH_PORTS)
        for name, (port, _) in SSH_PORTS.items():
            variants[name] = (plain, port, ssh.SIDECAR)
            copiers[name] = Copier(sidecar.processes[name], "sidecar")
    else:
        missing.append("no rows for ssh: /usr/sbin/sshd is not installed (Debian: openssh-server)")
    for name, (bed, port, address) in variants.items():
        bed.wait_until_reached(port, name, address)
    return ours, variants, copiers, missing


def measure(variants, copiers, rounds, seconds):
    """Variant → figure → one value per round. All variants of one metric run in succession, in a new random
    order each time, so that drift affects all alike."""
    values = {name: {figure: [] for figure in FIGURES} for name in variants}
    for number in range(rounds):
        for metric, figures in METRICS.items():
            for name in random.sample(list(variants), len(variants)):
                bed, port, address = variants[name]
                before = copiers[name].cpu() if name in copiers else 0
                result = bed.measure(metric, port, seconds, address)
                for figure in figures:
                    values[name][figure].append(result[figure])
                if name in copiers and f"cpu_{metric}" in COPYING:
                    took = copiers[name].cpu() - before
                    values[name].setdefault(f"cpu_{metric}", []).append(took / (result["bytes"] / 1e9))
        if sys.stderr.isatty():
            print(f"\rround {number + 1} of {rounds}", end="\n" if number + 1 == rounds else "", file=sys.stderr)
    return values


def client(place, metric, seconds):
    bed, port, address = place
    return [str(word) for word in bed.in_container(bed.tools.loadgen, "client", metric, f"{address}:{port}", seconds)]


def fairness(place, seconds, long):
    """Of eight bulk streams at once."""
    clients = [subprocess.Popen(client(place, "download", long), stdout=subprocess.PIPE, text=True)
               for _ in range(8)]
    said = [one.communicate(timeout=TIMEOUT)[0] for one in clients]
    if any(one.returncode for one in clients):
        raise Failed("eight downloads at once failed")
    rates = [json.loads(text)["download"] for text in said]
    return min(rates) / max(rates)


def ping_beside_bulk(place, seconds, long):
    """p50 of a ping on the port that also has a bulk stream."""
    bulk = subprocess.Popen(client(place, "download", 2 * seconds + long), stdout=subprocess.DEVNULL)
    try:
        return json.loads(run(client(place, "request", seconds))[1])["p50"]
    finally:
        bulk.wait(TIMEOUT)


def requests_beside_stall(place, seconds, _):
    """The rate beside a reader that reads nothing of a download on the same port, relative to that without it."""
    def rate():
        return json.loads(run(client(place, "request32", seconds))[1])["request32"]

    def rate_beside():
        reader = subprocess.Popen(client(place, "stall", 60), stdout=subprocess.PIPE, text=True)
        try:
            if not reader.stdout.readline():
                raise Failed("no reader could stall")
            found = rate()
            if reader.poll() is not None:
                raise Failed("the stalled reader's connection did not last")
            return found
        finally:
            reader.kill()
            reader.communicate(timeout=TIMEOUT)
    if random.random() < 0.5:
        alone, beside_it = rate(), rate_beside()
    else:
        beside_it, alone = rate_beside(), rate()
    return beside_it / alone


def burst(place, seconds, _):
    return json.loads(run(client(place, "burst", seconds))[1])["burst"]


def held_memory(name, place, copier):
    holder = subprocess.Popen(client(place, "hold", 0.5), stdout=subprocess.PIPE, text=True)
    if not holder.stdout.readline():
        raise Failed(f"{name}: 2,000 connections could not be held")
    held = copier.memory()
    holder.communicate(timeout=TIMEOUT)
    return held


def measure_copiers(variants, copiers, values, rounds, seconds, long):
    """Adds to the values of the paths that copy. `long`: seconds, for several processes beside each other. Memory comes
    last, and once: an allocator keeps what it had."""
    for _ in range(rounds):
        for figure, of in (("fairness", fairness), ("beside", ping_beside_bulk), ("stalled", requests_beside_stall),
                           ("burst", burst)):
            for name in random.sample(list(copiers), len(copiers)):
                values[name].setdefault(figure, []).append(of(variants[name], seconds, long))
    for name, copier in copiers.items():
        values[name]["memory"] = 2 * [held_memory(name, variants[name], copier)]


def meets_goal(figure, ratio):
    return ratio <= 1 / GOAL if FIGURES[figure][2] else ratio >= GOAL


def verdict(figure, ratio):
    """Judges by the median, and says so if the goal lies between the quartiles, where this run does not
    decide it."""
    word = "met" if meets_goal(figure, ratio["median"]) else "missed"
    unsure = meets_goal(figure, ratio["q1"]) != meets_goal(figure, ratio["q3"])
    return f"{FIGURES[figure][0]} {word} ({ratio['median']:.2f}{', within the spread' if unsure else ''})"


def print_goal(name, row, reference):
    print(f"{name} against {reference}: " + "; ".join(verdict(*item) for item in row.items()), flush=True)


def run_rounds(tools, pace):
    rounds, seconds, of_copiers, long = {"check": (2, 0.05, 2, 0.2), "quick": (5, 0.2, 3, 1),
                                         "full": (15, 0.5, 7, 1)}[pace]
    # For 2,000 connections; child processes inherit it.
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    with tempfile.TemporaryDirectory() as folder:
        ours, variants, copiers, missing = set_up(tools, folder)
        try:
            values = measure(variants, copiers, rounds, seconds)
            measure_copiers(variants, copiers, values, of_copiers, seconds, long)
        finally:
            for bed in ours.values():
                run(bed.on_host(tools.command, "release", "--all"), check=False)
    if still := [firewall for firewall, bed in ours.items() if bed.reaches(7003)]:
        raise Failed(f"the container still reaches the service after release --all: {', '.join(still)}")
    return values, rounds, seconds, missing


def relay_goal(goal, figure, absolute):
    """A share of our ssh path's is a goal only where that runs."""
    if not isinstance(goal, str):
        return goal
    return float(goal) * absolute[ssh.OURS][figure]["median"] if ssh.OURS in absolute else None


def relay_goals(name, absolute, to_direct):
    """(heading, unit, whether less is better, goal) and the figures, one pair for each goal of the relay."""
    for figure, (heading, unit, less, goal) in COPYING.items():
        if (limit := relay_goal(goal, figure, absolute)) is not None:
            yield (heading, unit, less, round(limit, 3)), absolute[name][figure]
    for figure, goal in RELAY_TO_DIRECT.items():
        heading, _, less = FIGURES[figure]
        yield (heading, "of direct", less, goal), to_direct[name][figure]
    if ssh.OURS in absolute:
        for figure in ("upload", "download"):
            share = report.ratios(absolute[name][figure]["rounds"], absolute[ssh.OURS][figure]["rounds"])
            yield (FIGURES[figure][0], "of our ssh path", False, 3), share


def tell_copiers(absolute, to_direct):
    """Prints what they take, and how the relay meets its goals, which it returns by row."""
    copying = {name: of for name, of in absolute.items() if "memory" in of}
    print("\nWhat the paths that copy take, on the host and in the sidecar: median (quartiles).\n")
    report.table(["path"] + [f"{facts[0]} {facts[1]}".rstrip() for facts in COPYING.values()],
                 [[name] + [report.cell(of[figure]) for figure in COPYING] for name, of in copying.items()])
    goals = {}
    for name in RELAYS:
        pairs = list(relay_goals(name, absolute, to_direct))
        goals[name] = [report.outcome(*pair) for pair in pairs]
        print(f"Goals of {name}: " + "; ".join(report.verdict(*pair) for pair in pairs) + "\n", flush=True)
    return goals


def bench(tools, pace):
    values, rounds, seconds, missing = run_rounds(tools, pace)

    def ratios(name, reference):
        return {figure: report.ratios(values[name][figure], values[reference][figure]) for figure in FIGURES}

    absolute = {name: {figure: report.summary(list_of) for figure, list_of in of.items()}
                for name, of in values.items()}
    to_direct = {name: ratios(name, "direct") for name in values}
    to_beside = {native(firewall): ratios(native(firewall), beside(firewall)) for firewall in FIREWALLS}

    print(f"\nTraffic, {rounds} rounds of {seconds} s a cell: median ratio to direct (quartiles). Rates: more is "
          "better; latencies: less is.\n")
    report.table(["path"] + [heading for heading, _, _ in FIGURES.values()],
                 [["direct itself"] + [f"{report.plain(absolute['direct'][figure]['median'])} {unit}"
                                       for figure, (_, unit, _) in FIGURES.items()]] +
                 [[name] + [report.cell(row[figure]) for figure in FIGURES]
                  for name, row in to_direct.items() if name != "direct"])
    for sentence in missing:
        print(f"Note: {sentence}.")
    print(f"Goal: native at least {GOAL} of direct, its latencies at most {1 / GOAL:.2f} of direct's.")
    for name, row in to_beside.items():
        print_goal(name, row, "direct on the same host (conntrack is on, as on any host with Docker)")
        print_goal(name, to_direct[name], "direct on a host without any rule")
    goals = tell_copiers(absolute, to_direct)
    return {"rounds": rounds, "seconds": seconds, "missing": missing, "goals": goals, "absolute": absolute, "ratio_to_direct": to_direct,
            "ratio_to_direct_beside": to_beside}
