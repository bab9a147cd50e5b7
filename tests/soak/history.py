"""What was done in a soak, by whom and when, and what was found wrong.

A fault is worth little without what led to it, and many things are right or wrong only by what else went on: a fetch may
fail while a stranger flushes the firewall, and may not otherwise. So whoever disturbs something says so here, before it
begins and when it is over."""
import collections
import contextlib
import itertools
import math
import threading
import time

now = time.monotonic


class Event:
    """Something that was done. `end` is infinity while it goes on; `status` is a command's exit code, once there is one."""

    def __init__(self, who, what, touches):
        self.who, self.what, self.touches = who, what, frozenset(touches)
        self.begin, self.end, self.status = now(), math.inf, None


class History:
    """Thread-safe."""

    KEPT = 3000  # events: minutes of them

    def __init__(self):
        self.started = now()
        self.stop = threading.Event()  # set when the time is up, or with the first fault
        self.faults = []
        self.counts = collections.Counter()
        self._events = collections.deque(maxlen=self.KEPT)
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def doing(self, who, what, touches=()):
        event = Event(who, what, touches)
        with self._lock:
            self._events.append(event)
        try:
            yield event
        finally:
            event.end = now()

    def count(self, what):
        with self._lock:
            self.counts[what] += 1

    def fault(self, text):
        """Something is wrong: the soak ends."""
        with self._lock:
            self.faults.append((now(), text))
        self.stop.set()

    def touched(self, names, since, until):
        """Whether anything that touches one of the names went on in this span of time."""
        return self.last(names, until) is not None and any(
            event.end >= since and event.begin <= until for event in self._touching(names))

    def last(self, names, until=math.inf):
        """The latest event that touches one of the names and had begun by then, or None."""
        found = [event for event in self._touching(names) if event.begin <= until]
        return max(found, key=lambda event: event.end, default=None)

    def looked_since(self, moment):
        """A command that takes care of what dead holders left, begun after this moment, that has ended well; or None."""
        with self._lock:
            return next((event for event in self._events
                         if "look" in event.touches and event.begin > moment and event.status == 0), None)

    def tail(self, count):
        """The last events as lines, those that still go on among them."""
        with self._lock:
            events = list(self._events)
        going_on = [event for event in events[:-count] if event.end == math.inf]
        return [self._line(event) for event in itertools.chain(going_on, events[-count:])]

    def _touching(self, names):
        wanted = frozenset(names)
        with self._lock:
            return [event for event in self._events if event.touches & wanted]

    def _line(self, event):
        end = "   …   " if event.end == math.inf else f"{event.end - self.started:7.3f}"
        status = "" if event.status is None else f" → {event.status}"
        return f"{event.begin - self.started:7.3f} to {end}  {event.who:9} {event.what}{status}"


class Pulse(threading.Thread):
    """How far behind the machine is: a thread that wants to wake every 50 ms and notes by how much it was late.

    "Within a second" is asked of the program, not of a machine that gave it no processor for as long."""

    PERIOD = 0.05

    def __init__(self, stop):
        super().__init__(daemon=True)
        self._ended = stop
        self._late = collections.deque(maxlen=4000)

    def run(self):
        while True:
            wanted = now() + self.PERIOD
            ended = self._ended.wait(self.PERIOD)
            self._late.append((now(), max(0.0, now() - wanted)))
            if ended:
                return

    def lag(self, since):
        """Seconds lost since then."""
        return sum(late for moment, late in list(self._late) if moment >= since)
