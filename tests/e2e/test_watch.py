#!/usr/bin/python3
"""`tc-hostnet watch`: labelled containers get their ports when they start and lose them when they stop, through restarts
and failures of the engine, the containers and the watcher."""
import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from engines import DockerWithSshd, Podman
from harness import ALIAS, FIREWALL, HostCase, Lease, Service, eventually, json_schema, main, run

HELLO = "hello from 127.0.0.1\n"
PORTS = "io.github.tchostnet.ports"
VIA = "io.github.tchostnet.via"
ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "docs/examples/watch-compose.yml"


# Told of an engine that hangs, and of a good one on a busy machine.
SLOW_ENGINE = r"tc-hostnet: warning: the engine at \S+ has not answered for 3 s; waiting up to \d+ s more\n"


class Watch(Lease):
    """A watcher in the foreground; `ready` is its first event. Several events may arrive at once, so this class buffers the
    input itself: select() would not see data in Python's buffer."""

    schema = "watch"

    def __init__(self, argv, env):
        self.read = b""
        super().__init__(argv, env)

    def read_event(self, timeout=60):
        until = time.monotonic() + timeout
        out = self.process.stdout.fileno()
        while b"\n" not in self.read:
            if not select.select([out], [], [], max(0, until - time.monotonic()))[0]:
                raise AssertionError(f"tc-hostnet printed nothing for {timeout} s")
            piece = os.read(out, 65536)
            if not piece:
                raise AssertionError(f"tc-hostnet ended: {self.process.wait(10)}: {json_schema.as_text(self.process.stderr.read())}")
            self.read += piece
        line, _, self.read = self.read.partition(b"\n")
        return json_schema.check_line(self.schema, line)

    def end(self, number=signal.SIGTERM, timeout=60):
        code, out, err = super().end(number, timeout)
        return code, self.read.decode() + out, err

    def next(self, kind, **facts):
        """Returns the next event and checks that it is this one."""
        event = self.read_event()
        assert event["event"] == kind and facts.items() <= event.items(), (kind, facts, event)
        return event


class Gate:
    """A proxy socket of the engine: it can close with all its connections, and can withhold requests like a hanging
    engine."""

    def __init__(self, engine):
        self.engine = str(engine)
        self.path = Path(engine).with_name("gate.sock")
        self.kept = ()  # parts of the first lines of requests to withhold
        self.keeps = threading.Event()
        self.open()

    def open(self):
        self.ends = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.path))
        self.listener.listen()
        threading.Thread(target=self.serve, args=(self.listener,), daemon=True).start()

    def serve(self, listener):
        with contextlib.suppress(OSError):
            while True:
                inside, _ = listener.accept()
                outside = socket.socket(socket.AF_UNIX)
                outside.connect(self.engine)
                self.ends += [inside, outside]
                for pair in ((inside, outside), (outside, inside)):
                    threading.Thread(target=self.pass_on, args=pair, daemon=True).start()

    def keep(self, *words):
        self.kept = words
        self.keeps.clear()

    def pass_on(self, source, sink):
        keeps = False
        with contextlib.suppress(OSError):
            while piece := source.recv(65536):
                keeps = keeps or any(word in piece.split(b"\r\n", 1)[0] for word in self.kept)
                if keeps:
                    self.keeps.set()
                else:
                    sink.sendall(piece)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self):
        self.path.unlink(missing_ok=True)
        for end in (self.listener, *self.ends):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


def answer_all(listener):
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listener.accept()
            connection.recv(65536)
            connection.sendall(f"HTTP/1.0 200 OK\r\nContent-Length: {len(HELLO)}\r\n\r\n{HELLO}".encode())
            connection.close()


