"""The libFuzzer targets of tests/fuzz. Each runs for a short time from its stored inputs."""
import re

from build import ROOT
from programs import Program

NAMES = sorted(source.stem for source in (ROOT / "tests" / "fuzz").glob("fuzz_*.cpp"))
TARGETS = tuple(f"tests/fuzz/{name}" for name in NAMES)
SEEDS = {"fuzz_engine": ROOT / "tests" / "unit" / "engine" / "data"}
SECONDS = 15


def judge(output, status):
    """One target is one case: it passes if it ran and found nothing."""
    runs = re.search(r"^Done (\d+) runs", output, re.MULTILINE)
    failed = status != 0 or not runs or runs.group(1) == "0"
    return int(not failed), int(failed), output


def programs(build):
    if not NAMES:
        return [Program("fuzz", "there is no target", ("false",), judge)]
    made = []
    for name in NAMES:
        # Its findings go into a temporary folder: they are of no use to the next run or to other targets.
        script = 'found=$(mktemp -d) && "$@" "$found" ${0:+"$0"}; status=$?; rm -rf "$found"; exit $status'
        command = ("sh", "-c", script, SEEDS.get(name, ""), *build.runner, build.folder / "tests" / "fuzz" / name,
                   f"-max_total_time={SECONDS}", "-timeout=10", "-rss_limit_mb=1024",
                   f"-artifact_prefix={build.folder}/{name}-")
        made.append(Program("fuzz", name, command, judge, limit=SECONDS * 8, seconds=SECONDS))
    return made
