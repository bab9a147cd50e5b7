"""One of the concurrent random users of tc-hostnet, and the permitted results of each command.

The seed alone determines a worker's operations and their numbers: every operation draws the same count of numbers
regardless of its result. The results do vary."""
import contextlib
import json
import os
import random
import selectors
import signal
import subprocess
import threading
import time
import traceback

from history import now
from world import SERVICES

PORTS = range(9000, 9006)  # for a whole bridge
OWN_PORTS = range(9100, 9103)  # for one container
KEPT = 3  # detached leases of one worker

OK, FAILURE, NO_PATH, NOT_AUTHORISED, NOT_FOUND, CONFLICT = 0, 1, 3, 4, 6, 8


class Wrong(Exception):
    """A fault: a result that is not permitted."""


class Chance:
    """The numbers of one operation."""

    def __init__(self, source):
        self._numbers = [source.random() for _ in range(16)]

    def number(self):
        return self._numbers.pop()

    def is_so(self, probability):
        return self.number() < probability

    def of(self, choices):
        return choices[int(self.number() * len(choices))]


class Worker(threading.Thread):
    """Of the native path; a subclass differs in what it asks for, and in how long that may take."""

    BOUND = 10.0  # seconds, for any command
    SETTLE = 1.0  # seconds that a disturbance counts after its end
    SETUP, TEARDOWN = 0.03, 0.02  # seconds within which a set-up and a tear-down are killed

    def __init__(self, number, seed, command, world, journal, history, pulse):
        super().__init__(daemon=True)
        self._who, self._random = f"worker {number}", random.Random(f"{seed}/{number}")
        self._command, self._env, self._look = [command], None, "look"
        self._world, self._journal = world, journal
        self._history, self._pulse = history, pulse
        self._kept = []  # ids of detached leases, the oldest first

    def run(self):
        operations, weights = zip(*self.operations().items())
        try:
            while not self._history.stop.is_set():
                operation = self._random.choices(operations, weights)[0]
                chance = Chance(self._random)
                pause = self._random.random() * 0.15
                self._history.count(operation.__name__.strip("_").replace("_", " "))
                operation(self, chance)
                time.sleep(pause)
        except Wrong as wrong:
            self._history.fault(f"{self._who}: {wrong}")
        except Exception:  # pylint: disable=broad-except
            self._history.fault(f"{self._who} itself failed\n{traceback.format_exc()}")

    def operations(self):
        """The operations and their relative frequency."""
        return ANYWHERE | ({Worker._save_and_restore: 1} if self._world.firewall == "iptables" else {})

    def is_excused(self, status, said):  # pylint: disable=unused-argument,no-self-use
        """Whether what a command said makes its exit code right."""
        return False

    def request(self, chance):
        return Request(chance, self._world)

    # Operations --------------------------------------------------------------------------------------------------------

    def _expose_in_the_foreground(self, chance):
        """Exposes in a foreground process, uses the lease for a moment, and ends it in one of the usual ways."""
        request = self.request(chance)
        last = chance.of((signal.SIGINT, signal.SIGTERM, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL))
        hold, fetches = chance.number() * 0.6, int(chance.number() * 4)
        begin = now()
        with self._history.doing(self._who, f"hold {request}", [self._look]) as event:
            process = self._start(["--json", "expose", *request.words], stdout=subprocess.PIPE)
            line = self._first_line(process, request)
            if not line:
                event.status = self._reap(process, request)
                killed = {-signal.SIGKILL} if self._history.touched([f"pid {process.pid}"], begin, now()) else set()
                refusals = request.refusals(self._disturbed(request.names, begin))
                self._check(event.status, refusals | killed, process, request)
                return
            event.status = OK
        lease = json.loads(line)["lease"]
        names = [*request.names, lease, f"pid {process.pid}"]
        for _ in range(fetches):
            self._fetch(chance, request, lease, names, begin)
        self._history.stop.wait(hold)
        with self._history.doing(self._who, f"{last.name} for lease {lease} of process {process.pid}", [lease]) as event:
            process.send_signal(last)
            event.status = self._reap(process, request)
        allowed = {OK}
        if last == signal.SIGKILL or self._history.touched([f"pid {process.pid}"], begin, now()):
            allowed.add(-signal.SIGKILL)
        if self._disturbed(request.names, begin):
            allowed.add(FAILURE)  # the lease ended by itself, with its bridge or its container
        self._check(event.status, allowed, process, request)

    def _expose_detached(self, chance):
        request = self.request(chance)
        soon = chance.is_so(0.25)
        begin = now()
        words = ["--timeout", "1s"] if soon else []
        status, said = self._run(["--json", "expose", *request.words, "--detach", *words], [self._look])
        if status != OK:
            # Another worker may have killed the background process before it was ready.
            disturbed = self._disturbed([*request.names, "a holder"], begin)
            self._check(status, request.refusals(disturbed), said, request)
            return
        lease = json.loads(said.splitlines()[0])["lease"]
        if soon:
            return
        self._fetch(chance, request, lease, [*request.names, lease], begin)
        self._kept.append(lease)
        while len(self._kept) > KEPT:
            self._release(self._kept.pop(0))

    def _expose_and_kill(self, chance):
        """SIGKILL at any moment of a set-up."""
        request = self.request(chance)
        delay = chance.number() * self.SETUP
        words = ["--detach"] if chance.is_so(0.3) else []
        with self._history.doing(self._who, f"set up {request}, and SIGKILL after {1000 * delay:.1f} ms") as event:
            process = self._start(["expose", *request.words, *words], stdout=subprocess.DEVNULL)
            time.sleep(delay)
            process.kill()
            event.status = self._reap(process, request)

    def _release_and_kill(self, chance):
        """SIGKILL at any moment of a tear-down."""
        everything, pick, delay = chance.is_so(0.1), chance.number(), chance.number() * self.TEARDOWN
        lease = self._pick(pick)
        if lease is None:
            return
        names = ["all leases"] if everything else [lease.id]
        with self._history.doing(self._who, f"release {names[0]}, and SIGKILL after {1000 * delay:.1f} ms", names) as event:
            process = self._start(["release", "--all" if everything else lease.id], stdout=subprocess.DEVNULL)
            time.sleep(delay)
            process.kill()
            event.status = self._reap(process, None)

    def _release_own(self, _chance):
        if self._kept:
            self._release(self._kept.pop(0))

    def _release_another_s(self, chance):
        if lease := self._pick(chance.number()):
            self._release(lease.id)

    def _release_all(self, _chance):
        status, said = self._run(["release", "--all"], ["all leases", self._look])
        self._check(status, {OK}, said, "release --all")

    def _list(self, chance):
        self._look_by("list", chance)

    def _status(self, chance):
        self._look_by("status", chance)

    def _look_by(self, command, chance):
        words = ["--json"] if chance.is_so(0.5) else []
        status, said = self._run([command, *words], [self._look])
        self._check(status, {OK}, said, command)
        for line in said.splitlines() if words else ():
            json.loads(line)

    def _inspect(self, chance):
        if lease := self._pick(chance.number()):
            status, said = self._run(["inspect", lease.id], [self._look])
            self._check(status, self._answers_for(lease.id), said, f"inspect {lease.id}")

    def _kill_a_holder(self, chance):
        lease = self._pick(chance.number())
        if lease is None or not lease.holder_lives():
            return
        with self._history.doing(self._who, f"SIGKILL for process {lease.pid}, which holds lease {lease.id}",
                                 [lease.id, f"pid {lease.pid}", "a holder"]):
            with contextlib.suppress(ProcessLookupError):
                os.kill(lease.pid, signal.SIGKILL)

    def _restart_a_container(self, chance):
        self._world.restart(self._who, chance.of(self._world.containers))

    def _recreate_a_bridge(self, chance):
        self._world.recreate(self._who, chance.of(self._world.bridges))

    def _flush(self, chance):
        self._world.flush(self._who, chance.number())

    def _load_and_remove_a_table(self, _chance):
        self._world.own_table(self._who)

    def _save_and_restore(self, _chance):
        self._world.save_and_restore(self._who)

    # Their parts ---------------------------------------------------------------------------------------------------------

    def _release(self, lease):
        status, said = self._run(["release", lease], [lease, self._look])
        self._check(status, self._answers_for(lease), said, f"release {lease}")

    def _answers_for(self, lease):
        """An id just read from the journal may be gone by now; "not found" is valid only if it is gone."""
        return {OK} if lease in self._journal.leases() else {OK, NOT_FOUND}

    def _fetch(self, chance, request, lease, names, begin):
        container = request.container or chance.of(request.containers)
        names = [*names, container.name]
        with self._history.doing(self._who, f"fetch {request.listen} in {container.name} by lease {lease}") as event:
            try:
                said = container.fetch(request.address, request.listen, self.BOUND)
            except OSError as error:
                said = str(error)
        if said == f"service {request.host}":
            self._history.count("a fetch that succeeded")
        elif self._disturbed(names, begin):
            self._history.count("a fetch amid disturbances that failed")
        else:
            raise Wrong(f"a fetch through the undisturbed lease {lease} ({request}) from {container.name} after "
                        f"{now() - event.begin:.2f} s: {said!r}")

    def _disturbed(self, names, begin):
        since = begin - self.SETTLE - self._pulse.lag(begin - self.SETTLE)
        return self._history.touched([*names, "firewall", "all leases"], since, now())

    def _pick(self, number):
        leases = sorted(self._journal.leases().items())
        return leases[int(number * len(leases))][1] if leases else None

    def _start(self, words, stdout):
        return subprocess.Popen([*self._command, *words], stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE,
                                text=True, env=self._env)

    def _run(self, words, touches):
        with self._history.doing(self._who, " ".join(words), touches) as event:
            try:
                done = subprocess.run([*self._command, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE, text=True, env=self._env, timeout=self.BOUND)
            except subprocess.TimeoutExpired as expired:
                raise Wrong(f"{' '.join(words)} takes longer than {self.BOUND:.0f} s") from expired
            event.status = done.returncode
        return done.returncode, done.stdout if done.returncode == OK else done.stderr

    def _first_line(self, process, request):
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            if not selector.select(self.BOUND):
                process.kill()
                raise Wrong(f"{request} is not ready after {self.BOUND:.0f} s")
        return process.stdout.readline()

    def _reap(self, process, request):
        try:
            _, process.said = process.communicate(timeout=self.BOUND)
        except subprocess.TimeoutExpired as expired:
            process.kill()
            raise Wrong(f"process {process.pid} ({request}) does not end within {self.BOUND:.0f} s") from expired
        return process.returncode

    def _check(self, status, allowed, said, request):
        said = getattr(said, "said", said)
        if status not in allowed and not self.is_excused(status, said):
            raise Wrong(f"exit code {status} instead of one of {sorted(allowed)} ({request}): {said}")


class Request:
    """A port for a bridge or for one container of it."""

    def __init__(self, chance, world):
        self.bridge = chance.of(world.bridges)
        own, container, by_pid = chance.is_so(0.35), chance.of(self.bridge.containers), chance.is_so(0.5)
        self.container = container if own else None
        self.containers, self.address = self.bridge.containers, self.bridge.gateway
        self.listen = chance.of(OWN_PORTS if own else PORTS)
        # Most workers ask for the same service on a port, and share the forward.
        odd = chance.is_so(0.1)
        self.host = SERVICES[(self.listen + odd) % len(SERVICES)]
        self.names = [self.bridge.name] + ([container.name] if own else [])
        target = ["--bridge", self.bridge.name]
        if own:
            target = ["--netns", f"/proc/{container.process.pid}/ns/net" if by_pid else container.path]
        self.words = [f"{self.host}:{self.listen}", *target]

    def __str__(self):
        return " ".join(self.words)

    @staticmethod
    def refusals(disturbed):
        """The exit codes of a permitted refusal."""
        return {CONFLICT, NOT_FOUND, NO_PATH, FAILURE} if disturbed else {CONFLICT}


ANYWHERE = {
    Worker._expose_in_the_foreground: 10,
    Worker._expose_detached: 8,
    Worker._expose_and_kill: 4,
    Worker._release_own: 3,
    Worker._release_another_s: 1.5,
    Worker._release_and_kill: 2,
    Worker._release_all: 0.4,
    Worker._list: 2.5,
    Worker._status: 1,
    Worker._inspect: 1,
    Worker._kill_a_holder: 2,
    Worker._restart_a_container: 0.6,
    Worker._recreate_a_bridge: 0.5,
    Worker._flush: 0.8,
    Worker._load_and_remove_a_table: 0.8,
}
