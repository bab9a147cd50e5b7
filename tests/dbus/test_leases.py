"""The life of a lease: its owner, what it survives, and what ends it."""
import contextlib
import json
import os
import signal
import socket
import subprocess
import time
import unittest
from pathlib import Path

from harness import (CONTAINER, ERROR, GATEWAY, Helped, add_bridge, add_container, as_user, eventually, fetch, firewall, helper_log,
                     helper_pid, run, settings, user_environment)


class Leases(Helped):
    def setUp(self):
        super().setUp()
        self.service("alice", 8088)
        self.listener = self.caller("root")
        self.listener.listen()
        self.listener.signals()

    def reasons(self):
        """{path: reason} of the leases that have ended since the last call."""
        return {arguments[0]: arguments[1] for _, _, member, arguments in self.listener.signals()
                if member == "LeaseReleased"}

    def ended(self, path, reason, seconds=5):
        found = {}

        def look():
            found.update(self.reasons())
            return path in found
        self.assertTrue(eventually(look, seconds), "no signal")
        self.assertEqual(found[path], reason)
        self.assertNotIn(path, self.caller("bob").leases())
        self.assertIsNone(fetch(8088, seconds=0.5))

    def test_descriptor_closed(self):
        alice = self.caller("alice")
        path = alice.expose(self.bridge, 8088)
        self.assertEqual(fetch(8088), "alice")
        alice.close(path=path)
        self.ended(path, "owner-gone", 1)

    def test_caller_killed(self):
        alice = self.caller("alice")
        path = alice.expose(self.bridge, 8088)
        alice.kill()
        self.ended(path, "owner-gone", 1)

    def test_descriptor_passed_on_to_a_child(self):
        alice = self.caller("alice")
        path = alice.expose(self.bridge, 8088)
        child = alice.hand_on(path=path, seconds=60)
        alice.kill()
        time.sleep(0.5)
        self.assertEqual(self.reasons(), {})
        self.assertEqual(fetch(8088), "alice")
        os.kill(child, signal.SIGKILL)
        self.ended(path, "owner-gone", 1)

    def test_connection(self):
        alice = self.caller("alice")
        path = alice.expose(self.bridge, 8088, lifetime="connection")
        alice.close(path=path)
        time.sleep(0.5)
        self.assertEqual(fetch(8088), "alice")
        self.assertEqual(alice.get(path=path, name="Lifetime"), "connection")
        alice.quit()
        self.ended(path, "owner-gone", 1)

    def test_persistent(self):
        root = self.caller("root")
        path = root.expose(self.bridge, 8088, lifetime="persistent", label="stays")
        root.quit()
        self.stop_helper()
        self.assertEqual(fetch(8088), "alice")
        again = self.caller("root")
        self.assertEqual(again.probe(ifindex=self.bridge)["usable"], True)
        self.assertEqual(again.get(path=path, name="Label"), "stays")
        again.release(path=path)
        self.ended(path, "released")

    def test_time_is_up(self):
        alice = self.caller("alice")
        path = alice.expose(self.bridge, 8088, timeout=1)
        expires = alice.get(path=path, name="Expires")
        self.assertAlmostEqual(expires, time.time() + 1, delta=2)
        self.assertEqual(fetch(8088), "alice")
        self.ended(path, "expired")

    def test_released_and_revoked(self):
        alice, root = self.caller("alice"), self.caller("root")
        path = alice.expose(self.bridge, 8088)
        alice.release(path=path)
        self.ended(path, "released")
        path = alice.expose(self.bridge, 8088)
        root.release(path=path)
        self.ended(path, "revoked")
        path = alice.expose(self.bridge, 8088)
        run(os.environ["TC_HOSTNET"], "release", path.rpartition("/")[2])
        self.ended(path, "revoked")
        path = alice.expose(self.bridge, 8088)
        run(*as_user("alice"), os.environ["TC_HOSTNET"], "release", "--all", env=user_environment())
        self.ended(path, "released")

    def test_listener_gone(self):
        service = self.service("alice", 8090)
        alice = self.caller("alice")
        kept = alice.expose(self.bridge, 8088)
        watched = alice.expose(self.bridge, 8090, watch_listener=True)
        time.sleep(1.5)
        self.assertEqual(set(alice.leases()), {kept, watched})
        service.stop()
        found = {}
        self.assertTrue(eventually(lambda: found.update(self.reasons()) or watched in found))
        self.assertEqual(found, {watched: "listener-gone"})
        self.assertEqual(list(alice.leases()), [kept])

    def test_a_listener_of_somebody_else_is_not_the_one_that_was_there(self):
        alice = self.caller("alice")
        service = self.service("alice", 8090)
        watched = alice.expose(self.bridge, 8090, watch_listener=True)
        service.stop()
        self.service("bob", 8090)
        found = {}
        self.assertTrue(eventually(lambda: found.update(self.reasons()) or watched in found))
        # Both reasons are true; the time of the check decides which one is reported.
        self.assertIn(found, ({watched: "listener-gone"}, {watched: "listener-changed"}))

    def test_a_listener_can_be_demanded(self):
        root = self.caller("root")
        self.assertIn("8091", self.refused(ERROR + "PortNotListening", root.expose, self.bridge, 8091, require_listener=True))
        path = root.expose(self.bridge, 8091)
        self.assertIsNone(fetch(8091, seconds=0.5))
        root.release(path=path)

    def test_container_gone(self):
        add_container("short", "br-test", "198.18.0.9", GATEWAY)
        path = self.caller("alice").expose(self.bridge, 8088, sources=["198.18.0.9"])
        self.assertEqual(fetch(8088, "short"), "alice")
        run("ip", "netns", "del", "short")
        self.ended(path, "container-gone")

    def test_an_address_that_two_containers_have(self):
        add_container("twin", "br-test", "198.18.0.9", GATEWAY)
        self.addCleanup(run, "ip", "netns", "del", "twin")
        alice = self.caller("alice")
        one = alice.expose(self.bridge, 8088, sources=["198.18.0.9"])
        self.assertEqual(alice.get(path=one, name="Unpinned"), "")
        alice.release(path=one)
        run("ip", "-n", "neighbour", "address", "add", "198.18.0.9/32", "dev", "eth0")
        self.addCleanup(run, "ip", "-n", "neighbour", "address", "del", "198.18.0.9/32", "dev", "eth0")
        # The address is ambiguous: a lease for one of the two would also admit the other.
        for user in ("alice", "root"):
            said = self.refused(ERROR + "NetworkInvalid", self.caller(user).expose, self.bridge, 8088, sources=["198.18.0.9"])
            self.assertIn("198.18.0.9 is behind two ports of the bridge", said)
            self.assertIn("v-twin", said)
            self.assertIn("v-neighbour", said)

    def test_a_lease_says_why_it_is_unpinned(self):
        alice = self.caller("alice")
        mac = json.loads(run("ip", "-n", "container", "-j", "link", "show", "eth0").stdout)[0]["address"]
        for sources, why in ((["198.18.0.99"], "198.18.0.99 is behind no port of the bridge"),
                             ([CONTAINER, "198.18.0.3"], "its addresses are behind several ports of the bridge"),
                             ([mac], "only its Ethernet address identifies its container"),
                             ([], ""), ([CONTAINER], "")):
            path = alice.expose(self.bridge, 8088, **({"sources": sources} if sources else {}))
            self.assertEqual(alice.get(path=path, name="Unpinned"), why)
            for command in (["list"], ["inspect", path.rsplit("/", 1)[1]]):
                shown = json.loads(run(os.environ["TC_HOSTNET"], "--json", *command).stdout)
                self.assertEqual(shown["unpinned"], why or None)
            status = json.loads(run(os.environ["TC_HOSTNET"], "--json", "status").stdout)["unpinned"]
            self.assertEqual(status, [{"lease": path.rsplit("/", 1)[1], "reason": why}] if why else [])
            alice.release(path=path)

    def test_interface_gone(self):
        number = add_bridge("br-gone", "198.18.7.1")
        alice = self.caller("alice")
        path = alice.expose(number, 8088)
        other = alice.expose(self.bridge, 8088)
        run("ip", "link", "del", "br-gone")
        found = {}
        self.assertTrue(eventually(lambda: found.update(self.reasons()) or path in found))
        self.assertEqual(found, {path: "interface-gone"})
        self.assertEqual(list(alice.leases()), [other])
        # A re-created bridge is another bridge: it has no lease until the next request.
        number = add_bridge("br-gone", "198.18.7.1")
        self.addCleanup(run, "ip", "link", "del", "br-gone")
        self.before = (self.before[0], self.before[1] | {"br-gone": "0"})
        self.assertEqual(settings()["br-gone"], "0")
        again = alice.expose(number, 8088)
        self.assertEqual(settings()["br-gone"], "1")
        alice.release(path=again)
        self.before[1].pop("br-gone")

    def test_stopped(self):
        alice = self.caller("alice")
        path = alice.expose(self.bridge, 8088)
        self.stop_helper()
        found = {}
        self.assertTrue(eventually(lambda: found.update(self.reasons()) or path in found))
        self.assertEqual(found[path], "daemon-stopping")
        self.assertEqual((firewall(), settings()), self.before)

    def test_killed_and_started_again(self):
        alice, bob = self.caller("alice"), self.caller("alice")
        by_fd = alice.expose(self.bridge, 8088, label="mine")
        gone = bob.expose(self.bridge, ("tcp", 9088, 8088))
        by_connection = alice.expose(self.bridge, ("tcp", 9089, 8088), lifetime="connection")
        root = self.caller("root")
        persistent = root.expose(self.bridge, ("tcp", 9090, 8088), lifetime="persistent")
        self.stop_helper(signal.SIGKILL)
        # Without a daemon the leases stay unchanged, including the guard.
        for port in (8088, 9088, 9089, 9090):
            self.assertEqual(fetch(port), "alice", port)
        self.assertTrue(any("TCHN-RAW" in line and "DROP" in line for line in firewall()))
        bob.kill()
        self.assertTrue(root.probe(ifindex=self.bridge)["usable"])
        self.assertEqual(set(root.leases()), {by_fd, persistent})
        self.assertEqual(fetch(8088), "alice")
        self.assertEqual(fetch(9090), "alice")
        self.assertIsNone(fetch(9088, seconds=0.5))
        self.assertIsNone(fetch(9089, seconds=0.5))
        self.assertEqual(root.get(path=by_fd, name="Label"), "mine")
        self.assertEqual(root.get(path=by_fd, name="OwnerUid"), 20001)
        self.assertNotIn(gone, root.leases())
        self.assertNotIn(by_connection, root.leases())
        # The new daemon monitors the lease again: its descriptor and its rules.
        run("iptables-legacy", "-t", "nat", "-F")
        self.assertEqual(eventually(lambda: fetch(8088, seconds=0.5), 5), "alice")
        alice.close(path=by_fd)
        self.assertTrue(eventually(lambda: by_fd not in root.leases(), 2))
        root.release(path=persistent)

    def test_killed_without_anybody_who_comes_back(self):
        """The unit's command after the daemon: it removes leases of dead owners and keeps those of live ones."""
        alice, bob = self.caller("alice"), self.caller("alice")
        stays = alice.expose(self.bridge, 8088)
        bob.expose(self.bridge, ("tcp", 9088, 8088))
        self.stop_helper(signal.SIGKILL)
        bob.kill()
        run(os.environ["HELPER_PROGRAM"], "--flush-stale")
        self.assertEqual(fetch(8088), "alice")
        self.assertIsNone(fetch(9088, seconds=0.5))
        alice.kill()
        run(os.environ["HELPER_PROGRAM"], "--flush-stale")
        self.assertEqual((firewall(), settings()), self.before)
        self.assertEqual(self.caller("root").leases(), {}, stays)

    def test_rules_and_setting_are_put_back(self):
        alice = self.caller("alice")
        path = alice.expose(self.bridge, 8088)
        wanted = firewall()
        for why, undo in (("flushed", lambda: run("iptables-legacy", "-t", "nat", "-F")),
                          ("guard flushed", lambda: run("iptables-legacy", "-t", "raw", "-F")),
                          ("setting", lambda: Path("/proc/sys/net/ipv4/conf/br-test/route_localnet").write_text("0"))):
            with self.subTest(why):
                undo()
                self.assertTrue(eventually(lambda: firewall() == wanted and settings()["br-test"] == "1", 5), why)
                self.assertEqual(fetch(8088), "alice")
        self.assertEqual(list(alice.leases()), [path])

    def test_two_leases_share_a_port(self):
        alice, another = self.caller("alice"), self.caller("alice")
        first, second = alice.expose(self.bridge, 8088), another.expose(self.bridge, 8088)
        alice.release(path=first)
        self.assertEqual(fetch(8088), "alice")
        another.release(path=second)
        self.assertIsNone(fetch(8088, seconds=0.5))

    def test_a_port_that_leads_elsewhere_already(self):
        self.service("alice", 8089)
        alice = self.caller("alice")
        alice.expose(self.bridge, ("tcp", 9000, 8088))
        self.assertIn("9000", self.refused(ERROR + "PortInUse", alice.expose, self.bridge, ("tcp", 9000, 8089)))

    def test_properties_and_signals(self):
        alice = self.caller("alice")
        path = alice.expose(self.bridge, 8088, ("tcp", 9088, 8088), label="a label", timeout=600)
        facts = {name: alice.get(path=path, name=name) for name in
                 ("Id", "Owner", "Ifindex", "Interface", "Gateway", "Ports", "Sources", "Label", "Lifetime", "State")}
        self.assertEqual(facts, {"Id": path.rpartition("/")[2], "Owner": alice.name(), "Ifindex": self.bridge,
                                 "Interface": "br-test", "Gateway": GATEWAY,
                                 "Ports": [["tcp", 8088, 8088], ["tcp", 9088, 8088]], "Sources": [], "Label": "a label",
                                 "Lifetime": "fd", "State": "active"})
        for connections in range(4):
            def counters():
                return {port: (packets, size) for _, port, _, packets, size in alice.get(path=path, name="Counters")}
            # The answer is at most about a second old, whether or not an earlier call asked for it.
            self.assertTrue(eventually(lambda: counters()[9088][0] == connections))
            self.assertEqual(counters()[8088], (0, 0))
            self.assertGreaterEqual(counters()[9088][1], 40 * connections)
            fetch(9088)
        alice.release(path=path)
        heard = []
        eventually(lambda: heard.extend((at, member) for at, _, member, _ in self.listener.signals()) or len(heard) >= 4)
        manager = "/io/github/tchostnet/HostNet1"
        self.assertEqual(heard, [(manager, "InterfacesAdded"), (path, "PropertiesChanged"), (manager, "LeaseReleased"),
                                 (manager, "InterfacesRemoved")])

    def test_the_command_holds_and_hears(self):
        """expose --via helper: it reports ready, is listed, and learns of an end that it did not request."""
        watch = subprocess.Popen([*as_user("bob"), os.environ["TC_HOSTNET"], "--json", "list", "--watch"], stdout=subprocess.PIPE,
                                 text=True, env=user_environment())
        self.addCleanup(lambda: (watch.kill(), watch.communicate()))
        def watched():
            return [lease["id"] for lease in json.loads(watch.stdout.readline())["leases"]]
        self.assertEqual(watched(), [])
        command = [*as_user("alice"), os.environ["TC_HOSTNET"], "--json", "expose", "8088", "--bridge", "br-test", "--via", "helper"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=user_environment())
        self.addCleanup(lambda: (process.kill(), process.communicate()))
        ready = json.loads(process.stdout.readline())
        self.assertEqual((ready["event"], ready["via"], ready["gateway"]), ("ready", "helper", GATEWAY))
        self.assertEqual(fetch(8088), "alice")
        self.assertEqual(watched(), [ready["lease"]])
        listed = [json.loads(line) for line in
                  run(*as_user("bob"), os.environ["TC_HOSTNET"], "--json", "list", env=user_environment()).stdout.splitlines()]
        self.assertEqual([(lease["id"], lease["via"], lease["owner"]["uid"]) for lease in listed],
                         [(ready["lease"], "helper", 20001)])
        by_root = [json.loads(line) for line in run(os.environ["TC_HOSTNET"], "--json", "list").stdout.splitlines()]
        self.assertEqual([(lease["id"], lease["via"]) for lease in by_root], [(ready["lease"], "helper")])
        self.caller("root").release(path=f"/io/github/tchostnet/HostNet1/lease/{ready['lease']}")
        out, _ = process.communicate(timeout=5)
        self.assertEqual(json.loads(out)["reason"], "revoked")
        self.assertEqual(process.returncode, 0)
        self.assertEqual(watched(), [])

    def test_the_command_outlives_a_crash_of_the_helper(self):
        process = subprocess.Popen([*as_user("alice"), os.environ["TC_HOSTNET"], "expose", "8088", "--bridge", "br-test"],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=user_environment())
        self.addCleanup(lambda: (process.kill(), process.communicate()))
        self.assertTrue(process.stdout.readline())
        first = helper_pid()
        os.kill(first, signal.SIGKILL)
        # The holder starts the helper again, because the lease needs a monitor.
        self.assertTrue(eventually(lambda: helper_pid() not in (None, first)))
        self.assertIn("adopted lease", helper_log())
        self.assertEqual(fetch(8088), "alice")
        process.terminate()
        process.communicate(timeout=5)
        self.assertEqual(process.returncode, 0)
        self.assertIsNone(fetch(8088, seconds=0.5))

    def test_what_was_undone_while_no_helper_ran_is_put_right_at_once(self):
        alice = self.caller("alice")
        alice.expose(self.bridge, 8088)
        os.kill(helper_pid(), signal.SIGKILL)
        self.assertTrue(eventually(lambda: helper_pid() is None))
        run("nft", "flush", "ruleset")
        run("iptables-legacy-restore", input="".join(f"*{table}\nCOMMIT\n" for table in ("raw", "mangle", "nat", "filter")))
        self.assertIsNone(fetch(8088, seconds=0.3))
        self.assertEqual(len(alice.leases()), 1)  # the call starts it
        self.assertTrue(eventually(lambda: fetch(8088, seconds=0.2) == "alice", 1.5))


