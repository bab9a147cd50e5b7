"""Traffic from a container to a host's service by each path, as ratios to a service bound on the gateway address."""
import os
import random
import sys

import report
from testbed import BRIDGE, GATEWAY, Bed, Failed, Server, background, run

GOAL = 0.95  # of direct: no less throughput, no more latency than its inverse

# How each run of the load generator is called, and the figures it gives: heading, unit, whether less is better.
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
        # It reports on descriptor 3, which dockerd would have given it.
        background(bed.on_host("sh", "-c", 'exec "$@" 3>/dev/null', "sh", docker_proxy, "-proto", "tcp",
                               "-host-ip", GATEWAY, "-host-port", 7001, "-container-ip", "127.0.0.1",
                               "-container-port", 7001))
        ports["docker-proxy"] = 7001
    if os.access("/usr/bin/socat", os.X_OK):
        # Its default backlog of 5 would turn the connection rate into one of SYN retransmits, and its half second of
        # patience after a half-close would cut answers off.
        background(bed.on_host("/usr/bin/socat", "-t", "10",
                               f"TCP-LISTEN:7002,bind={GATEWAY},fork,reuseaddr,nodelay,backlog=1024",
                               "TCP:127.0.0.1:7002,nodelay"))
        ports["socat"] = 7002
    return ports


def set_up(tools):
    """Variant → (bed, port), in the order of the table's rows."""
    plain, native, blog = (Bed(name, tools) for name in ("plain", "native", "blog"))
    Server(tools, {plain: [f"{GATEWAY}:7000", "127.0.0.1:7001", "127.0.0.1:7002"],
                   native: [f"{GATEWAY}:7000", "127.0.0.1:7003"],
                   blog: ["127.0.0.1:7003"]})
    run(native.on_host(tools.command, "expose", 7003, "--bridge", BRIDGE, "--detach"))
    run(blog.on_host("sysctl", "-qw", f"net.ipv4.conf.{BRIDGE}.route_localnet=1"))
    run(blog.on_host("iptables-legacy", "-w", "-t", "nat", "-I", "PREROUTING", "-i", BRIDGE, "-p", "tcp", "--dport",
                     "7003", "-j", "DNAT", "--to-destination", "127.0.0.1:7003"))
    variants = {"direct": (plain, 7000), "direct, conntrack on": (native, 7000), "native": (native, 7003),
                "blog recipe": (blog, 7003)}
    proxies = start_proxies(plain)
    for name in ("docker-proxy", "socat"):
        if name in proxies:
            variants[name] = (plain, proxies[name])
        else:
            print(f"{name} is not installed: no row for it", file=sys.stderr)
    for name, (bed, port) in variants.items():
        bed.wait_until_reached(port, name)
    return native, variants


def measure(variants, rounds, seconds):
    """Variant → figure → one value a round. All variants of one metric run right after each other, in an order
    that changes each time: what drifts, drifts for all."""
    values = {name: {figure: [] for figure in FIGURES} for name in variants}
    for number in range(rounds):
        for metric, figures in METRICS.items():
            for name in random.sample(list(variants), len(variants)):
                bed, port = variants[name]
                result = bed.measure(metric, port, seconds)
                for figure in figures:
                    values[name][figure].append(result[figure])
        if sys.stderr.isatty():
            print(f"\rround {number + 1} of {rounds}", end="\n" if number + 1 == rounds else "", file=sys.stderr)
    return values


def meets_goal(figure, ratio):
    return ratio <= 1 / GOAL if FIGURES[figure][2] else ratio >= GOAL


def verdict(figure, ratio):
    """By the median; a goal that lies between the quartiles is not decided by this run, and it says so."""
    word = "met" if meets_goal(figure, ratio["median"]) else "missed"
    unsure = meets_goal(figure, ratio["q1"]) != meets_goal(figure, ratio["q3"])
    return f"{FIGURES[figure][0]} {word} ({ratio['median']:.2f}{', within the spread' if unsure else ''})"


def print_goal(row, reference):
    print(f"native against {reference}: " + "; ".join(verdict(*item) for item in row.items()), flush=True)


def run_rounds(tools, quick):
    rounds, seconds = (5, 0.2) if quick else (15, 0.5)
    native, variants = set_up(tools)
    try:
        values = measure(variants, rounds, seconds)
    finally:
        run(native.on_host(tools.command, "release", "--all"), check=False)
    if native.reaches(7003):
        raise Failed("the container still reaches the service after release --all")
    return values, rounds, seconds


def bench(tools, quick):
    values, rounds, seconds = run_rounds(tools, quick)

    def against(reference):
        return {name: {figure: report.ratios(of[figure], values[reference][figure]) for figure in FIGURES}
                for name, of in values.items()}

    absolute = {name: {figure: report.summary(of[figure]) for figure in FIGURES} for name, of in values.items()}
    to_direct, to_tracked = against("direct"), against("direct, conntrack on")

    print(f"\nTraffic, {rounds} rounds of {seconds} s a cell: median ratio to direct (quartiles). Rates: more is "
          "better; latencies: less is.\n")
    report.table(["path"] + [heading for heading, _, _ in FIGURES.values()],
                 [["direct itself"] + [f"{report.plain(absolute['direct'][figure]['median'])} {unit}"
                                       for figure, (_, unit, _) in FIGURES.items()]] +
                 [[name] + [report.cell(row[figure]) for figure in FIGURES]
                  for name, row in to_direct.items() if name != "direct"])
    print(f"Goal: native at least {GOAL} of direct, its latencies at most {1 / GOAL:.2f} of direct's.")
    print_goal(to_tracked["native"], "direct with conntrack on (as on any host with Docker)")
    print_goal(to_direct["native"], "direct on a host without any rule")
    return {"rounds": rounds, "seconds": seconds, "absolute": absolute, "ratio_to_direct": to_direct,
            "ratio_to_direct_conntrack_on": to_tracked}
