"""The results: a line for each program as it ends, the output of failed programs, tables, and tools/test's
last line."""
import collections
import re
import time

SLOWEST = 15
REASONS = 40  # most lines of the list of failures

# The name of a failed case: in unittest, and in doctest.
CASE = re.compile(r"^(?:FAIL|ERROR): (.*)|^TEST CASE: +(.*)")
# The reason: the last line of a traceback, a failed check, a sanitizer, the runner.
REASON = re.compile(r"^(?:\w+\.)*\w+(?:Error|Exception|Refused|Expired|Warning)\b.*|.*: (?:FATAL )?ERROR: .*|.*runtime error: .*"
                    r"|^.*ERROR: \w+Sanitizer.*|^SUMMARY: .*|^exit status .*|^killed: .*|^it reports no test .*")


def reasons(output):
    """A line for each failed case, with the first reason."""
    found, case = [], None
    for line in output.splitlines():
        if match := CASE.match(line):
            case = match[1] or match[2]
        elif REASON.match(line) and (case is not None or not found):
            found.append(": ".join(filter(None, (case, line.strip())))[:300])
            case = None
    return found


def excerpt(output):
    """The part with the reason: from unittest's first report on, else the end."""
    lines = output.splitlines()
    first = next((i for i, line in enumerate(lines) if line.startswith("=" * 70)), max(0, len(lines) - 80))
    return "\n".join(line[:400] for line in lines[first:][:300])


class Stage:
    def __init__(self):
        self.programs = self.passed = self.failed = 0
        self.seconds = self.processor = 0.0


class Report:
    def __init__(self):
        self.stages = collections.defaultdict(Stage)
        self.times = []
        self.failures = []
        self.start = time.monotonic()

    def say(self, text):
        """Prints the current step; it may take minutes."""
        print(f"-- {text}", flush=True)

    def add(self, stage, name, passed, failed, seconds, processor, output=""):
        """Adds one program, with the numbers of its cases, its time and its processor time in seconds.
        `output` is shown if a case failed."""
        total = self.stages[stage]
        total.programs, total.passed, total.failed = total.programs + 1, total.passed + passed, total.failed + failed
        total.seconds, total.processor = total.seconds + seconds, total.processor + processor
        name = f"{stage}: {name}"
        self.times.append((seconds, processor, name))
        verdict = f"FAILED  {failed} of {passed + failed}" if failed else f"ok      {passed}"
        minutes, rest = divmod(int(time.monotonic() - self.start), 60)
        print(f"{minutes:2}:{rest:02} {verdict:<18}{name}  ({seconds:.1f} s)", flush=True)
        if failed:
            self.failures.append((name, reasons(output)))
            print("".join(f"    {line}\n" for line in excerpt(output).splitlines()), end="", flush=True)

    def finish(self):
        passed = sum(stage.passed for stage in self.stages.values())
        failed = sum(stage.failed for stage in self.stages.values())
        if not passed and not failed:
            failed = 1
            print("no test ran")
        print(f"\n{'stage':<16}{'programs':>9}{'passed':>8}{'failed':>8}{'seconds':>9}{'of processor':>14}")
        for name, stage in self.stages.items():
            print(f"{name:<16}{stage.programs:>9}{stage.passed:>8}{stage.failed:>8}{stage.seconds:>9.0f}{stage.processor:>14.0f}")
        print("\nthe slowest, in seconds and in seconds of processor time")
        for seconds, processor, name in sorted(self.times, reverse=True)[:SLOWEST]:
            print(f"{seconds:>8.1f}{processor:>8.1f}  {name}")
        print()
        # Last, since a truncated log keeps its end.
        lines = [line for name, why in self.failures for line in (f"failed: {name}", *(f"    {reason}" for reason in why))]
        print("".join(f"{line}\n" for line in lines[:REASONS]), end="")
        if len(lines) > REASONS:
            print(f"and {len(lines) - REASONS} more lines, above")
        print(f"in {(time.monotonic() - self.start) / 60:.1f} minutes")
        print(f"{passed} passed, {failed} failed", flush=True)
        return 1 if failed else 0
