"""Out-of-bounds messages of every kind that a local user can send: the helper refuses each with a clear line, hardly grows,
and keeps serving others. Also the log lines of decisions."""
import json
import os
import subprocess
import threading
import time
import unittest
from pathlib import Path

from harness import (ACCESS_DENIED, HERE, INVALID_ARGS, PYTHON, Helped, as_user, eventually, fetch, helper_log,
                     helper_pid, sanitized, user_environment)
from raw_bus import CALL, SHAPES

PATIENCE = 1.0  # seconds for a second caller's call; a quiet machine needs a twentieth


def status(pid):
    return dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)


def kib(pid, key):
    return int(status(pid)[key].split()[0])


class Messages(Helped):
    def setUp(self):
        super().setUp()
        self.service("alice", 8088)
        self.alice = self.caller("alice")
        # Warm up: the helper loads and allocates everything that ordinary requests need.
        for _ in range(3):
            self.alice.release(path=self.alice.expose(self.bridge, 8088))
        self.pid = helper_pid()
        self.limit = 64 * 1024 if sanitized(self.pid) else 2048
        self.addCleanup(lambda: self.assertEqual(helper_pid(), self.pid, helper_log()[-2000:]))

    def send(self, shape, count=1, user="mallory"):
        done = subprocess.run([*as_user(user), PYTHON, "-B", HERE / "raw_bus.py", shape, str(count)], capture_output=True,
                              text=True, timeout=120, env=user_environment())
        self.assertEqual(done.returncode, 0, f"{shape}: {done.stderr}")
        return [json.loads(line) for line in done.stdout.splitlines()]

    def start_measuring(self):
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")  # resets the peak
        return kib(self.pid, "VmRSS")

    def check_growth(self, before, why, factor=1):
        grown = kib(self.pid, "VmHWM") - before
        self.assertLess(grown, factor * self.limit, f"{why}: the helper grew by {grown} KiB")

    def test_each_shape(self):
        self.assertGreaterEqual(len(SHAPES), 20)
        for name, shape in SHAPES.items():
            with self.subTest(name):
                before = self.start_measuring()
                answers = self.send(name)
                self.alice.probe(ifindex=self.bridge)  # queued behind it on the helper's connection
                self.check_growth(before, name)
                if shape().kind != CALL or shape().flags & 1:
                    self.assertEqual(answers, [])
                    continue
                self.assertEqual([answer["error"] for answer in answers], [INVALID_ARGS], answers)
                self.assertNotIn("\n", answers[0]["text"])
                self.assertRegex(answers[0]["text"], r"exceeds? the limit|more than|takes|accepts no")
        path = self.alice.expose(self.bridge, 8088)
        self.assertEqual(fetch(8088), "alice")
        self.alice.release(path=path)

    def test_others_are_served_meanwhile(self):
        before = self.start_measuring()
        senders = [threading.Thread(target=self.send, args=(shape, 4, user))
                   for shape, user in (("many options", "mallory"), ("many ports", "bob"), ("a signal of 3 MB", "crowd0"))]
        for sender in senders:
            sender.start()
        longest = 0.0
        while any(sender.is_alive() for sender in senders):
            start = time.monotonic()
            self.alice.probe(ifindex=self.bridge)
            longest = max(longest, time.monotonic() - start)
        for sender in senders:
            sender.join()
        self.assertLess(longest, PATIENCE)
        self.check_growth(before, "many at once")

    def test_a_thousand_at_once(self):
        """A flood from a caller that reads no answers; each message has the largest size that passes the first check, and
        some pass all checks."""
        program = f"""
import sys
sys.path.insert(0, {str(HERE)!r})
from raw_bus import Bus, EXPOSE, NAME, PORT, Shape, elements, expose
bus = Bus()
shapes = [Shape("Expose", EXPOSE, expose(ports=elements(PORT, count))) for count in (1000, 1024, 1025, 3000)]
for _ in range(500):
    for shape in shapes:
        bus.send(shape, NAME)
bus.to_bus("GetId")
"""
        before = self.start_measuring()
        sender = subprocess.Popen([*as_user("mallory"), PYTHON, "-B", "-c", program], env=user_environment())
        try:
            path = self.alice.expose(self.bridge, 8088)
            self.alice.release(path=path)
            self.assertEqual(sender.wait(120), 0)
            self.alice.probe(ifindex=self.bridge)
        finally:
            sender.kill()
            sender.wait()
        # 50 MB were sent. What is held at one moment depends on who gets the processor: 1 to 2 MiB were seen.
        self.check_growth(before, "2,000 messages of one caller", factor=5)

    def test_limits_leave_room(self):
        """A message at the limit still arrives: the quota refuses its 1,024 ports as too many for one user."""
        root = self.caller("root")
        path = root.expose(self.bridge, *range(20000, 20100), label="x" * 64, sources=["198.18.0.2"] * 64)
        root.release(path=path)
        message = self.refused("io.github.tchostnet.HostNet1.Error.QuotaExceeded", self.alice.expose, self.bridge,
                               *range(20000, 21024))
        self.assertIn("ports of one user", message)


