"""Running test programs and counting their cases. What cannot be counted, and what was skipped, counts as failed."""
import json
import os
import re
import subprocess
import time

from build import MESON, ROOT

DOCTEST = re.compile(r"\[doctest\] test cases: +\d+ \| +(\d+) passed \| +(\d+) failed \| +(\d+) skipped")
UNITTEST = re.compile(r"^Ran (\d+) tests? in .*\n+(?:OK|FAILED)(?: \((.*)\))?$", re.MULTILINE)
REPORTED = re.compile(r"runtime error: |(?:Address|Leak|Thread)Sanitizer")
LIMIT = 60 * 60  # seconds, for one suite; each program has its own in meson.build


def count(output):
    """(passed, failed) as the frameworks' own summaries say; (0, 0) when there is none."""
    passed = failed = 0
    for summary in DOCTEST.finditer(output):
        good, bad, left_out = map(int, summary.groups())
        passed, failed = passed + good, failed + bad + left_out
    for summary in UNITTEST.finditer(output):
        # "failures=1, errors=2, skipped=3, expected failures=4, unexpected successes=5": none of them is a pass. An
        # error of setUpClass stands for tests that did not run.
        bad = sum(int(number) for number in re.findall(r"=(\d+)", summary.group(2) or ""))
        passed, failed = passed + max(0, int(summary.group(1)) - bad), failed + bad
    return passed, failed


def excerpt(output):
    """The part that tells why: from unittest's first report, else the end."""
    lines = output.splitlines()
    first = next((i for i, line in enumerate(lines) if line.startswith("=" * 70)), max(0, len(lines) - 80))
    return "\n".join(lines[first:][:300])


def run(build, suite, report, only=()):
    """The programs of one suite, by meson, which bounds the time of each."""
    report.stage(f"{build.name}: {suite}")
    log = build.folder / "meson-logs" / f"{suite}.json"
    log.unlink(missing_ok=True)
    # A sanitized program takes several times as long.
    command = [*build.runner, MESON, "test", "-C", build.folder, "--no-rebuild", "--suite", suite, "--logbase", suite,
               "--timeout-multiplier", "4" if build.sanitizer else "1", *only]
    # Else a program goes on, and ends well, after undefined behaviour.
    environment = os.environ | {"UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1"}
    start = time.monotonic()
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, timeout=LIMIT, env=environment)
        said = done.stdout
    except subprocess.TimeoutExpired as expired:
        said = str(expired)
    results = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    if not results:
        report.add(f"{build.name}: {suite}", 0, 1, time.monotonic() - start, f"no program ran\n{said[-3000:]}")
    for result in results:
        output = "\n".join(filter(None, (result.get("stdout"), result.get("stderr"))))
        passed, failed = count(output)
        if passed + failed == 0:
            failed, output = 1, output + "\nit says of no test that it ran"
        elif not failed and (result["result"] != "OK" or build.sanitizer and REPORTED.search(output)):
            failed = 1
        if result["result"] != "OK":
            output += f"\n{result['result']}, exit status {result['returncode']}"
        name = result["name"].rsplit(" / ", 1)[-1]
        report.add(f"{build.name}: {suite}: {name}", passed, failed, result["duration"], excerpt(output))


def run_demo(report):
    """tools/demo works, and says so itself of what it shows."""
    check(report, "demo", [ROOT / "tools" / "demo"])


def check_format(report):
    """The sources are as .clang-format has them; the scripts name nothing that is not there, nor what they do not use."""
    sources = [path for folder in ("src", "include", "tests", "examples") for suffix in ("cpp", "hpp")
               for path in sorted((ROOT / folder).rglob(f"*.{suffix}"))]
    check(report, "clang-format", ["clang-format", "--dry-run", "-Werror", *sources])
    scripts = [path for folder in ("tests", "tools", "docs") for path in sorted((ROOT / folder).rglob("*.py"))]
    check(report, "pyflakes", ["pyflakes3", *scripts])


def check(report, name, command):
    """One command as one case."""
    start = time.monotonic()
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, timeout=LIMIT)
        failed, output = done.returncode != 0, done.stdout
    except subprocess.TimeoutExpired as expired:
        failed, output = True, str(expired)
    report.add(name, 0 if failed else 1, 1 if failed else 0, time.monotonic() - start, excerpt(output))