class WatchCase(HostCase):
    engine_type = DockerWithSshd

    def setUp(self):
        super().setUp()
        self.service(8088, HELLO)
        self.network("web")

    def watch(self, *options, **environment):
        watch = Watch([self.program, "--json", "watch", *options], self.env | environment)
        self.addCleanup(watch.close)
        return watch

    def watching(self, *options):
        """A watcher without containers to serve."""
        watch = self.watch(*options)
        self.assertEqual(watch.ready, {"event": "watching", "engine": str(self.engine.socket), "schema": 1})
        return watch

    def labelled(self, name, ports=8088, **labels):
        return self.container(name, network="web", labels={PORTS: str(ports)} | labels)

    def no_rule_is_left(self):
        self.assertEqual(self.leases(), [])
        self.assertEqual(FIREWALL.forwards(), [])

    def ends_clean(self, watch):
        code, _, err = watch.end()
        self.assertEqual(code, 0)
        self.assertRegex(err, rf"\A({SLOW_ENGINE})?\Z")
        self.no_rule_is_left()


class Containers(WatchCase):
    def test_start_serve_stop(self):
        watch = self.watching()
        self.container("neighbour", network="web")
        self.labelled("app", "8088,8088:18088")
        event = watch.next("exposed", container="app", via="native", alias=ALIAS, gateway=self.gateway("web"))
        self.assertEqual(event["ports"], [{"host": 8088, "container": 8088, "protocol": "tcp"},
                                          {"host": 8088, "container": 18088, "protocol": "tcp"}])
        self.assertEqual([lease["id"] for lease in self.leases()], [event["lease"]])
        self.assertEqual(self.leases()[0]["label"], "watch: app")
        self.reaches("app", HELLO)
        self.reaches("app", HELLO, port=18088)
        self.assertFalse(self.has_alias("neighbour"))
        self.reaches_nothing("neighbour", name=self.gateway("web"))

        self.engine.api.kill("app")
        gone = watch.next("released", container="app", lease=event["lease"])
        self.assertEqual(gone["reason"], "its container has stopped")
        self.no_rule_is_left()

        self.engine.api.start("app")
        again = watch.next("exposed", container="app")
        self.assertNotEqual(again["lease"], event["lease"])
        self.reaches("app", HELLO)
        self.engine.api.restart("app")
        watch.next("released", container="app", lease=again["lease"])
        watch.next("exposed", container="app")
        self.reaches("app", HELLO)
        self.ends_clean(watch)
        self.assertFalse(self.has_alias("app"))

    def test_those_that_run_already(self):
        for name in ("one", "two"):
            self.labelled(name)
        self.container("plain", network="web")
        watch = self.watch()
        events = [watch.ready, watch.next("exposed")]
        self.assertEqual({event["container"] for event in events}, {"one", "two"})
        watch.next("watching")
        self.reaches("one", HELLO)
        self.reaches("two", HELLO)
        self.ends_clean(watch)

    def test_many_at_once(self):
        watch = self.watching()
        names = [f"app{number}" for number in range(10)]
        with ThreadPoolExecutor(len(names)) as pool:
            list(pool.map(self.labelled, names))
        self.assertEqual(sorted(watch.next("exposed")["container"] for _ in names), sorted(names))
        with ThreadPoolExecutor(len(names)) as pool:
            list(pool.map(self.engine.api.remove, names))
        self.assertEqual(sorted(watch.next("released")["container"] for _ in names), sorted(names))
        self.ends_clean(watch)

    def test_one_that_is_over_at_once(self):
        watch = self.watching()
        for _ in range(5):
            self.engine("run", "--rm", "--network", "web", "--label", f"{PORTS}=8088", "alpine:3.19", "true")
        time.sleep(1)
        self.no_rule_is_left()
        code, out, err = watch.end()
        self.assertEqual((code, err), (0, ""))
        kinds = [json.loads(line)["event"] for line in out.splitlines()]
        self.assertEqual(kinds.count("exposed"), kinds.count("released"))
        self.assertNotIn("failed", kinds, out)

    def test_labels_that_cannot_be_followed(self):
        watch = self.watching()
        self.labelled("wrong", "80x")
        failed = watch.next("failed", container="wrong")
        self.assertRegex(failed["reason"], "label io.github.tchostnet.ports='80x': .*is not a port number")
        self.container("pigeon", labels={PORTS: "8088", VIA: "pigeon"})
        self.assertIn("'pigeon' is not a path", watch.next("failed", container="pigeon")["reason"])
        self.container("hostly", network="host", labels={PORTS: "8088"})
        self.assertIn("host", watch.next("failed", container="hostly")["reason"])
        # A label that nearly is one is told once, and the container's true one is followed all the same.
        self.labelled("near", **{"io.github.tchostnet.prots": "8088"})
        told = sorted([watch.read_event(), watch.read_event()], key=lambda event: event["event"])
        self.assertEqual([(event["event"], event["container"]) for event in told], [("exposed", "near"), ("unknown-label", "near")])
        self.assertEqual((told[1]["reason"], told[1]["hint"]),
                         ("label 'io.github.tchostnet.prots' has no effect", "did you mean io.github.tchostnet.ports?"))
        self.engine.api.restart("near")
        watch.next("released", container="near")
        watch.next("exposed", container="near")
        self.container("astray", labels={"org.testcontainers.hostnet.exposes": "8088"})
        watch.next("unknown-label", container="astray")
        self.labelled("right")
        watch.next("exposed", container="right")
        self.reaches("right", HELLO)
        self.ends_clean(watch)

    def test_an_image_opens_no_port(self):
        run("docker", "-H", f"unix://{self.engine.socket}", "build", "-qt", "theirs", "-",
            stdin=f"FROM alpine:3.19\nLABEL {PORTS}=8088\n")
        self.addCleanup(self.engine.attempt, "rmi", "-f", "theirs")
        watch = self.watching()
        self.container("app", network="web", image="theirs")
        self.assertIn("comes from its image", watch.next("failed", container="app")["reason"])
        self.no_rule_is_left()
        self.ends_clean(watch)
        watch = self.watch("--trust-images")
        self.assertEqual((watch.ready["event"], watch.ready["container"]), ("exposed", "app"))
        watch.next("watching")
        self.reaches("app", HELLO)
        self.ends_clean(watch)

    def refused(self, watch, container, *ports):
        event = watch.next("refused", container=container)
        self.assertEqual([(port["host"], port["protocol"]) for port in event["ports"]], list(ports))
        return event

    def test_ports_that_labels_may_not_have(self):
        for port in (22, 80, 9090):
            self.service(port, HELLO)
        watch = self.watching()
        self.labelled("shell", "22:8022")
        event = self.refused(watch, "shell", (22, "tcp"))
        self.assertIn("asks for 22:8022/tcp, which watch does not allow", event["reason"])
        self.assertIn("--allow PORTS", event["hint"])
        self.labelled("mixed", "8088,80")
        self.refused(watch, "mixed", (80, "tcp"))
        self.no_rule_is_left()
        for name, port in (("shell", 8022), ("mixed", 80), ("mixed", 8088)):
            self.reaches_nothing(name, port=port, name=self.gateway("web"))
        self.labelled("other", "9090:80")
        watch.next("exposed", container="other")
        self.engine.api.restart("shell")
        self.refused(watch, "shell", (22, "tcp"))  # refused once more: it is another run
        code, out, err = watch.end()
        self.assertEqual((code, [json.loads(line)["event"] for line in out.splitlines()]), (0, ["released"]))
        lines = err.splitlines()
        self.assertEqual([line.split(": ")[1:3] for line in lines],
                         [["shell", "refused"], ["mixed", "refused"], ["shell", "refused"]], err)

        self.service(8088, "another address\n", address="127.0.0.2")
        self.labelled("named", "127.0.0.2:8088")
        watch = self.watch("--allow", "127.0.0.2:8088")
        events = {event["container"]: event for event in (watch.ready, *(watch.read_event() for _ in range(3)))}
        self.assertEqual(events["named"]["event"], "exposed")
        self.assertEqual({events[name]["event"] for name in ("shell", "mixed", "other")}, {"refused"})
        self.reaches("named", "another address\n")
        watch.end()
        self.engine.api.remove("named")

        watch = self.watch("--allow", "80,8000-8999", "--allow", "22/udp")
        events = sorted([watch.ready, watch.read_event(), watch.read_event()], key=lambda event: event["container"])
        self.assertEqual([(event["event"], event["container"]) for event in events],
                         [("exposed", "mixed"), ("refused", "other"), ("refused", "shell")])
        watch.next("watching")
        self.reaches("mixed", HELLO, port=80)
        self.reaches("mixed", HELLO)
        watch.end()
        self.no_rule_is_left()

    def test_the_allowance_of_the_unit(self):
        """Variables as from an EnvironmentFile; the command line takes precedence."""
        self.service(80, HELLO)
        self.labelled("app", "80")
        watch = self.watch(TC_HOSTNET_WATCH_ALLOW="80/tcp", TC_HOSTNET_WATCH_ALLOW_SOCKET="/run/some.sock")
        self.assertEqual((watch.ready["event"], watch.ready["container"]), ("exposed", "app"))
        self.reaches("app", HELLO, port=80)
        watch.next("watching")
        self.ends_clean(watch)
        watch = self.watch("--allow", "81", TC_HOSTNET_WATCH_ALLOW="80/tcp")
        self.assertEqual(watch.ready["event"], "refused")
        watch.end()
        wrong = self.tc_hostnet("watch", check=False, env=self.env | {"TC_HOSTNET_WATCH_ALLOW": "80/sctp"})
        self.assertEqual((wrong.returncode, wrong.stderr.count("\n")), (2, 1), wrong.stderr)
        self.assertIn("allowed ports '80/sctp'", wrong.stderr)

    def test_unix_sockets_that_labels_may_not_have(self):
        folder = Path(os.path.realpath(self.engine.dir)) / "sockets"
        folder.mkdir()
        self.addCleanup(shutil.rmtree, folder)
        listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(listener.close)
        listener.bind(str(folder / "app.sock"))
        listener.listen()
        threading.Thread(target=answer_all, args=(listener,), daemon=True).start()
        self.labelled("app", f"{folder}/app.sock:8088", **{VIA: "ssh"})
        watch = self.watch()
        self.assertEqual((watch.ready["event"], watch.ready["ports"][0]["socket"]), ("refused", f"{folder}/app.sock"))
        watch.end()
        watch = self.watch("--allow-socket", f"{folder}/app.sock")
        self.assertEqual(watch.ready["event"], "exposed", watch.ready)
        watch.next("watching")
        self.reaches("app", HELLO)
        self.ends_clean(watch)
        # A link at the allowed path.
        (folder / "app.sock").unlink()
        (folder / "app.sock").symlink_to(self.engine.socket)
        watch = self.watch("--allow-socket", f"{folder}/app.sock")
        self.assertEqual(watch.ready["event"], "refused")
        self.assertIn("is a link", watch.ready["reason"])
        watch.end()

    def test_what_fails_is_tried_again(self):
        blocker = Service(8088, "theirs", address=self.gateway("web"))
        self.addCleanup(blocker.close)
        watch = self.watching()
        self.labelled("app", "9099:8088")
        failed = watch.next("failed", container="app")
        self.assertIn("a service of uid 0 listens on", failed["reason"])
        self.assertIn("HOST:CONTAINER", failed["hint"])
        blocker.close()
        watch.next("exposed", container="app")
        # No listener on 9099: the library itself warns.
        code, _, err = watch.end()
        self.assertEqual(code, 0)
        self.assertIn("9099", err)
        self.no_rule_is_left()

    def test_readable_lines(self):
        self.labelled("app")
        watch = subprocess.Popen([self.program, "watch"], env=self.env, stdin=subprocess.DEVNULL, text=True,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(watch.kill)
        self.assertRegex(watch.stdout.readline(), rf"\Aapp: exposed 8088/tcp as {ALIAS} \([\d.]+\), lease \w+ by native\n")
        self.assertEqual(watch.stdout.readline(), f"watching the containers of {self.engine.socket}\n")
        watch.send_signal(signal.SIGINT)
        out, err = watch.communicate(timeout=60)
        self.assertRegex(out, r"\Aapp: released lease \w+: watch ends\n\Z")
        self.assertEqual((watch.returncode, err), (0, ""))

    def test_a_dry_run_changes_nothing(self):
        self.labelled("app")
        self.labelled("wrong", "80x")
        self.labelled("root", "22")
        self.container("near", labels={"io.github.tchostnet.prots": "8088"})
        lines = self.tc_hostnet("--dry-run", "--json", "watch").stdout.splitlines()
        events = {event["container"]: event["event"] for event in map(json.loads, lines)}
        self.assertEqual(events, {"app": "would-expose", "wrong": "failed", "root": "would-refuse", "near": "unknown-label"})
        self.no_rule_is_left()


class Owners(WatchCase):
    """The leases when the watcher ends, and when another process ends them."""

    def test_every_signal_to_stop(self):
        self.labelled("app")
        before = self.engine.hosts("app")
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            with self.subTest(signal=number.name):
                watch = self.watch()
                watch.next("watching")
                self.assertNotEqual(self.engine.hosts("app"), before)
                code, out, err = watch.end(number)
                self.assertEqual((code, err), (0, ""))
                self.assertEqual([json.loads(line)["event"] for line in out.splitlines()], ["released"])
                self.assertEqual(self.engine.hosts("app"), before)
                self.no_rule_is_left()

    def test_killed(self):
        self.labelled("app")
        before = self.engine.hosts("app")
        watch = self.watch()
        watch.next("watching")
        watch.end(signal.SIGKILL)
        self.reaches("app", HELLO)
        self.tc_hostnet("list")
        self.no_rule_is_left()
        self.assertEqual(self.engine.hosts("app"), before)

    def test_its_reader_goes_away(self):
        self.labelled("app")
        watch = self.watch()
        watch.next("watching")
        watch.process.stdout.close()
        self.engine.api.restart("app")
        self.assertEqual(watch.process.wait(20), 1)
        self.no_rule_is_left()

    def test_released_by_hand_stays_released_until_the_next_start(self):
        self.labelled("app")
        watch = self.watch()
        watch.next("watching")
        self.tc_hostnet("release", watch.ready["lease"])
        self.assertEqual(watch.next("released", container="app")["reason"], "released by another process")
        time.sleep(1)
        self.no_rule_is_left()
        self.engine.api.restart("app")
        watch.next("exposed", container="app")
        self.ends_clean(watch)


class Engines(WatchCase):
    def test_the_engine_is_restarted(self):
        self.labelled("app")
        watch = self.watch()
        watch.next("watching")
        self.engine.stop()
        told = {watch.read_event()["event"] for _ in range(2)}  # the containers die with it
        self.assertEqual(told, {"released", "engine-lost"})
        self.no_rule_is_left()
        self.engine.start()
        watch.next("engine-back", engine=str(self.engine.socket))
        self.engine.api.start("app")
        watch.next("exposed", container="app")
        self.reaches("app", HELLO)
        self.ends_clean(watch)

    def test_the_engine_is_away_and_the_containers_live_on(self):
        gate = Gate(self.engine.socket)
        self.addCleanup(gate.close)
        self.labelled("app")
        watch = self.watch("--engine", f"unix://{gate.path}")
        lease = watch.ready["lease"]
        watch.next("watching")
        self.labelled("brief")
        watch.next("exposed", container="brief")
        gate.close()
        watch.next("engine-lost", engine=str(gate.path))
        self.engine.api.remove("brief")
        watch.next("released", container="brief")
        self.labelled("later")
        self.reaches("app", HELLO)
        self.assertEqual([held["id"] for held in self.leases()], [lease])
        gate.open()
        watch.next("engine-back", engine=str(gate.path))
        watch.next("exposed", container="later")
        self.reaches("later", HELLO)
        self.assertIn(lease, [held["id"] for held in self.leases()])
        self.ends_clean(watch)

    def test_the_engine_is_not_there_yet(self):
        self.engine.stop()
        try:
            watch = self.watch()
            self.assertEqual(watch.ready["event"], "engine-lost")
            self.assertIn("start the engine", watch.ready["hint"])
        finally:
            self.engine.start()
        watch.next("engine-back")
        watch.next("watching")
        self.labelled("app")
        watch.next("exposed", container="app")
        self.ends_clean(watch)

    def test_what_no_waiting_mends(self):
        refused = self.tc_hostnet("--engine", "unix://relative", "watch", check=False)
        self.assertEqual((refused.returncode, refused.stdout, refused.stderr.count("\n")), (2, "", 1))

    def test_a_container_that_asks_for_ssh(self):
        before = FIREWALL.rules()
        watch = self.watching()
        self.labelled("app", 8088, **{VIA: "ssh"})
        watch.next("exposed", container="app", via="ssh")
        self.reaches("app", HELLO)
        self.assertEqual(FIREWALL.rules(), before)
        self.engine.api.remove("app")
        watch.next("released", container="app")
        self.assertEqual(self.leases(), [])
        self.ends_clean(watch)


class EnginesThatHang(WatchCase):
    """A job that waits for a hanging engine delays neither other containers nor the watcher's end."""

    soon = 6  # seconds

    def setUp(self):
        super().setUp()
        self.gate = Gate(self.engine.socket)
        self.addCleanup(self.gate.close)

    def watching_by_gate(self, **environment):
        """A watcher that has already exposed `app`."""
        self.labelled("app")
        watch = self.watch("--engine", f"unix://{self.gate.path}", **environment)
        self.assertEqual((watch.ready["event"], watch.ready["via"]), ("exposed", "native"))
        watch.next("watching")
        return watch

    def hangs(self, *words):
        self.gate.keep(*words)
        self.labelled("slow", **{VIA: "ssh"})
        self.assertTrue(self.gate.keeps.wait(20), "it was never asked")

    def serves_others(self, watch):
        self.labelled("other")
        watch.next("exposed", container="other", via="native")
        self.reaches("other", HELLO)
        self.engine.api.remove("other")
        watch.next("released", container="other")

    def ends_soon(self, watch):
        begin = time.monotonic()
        code, out, err = watch.end()
        self.assertLess(time.monotonic() - begin, self.soon, err)
        self.assertEqual(FIREWALL.forwards(), [])
        self.assertFalse(self.has_alias("app"))
        return code, [json.loads(line) for line in out.splitlines()], err

    def test_a_sidecar_that_is_not_made(self):
        watch = self.watching_by_gate()
        self.hangs(b"/containers/create")
        self.serves_others(watch)
        code, events, err = self.ends_soon(watch)
        self.assertEqual((code, [event["container"] for event in events]), (0, ["app"]), err)
        self.no_rule_is_left()

    def test_an_image_that_does_not_come(self):
        watch = self.watching_by_gate(TESTCONTAINERS_SSHD_CONTAINER_IMAGE="registry.invalid/sshd:1")
        self.hangs(b"/images/create")
        self.serves_others(watch)
        code, events, err = self.ends_soon(watch)
        self.assertEqual((code, [event["container"] for event in events]), (0, ["app"]), err)
        self.assertRegex(err, r"\A[^\n]*image registry.invalid/sshd:1 is not here: pulling it\n\Z")
        self.no_rule_is_left()

    def test_a_container_that_is_not_told_of(self):
        watch = self.watching_by_gate()
        self.hangs(b"/json")
        code, events, err = self.ends_soon(watch)
        self.assertEqual((code, [event["container"] for event in events]), (0, ["app"]))
        self.assertRegex(err, rf"\A({SLOW_ENGINE})?\Z")
        self.no_rule_is_left()

    def test_a_sidecar_that_is_not_removed(self):
        """The watcher reports what the engine does not let it release; the next command removes it."""
        watch = self.watching_by_gate()
        self.labelled("slow", **{VIA: "ssh"})
        lease = watch.next("exposed", container="slow", via="ssh")["lease"]
        self.gate.keep(b" HTTP/1.1")
        code, events, err = self.ends_soon(watch)
        self.assertEqual((code, {event["container"]: event["event"] for event in events}),
                         (1, {"app": "released", "slow": "failed"}), err)
        self.assertIn("tc-hostnet list", events[-1]["hint"])
        self.gate.keep()
        self.assertIn(lease, self.tc_hostnet("-v", "list").stderr)
        self.no_rule_is_left()
        self.assertNotIn("sshd", str(self.engine.inventory()["containers"]))


    def test_a_lock_that_is_not_given_back(self):
        """Not the engine's fault: the watcher ends without waiting for the lock."""
        watch = self.watching_by_gate()
        with open("/run/xtables.lock") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            begin = time.monotonic()
            code, out, err = watch.end()
            self.assertLess(time.monotonic() - begin, 8)
        self.assertEqual((code, out, err.count("\n")), (1, "", 1), err)
        self.assertIn("tc-hostnet list", err)
        self.tc_hostnet("list")
        self.no_rule_is_left()
        self.assertFalse(self.has_alias("app"))


class AsService(WatchCase):
    def test_a_user_without_root(self):
        """Access to the engine is enough: it takes the ssh path and asks for no password."""
        self.engine.dir.chmod(0o755)
        self.engine.socket.chmod(0o666)
        state = self.engine.dir / "nobody"
        state.mkdir()
        self.addCleanup(shutil.rmtree, state)
        os.chown(state, 65534, 65534)
        before = FIREWALL.rules()
        watch = Watch(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", self.program, "--json",
                       "watch"], self.env | {"TC_HOSTNET_RUNTIME_DIR": str(state)})
        self.addCleanup(watch.close)
        self.assertEqual(watch.ready["event"], "watching")
        for name in ("one", "two"):
            self.labelled(name)
            watch.next("exposed", container=name, via="ssh")
            self.reaches(name, HELLO)
        self.assertEqual(FIREWALL.rules(), before)
        self.engine.api.remove("one")
        watch.next("released", container="one")
        self.reaches("two", HELLO)
        code, out, err = watch.end()
        self.assertEqual((code, json.loads(out)["event"]), (0, "released"), err)
        self.assertNotIn("sshd", str(self.engine.inventory()["containers"]))

    def test_under_the_limits_of_its_unit(self):
        sandbox, unit = ROOT / "tests/dbus/unit_sandbox", ROOT / "src/cli/data/tc-hostnet-watch.service.in"
        self.labelled("app")
        watch = Watch([sandbox, unit, self.program, "--json", "watch"], self.env)
        self.addCleanup(watch.close)
        self.assertEqual((watch.ready["event"], watch.ready.get("via")), ("exposed", "native"), watch.ready)
        watch.next("watching")
        self.reaches("app", HELLO)
        self.engine.api.restart("app")
        watch.next("released")
        watch.next("exposed")
        self.reaches("app", HELLO)
        status = Path(f"/proc/{watch.process.pid}/status").read_text()
        self.assertIn("CapBnd:\t0000000000083002", status)
        self.assertIn("Seccomp:\t2", status)
        self.ends_clean(watch)
        self.assertFalse(self.has_alias("app"))


