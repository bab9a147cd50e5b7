"""The soak's checker detects each fault: each test breaks one invariant by hand in a real kernel, beside a lease of a real
tc-hostnet. The holder is stopped (SIGSTOP) so that it repairs nothing."""
import contextlib
import fcntl
import glob
import os
import re
import signal
import subprocess
import threading
import time
import unittest
from unittest import mock

import checker
import history
import kernel
import soak
import world

COMMAND = os.environ["TC_HOSTNET"]
FIREWALL = os.environ["TC_HOSTNET_FIREWALL"]
ON_NFTABLES = FIREWALL == "nftables"
BRIDGE, GATEWAY = "soak0", "198.18.0.1"


def setting(bridge, value):
    with open(f"/proc/sys/net/ipv4/conf/{bridge}/route_localnet", "w", encoding="ascii") as file:
        file.write(value)


def by_hand(nft, iptables):
    world.run("sh", "-ec", nft if ON_NFTABLES else iptables)


def take_guard_away():
    by_hand("nft flush chain ip tc_hostnet guard_raw", "iptables-legacy -w -t raw -F TCHN-RAW")


class CheckerTest(unittest.TestCase):
    def setUp(self):
        # A fake clock advances with each sample, so delays of a busy machine do not count.
        self.clock = 0.0
        for module in (history, checker):
            patch = mock.patch.object(module, "now", self.now)
            patch.start()
            self.addCleanup(patch.stop)
        self.history = history.History()
        self.world = world.World(FIREWALL, self.history)
        self.addCleanup(self.world.end)
        self.journal = kernel.Journal(self.world.runtime_dir)
        pulse = history.Pulse(threading.Event())
        self.checker = checker.Checker(kernel.firewall(FIREWALL), self.journal, self.history, pulse)
        self.addCleanup(subprocess.run, [COMMAND, "release", "--all"], stdout=subprocess.DEVNULL, check=True)

    def expose(self, *words):
        """A lease with a stopped holder."""
        done = subprocess.run([COMMAND, "expose", "18100:9000", "--bridge", BRIDGE, "--detach", *words], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True, check=True)
        lease = self.journal.leases()[done.stdout.split()[0]]
        self.addCleanup(self.kill, lease.pid)
        # Not during its own check of the rules: all other processes would wait for the locks that it holds.
        for _ in range(100):
            time.sleep(0.1)
            os.kill(lease.pid, signal.SIGSTOP)
            time.sleep(0.02)
            if all(self.is_free(path) for path in ["/run/xtables.lock", *glob.glob(f"{self.world.runtime_dir}/*/lock")]):
                return lease
            os.kill(lease.pid, signal.SIGCONT)
        return self.fail("the holder is never without a lock")

    @staticmethod
    def is_free(path):
        with open(path, "rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            except BlockingIOError:
                return False

    @staticmethod
    def kill(pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    def kill_holder(self, lease):
        self.kill(lease.pid)
        while lease.holder_lives():
            time.sleep(0.01)

    def now(self):
        self.clock += 0.001  # no two moments are equal
        return self.clock

    def look_for(self, seconds):
        end = self.clock + seconds
        while self.clock < end:
            self.checker.look()
            self.clock += 0.1

    def faults(self):
        return [text for _, text in self.history.faults]

    def assert_alarm(self, words):
        self.assertTrue(self.faults(), "no alarm")
        self.assertRegex(self.faults()[0], words)

    def assert_seen_after_a_second(self, words):
        self.look_for(0.7)
        self.assertEqual(self.faults(), [])
        self.look_for(0.8)
        self.assert_alarm(words)

    def test_a_lease_that_is_well_raises_no_alarm(self):
        lease = self.expose()
        self.look_for(1.5)
        self.assertEqual(self.faults(), [])
        rules, on = self.checker._firewall.together(kernel.settings)
        self.assertEqual(rules.forwards, lease.forwards)
        self.assertEqual((rules.guarded, on), ({BRIDGE}, {BRIDGE: lease.ifindex}))

    def test_a_setting_without_a_guard_is_seen_at_once(self):
        setting("soak1", "1")
        self.addCleanup(setting, "soak1", "0")
        self.checker.look()
        self.assert_alarm("^guard: soak1 ")

    def test_a_guard_that_has_lost_any_part_is_seen_at_once(self):
        parts = (("flush chain ip tc_hostnet guard_raw", "-t raw -F TCHN-RAW"),
                 ("flush chain ip tc_hostnet guard_out", "-t mangle -F TCHN-POST"),
                 ("flush chain ip tc_hostnet guard_in", "-t filter -F TCHN-IN"),
                 ("flush set ip tc_hostnet bridges_raw", "-t raw -F PREROUTING"),
                 ("flush set ip tc_hostnet bridges_out", "-t mangle -F POSTROUTING"),
                 ("flush set ip tc_hostnet bridges_in", "-t filter -F INPUT"))
        for nft, iptables in parts:
            with self.subTest(nft if ON_NFTABLES else iptables):
                lease = self.expose()
                self.checker.look()
                self.assertEqual(self.faults(), [])
                by_hand(f"nft {nft}", f"iptables-legacy -w {iptables}")
                self.checker.look()
                self.assert_alarm(f"^guard: {BRIDGE} ")
                self.kill_holder(lease)
                subprocess.run([COMMAND, "release", "--all"], stdout=subprocess.DEVNULL, check=True)
                self.history.faults.clear()

    def test_after_a_stranger_s_flush_the_guard_may_lack_for_a_second(self):
        self.expose()
        self.checker.look()
        with self.history.doing("a stranger", "flushes", ["firewall"]):
            take_guard_away()
        self.assert_seen_after_a_second(f"^guard: {BRIDGE} ")

    def test_after_a_flush_that_was_mended_the_guard_may_lack_no_more(self):
        self.expose()
        with self.history.doing("a stranger", "flushes", ["firewall"]):
            pass
        self.look_for(1.2)
        self.assertEqual(self.faults(), [])
        take_guard_away()
        self.checker.look()
        self.assert_alarm(f"^guard: {BRIDGE} ")

    def test_after_a_flush_nobody_mends_where_nobody_lives(self):
        lease = self.expose()
        self.kill_holder(lease)
        with self.history.doing("a stranger", "flushes", ["firewall"]):
            take_guard_away()
        self.look_for(1.5)
        self.assertEqual(self.faults(), [])

    def test_a_lease_without_its_forward(self):
        lease = self.expose()
        by_hand(f"nft delete element ip tc_hostnet by_bridge '{{ \"{BRIDGE}\" . {GATEWAY} . tcp . 9000 }}'",
                "iptables-legacy -w -t nat -D TCHN-PRE 1")
        self.assert_seen_after_a_second(f"^lease: lease {lease.id} of process {lease.pid} lacks ")

    def test_a_lease_whose_way_to_its_forward_is_gone(self):
        lease = self.expose()
        by_hand("nft flush chain ip tc_hostnet doors", "iptables-legacy -w -t nat -F PREROUTING")
        self.assert_seen_after_a_second(f"^lease: lease {lease.id} of process {lease.pid} lacks ")

    def test_a_lease_without_its_setting(self):
        lease = self.expose()
        setting(BRIDGE, "0")
        self.assert_seen_after_a_second(f"^lease: lease {lease.id}: {BRIDGE} has route_localnet off")

    def test_a_lease_without_its_bridge(self):
        lease = self.expose()
        self.world.recreate("somebody", self.world.bridges[0])
        self.assert_seen_after_a_second(f"^lease: the bridge of lease {lease.id} is gone")

    def test_a_lease_whose_time_is_up(self):
        lease = self.expose("--timeout", "1h")
        self.look_for(1.5)
        self.assertEqual(self.faults(), [])
        with mock.patch.object(checker.time, "time", return_value=lease.expires + 0.1):
            self.assert_seen_after_a_second(f"^lease: the time of lease {lease.id} is up")

    def test_a_forward_without_a_lease(self):
        self.expose()
        by_hand(f"nft add element ip tc_hostnet by_bridge '{{ \"{BRIDGE}\" . {GATEWAY} . tcp . 9 : 127.0.0.1 . 9 }}'",
                f"iptables-legacy -w -t nat -A TCHN-PRE -d {GATEWAY} -i {BRIDGE} -p tcp -m tcp --dport 9 "
                "-m comment --comment x -j DNAT --to-destination 127.0.0.1:9")
        self.assert_seen_after_a_second("^rule: .*listen=9, host=9.* belongs to no lease")

    def test_a_killed_holder_s_lease_may_stay_until_somebody_looks(self):
        lease = self.expose()
        self.kill_holder(lease)
        self.look_for(1.3)
        self.assertEqual(self.faults(), [])
        with self.history.doing("somebody", "list", ["look"]) as event:
            event.status = 0  # a command that succeeds without cleaning up
        self.checker.look()
        self.assert_alarm(f"^looked: the holder of lease {lease.id} is dead, list came by")

    def test_a_look_that_does_its_duty_raises_no_alarm(self):
        lease = self.expose()
        self.kill_holder(lease)
        self.checker.look()
        with self.history.doing("somebody", "list", ["look"]) as event:
            event.status = subprocess.run([COMMAND, "list"], stdout=subprocess.DEVNULL, check=False).returncode
        self.look_for(0.3)
        self.assertEqual(self.faults(), [])
        self.assertEqual(self.journal.leases(), {})

    def test_the_end_is_compared_with_the_start(self):
        self.assertEqual(self.world.changes(), [])
        lease = self.expose()
        changes = "\n".join(self.world.changes())
        for words in (rf"\+ {'nft' if ON_NFTABLES else 'legacy'} .*{lease.id}", r"\+ file .*journal\.jsonl",
                      rf"\+ route_localnet of {BRIDGE}: 1", rf"\+ process {lease.pid}: "):
            self.assertTrue(re.search(words, changes), f"{words} is not in\n{changes}")


class SabotageTest(unittest.TestCase):
    """The soak itself fails on a fault, and prints what is needed to find the cause."""

    def run_with(self, sabotage, seconds=20):
        said = []
        one = soak.Soak(seconds, "7", FIREWALL, COMMAND, said.append)
        thread = threading.Thread(target=sabotage, args=(one,), daemon=True)
        thread.start()
        held = one.run()
        thread.join()
        # A failed soak leaves its leases in place.
        subprocess.run([COMMAND, "release", "--all"], stdout=subprocess.DEVNULL, check=False)
        return held, "\n".join(said)

    def test_an_open_bridge(self):
        def open_a_bridge(one):
            while not one.history.stop.wait(0.01):
                for bridge in one.world.bridges:
                    with contextlib.suppress(OSError):  # it is being re-created
                        setting(bridge.name, "1")

        held, said = self.run_with(open_a_bridge)
        self.assertFalse(held)
        self.assertRegex(said, r"FAULT at \d+\.\d+ s: (guard: soak|setting: soak)")
        self.assertRegex(said, r"The last that was done \(seconds\):\n( +\d+\.\d{3} to )")
        self.assertIn("tools/soak --seed 7 --of " + FIREWALL, said)

    def test_something_left_behind(self):
        def leave(one):
            time.sleep(1)
            with open(os.path.join(one.world.runtime_dir, "litter"), "w", encoding="ascii"):
                pass

        self.addCleanup(lambda: os.unlink(os.path.join(os.environ["TC_HOSTNET_RUNTIME_DIR"], "litter")))
        held, said = self.run_with(leave, 2)
        self.assertFalse(held)
        self.assertRegex(said, r"what was there in the end .*:\n\+ file \S+/litter")

    def test_a_command_that_answers_wrongly(self):
        wrapper = os.path.join(os.environ["TC_HOSTNET_RUNTIME_DIR"], "..", "wrong")
        with open(wrapper, "w", encoding="ascii") as file:
            file.write(f'#!/bin/sh\n[ "$1" != list ] || exit 5\nexec {COMMAND} "$@"\n')
        os.chmod(wrapper, 0o755)
        said = []
        one = soak.Soak(20, "7", FIREWALL, wrapper, said.append)
        self.assertFalse(one.run())
        subprocess.run([COMMAND, "release", "--all"], stdout=subprocess.DEVNULL, check=False)
        self.assertRegex("\n".join(said), r"exit code 5 instead of one of \[0\] \(list\)")


if __name__ == "__main__":
    unittest.main()
