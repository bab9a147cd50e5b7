"""Hostile callers: the helper stays up and small, creates nothing for them, and serves all other users."""
import os
import resource
import socket
import subprocess
import time
import unittest
from pathlib import Path

from harness import (ERROR, INVALID_ARGS, NAME, PYTHON, BusError, Helped, add_bridge, as_user, eventually, fetch,
                     firewall, helper_log, helper_pid, ifindex_of, run, sanitized, settings, user_environment)


def memory_of(pid):
    """Resident, in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("no VmRSS")


def memory_limit(pid):
    """In MiB."""
    return 1024 if sanitized(pid) else 64


class Hostile(Helped):
    def setUp(self):
        super().setUp()
        self.service("alice", 8088)
        self.alice = self.caller("alice")
        self.alice.probe(ifindex=self.bridge)
        self.pid = helper_pid()
        self.addCleanup(self.check_alive)

    def check_alive(self):
        self.assertEqual(helper_pid(), self.pid, helper_log()[-2000:])
        self.assertLess(memory_of(self.pid), memory_limit(self.pid))
        with_it = self.caller("alice")
        path = with_it.expose(self.bridge, 8088)
        self.assertEqual(fetch(8088), "alice")
        with_it.release(path=path)

    def test_arguments_out_of_range(self):
        alice = self.alice
        expose = alice.expose
        for why, ifindex, ports, options, word in (
                ("port 0", self.bridge, (("tcp", 0, 8088),), {}, "greater than zero"),
                ("host port 0", self.bridge, (("tcp", 8088, 0),), {}, "greater than zero"),
                ("no port", self.bridge, (), {}, "no port"),
                ("protocol", self.bridge, (("sctp", 8088, 8088),), {}, "sctp"),
                ("one to two", self.bridge, (("tcp", 9000, 8088), ("tcp", 9000, 8089)), {}, "9000"),
                ("negative ifindex", -1, (8088,), {}, "ifindex"),
                ("no ifindex", 0, (8088,), {}, "ifindex"),
                ("unknown option", self.bridge, (8088,), {"force": True}, "force"),
                ("option of another case", self.bridge, (8088,), {"Label": "x"}, "Label"),
                ("option's type", self.bridge, (8088,), {"label": True}, "type"),
                ("sources' type", self.bridge, (8088,), {"sources": "198.18.0.2"}, "type"),
                ("no source", self.bridge, (8088,), {"sources": []}, "empty"),
                ("many sources", self.bridge, (8088,), {"sources": ["198.18.0.2"] * 65}, "64"),
                ("everybody's Ethernet address", self.bridge, (8088,), {"sources": ["ff:ff:ff:ff:ff:ff"]}, "group"),
                ("source", self.bridge, (8088,), {"sources": ["198.18.0.2/0"]}, "IPv4"),
                ("gateway", self.bridge, (8088,), {"gateway": "::1"}, "IPv4"),
                ("lifetime", self.bridge, (8088,), {"lifetime": "process"}, "process"),
                ("timeout 0", self.bridge, (8088,), {"timeout": 0}, "seconds"),
                ("long timeout", self.bridge, (8088,), {"timeout": 2**64 - 1}, "seconds"),
                ("interface name", self.bridge, (8088,), {"ifname": "br-test; reboot"}, "interface"),
                ("long label", self.bridge, (8088,), {"label": "x" * 65}, "label"),
                ("control characters", self.bridge, (8088,), {"label": "a\nb"}, "label"),
                ("escapes", self.bridge, (8088,), {"label": "\x1b[2J"}, "label")):
            with self.subTest(why):
                message = self.refused(INVALID_ARGS, expose, ifindex, *ports, **options)
                self.assertIn(word, message)
                self.assertNotIn("\x1b", message)
        self.assertEqual((firewall(), settings()), self.before)

    def test_wrong_types(self):
        for signature, values in (("(s)", ("x",)), ("(ua(sqq)a{sv})", (1, [], {})), ("(ia(qqs)a{sv})", (1, [], {})),
                                  ("(ia(sqq)as)", (1, [], []))):
            with self.subTest(signature):
                self.refused(INVALID_ARGS, self.alice.raw, signature=signature, values=values)
        self.refused("org.freedesktop.DBus.Error.UnknownMethod", self.alice.raw, signature="()", values=(), member="Explode")
        self.refused("org.freedesktop.DBus.Error.UnknownObject", self.alice.release,
                     path="/io/github/tchostnet/HostNet1/lease/00000000")

    def test_ten_thousand_ports(self):
        self.refused(INVALID_ARGS, self.alice.expose, self.bridge, *range(1, 10001))
        root = self.caller("root")
        self.refused(INVALID_ARGS, root.expose, self.bridge, *range(1, 10001))
        self.assertEqual((firewall(), settings()), self.before)

    def test_networks_that_are_none(self):
        run("ip", "link", "add", "uplink", "type", "ifb")
        self.addCleanup(run, "ip", "link", "del", "uplink")
        run("ip", "address", "add", "198.18.20.2/24", "dev", "uplink")
        run("ip", "link", "set", "uplink", "up")
        lan = add_bridge("br-lan", "198.18.21.1")
        self.addCleanup(run, "ip", "link", "del", "br-lan")
        run("ip", "link", "add", "nic", "type", "ifb")
        self.addCleanup(run, "ip", "link", "del", "nic")
        run("ip", "link", "set", "nic", "master", "br-lan")
        way_out = add_bridge("br-out", "198.18.22.1")
        self.addCleanup(run, "ip", "link", "del", "br-out")
        run("ip", "route", "add", "default", "via", "198.18.22.9", "dev", "br-out")
        unlisted = add_bridge("virbr0", "198.18.23.1")
        self.addCleanup(run, "ip", "link", "del", "virbr0")
        bare = add_bridge("br-bare", "198.18.24.1")
        self.addCleanup(run, "ip", "link", "del", "br-bare")
        run("ip", "address", "flush", "dev", "br-bare")
        markup = add_bridge("br-<i>x", "198.18.25.1")
        self.addCleanup(run, "ip", "link", "del", "br-<i>x")
        invalid = ERROR + "NetworkInvalid"
        for why, ifindex, options, word in (
                ("loopback", ifindex_of("lo"), {}, "not a bridge"), ("the uplink", ifindex_of("uplink"), {}, "not a bridge"),
                ("a bridge with a physical port", lan, {}, "nic"), ("the default route", way_out, {}, "default route"),
                ("not in the list", unlisted, {}, "not among"), ("no address", bare, {}, "no IPv4 address"),
                ("a name that is markup", markup, {}, "unacceptable name"),
                ("nothing", 99999, {}, "no interface"),
                ("the number of another namespace", self.bridge, {"ifname": "br-elsewhere"}, "another network namespace"),
                ("another's gateway", self.bridge, {"gateway": "198.18.21.1"}, "not an address of br-test"),
                ("no bridge's address", self.bridge, {"host_gateway": "198.18.20.2"}, "not an address of a bridge"),
                ("a source elsewhere", self.bridge, {"sources": ["198.18.21.5"]}, "not an address of a container"),
                ("the gateway itself", self.bridge, {"sources": ["198.18.0.1"]}, "not an address of a container")):
            with self.subTest(why):
                self.assertIn(word, self.refused(invalid, self.alice.expose, ifindex, 8088, **options))
                self.assertIn(word, self.refused(invalid, self.caller("root").expose, ifindex, 8088, **options))
        self.assertEqual(self.alice.probe(ifindex=lan)["usable"], False)
        self.assertEqual(firewall(), self.before[0])
        self.assertEqual(set(settings().values()), {"0"})
        self.before = (self.before[0], self.before[1])

    def test_a_thousand_connections(self):
        """Connections that authenticate and drop, some in the middle of a message."""
        address = os.environ["DBUS_SYSTEM_BUS_ADDRESS"].partition("path=")[2]
        hello = (b"l\1\0\1\0\0\0\0\1\0\0\0m\0\0\0\1\1o\0\25\0\0\0/org/freedesktop/DBus\0\0\0\3\1s\0\5\0\0\0Hello\0\0\0"
                 b"\2\1s\0\24\0\0\0org.freedesktop.DBus\0\0\0\0\6\1s\0\24\0\0\0org.freedesktop.DBus\0\0\0\0")
        for count in range(1000):
            with socket.socket(socket.AF_UNIX) as peer:
                peer.connect(address)
                peer.sendall(b"\0AUTH EXTERNAL 30\r\n")
                peer.recv(100)
                peer.sendall(b"BEGIN\r\n" + (hello if count % 3 else hello[:50]))

    def test_requests_and_gone(self):
        """Callers killed right after their request."""
        for _ in range(20):
            callers = [self.caller("alice") for _ in range(3)]
            for caller in callers:
                caller.begin_expose(self.bridge, 8088)
            for caller in callers:
                caller.kill()
        self.assertTrue(eventually(lambda: not self.alice.leases()))

    def test_a_caller_that_reads_no_reply(self):
        program = f"""