class Decisions(Helped):
    def said(self, *words):
        return eventually(lambda: [line for line in helper_log().splitlines() if all(word in line for word in words)], 5)

    def test_granted_and_released(self):
        self.service("crowd3", 8090)
        caller = self.caller("crowd3")
        path = caller.expose(self.bridge, 8090)
        lease = path.rpartition("/")[2]
        caller.release(path=path)
        line, = self.said("granted", "method=Expose", lease)
        for word in ("uid=20103", f"pid={caller.pid}", f"caller={caller.name()}", "interface=br-test", "ports=8090",
                     "action=io.github.tchostnet.hostnet1.expose-own"):
            self.assertIn(word, line)
        line, = self.said("granted", "method=Release", lease)
        self.assertIn("uid=20103", line)
        self.assertNotIn("action=", line)

    def test_refused(self):
        self.service("mallory", 8091)
        caller = self.caller("mallory")
        self.refused(ACCESS_DENIED, caller.expose, self.bridge, 8091)
        line, = self.said("refused", "uid=20003", "ports=8091")
        self.assertIn('reason="io.github.tchostnet.hostnet1.expose-own was refused', line)

    def test_values_of_others_are_harmless(self):
        caller = self.caller("bob")
        self.refused(INVALID_ARGS, caller.expose, self.bridge, 8092, label="\x1b[2J\ngranted uid=0")
        self.refused(INVALID_ARGS, caller.expose, self.bridge, 8092, **{"x" * 200 + "\x9b\u202e": True})
        for line in self.said("refused", "uid=20002"):
            self.assertTrue(line.isprintable(), line)
            self.assertLess(len(line), 1000)
            self.assertFalse(line.startswith("granted"), line)

    def test_a_refused_message_has_its_sender(self):
        done = subprocess.run([*as_user("bob"), PYTHON, "-B", HERE / "raw_bus.py", "many options", "1"], check=True,
                              capture_output=True, text=True, env=user_environment())
        self.assertIn(INVALID_ARGS, done.stdout)
        line = self.said("refused", "method=io.github.tchostnet.HostNet1.Manager.Expose", "the limit of 65536")[0]
        self.assertRegex(line, r"caller=:\d+\.\d+ ")


class Forged(Helped):
    """Another user forges signals of the helper and of the bus and sends them to a client's own names."""

    FORGER = """
import sys
sys.path.insert(0, sys.argv[1])
from raw_bus import Bus, NAME, PATH, SIGNAL, Shape, padding, string
bus = Bus()
lease = string(sys.argv[2])
names = [string(NAME), string(":1.1"), string("")]
changed = b"".join(name + padding(len(name), 4) for name in names[:-1]) + names[-1]
released = lease + padding(len(lease), 4) + string("revoked")
listing = bus.to_bus("ListNames")
for name in set(part.split(b"\\0")[0] for part in listing.split(b":")[1:]):
    to = ":" + name.decode()
    bus.send(Shape("LeaseReleased", "os", released, kind=SIGNAL), to)
    bus.send(Shape("LeaseReleased", "y", b"1", kind=SIGNAL), to)
    bus.send(Shape("NameOwnerChanged", "sss", changed, "org.freedesktop.DBus", "/org/freedesktop/DBus", SIGNAL), to)
    print(to)
bus.to_bus("GetId")
"""

    def test_a_client_believes_none(self):
        self.service("crowd1", 8094)
        holder = subprocess.Popen([*as_user("crowd1"), os.environ["TC_HOSTNET"], "-v", "expose", "8094", "--bridge", "br-test",
                                   "--via", "helper"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                  env=user_environment())
        self.addCleanup(holder.stdout.close)
        self.addCleanup(holder.wait)
        self.addCleanup(holder.kill)
        root = self.caller("root")
        self.assertTrue(eventually(root.leases))
        path, = root.leases()
        self.assertEqual(fetch(8094), "crowd1")
        time.sleep(1)  # until the client listens for signals
        done = subprocess.run([*as_user("mallory"), PYTHON, "-B", "-c", self.FORGER, HERE, path], capture_output=True, text=True,
                              check=True, env=user_environment())
        self.assertGreater(len(done.stdout.split()), 2)  # the bus's own name, the helper's, the client's
        self.assertIsNone(eventually(holder.poll, 2))
        self.assertEqual(fetch(8094), "crowd1")
        # The client accepts the helper's own signal.
        root.release(path=path)
        self.assertTrue(eventually(lambda: holder.poll() is not None))


class Confinement(Helped):
    """A daemon started by the bus, without systemd."""

    def test_status(self):
        self.caller("root").probe(ifindex=self.bridge)
        pid = helper_pid()
        for thread in os.listdir(f"/proc/{pid}/task"):
            facts = status(f"{pid}/task/{thread}")
            for name in ("CapBnd", "CapEff", "CapPrm"):
                self.assertEqual(facts[name], "0000000000003000", name)  # CAP_NET_ADMIN and CAP_NET_RAW
            for name in ("CapInh", "CapAmb"):
                self.assertEqual(int(facts[name], 16), 0, name)
            self.assertEqual((facts["NoNewPrivs"], facts["Seccomp"]), ("1", "2"))
        # This process started that bus, and still has more capabilities.
        self.assertGreater(int(status("self")["CapBnd"], 16), 0x3000)
        self.assertEqual(status("self")["Seccomp"], "0")


if __name__ == "__main__":
    unittest.main()
