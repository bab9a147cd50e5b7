"""Another process holds the xtables lock, which every change of the legacy tables needs: calls that need it wait, and no
others do."""
import contextlib
import fcntl
import os
import signal
import time
import unittest
from pathlib import Path

from harness import ACCESS_DENIED, Helped, eventually, fetch, firewall, helper_log, helper_pid, run, settings

LOCK = "/run/xtables.lock"


@contextlib.contextmanager
def lock_held():
    lock = os.open(LOCK, os.O_RDONLY | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lambda: fcntl.flock(lock, fcntl.LOCK_UN)
    finally:
        os.close(lock)


class Waiting(Helped):
    def setUp(self):
        super().setUp()
        self.stop_helper()
        flags = Path(os.environ["HELPER_FLAGS"])
        flags.write_text("--firewall iptables")
        self.addCleanup(flags.write_text, "")
        self.addCleanup(self.stop_helper)
        self.service("alice", 8088)
        self.service("crowd0", 8090)
        self.root, self.alice, self.crowd = self.caller("root"), self.caller("alice"), self.caller("crowd0")
        for caller in (self.root, self.alice, self.crowd):
            caller.probe(ifindex=self.bridge)  # callers and helper are running from here on
        self.said_before = len(helper_log())

    def said(self):
        return helper_log()[self.said_before:]

    def served_at_once(self):
        """Every method and property that does not change the firewall answers."""
        for call in (lambda: self.root.probe(ifindex=self.bridge), self.root.leases,
                     lambda: self.root.get(path="/io/github/tchostnet/HostNet1", name="Version",
                                           interface="io.github.tchostnet.HostNet1.Manager")):
            start = time.monotonic()
            call()
            # Some milliseconds on a quiet machine; a call that waits for the lock takes 10 s or more.
            self.assertLess(time.monotonic() - start, 5)

    def changes_wait(self, caller):
        """Control test: a change does wait for the lock."""
        self.assertFalse(caller.answered(0.5))

    def test_a_client_that_leaves(self):
        other = self.crowd.expose(self.bridge, 8090)
        path = self.alice.expose(self.bridge, 8088, lifetime="connection")
        pid = helper_pid()
        with lock_held():
            self.alice.kill()
            time.sleep(0.3)
            self.served_at_once()
            self.assertIn(path, self.root.leases())  # its release is not complete
            self.assertEqual(self.root.get(path=path, name="State"), "active")
        self.assertTrue(eventually(lambda: path not in self.root.leases()))
        self.assertEqual(helper_pid(), pid)
        self.assertNotIn("lost the message bus", self.said())
        self.assertIn("ends: owner-gone", self.said())
        self.assertEqual(list(self.root.leases()), [other])
        self.assertEqual(fetch(8090), "crowd0")

    def test_longer_than_a_release_may_take(self):
        """The release fails, the daemon continues, and the holder completes it. No other user loses a lease."""
        other = self.crowd.expose(self.bridge, 8090)
        path = self.alice.expose(self.bridge, 8088, lifetime="connection")
        with lock_held():
            self.alice.kill()
            self.assertTrue(eventually(lambda: "held /run/xtables.lock for too long" in self.said(), 40))
            self.assertTrue(eventually(lambda: "its bridge is closed, and the release is retried" in self.said(), 40), self.said())
            self.assertIsNone(fetch(8088, seconds=0.5))
            # Long enough for two more checks, which fail too.
            time.sleep(8)
            self.served_at_once()
            self.assertNotIn("lost the message bus", self.said())
        self.assertTrue(eventually(lambda: path not in self.root.leases(), 30), self.said())
        self.assertEqual(list(self.root.leases()), [other])
        self.assertTrue(eventually(lambda: fetch(8090) == "crowd0", 30), self.said())
        self.assertEqual(self.said().count("ends: its release was interrupted"), 1, self.said())
        self.crowd.release(path=other)
        self.assertTrue(eventually(lambda: (firewall(), settings()) == self.before))

    def test_the_caller_leaves_while_its_lease_is_being_made(self):
        with lock_held() as let_go:
            self.alice.begin_expose(self.bridge, 8088)
            self.changes_wait(self.alice)
            self.served_at_once()
            self.alice.kill()
            self.assertTrue(eventually(lambda: "left the bus before its request was answered" in self.said()))
            let_go()
            # The daemon made the lease, because its set-up had begun; the slow removal shows it.
            self.assertTrue(eventually(lambda: (firewall(), settings()) == self.before))
        self.assertEqual(self.root.leases(), {})
        # The user's quota slot and the port are free again.
        self.caller("alice").expose(self.bridge, 8088)

    def test_requests_are_served_in_their_order(self):
        standing = self.crowd.expose(self.bridge, 8090)
        with lock_held():
            self.alice.begin_expose(self.bridge, 8088)
            self.changes_wait(self.alice)
            self.crowd.begin("release", path=standing)
            self.root.begin("release", path=standing)  # a second releaser waits for the same end
            self.changes_wait(self.crowd)
            self.changes_wait(self.root)
        made = self.alice.result()
        self.crowd.result()
        self.root.result()
        self.assertEqual(fetch(8088), "alice")
        self.assertIsNone(fetch(8090, seconds=0.5))
        self.assertEqual(list(self.root.leases()), [made])

    def test_places_are_taken_from_the_request_to_the_end(self):
        self.stop_helper()
        Path(os.environ["HELPER_FLAGS"]).write_text("--firewall iptables --leases-per-user 2")
        callers = [self.caller("crowd1") for _ in range(3)]
        for caller in callers:
            caller.probe(ifindex=self.bridge)
        quota = "io.github.tchostnet.HostNet1.Error.QuotaExceeded"
        with lock_held():
            for number, caller in enumerate(callers[:2]):
                caller.begin_expose(self.bridge, 9000 + number)
                self.changes_wait(caller)
            self.assertIn("2 leases of one user", self.refused(quota, callers[2].expose, self.bridge, 9002))
        first, _ = [caller.result() for caller in callers[:2]]
        self.refused(quota, callers[2].expose, self.bridge, 9002)
        callers[0].release(path=first)
        callers[2].expose(self.bridge, 9002)

    def test_told_to_stop(self):
        self.alice.listen()
        path = self.alice.expose(self.bridge, 8088)
        pid = helper_pid()
        with lock_held():
            self.crowd.begin_expose(self.bridge, 8090)
            self.changes_wait(self.crowd)
            os.kill(pid, signal.SIGTERM)
            self.assertIn("the helper is stopping", self.refused("org.freedesktop.DBus.Error.Failed", self.crowd.result))
            time.sleep(0.5)
            self.assertEqual(helper_pid(), pid)
        self.assertTrue(eventually(lambda: not Path(f"/proc/{pid}").exists()))
        released = [arguments for _, _, member, arguments in self.alice.signals() if member == "LeaseReleased"]
        self.assertEqual(released, [[path, "daemon-stopping"]])
        self.assertEqual((firewall(), settings()), self.before)

    def test_told_to_stop_and_the_lock_stays_taken(self):
        self.alice.expose(self.bridge, 8088)
        pid = helper_pid()
        start = time.monotonic()
        with lock_held():
            os.kill(pid, signal.SIGTERM)
            self.assertTrue(eventually(lambda: not Path(f"/proc/{pid}").exists(), 60))
            print(f"\nstopped after {time.monotonic() - start:.1f} s with the lock held all the while")
        self.alice.kill()
        # The unit's command after the daemon.
        run(os.environ["HELPER_PROGRAM"], "--flush-stale")
        self.assertEqual((firewall(), settings()), self.before)

    def test_a_prompt_about_a_release_is_withdrawn_when_its_caller_leaves(self):
        from test_prompt import Agent
        path = self.alice.expose(self.bridge, 8088)
        bob = self.caller("bob")
        agent = Agent(bob, "bob")
        self.addCleanup(agent.stop)
        bob.begin("release", path=path, flag=True)
        self.assertEqual(agent.prompted()[0], "release-any")
        agent.answer("wait")
        bob.kill()
        self.assertEqual(agent.line(), "cancelled")
        self.assertEqual(list(self.root.leases()), [path])
        # A caller that stays gets its answer.
        bob = self.caller("bob")
        agent = Agent(bob, "bob")
        self.addCleanup(agent.stop)
        bob.begin("release", path=path, flag=True)
        agent.prompted()
        agent.answer("dismiss")
        self.refused(ACCESS_DENIED, bob.result)
        self.assertEqual(list(self.root.leases()), [path])


if __name__ == "__main__":
    unittest.main()
