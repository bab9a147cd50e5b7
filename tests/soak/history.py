"""The history of a soak: who did what when, and the faults found.

A fault needs its history, and many results are right or wrong only in context: a fetch may fail while a stranger flushes
the firewall, and must not otherwise. So every disturbance is recorded here before it begins and when it is over."""
import collections
import contextlib
import itertools
import math
import threading
import time

now = time.monotonic


class Event:
    """An action. `end` is infinity while it runs; `status` is a command's exit code once it has ended."""

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
        """Records a fault and ends the soak."""
        with self._lock:
            self.faults.append((now(), text))
        self.stop.set()

    def touched(self, names, since, until):
        """Whether an event that touches one of the names ran in this span."""
        return self.last(names, until) is not None and any(
            event.end >= since and event.begin <= until for event in self._touching(names))

    def last(self, names, until=math.inf):
        """The latest event that touches one of the names and began by then, or None."""
        found = [event for event in self._touching(names) if event.begin <= until]
        return max(found, key=lambda event: event.end, default=None)

    def looked_since(self, moment, look="look"):
        """A successful command that cleans up after dead holders and began after this moment, or None."""
        with self._lock:
            return next((event for event in self._events
                         if look in event.touches and event.begin > moment and event.status == 0), None)

    def tail(self, count):
        """The last events as lines, including those still running."""
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
    """Measures how far the machine is behind: a thread sleeps 50 ms at a time and records by how much it woke late.
    
    "Within a second" is a limit for the program; it does not count time in which the machine gave it no processor."""

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
        """Seconds of delay since then."""
        return sum(late for moment, late in list(self._late) if moment >= since)
