"""Times until the ports are reachable, with a real Docker Engine: a lease on the ssh path by stage, one on the
relay path, and the start of a container by the library with and without exposed ports."""
import os
import random
import re
import subprocess
import tempfile
import time
from pathlib import Path

import report
from testbed import TIMEOUT, Failed, run

SUPPORT = Path(__file__).resolve().parents[2] / "tests" / "support"
STAGES = re.compile(r"create ([\d.]+) ms, start ([\d.]+) ms, inspect ([\d.]+) ms, tunnel ([\d.]+) ms \(banner ([\d.]+), "
                    r"handshake ([\d.]+), login ([\d.]+), forwards ([\d.]+)\), alias after ([\d.]+) ms")
NAMES = ("create", "start", "inspect", "tunnel", "banner", "handshake", "login", "forwards", "alias")
GOAL = 400  # ms, in all
WAYS = ("none", "native", "ssh", "relay")
GOAL_NATIVE = (0.05, 20)  # share of start() without ports, or ms
GOAL_SSH = 500  # ms more than without
GOAL_RELAY = 15  # ms, in all
GOAL_SESSION = 40  # ms, handshake to forwards


def lease_by(tools, via):
    """Milliseconds of one lease, from spawn to its ready line, and what it said."""
    start = time.monotonic()
    lease = subprocess.Popen([tools.command, "-vv", "expose", "8088", "--container", "app", "--via", via],
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        if not lease.stdout.readline():
            raise Failed(f"expose failed: {lease.stderr.read()}")
        total = (time.monotonic() - start) * 1000
        lease.terminate()
        said = lease.communicate(timeout=TIMEOUT)[1]
    finally:
        lease.kill()
        lease.wait()
    return total, said


def once(tools):
    """Milliseconds of one lease by ssh, and of its stages."""
    total, said = lease_by(tools, "ssh")
    stages = STAGES.search(said)
    if not stages:
        raise Failed(f"expose -vv did not print its stages: {said}")
    return {"total": total, **{name: float(text) for name, text in zip(NAMES, stages.groups())}}


def plain_start(docker, *words):
    """Milliseconds of the engine's own command to run a detached container on that network."""
    start = time.monotonic()
    container = run([*docker, "run", "-d", "--network", "web", *words])[1].strip()
    took = (time.monotonic() - start) * 1000
    run([*docker, "rm", "-f", container])
    return took


def container_starts(tools, docker, rounds):
    """Way → milliseconds, one value per round; the ways run in succession, in random order."""
    starter = subprocess.Popen([tools.startup], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                               env=os.environ | {"TC_HOSTNET_REAPER": str(tools.reaper)})

    def start(way):
        starter.stdin.write(way + "\n")
        starter.stdin.flush()
        took = starter.stdout.readline()
        if not took:
            raise Failed(f"a container could not be started with {way}")
        return float(took)

    figures = {name: [] for name in ("docker run", *WAYS)}
    try:
        for way in WAYS:
            start(way)  # the cost of the first use does not count
        for _ in range(rounds):
            for name in random.sample(list(figures), len(figures)):
                figures[name].append(start(name) if name in WAYS
                                     else plain_start(docker, "alpine:3.19", "sleep", "600"))
    finally:
        starter.stdin.close()
        starter.wait(TIMEOUT)
        starter.stdout.close()
    return figures


def tell_containers(figures, rounds):
    more = {way: report.summary([value - base for value, base in zip(figures[way], figures["none"], strict=True)])
            for way in WAYS}
    summaries = {name: report.summary(values) for name, values in figures.items()}
    print(f"\nThe start of a container on an existing network, image present, {rounds} rounds: median milliseconds "
          f"(quartiles).\n")
    names = {"docker run": "docker run -d", "none": "start()", "native": "start(), a host port by native",
             "ssh": "start(), a host port by ssh", "relay": "start(), a host port by relay"}
    report.table(["what", "ms", "more than start()"],
                 [[names[name], report.cell(summaries[name], 1), report.cell(more[name], 1) if name in more else ""]
                  for name in figures])
    share, floor = GOAL_NATIVE
    limits = {"native": max(floor, share * summaries["none"]["median"]), "ssh": GOAL_SSH}
    for way, limit in limits.items():
        median = more[way]["median"]
        print(f"Goal: {way} adds at most {limit:.0f} ms: {'met' if median <= limit else 'missed'} ({median:.1f} ms)")
    return {"starts": summaries, "more": more}


def bench(tools, quick):
    rounds = 5 if quick else 15
    with tempfile.TemporaryDirectory() as folder:
        docker = ["docker", "-H", f"unix://{folder}/docker.sock"]
        os.environ["DOCKER_HOST"] = f"unix://{folder}/docker.sock"
        run([SUPPORT / "own-dockerd", folder])
        try:
            run([SUPPORT / "images", folder, "alpine", "sshd"])
            run([*docker, "network", "create", "web"])
            run([*docker, "run", "-d", "--name", "app", "--network", "web", "alpine:3.19", "sleep", "3600"])
            once(tools)  # the cost of an image's first use does not count
            figures = {name: [] for name in ("total", *NAMES)}
            engine, relay = [], []
            for _ in range(rounds):
                relay.append(lease_by(tools, "relay")[0])
                for name, value in once(tools).items():
                    figures[name].append(value)
                engine.append(plain_start(docker, "testcontainers/sshd:1.3.0", "exec sleep 60"))
            containers = container_starts(tools, docker, rounds)
        finally:
            run([SUPPORT / "own-dockerd", "--stop", folder])
    summaries = {name: report.summary(values) for name, values in figures.items()}
    ratio = report.ratios(figures["total"], engine)
    session = [sum(parts) for parts in zip(figures["handshake"], figures["login"], figures["forwards"])]
    print(f"\nA lease for a container by ssh, image present, {rounds} rounds: median milliseconds (quartiles).\n")
    rows = [[name, report.cell(summaries[name], 1)] for name in ("total", *NAMES)]
    report.table(["from the call to ready", "ms"], rows)
    by_relay, to_ssh = report.summary(relay), report.ratios(relay, figures["total"])
    print(f"By relay (setns): {report.cell(by_relay, 1)} ms, {report.cell(to_ssh)} of the ssh lease")
    print(f"Ratio to `docker run -d` of the same image, which does nothing: {report.cell(ratio)} "
          f"({report.cell(report.summary(engine), 0)} ms)")
    for what, limit, median in (("in all", GOAL, summaries["total"]["median"]),
                                ("by relay, in all", GOAL_RELAY, by_relay["median"]),
                                ("handshake to forwards", GOAL_SESSION, report.summary(session)["median"])):
        print(f"Goal: {what} at most {limit} ms: {'met' if median <= limit else 'missed'} ({median:.0f} ms)")
    return {"stages": summaries, "relay": by_relay, "relay_to_ssh": to_ssh, "engine": report.summary(engine), "ratio": ratio,
            "container": tell_containers(containers, rounds)}
