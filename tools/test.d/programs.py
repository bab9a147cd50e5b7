"""What can be run: test programs as meson knows them, and single commands that count as one case. Starts none itself."""
import os
import re
from dataclasses import dataclass, field

from build import ROOT, introspect

DOCTEST = re.compile(r"\[doctest\] test cases: +\d+ \| +(\d+) passed \| +(\d+) failed \| +(\d+) skipped")
UNITTEST = re.compile(r"^Ran (\d+) tests? in .*\n+(?:OK|FAILED)(?: \((.*)\))?$", re.MULTILINE)
REPORTED = re.compile(r"runtime error: |(?:Address|Leak|Thread)Sanitizer")
# A sanitized program takes several times as long; and each has to share the processors with others.
SANITIZED_FACTOR, SHARED_FACTOR = 4, 4
USUAL_SECONDS = 8  # what a program takes for which meson.build has no priority


@dataclass(frozen=True)
class Program:
    """A command, and how to tell from its output and exit status what has passed."""

    stage: str
    name: str
    command: tuple
    judge: object  # (output, status) → passed, failed, output to show
    environment: dict = field(default_factory=dict, hash=False)
    folder: object = ROOT  # where it is started
    limit: float = 3600  # seconds
    seconds: float = USUAL_SECONDS  # expected; the longest are started first
    alone: bool = False  # nothing else may run beside it


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


def judge_cases(output, status):
    """What cannot be counted, and what was skipped, has failed; and what a sanitizer reports."""
    passed, failed = count(output)
    if passed + failed == 0:
        failed, output = 1, output + "\nit says of no test that it ran"
    elif not failed and (status != 0 or REPORTED.search(output)):
        failed = 1
    return passed, failed, output if status == 0 else f"{output}\nexit status {status}"


def judge_command(output, status):
    """One command is one case."""
    return int(status == 0), int(status != 0), output


def of_build(build, suites, prefix=""):
    """The programs of these suites of a configured build; {suite: names} or {suite: ()} for all of it."""
    found = []
    for test in introspect(build.folder, "tests"):
        suite = test["suite"][0].rsplit(":", 1)[-1]
        if suite not in suites or suites[suite] and test["name"] not in suites[suite]:
            continue
        factor = SANITIZED_FACTOR if build.sanitizer else 1
        found.append(Program(
            stage=prefix + suite, name=test["name"], command=(*build.runner, *test["cmd"]), judge=judge_cases,
            # Else a program goes on, and ends well, after undefined behaviour.
            environment=test["env"] | {"UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1"},
            folder=test["workdir"] or build.folder, limit=test["timeout"] * factor * SHARED_FACTOR, seconds=(test["priority"] or USUAL_SECONDS) * factor,
            alone=not test["is_parallel"]))
    return found


def targets_of(build, programs):
    """What of the build these programs start or are told of: all that ninja has to make for them."""
    made = {name for target in introspect(build.folder, "targets") if target["type"] != "run" for name in target["filename"]}
    words = {os.path.normpath(os.path.join(program.folder, word)) for program in programs
             for word in (*program.command, *program.environment.values())}
    folders = tuple(word + "/" for word in words if word.startswith(str(build.folder)))
    wanted = {name for name in made if name in words or name.startswith(folders)}
    return sorted(os.path.relpath(name, build.folder) for name in wanted)


def demo():
    """tools/demo works, and says so itself of what it shows."""
    return [Program("demo", "demo", (ROOT / "tools" / "demo",), judge_command, seconds=40)]


def formatting():
    """The sources are as .clang-format has them; the scripts name nothing that is not there, nor what they do not use."""
    sources = [path for folder in ("src", "include", "tests", "examples") for suffix in ("cpp", "hpp")
               for path in sorted((ROOT / folder).rglob(f"*.{suffix}"))]
    scripts = [path for folder in ("tests", "tools", "docs") for path in sorted((ROOT / folder).rglob("*.py"))]
    return [Program("format", "clang-format", ("clang-format", "--dry-run", "-Werror", *sources), judge_command),
            Program("format", "pyflakes", ("pyflakes3", *scripts), judge_command)]
