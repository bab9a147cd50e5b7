"""Times until the ports are reachable, with a real Docker Engine: a lease on the ssh path by stage, two on the relay
path (by root, who enters the container's network, and by hand-off for another user of the engine), and the start of a
container by the library with and without exposed ports."""
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
GOAL_HANDOFF = 0.5  # of the ssh lease
USER = 65534  # may use the engine's socket, and nothing else
GOAL_SESSION = 40  # ms, handshake to forwards


def lease_by(tools, via, user=None, home=None):
    """Milliseconds of one lease, from spawn to its ready line, and what it said; by another user in that folder."""
    start = time.monotonic()
    environment = dict(os.environ)
    if home:
        environment |= {"HOME": home, "XDG_RUNTIME_DIR": home}
        environment.pop("TC_HOSTNET_RUNTIME_DIR", None)  # root's
    lease = subprocess.Popen([tools.command, "-vv", "expose", "8088", "--container", "app", "--via", via],
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                             user=user, group=user, extra_groups=None if user is None else [], env=environment)
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


def let_user_in(folder):
    """To the engine's socket; returns a folder of the user's own."""
    Path(folder).chmod(0o711)
    (Path(folder) / "docker.sock").chmod(0o666)
    home = Path(folder) / "user"
    home.mkdir(mode=0o700)
    os.chown(home, USER, USER)
    return str(home)


def bench(tools, pace):
    rounds = {"check": 2, "quick": 5, "full": 15}[pace]
    os.environ["TC_HOSTNET_HANDOFF"] = str(tools.handoff)
    with tempfile.TemporaryDirectory() as folder:
        docker = ["docker", "-H", f"unix://{folder}/docker.sock"]
        os.environ["DOCKER_HOST"] = f"unix://{folder}/docker.sock"
        run([SUPPORT / "own-dockerd", folder])
        try:
            run([SUPPORT / "images", folder, "alpine", "sshd"])
            run([*docker, "network", "create", "web"])
            run([*docker, "run", "-d", "--name", "app", "--network", "web", "alpine:3.19", "sleep", "3600"])
            home = let_user_in(folder)
            once(tools)  # the cost of an image's first use does not count
            with_image, said = lease_by(tools, "relay", USER, home)
            if not run([*docker, "images", "--quiet", "tc-hostnet/handoff"])[1]:
                raise Failed(f"the user's lease by relay did not go by hand-off: {said}")
            figures = {name: [] for name in ("total", *NAMES)}
            engine, relay, handoff = [], [], []
            leases = {"setns": lambda: relay.append(lease_by(tools, "relay")[0]),
                      "hand-off": lambda: handoff.append(lease_by(tools, "relay", USER, home)[0]),
                      "ssh": lambda: [figures[name].append(value) for name, value in once(tools).items()]}
            for _ in range(rounds):
                for name in random.sample(list(leases), len(leases)):
                    leases[name]()
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
    by_handoff, handoff_to_ssh = report.summary(handoff), report.ratios(handoff, figures["total"])
    print(f"By relay (setns): {report.cell(by_relay, 1)} ms, {report.cell(to_ssh)} of the ssh lease")
    print(f"By relay (hand-off): {report.cell(by_handoff, 1)} ms, {report.cell(handoff_to_ssh)} of the ssh lease; the first "
          f"one, which loads the image: {with_image:.0f} ms")
    print(f"Ratio to `docker run -d` of the same image, which does nothing: {report.cell(ratio)} "
          f"({report.cell(report.summary(engine), 0)} ms)")
    for what, limit, median in (("in all", GOAL, summaries["total"]["median"]),
                                ("by relay, in all", GOAL_RELAY, by_relay["median"]),
                                ("handshake to forwards", GOAL_SESSION, report.summary(session)["median"])):
        print(f"Goal: {what} at most {limit} ms: {'met' if median <= limit else 'missed'} ({median:.0f} ms)")
    print("Goal: " + report.verdict(("by hand-off", "of the ssh lease", True, GOAL_HANDOFF), handoff_to_ssh))
    return {"stages": summaries, "relay": by_relay, "relay_to_ssh": to_ssh, "handoff": by_handoff,
            "handoff_to_ssh": handoff_to_ssh, "handoff_with_image": with_image, "engine": report.summary(engine), "ratio": ratio,
            "container": tell_containers(containers, rounds)}