class Idle(Helped):
    def setUp(self):
        super().setUp()
        self.stop_helper()
        flags = Path(os.environ["HELPER_FLAGS"])
        flags.write_text("--idle-timeout 2")
        self.addCleanup(flags.write_text, "")
        self.addCleanup(self.stop_helper)

    def test_a_stranger_that_comes_and_goes_does_not_keep_it(self):
        self.caller("alice").probe(ifindex=self.bridge)
        first = helper_pid()
        end = time.monotonic() + 10
        while helper_pid() == first and time.monotonic() < end:
            run("busctl", "--list", "--no-pager", check=False)  # its connection ends, which the bus signals to the helper
        self.assertNotEqual(helper_pid(), first)

    def test_ends_when_idle_and_comes_back(self):
        self.service("alice", 8088)
        alice = self.caller("alice")
        path = alice.expose(self.bridge, 8088)
        first = helper_pid()
        time.sleep(3)
        self.assertEqual(helper_pid(), first, "it ended with a lease in its hands")
        alice.release(path=path)
        self.assertTrue(eventually(lambda: helper_pid() is None, 5), "it does not end")
        self.assertTrue(eventually(lambda: not Path(f"/proc/{first}").exists(), 5))
        alice.expose(self.bridge, 8088)
        self.assertNotEqual(helper_pid(), first)
        self.assertEqual(fetch(8088), "alice")


