"""The programs to run: test programs from meson, and single commands that count as one case each. Starts none
itself."""
import os
import re
from dataclasses import dataclass, field

from build import ROOT, introspect

DOCTEST = re.compile(r"\[doctest\] test cases: +\d+ \| +(\d+) passed \| +(\d+) failed \| +(\d+) skipped")
UNITTEST = re.compile(r"^Ran (\d+) tests? in .*\n+(?:OK|FAILED)(?: \((.*)\))?$", re.MULTILINE)
REPORTED = re.compile(r"runtime error: |(?:Address|Leak|Thread)Sanitizer")
# A sanitized program takes several times as long, and all programs share the processors.
SANITIZED_FACTOR, SHARED_FACTOR = 4, 4
USUAL_SECONDS = 8  # for a program without a priority in meson.build


@dataclass(frozen=True)
class Program:
    """A command, and the judge of its output and exit status."""

    stage: str
    name: str
    command: tuple
    judge: object  # (output, status) → passed, failed, output to show
    environment: dict = field(default_factory=dict, hash=False)
    folder: object = ROOT  # its working directory
    limit: float = 3600  # seconds
    seconds: float = USUAL_SECONDS  # expected; the longest start first
    alone: bool = False  # no other program may run beside it


def count(output):
    """(passed, failed) from the frameworks' own summaries; (0, 0) if there is none."""
    passed = failed = 0
    for summary in DOCTEST.finditer(output):
        good, bad, left_out = map(int, summary.groups())
        passed, failed = passed + good, failed + bad + left_out
    for summary in UNITTEST.finditer(output):
        # "failures=1, errors=2, skipped=3, expected failures=4, unexpected successes=5": none of these is a
        # pass. An error of setUpClass stands for tests that did not run.
        bad = sum(int(number) for number in re.findall(r"=(\d+)", summary.group(2) or ""))
        passed, failed = passed + max(0, int(summary.group(1)) - bad), failed + bad
    return passed, failed


def judge_cases(output, status):
    """Output without a summary, a skipped test and a sanitizer's report count as failed."""
    passed, failed = count(output)
    if passed + failed == 0:
        failed, output = 1, output + "\nit reports no test that ran"
    elif not failed and (status != 0 or REPORTED.search(output)):
        failed = 1
    return passed, failed, output if status == 0 else f"{output}\nexit status {status}"


def judge_command(output, status):
    """One command is one case."""
    return int(status == 0), int(status != 0), output


def of_build(build, suites, prefix=""):
    """The programs of these suites of a configured build; {suite: names}, or {suite: ()} for the whole
    suite."""
    found = []
    for test in introspect(build.folder, "tests"):
        suite = test["suite"][0].rsplit(":", 1)[-1]
        if suite not in suites or suites[suite] and test["name"] not in suites[suite]:
            continue
        factor = SANITIZED_FACTOR if build.sanitizer else 1
        found.append(Program(
            stage=prefix + suite, name=test["name"], command=(*build.runner, *test["cmd"]), judge=judge_cases,
            # Without it, a program continues after undefined behaviour and exits with 0.
            environment=test["env"] | {"UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1"},
            folder=test["workdir"] or build.folder, limit=test["timeout"] * factor * SHARED_FACTOR, seconds=(test["priority"] or USUAL_SECONDS) * factor,
            alone=not test["is_parallel"]))
    return found


def targets_of(build, programs):
    """The files of the build that these programs start or name: the targets that ninja has to make for
    them."""
    made = {name for target in introspect(build.folder, "targets") if target["type"] != "run" for name in target["filename"]}
    words = {os.path.normpath(os.path.join(program.folder, word)) for program in programs
             for word in (*program.command, *program.environment.values())}
    folders = tuple(word + "/" for word in words if word.startswith(str(build.folder)))
    wanted = {name for name in made if name in words or name.startswith(folders)}
    return sorted(os.path.relpath(name, build.folder) for name in wanted)


def demo():
    """tools/demo works; it checks itself what it shows."""
    return [Program("demo", "demo", (ROOT / "tools" / "demo",), judge_command, seconds=40)]


def formatting():
    """The sources follow .clang-format; the scripts use no undefined name and have no unused one."""
    sources = [path for folder in ("src", "include", "tests", "examples") for suffix in ("cpp", "hpp")
               for path in sorted((ROOT / folder).rglob(f"*.{suffix}"))]
    scripts = [path for folder in ("tests", "tools", "docs") for path in sorted((ROOT / folder).rglob("*.py"))]
    return [Program("format", "clang-format", ("clang-format", "--dry-run", "-Werror", *sources), judge_command),
            Program("format", "pyflakes", ("pyflakes3", *scripts), judge_command)]
