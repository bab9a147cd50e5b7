"""The libFuzzer targets of tests/fuzz, each for a short time from its stored inputs."""
import os
import re
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import build

FUZZ = build.Build("fuzz", {"buildtype": "debugoptimized", "fuzz": "true", "b_lundef": "false"}, compiler="clang++",
                   sanitizer=True)
SECONDS = 15


def targets():
    """The executables that tests/fuzz/meson.build defines: name → path."""
    return {target["name"]: Path(target["filename"][0]) for target in build.introspect(FUZZ.folder, "targets")
            if target["type"] == "executable" and Path(target["defined_in"]).parent.name == "fuzz"}


def run_one(name, program):
    """(runs, exit status, seconds, output)"""
    start = time.monotonic()
    stored = build.ROOT / "tests" / "fuzz" / "corpus" / name.removeprefix("fuzz_")
    with tempfile.TemporaryDirectory(prefix="hostnet-fuzz-") as found:
        command = [*FUZZ.runner, program, f"-max_total_time={SECONDS}", "-timeout=10", "-rss_limit_mb=1024",
                   f"-artifact_prefix={FUZZ.folder}/{name}-", found, *([stored] if stored.is_dir() else [])]
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True, errors="replace", timeout=SECONDS * 8)
            status, output = done.returncode, done.stdout
        except subprocess.TimeoutExpired as expired:
            status, output = -1, str(expired)
    runs = re.search(r"^Done (\d+) runs", output, re.MULTILINE)
    return int(runs.group(1)) if runs else 0, status, time.monotonic() - start, output


def run(report):
    """Builds with clang, which thereby compiles the library once as well."""
    if not build.make(FUZZ, report):
        return
    found = targets()
    if not found:
        report.add("fuzz", 0, 1, 0, "there is no target")
        return
    report.stage(f"fuzz: {len(found)} targets, {SECONDS} s each")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for name, (runs, status, seconds, output) in zip(found, pool.map(run_one, found, found.values())):
            failed = status != 0 or runs == 0
            report.add(f"fuzz: {name}, {runs} runs", int(not failed), int(failed), seconds,
                       "\n".join(output.splitlines()[-60:]))
