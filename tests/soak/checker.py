"""The invariants, and a thread that checks them continuously.

  guard      An interface with route_localnet on always has the whole guard. Exception: after a stranger removed rules it
             may lack the guard for one second, or longer while no lease has a live holder.
  rule       An open forward belongs to a lease in the journal. Tolerance: one second.
  setting    An interface with route_localnet on has a lease. Tolerance: one second.
  lease      A lease with a live holder has its forwards and its bridge, and has not expired. Tolerance: one second.
  looked     The next command that cleans up removes what a killed holder left.

A sample is judged only if it shows one moment (kernel.together(), and the same journal before and after). A fault lasts
from after the first sample that saw it to before the last one, so changes between two readings raise no alarm."""
import dataclasses
import math
import threading
import time
import traceback

import kernel
from history import now

SPAN = 1.0  # seconds


@dataclasses.dataclass
class Seen:
    """One sample."""
    begin: float
    end: float
    rules: kernel.Rules
    on: dict  # {interface: ifindex} with route_localnet
    leases: dict
    living: set  # ids of leases with a live holder
    there: set  # the interfaces' numbers
    steady: bool  # the journal did not change during the sample


class Checker(threading.Thread):
    PERIOD = 0.12

    def __init__(self, firewall, journal, history, pulse):
        super().__init__(daemon=True)
        self._firewall, self._journal, self._history, self._pulse = firewall, journal, history, pulse
        self._since = {}  # fault: its start
        self._well = {}  # interface: start of the last sample that found it guarded or closed
        self._holder_since = math.inf
        self._dead_since = {}
        self.looks = self.unsteady = 0

    def run(self):
        try:
            while not self._history.stop.wait(self.PERIOD):
                self.look()
        except Exception:  # pylint: disable=broad-except
            self._history.fault(f"the checker itself failed\n{traceback.format_exc()}")

    def look(self):
        seen = self._see()
        self.looks += 1
        if seen is None:
            self.unsteady += 1
            return
        self.judge(seen)

    def _see(self):
        begin = now()
        before = self._journal.text()
        together = self._firewall.together(kernel.settings)
        after = self._journal.text()
        if together is None:
            return None
        leases = kernel.leases_in(after)
        living = {key for key, lease in leases.items() if lease.holder_lives()}
        there = {index for lease in leases.values() for index in [lease.ifindex] if _interface(index)}
        return Seen(begin, now(), *together, leases, living, there, before == after)

    def judge(self, seen):
        amiss = {}  # fault tolerated for a while: its description
        self._judge_guard(seen)
        if any(not seen.leases[key].releasing for key in seen.living):
            self._holder_since = min(self._holder_since, seen.end)
        else:
            self._holder_since = math.inf
        if seen.steady:
            self._judge_orphans(seen, amiss)
            self._judge_leases(seen, amiss)
            self._judge_dead(seen)
            self._since = {key: since for key, since in self._since.items() if key in amiss}
        for key, text in amiss.items():
            since = self._since.setdefault(key, seen.end)
            self._alarm_if(seen.begin - since > SPAN + self._pulse.lag(since), seen,
                           f"{key[0]}: {text}, for {seen.begin - since:.2f} s")

    def _judge_guard(self, seen):
        for name, index in seen.on.items():
            if name not in seen.rules.guarded:
                self._alarm_if(not self._is_excused(name, seen), seen,
                               f"guard: {name} (interface {index}) has route_localnet on and not the whole guard")
        for name in seen.rules.guarded | set(self._well):
            if name not in seen.on or name in seen.rules.guarded:
                self._well[name] = seen.begin

    def _is_excused(self, name, seen):
        flush = self._history.last(["firewall"], seen.end)
        if flush is None:
            return False
        if seen.begin - flush.end <= SPAN + self._pulse.lag(flush.begin):
            return True
        if self._well.get(name, -math.inf) > flush.end:
            return False  # repaired after that
        since = max(flush.end, self._holder_since)
        return seen.begin - since <= SPAN + (self._pulse.lag(since) if since < math.inf else 0)

    @staticmethod
    def _judge_orphans(seen, amiss):
        owned = set().union(*(lease.forwards for lease in seen.leases.values()))
        for forward in seen.rules.forwards - owned:
            amiss["rule", forward] = f"{forward} is open and belongs to no lease"
        bridges = {lease.bridge for lease in seen.leases.values()}
        for name, index in seen.on.items():
            if name not in bridges:
                amiss["setting", name, index] = f"{name} has route_localnet on without a lease"

    @staticmethod
    def _judge_leases(seen, amiss):
        for key in seen.living:
            lease = seen.leases[key]
            if lease.releasing:
                continue
            if lease.ifindex not in seen.there:
                amiss["lease", key, "bridge"] = f"the bridge of lease {key} is gone, and the lease is not"
                continue
            if missing := lease.forwards - seen.rules.forwards:
                amiss["lease", key, "doors"] = f"lease {key} of process {lease.pid} lacks {sorted(map(str, missing))}"
            if lease.expires and time.time() > lease.expires:
                amiss["lease", key, "time"] = f"the time of lease {key} is up"
            if lease.bridge not in seen.on:
                amiss["lease", key, "setting"] = f"lease {key}: {lease.bridge} has route_localnet off"

    def _judge_dead(self, seen):
        dead = set(seen.leases) - seen.living
        self._dead_since = {key: self._dead_since.get(key, seen.end) for key in dead}
        for key, since in self._dead_since.items():
            look = self._history.looked_since(since)
            self._alarm_if(look is not None and look.end < seen.begin, seen,
                           f"looked: the holder of lease {key} is dead, {look and look.what} came by, and it is still there")

    def _alarm_if(self, wrong, seen, text):
        if not wrong:
            return
        rules = "\n".join(f"    {forward}" for forward in sorted(map(str, seen.rules.forwards)))
        leases = "\n".join(f"    {lease} {'lives' if key in seen.living else 'DEAD'}" for key, lease in seen.leases.items())
        self._history.fault(f"{text}\n  on: {seen.on}\n  guarded: {sorted(seen.rules.guarded)}\n  forwards:\n{rules}\n"
                            f"  leases:\n{leases}")


def _interface(index):
    try:
        return kernel.socket.if_indextoname(index)
    except OSError:
        return None
