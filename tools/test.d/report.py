"""What has run: a line for each program as it ends, the output of those that failed, and tools/test's last line."""
import time


class Report:
    def __init__(self):
        self.passed = self.failed = 0
        self.failures = []
        self.start = time.monotonic()

    def stage(self, text):
        """Says what is going on; it may take minutes."""
        print(f"-- {text}", flush=True)

    def add(self, name, passed, failed, seconds, output=""):
        """One program, with the numbers of its cases. `output` is shown when one of them failed."""
        self.passed += passed
        self.failed += failed
        verdict = f"FAILED  {failed} of {passed + failed}" if failed else f"ok      {passed}"
        print(f"{verdict:<18}{name}  ({seconds:.1f} s)", flush=True)
        if failed:
            self.failures.append(name)
            print("".join(f"    {line}\n" for line in output.splitlines()), end="", flush=True)

    def finish(self):
        if not self.passed and not self.failed:
            self.failed = 1
            print("nothing has run")
        for name in self.failures:
            print(f"failed: {name}")
        print(f"in {(time.monotonic() - self.start) / 60:.1f} minutes")
        print(f"{self.passed} passed, {self.failed} failed", flush=True)
        return 1 if self.failed else 0