import dbus
bus = dbus.bus.BusConnection({os.environ["DBUS_SYSTEM_BUS_ADDRESS"]!r})
message = lambda: dbus.lowlevel.MethodCallMessage({NAME!r}, "/io/github/tchostnet/HostNet1",
                                                  {NAME + ".Manager"!r}, "Probe")
import dbus.lowlevel, time
for _ in range(20000):
    one = message()
    one.append({self.bridge}, signature="i")
    bus.send_message(one)
bus.flush()
time.sleep(60)
"""
        deaf = subprocess.Popen([*as_user("bob"), PYTHON, "-c", program], env=user_environment())
        try:
            time.sleep(0.5)
            start = time.monotonic()
            for _ in range(10):
                self.alice.probe(ifindex=self.bridge)
            # At worst 20,000 calls are queued before ours; the test checks only that the helper makes progress.
            self.assertLess(time.monotonic() - start, 30)
            self.assertLess(memory_of(self.pid), memory_limit(self.pid))
        finally:
            deaf.kill()
            deaf.wait(10)

    def test_without_descriptors(self):
        """A helper out of descriptors reports it, and works again once descriptors are free."""
        soft, hard = resource.prlimit(self.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(self.pid, resource.RLIMIT_NOFILE, (len(os.listdir(f"/proc/{self.pid}/fd")), hard))
        try:
            for _ in range(5):
                with self.assertRaises(BusError):
                    self.alice.expose(self.bridge, 8088)
        finally:
            resource.prlimit(self.pid, resource.RLIMIT_NOFILE, (soft, hard))
        self.assertTrue(eventually(lambda: (firewall(), settings()) == self.before))

    def test_kept_descriptors_of_released_leases(self):
        """A caller that keeps its descriptors keeps no file of ours and no descriptor of the helper alive."""
        folder = next(Path(os.environ["TC_HOSTNET_RUNTIME_DIR"]).glob("netns-*"), None)
        before = len(os.listdir(f"/proc/{self.pid}/fd"))
        for _ in range(100):
            self.alice.release(path=self.alice.expose(self.bridge, 8088))
        self.assertTrue(eventually(lambda: len(os.listdir(f"/proc/{self.pid}/fd")) < before + 10))
        folder = next(Path(os.environ["TC_HOSTNET_RUNTIME_DIR"]).glob("netns-*"), None)
        self.assertLess(len(list(folder.glob("owners/*"))) if folder else 0, 3)

    def test_the_descriptor_is_good_for_nothing_else(self):
        path = self.alice.expose(self.bridge, 8088)
        descriptor = f"/proc/{self.alice.pid}/fd/{self.alice.descriptor(path=path)}"
        target = os.readlink(descriptor)
        done = run(*as_user("alice"), PYTHON, "-c", f"open('{descriptor}')", check=False)
        self.assertIn("Permission", done.stderr)
        self.assertIn("/owners/", target)
        self.alice.release(path=path)


if __name__ == "__main__":
    unittest.main()
