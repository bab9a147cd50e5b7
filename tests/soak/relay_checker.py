"""The invariants of the relay path, and a thread that checks them continuously.

  socket   What listens in a container at our address, or at a network's gateway, is a port of a lease with a live holder,
           and each port of such a lease has its socket. Tolerance: a few seconds, and a container that was disturbed is
           not judged until its leases had the time to follow.
  name     A line of ours in a hosts file belongs to a lease of which somebody has a record. Tolerance: the same.
  looked   The next command of a dead holder's owner removes its record, its lines, and what the engine has of its hand-off.
"""
import threading
import traceback

from history import now
from relay_worker import RelayWorker
from relay_world import Refused

SPAN = 4.0  # seconds


class RelayChecker(threading.Thread):
    PERIOD = 0.3

    def __init__(self, world, history, pulse):
        super().__init__(daemon=True)
        self._world, self._history, self._pulse = world, history, pulse
        self._since, self._dead_since = {}, {}
        self._last = {}  # lease: what was last seen of its record, and when
        self.looks = self.unsteady = 0

    def run(self):
        try:
            while not self._history.stop.wait(self.PERIOD):
                self.looks += 1
                self.look()
        except Exception:  # pylint: disable=broad-except
            self._history.fault(f"the checker itself failed\n{traceback.format_exc()}")

    def look(self):
        begin = now()
        before = self._records()
        amiss = dict(self._sockets(before))
        try:
            marks = {(container.name, mark) for container in self._world.containers for mark in container.marks()}
            helpers = self._world.helpers()
        except (OSError, Refused):
            self.unsteady += 1
            return
        after = self._records()
        for key, seen in (before | after).items():
            self._last[key] = (now() - self._history.started, seen)
        for name, mark in marks:
            if mark not in before and mark not in after:
                amiss["name", name, mark] = f"container {name} has the name by lease {mark}, of which nobody has a record; {self._told(mark)}"
        self._judge_dead(before, after, marks, helpers, begin)
        end = now()
        self._since = {key: since for key, since in self._since.items() if key in amiss}
        for key, text in amiss.items():
            since = self._since.setdefault(key, end)
            if begin - since > SPAN + self._pulse.lag(since):
                self._history.fault(f"{key[0]}: {text}, since {since - self._history.started:.3f} s\n" + "\n".join(map(str, after.values())))

    def _records(self):
        return {key: Seen(record, owner) for owner in self._world.owners for key, record in owner.records().items()}

    def _told(self, lease):
        if lease not in self._last:
            return "none was seen"
        moment, seen = self._last[lease]
        return f"at {moment:.3f} s there was {str(seen).strip()}"

    def _sockets(self, records):
        """((kind, what, count), description) of sockets that are too many or too few."""
        for place in (*self._world.containers, *self._world.networks):
            kind = "network" if place in self._world.networks else "container"
            since = now() - RelayWorker.SETTLE - self._pulse.lag(now() - RelayWorker.SETTLE)
            if self._history.touched([place.name], since, now()):
                continue
            try:
                there = place.listening()
            except OSError:
                continue
            ours = [one.record for one in records.values()
                    if one.lives and one.record.state == "up" and one.record.target == f"{kind} {place.name}"]
            due = sum(record.ports for record in ours if not record.releasing)
            going = sum(record.ports for record in ours if record.releasing)
            if not due <= there <= due + going:
                yield ("socket", place.name, there, due), f"{there} sockets listen for {kind} {place.name}, whose leases have {due}"

    def _judge_dead(self, before, after, marks, helpers, begin):
        dead = {key: one for key, one in before.items() if key in after and not one.lives and not after[key].lives}
        self._dead_since = {key: self._dead_since.get(key, now()) for key in dead}
        for key, since in self._dead_since.items():
            look = self._history.looked_since(since, dead[key].owner.look)
            if look is not None and look.end < begin:
                left = [f"container {name} has its name" for name, mark in marks if mark == key]
                left += ["the engine has a container of it"] * (key in helpers)
                self._history.fault(f"looked: the holder of lease {key} is dead, {look.what} came by, and its record is still "
                                    f"there: {dead[key]}; {'; '.join(left)}")


class Seen:
    def __init__(self, record, owner):
        self.record, self.owner, self.lives = record, owner, record.holder_lives()

    def __str__(self):
        return (f"    lease {self.record.id} of {self.owner.look[8:]}'s process {self.record.pid} for {self.record.target}: {'releasing' if self.record.releasing else self.record.state}, "
                f"{'lives' if self.lives else 'DEAD'}")
