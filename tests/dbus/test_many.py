"""Many users with many leases: quotas, speed, and the helper's memory."""
import os
import re
import statistics
import time
import unittest
from pathlib import Path

from harness import ERROR, Helped, eventually, helper_log, helper_pid, sanitized
from test_hostile import memory_of

USERS = 32


class Many:
    """Runs with each firewall."""
    firewall = ""

    def setUp(self):
        super().setUp()
        self.stop_helper()
        flags = Path(os.environ["HELPER_FLAGS"])
        flags.write_text(f"--firewall {self.firewall}")
        self.addCleanup(flags.write_text, "")
        self.addCleanup(self.stop_helper)

    def test_a_thousand_leases_of_32_users(self):
        callers = [self.caller(f"crowd{number}") for number in range(USERS)]
        root = self.caller("root")
        root.probe(ifindex=self.bridge)
        pid = helper_pid()
        small, times_as_much = memory_of(pid), 12 if sanitized(pid) else 1
        print(f"\n{self.firewall}: idle, without a lease: {small:.1f} MiB resident")
        self.assertLess(small, 12 * times_as_much)
        times, own, empty = [], [], []
        said_before = len(helper_log())
        for round_ in range(USERS):
            for number, caller in enumerate(callers):
                start = time.monotonic()
                caller.expose(self.bridge, ("tcp", 2000 + number * 40 + round_, 2000 + number))
                times.append(time.monotonic() - start)
            if round_ < USERS - 1:
                # polkit is not asked about root, so the time beyond that of a trivial call is the helper's own.
                start = time.monotonic()
                root.probe(ifindex=self.bridge)
                empty.append(time.monotonic() - start)
                start = time.monotonic()
                path = root.expose(self.bridge, 9000)
                own.append(time.monotonic() - start)
                root.release(path=path)
        self.assertEqual(len(root.leases()), 1024)
        # Each user is at its quota, and all together are at the total.
        message = self.refused(ERROR + "QuotaExceeded", callers[0].expose, self.bridge, 9999)
        self.assertIn("1024 leases of all", message)
        callers[0].release(path=next(path for path, facts in root.leases().items()
                                     if facts["io.github.tchostnet.HostNet1.Lease"]["OwnerUid"] == 20100))
        callers[0].expose(self.bridge, 9999)
        root_start = time.monotonic()
        callers[1].quit()
        self.assertTrue(eventually(lambda: len(root.leases()) == 992))
        print(f"the 32 leases of a user who left were gone after {time.monotonic() - root_start:.2f} s")
        message = self.refused(ERROR + "QuotaExceeded", callers[0].expose, self.bridge, 9998)
        self.assertIn("32 leases of one user", message)
        print(f"expose, polkit and Python included: first 100 {statistics.median(times[:100]) * 1000:.1f} ms, "
              f"last 100 {statistics.median(times[-100:]) * 1000:.1f} ms (medians)")
        print(f"expose without polkit, while the leases grow to 1,024: {statistics.median(own) * 1000:.1f} ms, and beside as "
              f"many as there were last {own[-1] * 1000:.1f} ms; a call of Probe: {statistics.median(empty) * 1000:.1f} ms")
        inside = [float(took) for took in re.findall(r"uid 0 \(.* ([0-9.]+) ms after the request", helper_log()[said_before:])]
        self.assertEqual(len(inside), len(own))
        print(f"in the helper, from the call to its answer: {statistics.median(inside):.1f} ms (median of {len(inside)}; "
              f"{inside[0]:.1f} beside 32 leases, {inside[-1]:.1f} beside 992)")
        print(f"with 992 leases: {memory_of(pid):.1f} MiB resident")
        self.assertLess(memory_of(pid), 64 * times_as_much)
        start = time.monotonic()
        for caller in callers[:1] + callers[2:]:
            caller.kill()
        self.assertTrue(eventually(lambda: not root.leases(), 60))
        print(f"992 leases whose owners were killed were gone after {time.monotonic() - start:.2f} s")

    def test_ports_of_one_user(self):
        caller = self.caller("crowd0")
        caller.expose(self.bridge, *range(3000, 3128))
        self.assertIn("128 ports", self.refused(ERROR + "QuotaExceeded", caller.expose, self.bridge, 3200))


class OnNftables(Many, Helped):
    firewall = "nftables"

    def test_a_thousand_leases_bound_to_connections(self):
        """The bus allows the helper 512 match rules."""
        callers = [self.caller(f"crowd{number}") for number in range(USERS)]
        for number, caller in enumerate(callers):
            for round_ in range(USERS):
                caller.expose(self.bridge, ("tcp", 2000 + number * 40 + round_, 2000 + number), lifetime="connection")
        root = self.caller("root")
        self.assertEqual(len(root.leases()), 1024)
        callers[0].kill()
        self.assertTrue(eventually(lambda: len(root.leases()) == 992, 60))
        for caller in callers[1:]:
            caller.kill()
        self.assertTrue(eventually(lambda: not root.leases(), 120))


class OnIptables(Many, Helped):
    firewall = "iptables"


if __name__ == "__main__":
    unittest.main()
