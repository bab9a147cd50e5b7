"""From the call to the first connection that could be made, on the ssh path with a real Docker Engine, by stage."""
import os
import re
import subprocess
import tempfile
import time
from pathlib import Path

import report
from testbed import TIMEOUT, Failed, run

SUPPORT = Path(__file__).resolve().parents[2] / "tests" / "support"
STAGES = re.compile(r"create ([\d.]+) ms, start ([\d.]+) ms, inspect ([\d.]+) ms, tunnel ([\d.]+) ms \(handshake ([\d.]+), "
                    r"login ([\d.]+), forwards ([\d.]+)\), alias after ([\d.]+) ms")
NAMES = ("create", "start", "inspect", "tunnel", "handshake", "login", "forwards", "alias")
GOAL = 400  # ms, in all
GOAL_SESSION = 40  # ms, handshake to forwards


def once(tools):
    """Milliseconds of one lease, from spawn to the line that says it is ready, and of its stages."""
    start = time.monotonic()
    lease = subprocess.Popen([tools.command, "-vv", "expose", "8088", "--container", "app", "--via", "ssh"],
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
    stages = STAGES.search(said)
    if not stages:
        raise Failed(f"expose -vv does not tell its stages: {said}")
    return {"total": total, **{name: float(text) for name, text in zip(NAMES, stages.groups())}}


def plain_start(docker):
    """What the engine alone takes to run a container of the sidecar's image on that network, detached."""
    start = time.monotonic()
    container = run([*docker, "run", "-d", "--network", "web", "testcontainers/sshd:1.3.0", "exec sleep 60"])[1].strip()
    took = (time.monotonic() - start) * 1000
    run([*docker, "rm", "-f", container])
    return took


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
            once(tools)  # what the first use of an image costs is not ours
            figures = {name: [] for name in ("total", *NAMES)}
            engine = []
            for _ in range(rounds):
                for name, value in once(tools).items():
                    figures[name].append(value)
                engine.append(plain_start(docker))
        finally:
            run([SUPPORT / "own-dockerd", "--stop", folder])
    summaries = {name: report.summary(values) for name, values in figures.items()}
    ratio = report.ratios(figures["total"], engine)
    session = [sum(parts) for parts in zip(figures["handshake"], figures["login"], figures["forwards"])]
    print(f"\nA lease for a container by ssh, image present, {rounds} rounds: median milliseconds (quartiles).\n")
    rows = [[name, report.cell(summaries[name], 1)] for name in ("total", *NAMES)]
    report.table(["from the call to ready", "ms"], rows)
    print(f"Ratio to `docker run -d` of the same image, which does nothing: {report.cell(ratio)} "
          f"({report.cell(report.summary(engine), 0)} ms)")
    for what, limit, median in (("in all", GOAL, summaries["total"]["median"]),
                                ("handshake to forwards", GOAL_SESSION, report.summary(session)["median"])):
        print(f"Goal: {what} at most {limit} ms: {'met' if median <= limit else 'missed'} ({median:.0f} ms)")
    return {"stages": summaries, "engine": report.summary(engine), "ratio": ratio}
