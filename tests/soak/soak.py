#!/usr/bin/python3
"""The soak: eight workers use tc-hostnet at random and concurrently, kill it, and remove bridges, rules and services that
it depends on, while a checker verifies the invariants. At the end the host must be unchanged.

Started by tools/soak and by test_soak.py. It works in the caller's namespaces, which must be fresh."""
import argparse
import os
import random
import signal
import subprocess
import sys
import time

import kernel
from checker import Checker
from history import History, Pulse, now
from worker import Worker
from world import World

WORKERS = 8
SHOWN = 60  # events printed with a fault
PATIENCE = 5.0  # seconds for holders to end after their signal


class Soak:
    """One soak. `faults` is empty if it passed."""

    def __init__(self, seconds, seed, firewall, command, say=print):
        os.environ["TC_HOSTNET_FIREWALL"] = firewall
        self._seconds, self._seed, self._command, self._say = seconds, seed, command, say
        self._name = firewall
        self.history = History()
        self.world = World(firewall, self.history)
        self.journal = kernel.Journal(self.world.runtime_dir)
        self.pulse = Pulse(self.history.stop)
        self.checker = Checker(kernel.firewall(firewall), self.journal, self.history, self.pulse)

    @property
    def faults(self):
        return [text for _, text in self.history.faults]

    def run(self):
        self._say(f"soak of {self._seconds:.0f} s on {self._name}, seed {self._seed}")
        workers = [Worker(number, self._seed, self._command, self.world, self.journal, self.history, self.pulse)
                   for number in range(WORKERS)]
        for thread in (self.pulse, self.checker, *workers):
            thread.start()
        end = now() + self._seconds
        while not self.history.stop.is_set() and now() < end:
            self.history.stop.wait(min(60, end - now()))
            if not self.history.stop.is_set() and now() < end:
                self._say(self.summary())
        self.history.stop.set()
        for thread in (self.pulse, self.checker, *workers):
            thread.join()
        if not self.history.faults:
            self._end()
        self._say(self.summary())
        if self.history.faults:
            self._say(self.report())
        self.world.end()
        return not self.history.faults

    def _end(self):
        done = subprocess.run([self._command, "release", "--all"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=60)
        if done.returncode != 0:
            self.history.fault(f"the release --all at the end gave {done.returncode}: {done.stdout}")
        deadline = now() + PATIENCE
        while (changes := self.world.changes()) and now() < deadline:
            time.sleep(0.1)
        if changes:
            self.history.fault("what was there in the end is not what was there at the start:\n" + "\n".join(changes))

    def summary(self):
        history = self.history
        counts = ", ".join(f"{count} × {what}" for what, count in history.counts.most_common())
        return (f"after {now() - history.started:.0f} s: {counts}; {self.checker.looks} looks of the checker, "
                f"{self.checker.unsteady} of them at what would not stand still; "
                f"the machine was {self.pulse.lag(history.started):.1f} s late")

    def report(self):
        lines = [f"FAULT at {moment - self.history.started:.3f} s: {text}" for moment, text in self.history.faults]
        lines += ["The last that was done (seconds):", *self.history.tail(SHOWN),
                  f"To do the same again: tools/soak --seed {self._seed} --firewall {self._name} "
                  f"--minutes {self._seconds / 60:g}"]
        return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--seed", default=str(random.SystemRandom().randrange(1 << 32)))
    parser.add_argument("--firewall", choices=("nftables", "iptables"), required=True)
    options = parser.parse_args()
    # A shell ignores it for background jobs, and all commands would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    soak = Soak(60 * options.minutes, options.seed, options.firewall, os.environ["TC_HOSTNET"],
                lambda text: print(text, flush=True))
    return 0 if soak.run() else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
