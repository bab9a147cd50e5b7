"""Traffic from a container to a host's service on each path, as ratios to a service bound on the gateway
address. The ssh path has a measurement of its own (ssh.py)."""
import os
import random
import sys

import report
from testbed import BRIDGE, GATEWAY, Bed, Failed, Server, background, run

GOAL = 0.95  # of direct's throughput at least; at most its inverse of direct's latency
INSIDE = "127.0.0.77"  # where the relay listens in the container
RELAY = "relay (setns)"
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


def find_docker_proxy():
    for path in ("/usr/sbin/docker-proxy", "/usr/bin/docker-proxy"):
        if os.access(path, os.X_OK):
            return path
    return None


def start_proxies(bed):
    """Name → port on the gateway, for each proxy that is installed."""
    ports = {}
    if docker_proxy := find_docker_proxy():
        # It reports on descriptor 3, which dockerd normally passes to it.
        background(bed.on_host("sh", "-c", 'exec "$@" 3>/dev/null', "sh", docker_proxy, "-proto", "tcp",
                               "-host-ip", GATEWAY, "-host-port", 7001, "-container-ip", "127.0.0.1",
                               "-container-port", 7001))
        ports["docker-proxy"] = 7001
    if os.access("/usr/bin/socat", os.X_OK):
        # Its default backlog of 5 would measure SYN retransmits instead of the connection rate, and its
        # timeout of half a second after a half-close would truncate answers.
        background(bed.on_host("/usr/bin/socat", "-t", "10",
                               f"TCP-LISTEN:7002,bind={GATEWAY},fork,reuseaddr,nodelay,backlog=1024",
                               "TCP:127.0.0.1:7002,nodelay"))
        ports["socat"] = 7002
    return ports


def native(firewall):
    return f"native, {firewall}"


def beside(firewall):
    """The row of the service itself, on the host with tc-hostnet's rules."""
    return f"direct beside {firewall}"


def set_up(tools):
    """Firewall → bed, and variant → (bed, port, address) in the order of the table's rows."""
    plain, blog = Bed("plain", tools), Bed("blog", tools)
    ours = {firewall: Bed(firewall, tools) for firewall in FIREWALLS}
    Server(tools, {plain: [f"{GATEWAY}:7000", "127.0.0.1:7001", "127.0.0.1:7002", "127.0.0.1:7004"], blog: ["127.0.0.1:7003"]} |
           {bed: [f"{GATEWAY}:7000", "127.0.0.1:7003"] for bed in ours.values()})
    variants = {"direct": (plain, 7000)}
    for firewall, bed in ours.items():
        run(bed.on_host(tools.command, "expose", 7003, "--bridge", BRIDGE, "--detach", "--firewall", firewall))
        variants |= {beside(firewall): (bed, 7000), native(firewall): (bed, 7003)}
    run(blog.on_host("sysctl", "-qw", f"net.ipv4.conf.{BRIDGE}.route_localnet=1"))
    run(blog.on_host("iptables-legacy", "-w", "-t", "nat", "-I", "PREROUTING", "-i", BRIDGE, "-p", "tcp", "--dport",
                     "7003", "-j", "DNAT", "--to-destination", "127.0.0.1:7003"))
    variants["blog recipe"] = (blog, 7003)
    proxies = start_proxies(plain)
    for name in ("docker-proxy", "socat"):
        if name in proxies:
            variants[name] = (plain, proxies[name])
        else:
            print(f"{name} is not installed: no row for it", file=sys.stderr)
    background(plain.on_host(tools.relay, f"/run/netns/{plain.namespaces[1]}", INSIDE, "7004=7004"))
    variants = {name: (*place, GATEWAY) for name, place in variants.items()} | {RELAY: (plain, 7004, INSIDE)}
    for name, (bed, port, address) in variants.items():
        bed.wait_until_reached(port, name, address)
    return ours, variants


def measure(variants, rounds, seconds):
    """Variant → figure → one value per round. All variants of one metric run in succession, in a new random
    order each time, so that drift affects all alike."""
    values = {name: {figure: [] for figure in FIGURES} for name in variants}
    for number in range(rounds):
        for metric, figures in METRICS.items():
            for name in random.sample(list(variants), len(variants)):
                bed, port, address = variants[name]
                result = bed.measure(metric, port, seconds, address)
                for figure in figures:
                    values[name][figure].append(result[figure])
        if sys.stderr.isatty():
            print(f"\rround {number + 1} of {rounds}", end="\n" if number + 1 == rounds else "", file=sys.stderr)
    return values


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


def run_rounds(tools, quick):
    rounds, seconds = (5, 0.2) if quick else (15, 0.5)
    ours, variants = set_up(tools)
    try:
        values = measure(variants, rounds, seconds)
    finally:
        for bed in ours.values():
            run(bed.on_host(tools.command, "release", "--all"), check=False)
    if still := [firewall for firewall, bed in ours.items() if bed.reaches(7003)]:
        raise Failed(f"the container still reaches the service after release --all: {', '.join(still)}")
    return values, rounds, seconds


def bench(tools, quick):
    values, rounds, seconds = run_rounds(tools, quick)

    def ratios(name, reference):
        return {figure: report.ratios(values[name][figure], values[reference][figure]) for figure in FIGURES}

    absolute = {name: {figure: report.summary(of[figure]) for figure in FIGURES} for name, of in values.items()}
    to_direct = {name: ratios(name, "direct") for name in values}
    to_beside = {native(firewall): ratios(native(firewall), beside(firewall)) for firewall in FIREWALLS}

    print(f"\nTraffic, {rounds} rounds of {seconds} s a cell: median ratio to direct (quartiles). Rates: more is "
          "better; latencies: less is.\n")
    report.table(["path"] + [heading for heading, _, _ in FIGURES.values()],
                 [["direct itself"] + [f"{report.plain(absolute['direct'][figure]['median'])} {unit}"
                                       for figure, (_, unit, _) in FIGURES.items()]] +
                 [[name] + [report.cell(row[figure]) for figure in FIGURES]
                  for name, row in to_direct.items() if name != "direct"])
    print(f"Goal: native at least {GOAL} of direct, its latencies at most {1 / GOAL:.2f} of direct's.")
    for name, row in to_beside.items():
        print_goal(name, row, "direct on the same host (conntrack is on, as on any host with Docker)")
        print_goal(name, to_direct[name], "direct on a host without any rule")
    return {"rounds": rounds, "seconds": seconds, "absolute": absolute, "ratio_to_direct": to_direct,
            "ratio_to_direct_beside": to_beside}
