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
from relay_checker import RelayChecker
from relay_worker import RelayWorker
from relay_world import RelayWorld
from worker import Worker
from world import World

WORKERS = 8
SHOWN = 250  # events printed with a fault
PATIENCE = 5.0  # seconds for holders to end after their signal


class Soak:
    """One soak, on the native path with the rules in this firewall, or with "relay" on that path. `faults` is empty if it
    passed."""

    def __init__(self, seconds, seed, name, command, say=print):
        self._seconds, self._seed, self._command, self._say = seconds, seed, command, say
        self._name = name
        self.history = History()
        self.pulse = Pulse(self.history.stop)
        if name == "relay":
            self.world = RelayWorld(command, self.history)
            self.checker = RelayChecker(self.world, self.history, self.pulse)
            self._workers = [RelayWorker(number, seed, self.world, self.history, self.pulse) for number in range(WORKERS)]
        else:
            os.environ["TC_HOSTNET_FIREWALL"] = name
            self.world = World(name, self.history)
            journal = kernel.Journal(self.world.runtime_dir)
            self.checker = Checker(kernel.firewall(name), journal, self.history, self.pulse)
            self._workers = [Worker(number, seed, command, self.world, journal, self.history, self.pulse)
                             for number in range(WORKERS)]

    @property
    def faults(self):
        return [text for _, text in self.history.faults]

    def run(self):
        self._say(f"soak of {self._seconds:.0f} s on {self._name}, seed {self._seed}")
        for thread in (self.pulse, self.checker, *self._workers):
            thread.start()
        end = now() + self._seconds
        while not self.history.stop.is_set() and now() < end:
            self.history.stop.wait(min(60, end - now()))
            if not self.history.stop.is_set() and now() < end:
                self._say(self.summary())
        self.history.stop.set()
        for thread in (self.pulse, self.checker, *self._workers):
            thread.join()
        if not self.history.faults:
            self._end()
        self._say(self.summary())
        if self.history.faults:
            self._say(self.report())
        self.world.end()
        return not self.history.faults

    def _end(self):
        for argv, env in self.world.last_commands(self._command):
            done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                  env=env, timeout=60)
            if done.returncode != 0:
                self.history.fault(f"the {' '.join(argv)} at the end gave {done.returncode}: {done.stdout}")
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
                  f"To do the same again: tools/soak --seed {self._seed} --of {self._name} --minutes {self._seconds / 60:g}"]
        return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--seed", default=str(random.SystemRandom().randrange(1 << 32)))
    parser.add_argument("--of", choices=("nftables", "iptables", "relay"), required=True)
    options = parser.parse_args()
    # A shell ignores it for background jobs, and all commands would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    soak = Soak(60 * options.minutes, options.seed, options.of, os.environ["TC_HOSTNET"],
                lambda text: print(text, flush=True))
    return 0 if soak.run() else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