class Compose(WatchCase):
    def test_the_example(self):
        self.service(8080, HELLO)
        self.service(5432, "from the database\n")
        compose = ["docker-compose", "-p", "shop", "-f", str(EXAMPLE)]
        self.addCleanup(run, *compose, "down", "-t", "0", env=self.env, check=False)
        watch = self.watching()
        run(*compose, "up", "-d", env=self.env)
        exposed = watch.next("exposed")
        app = exposed["container"]
        self.assertIn(app, ("shop_app_1", "shop-app-1"))
        # The container may ask for the name before the hosts file has it, and the engine's resolver may answer late.
        self.assertTrue(eventually(lambda: HELLO in self.engine.api.logs(app), timeout=60))
        self.reaches(app, "from the database\n", port=15432)
        run(*compose, "down", "-t", "0", env=self.env)
        watch.next("released", container=app)
        self.ends_clean(watch)


class WithPodman(WatchCase):
    engine_type = Podman

    def test_start_serve_stop(self):
        self.labelled("early")
        watch = self.watch()
        self.assertEqual((watch.ready["event"], watch.ready["container"]), ("exposed", "early"))
        watch.next("watching")
        self.labelled("app", "8088:18088")
        watch.next("exposed", container="app", gateway=self.gateway("web"))
        self.reaches("early", HELLO)
        self.reaches("app", HELLO, port=18088)
        # By Podman's own command; the engine's service learns of it through a file.
        self.engine("kill", "app")
        watch.next("released", container="app")
        self.engine("start", "app")
        watch.next("exposed", container="app")
        self.reaches("app", HELLO, port=18088)
        self.labelled("wrong", "80x")
        watch.next("failed", container="wrong")
        self.ends_clean(watch)


if __name__ == "__main__":
    main()
