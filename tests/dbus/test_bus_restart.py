"""The bus restarts: the leases stay in force throughout, and the monitor repairs them again afterwards."""
import os
import signal
import subprocess
import time
import unittest
from pathlib import Path

from harness import NAME, Caller, Helped, as_user, eventually, fetch, firewall, helper_log, run, user_environment


class BusRestart(Helped):
    def test_leases_outlive_the_bus(self):
        self.service("alice", 8088)
        holder = subprocess.Popen([*as_user("alice"), os.environ["TC_HOSTNET"], "-v", "expose", "8088", "--bridge",
                                   "br-test", "--via", "helper"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                  env=user_environment())
        self.addCleanup(lambda: (holder.kill(), holder.communicate()))
        self.assertTrue(holder.stdout.readline())
        by_connection = self.caller("alice")
        by_connection.expose(self.bridge, ("tcp", 9088, 8088), lifetime="connection")
        self.assertEqual((fetch(8088), fetch(9088)), ("alice", "alice"))

        os.kill(int(os.environ["HELPER_BUS_PID"]), signal.SIGKILL)
        self.assertTrue(eventually(lambda: "lost the message bus" in helper_log()))
        self.assertEqual(fetch(8088), "alice")
        # A lease bound to a connection has ended with it.
        self.assertTrue(eventually(lambda: fetch(9088, seconds=0.5) is None))

        socket = Path(os.environ["DBUS_SYSTEM_BUS_ADDRESS"].partition("path=")[2])
        socket.unlink()
        bus = subprocess.Popen(["dbus-daemon", f"--config-file={os.environ['HELPER_BUS_CONFIG']}", "--nofork", "--nopidfile"],
                               stderr=subprocess.DEVNULL)
        self.addCleanup(lambda: (bus.kill(), bus.wait(10)))
        self.assertTrue(eventually(lambda: "adopted lease" in helper_log(), 15), helper_log())
        # Before the helper owns its name, a call would make the bus start another one.
        owned = ("dbus-send", "--system", "--print-reply", "--dest=org.freedesktop.DBus", "/", "org.freedesktop.DBus.NameHasOwner",
                 f"string:{NAME}")
        self.assertTrue(eventually(lambda: "true" in run(*owned).stdout))
        root = Caller("root")
        self.addCleanup(root.kill)
        self.assertEqual(len(root.leases()), 1)
        self.assertEqual(fetch(8088), "alice")
        run("iptables-legacy", "-t", "nat", "-F")
        self.assertEqual(eventually(lambda: fetch(8088, seconds=0.5), 30), "alice")
        # The command has reconnected to the bus too, and learns of the end.
        time.sleep(1.5)
        root.release(path=next(iter(root.leases())))
        _, said = holder.communicate(timeout=10)
        self.assertIn("revoked", said)
        self.assertEqual(holder.returncode, 0, said)
        self.assertTrue(eventually(lambda: firewall() == self.before[0]))


if __name__ == "__main__":
    unittest.main()
