"""The libFuzzer targets of tests/fuzz, each for a short time from its stored inputs."""
import os
import re
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

import build

NAMES = sorted(source.stem for source in (build.ROOT / "tests" / "fuzz").glob("fuzz_*.cpp"))
# b_lundef: what clang's sanitizers need of their run-time library is found at the end of the link.
FUZZ = build.Build("fuzz", {"optimization": "0", "debug": "false", "cpp_args": "-g1", "fuzz": "true", "werror": "true",
                            "b_lundef": "false"},
                   targets=tuple(f"tests/fuzz/{name}" for name in NAMES), compiler="clang++", sanitizer=True)
SEEDS = {"fuzz_engine": build.ROOT / "tests" / "unit" / "engine" / "data"}
SECONDS = 15


def run_one(name):
    """(runs, exit status, seconds, output)"""
    start = time.monotonic()
    seeds = [SEEDS[name]] if name in SEEDS else []
    with tempfile.TemporaryDirectory(prefix="hostnet-fuzz-") as found:
        command = [*FUZZ.runner, FUZZ.folder / "tests" / "fuzz" / name, f"-max_total_time={SECONDS}", "-timeout=10",
                   "-rss_limit_mb=1024", f"-artifact_prefix={FUZZ.folder}/{name}-", found, *seeds]
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True, errors="replace", timeout=SECONDS * 8)
            status, output = done.returncode, done.stdout
        except subprocess.TimeoutExpired as expired:
            status, output = -1, str(expired)
    runs = re.search(r"^Done (\d+) runs", output, re.MULTILINE)
    return int(runs.group(1)) if runs else 0, status, time.monotonic() - start, output


def run(report):
    """Builds with clang, which thereby compiles the library once as well, and runs the targets side by side."""
    if not NAMES:
        report.add("fuzz", 0, 1, 0, "there is no target")
    elif build.make(FUZZ, report):
        report.stage(f"fuzz: {len(NAMES)} targets, {SECONDS} s each")
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for name, (runs, status, seconds, output) in zip(NAMES, pool.map(run_one, NAMES)):
                failed = status != 0 or runs == 0
                report.add(f"fuzz: {name}, {runs} runs", int(not failed), int(failed), seconds,
                           "\n".join(output.splitlines()[-60:]))
