"""The relay soak's checker detects each fault: each test breaks one invariant by hand, beside a lease of a real tc-hostnet
at a real engine."""
import json
import os
import pathlib
import signal
import subprocess
import threading
import time
import unittest
from unittest import mock

import history
import relay_checker
import relay_world

LISTENER = ("import socket, time; s = socket.socket(); s.bind(('127.0.0.77', 9999)); s.listen(); print(flush=True); "
            "time.sleep(100)")


class RelayCheckerTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.world = relay_world.RelayWorld(os.environ["TC_HOSTNET"], history.History())
        cls.addClassCleanup(cls.world.end)

    def setUp(self):
        # A fake clock advances with each sample, so delays of a busy machine do not count.
        self.clock = 0.0
        for module in (history, relay_checker):
            patch = mock.patch.object(module, "now", self.now)
            patch.start()
            self.addCleanup(patch.stop)
        self.history = history.History()
        self.checker = relay_checker.RelayChecker(self.world, self.history, history.Pulse(threading.Event()))
        self.root = self.world.owners[0]
        self.app = self.world.containers[0]
        self.addCleanup(self.release_all)

    def now(self):
        return self.clock

    def release_all(self):
        for argv, env in self.world.last_commands(None):
            subprocess.run(argv, env=env, stdout=subprocess.DEVNULL, check=True)

    def expose(self):
        done = subprocess.run([*self.root.command, "--json", "expose", "18100:9000", "--via", "relay", "--container",
                               self.app.name, "--detach"], env=self.root.env, stdout=subprocess.PIPE, text=True, check=True)
        return self.root.records()[json.loads(done.stdout)["lease"]]

    def look(self, times=8):
        for _ in range(times):
            self.checker.look()
            self.clock += 1.0

    def finds(self, *words):
        self.look()
        texts = [text for _, text in self.history.faults]
        self.assertTrue(texts)
        for word in words:
            self.assertIn(word, texts[0])

    def test_a_lease_is_no_fault(self):
        self.expose()
        self.look()
        self.assertEqual(self.history.faults, [])
        self.assertEqual(self.app.listening(), 1)

    def test_a_socket_of_no_lease(self):
        listener = subprocess.Popen(["nsenter", f"--net=/proc/{self.app.pid}/ns/net", "/usr/bin/python3", "-c", LISTENER],
                                    stdout=subprocess.PIPE)
        self.addCleanup(listener.stdout.close)
        self.addCleanup(listener.wait)
        self.addCleanup(listener.kill)
        listener.stdout.readline()
        self.finds("socket: 1 sockets listen for container app0, whose leases have 0")

    def test_a_lease_without_its_socket(self):
        lease = self.expose()
        path = next(pathlib.Path(self.root.env["TC_HOSTNET_RUNTIME_DIR"]).glob(f"ssh/{lease.id}.json"))
        record = json.loads(path.read_text())
        os.kill(lease.pid, signal.SIGSTOP)  # else it writes the record again
        self.addCleanup(os.kill, lease.pid, signal.SIGCONT)
        record["ports"].append("9001/tcp")
        path.write_text(json.dumps(record))
        self.finds("socket: 1 sockets listen for container app0, whose leases have 2")

    def test_a_name_of_no_lease(self):
        hosts = pathlib.Path(self.app.hosts_path)
        before = hosts.read_text()
        self.addCleanup(hosts.write_text, before)
        hosts.write_text(before + "127.0.0.77\thost.testcontainers.internal # tc-hostnet 12345678\n")
        self.finds("name: container app0 has the name by lease 12345678, of which nobody has a record; none was seen")

    def test_a_command_that_leaves_a_dead_holders_lease(self):
        lease = self.expose()
        os.kill(lease.pid, signal.SIGKILL)
        until = time.monotonic() + 20
        while lease.holder_lives() and time.monotonic() < until:
            time.sleep(0.01)
        self.look(2)
        self.assertEqual(self.history.faults, [])
        with self.history.doing("a worker", "list", [self.root.look]) as event:
            event.status = 0
        self.clock += 1.0
        self.finds(f"looked: the holder of lease {lease.id} is dead, list came by", "container app0 has its name")


if __name__ == "__main__":
    unittest.main()