class Watchdog(Helped):
    """The helper under a service manager with a watchdog, without an idle timeout."""

    def started(self, seconds):
        """How many watchdog messages arrived in that time, and the processor time that the helper used."""
        self.stop_helper()
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(notify.close)
        path = f"{os.environ['TC_HOSTNET_RUNTIME_DIR']}-notify"
        notify.bind(path)
        self.addCleanup(os.unlink, path)
        helper = subprocess.Popen(["/bin/sh", "-c", f"WATCHDOG_PID=$$ exec {os.environ['HELPER_PROGRAM']} --idle-timeout 0"],
                                  env=os.environ | {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "1500000"})
        self.addCleanup(lambda: (helper.terminate(), helper.wait(20)))
        notify.settimeout(20)
        while b"READY=1" not in notify.recv(100):
            pass

        def processor_time():
            fields = Path(f"/proc/{helper.pid}/stat").read_text().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        before, heard, end = processor_time(), 0, time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            notify.settimeout(left)
            with contextlib.suppress(TimeoutError):
                heard += notify.recv(100) == b"WATCHDOG=1"
        self.assertIsNone(helper.poll())
        return heard, processor_time() - before

    def test_without_an_idle_timeout_it_sleeps(self):
        heard, took = self.started(5)
        # Every half second; late on a busy machine, never early.
        self.assertGreaterEqual(heard, 4)
        self.assertLess(heard, 20)
        self.assertLess(took, 0.5)


if __name__ == "__main__":
    unittest.main()
