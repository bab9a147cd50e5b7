#!/usr/bin/python3
"""Common firewalls, run for real: ufw, firewalld, and rules restored from a file. A lease keeps working through their
changes and leaves their rules unchanged."""
import contextlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from harness import HostCase, eventually, main, output, run, snapshot

GATEWAY = "198.18.0.1"
HELLO = "hello from 127.0.0.1\n"
BUS = """<busconfig><type>system</type><auth>EXTERNAL</auth><listen>unix:path={}</listen><policy context="default">
<allow user="*"/><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/></policy></busconfig>"""


# Commands that save and restore the rules of a whole host.
KEEPERS = {"iptables-legacy": ("iptables-legacy-save", "iptables-legacy-restore -w"),
           "iptables-nft": ("iptables-nft-save", "iptables-nft-restore"),
           "nftables": ("echo flush ruleset; nft list ruleset", "nft -f -")}
# A foreign rule in each, and its removal.
THEIRS = {"iptables-legacy": ("iptables-legacy -w -A INPUT -p tcp --dport 22 -j ACCEPT",
                              "iptables-legacy -w -D INPUT -p tcp --dport 22 -j ACCEPT"),
          "iptables-nft": ("iptables-nft -A INPUT -p tcp --dport 22 -j ACCEPT",
                           "iptables-nft -D INPUT -p tcp --dport 22 -j ACCEPT"),
          "nftables": ("nft 'table inet theirs { chain input { type filter hook input priority 0; tcp dport 22 accept; }; }'",
                       "nft delete table inet theirs")}


def save(keeper):
    return run("sh", "-ec", KEEPERS[keeper][0]).stdout


def restore(keeper, rules):
    run("sh", "-ec", KEEPERS[keeper][1], stdin=rules)


def own_copy(folder):
    """Mounts a copy of the folder over it in this test's mount namespace, so that changes stay in this test."""
    copy = Path(tempfile.mkdtemp(prefix="hostnet-etc-"))
    shutil.copytree(folder, copy, dirs_exist_ok=True, symlinks=True)
    run("mount", "--bind", copy, folder)
    return copy


class FirewallCase(HostCase):
    """One bridge with one container, both made by hand. A stopped firewall leaves its own chains, so the test compares the
    state before and after a lease."""

    def leaves_all_as_it_was(self, before):
        pass

    @contextlib.contextmanager
    def exposed(self):
        before = snapshot()
        lease = self.expose(8088, "--bridge", "br-test")
        self.assertEqual(self.fetch(), HELLO)
        yield
        self.assertEqual(lease.end()[0], 0)
        self.assertIsNone(self.fetch(0.5))
        self.assertEqual(snapshot(), before)

    def setUp(self):
        super().setUp()
        run("ip", "link", "add", "br-test", "type", "bridge")
        self.addCleanup(run, "ip", "link", "del", "br-test")
        run("ip", "address", "add", f"{GATEWAY}/24", "dev", "br-test")
        run("ip", "link", "set", "br-test", "up")
        run("ip", "netns", "add", "container")
        self.addCleanup(run, "ip", "netns", "del", "container")
        run("ip", "link", "add", "v-container", "type", "veth", "peer", "name", "eth0", "netns", "container")
        # The kernel removes the interfaces of an ended network namespace late.
        self.addCleanup(run, "ip", "link", "del", "v-container")
        run("ip", "link", "set", "v-container", "master", "br-test", "up")
        for command in (["address", "add", "198.18.0.2/24", "dev", "eth0"], ["link", "set", "eth0", "up"],
                        ["route", "add", "default", "via", GATEWAY]):
            run("ip", "-n", "container", *command)
        self.service(8088, HELLO)

    def fetch(self, seconds=2):
        done = run("ip", "netns", "exec", "container", "curl", "-s", "-m", seconds, f"http://{GATEWAY}:8088/", check=False)
        return done.stdout if done.returncode == 0 else None

    def checked(self, code):
        """What doctor prints."""
        done = run(self.program, "doctor", "--bridge", "br-test", check=False)
        self.assertEqual(done.returncode, code, done.stdout)
        return done.stdout

    def serves(self):
        """Immediately, or within the second that repairing rules may take."""
        self.assertTrue(eventually(lambda: self.fetch(0.5) == HELLO), "nothing is served")


class Ufw(FirewallCase):
    def setUp(self):
        super().setUp()
        for folder in ("/etc/ufw", "/etc/default"):
            copy = own_copy(folder)
            self.addCleanup(shutil.rmtree, copy)
            self.addCleanup(run, "umount", folder)
        defaults = Path("/etc/default/ufw")
        defaults.write_text(defaults.read_text().replace("IPV6=yes", "IPV6=no"))
        self.addCleanup(run, "ufw", "disable")
        run("ufw", "--force", "enable")
        self.assertIn("deny (incoming)", output("ufw", "status", "verbose"))

    def test_deny_incoming(self):
        self.assertIsNone(self.fetch(0.5))
        with self.exposed():
            # It drops what comes in, but not what the lease lets in.
            self.assertIn("✓ input: iptables-nft manages INPUT, policy DROP", self.checked(0))
            run("ufw", "reload")
            self.serves()
            run("ufw", "disable")
            self.serves()
            run("ufw", "--force", "enable")
            self.serves()

    def test_its_own_rules_still_hold(self):
        self.service(9099, "another\n", address=GATEWAY)
        with self.exposed():
            done = run("ip", "netns", "exec", "container", "curl", "-s", "-m", "0.5", f"http://{GATEWAY}:9099/", check=False)
            self.assertNotEqual(done.returncode, 0)


class Firewalld(FirewallCase):
    def setUp(self):
        super().setUp()
        copy = own_copy("/etc/firewalld")
        self.addCleanup(shutil.rmtree, copy)
        self.addCleanup(run, "umount", "/etc/firewalld")
        folder = Path(tempfile.mkdtemp(prefix="hostnet-firewalld-"))
        self.addCleanup(shutil.rmtree, folder)
        (folder / "bus.conf").write_text(BUS.format(folder / "bus"))
        self.bus_env = os.environ | {"DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={folder / 'bus'}"}
        self.background("dbus-daemon", f"--config-file={folder / 'bus.conf'}", "--nofork", "--nopidfile")
        self.assertTrue(eventually((folder / "bus").exists))
        self.firewalld = self.start_firewalld()

    def background(self, *command):
        process = subprocess.Popen(command, env=self.bus_env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)

        def end():
            process.terminate()
            process.wait(20)
        self.addCleanup(end)
        return process

    def start_firewalld(self):
        process = self.background("firewalld", "--nofork", "--nopid", "--system-config", "/etc/firewalld")
        self.assertTrue(eventually(lambda: self.command("--state", check=False).stdout == "running\n", 60))
        return process

    def command(self, *arguments, **options):
        return run("firewall-cmd", *arguments, env=self.bus_env, **options)

    def test_reload_panic_and_restart(self):
        self.assertIsNone(self.fetch(0.5))
        with self.exposed():
            self.command("--reload")
            self.serves()
            self.command("--panic-on")
            self.assertIsNone(self.fetch(0.5))
            self.assertIn("✗ input: the policy of chain inet firewalld_policy_drop raw_prerouting drops", self.checked(1))
            self.command("--panic-off")
            self.serves()
            self.firewalld.terminate()
            self.firewalld.wait(20)
            self.serves()
            self.start_firewalld()
            self.serves()


class Restored(FirewallCase):
    """Restores rules like netfilter-persistent and many custom scripts."""

    def test_rules_of_before_are_restored(self):
        for keeper, (add, remove) in THEIRS.items():
            with self.subTest(keeper):
                run("sh", "-ec", add)
                self.addCleanup(run, "sh", "-ec", remove)
                saved = save(keeper)
                restore(keeper, saved)  # the first use of iptables creates its base chains
                with self.exposed():
                    restore(keeper, saved)
                    self.serves()

    def restore_those_of_a_lease_that_has_ended(self):
        lease = self.expose(8088, "--bridge", "br-test")
        saved = {keeper: save(keeper) for keeper in KEEPERS}
        self.assertEqual(lease.end()[0], 0)
        for keeper, rules in saved.items():
            restore(keeper, rules)
        # They have no effect, because route_localnet is off.
        self.assertIsNone(self.fetch(0.5))

    def release_all(self, warning=None):
        done = self.tc_hostnet("release", "--all")
        self.assertEqual(done.stdout, "")
        if warning:
            self.assertIn(warning, done.stderr)
        else:
            self.assertEqual(done.stderr, "")

    def test_our_own_rules_go_with_the_next_use(self):
        before = snapshot()
        self.restore_those_of_a_lease_that_has_ended()
        lease = self.expose(8088, "--bridge", "br-test")
        self.assertEqual(self.fetch(), HELLO)
        self.assertEqual(lease.end()[0], 0)
        self.assertEqual(snapshot(), before)

    def test_our_own_rules_go_with_release_all(self):
        before = snapshot()
        self.restore_those_of_a_lease_that_has_ended()
        restored = snapshot()
        self.assertNotEqual(restored, before)
        told = self.tc_hostnet("--dry-run", "release", "--all")
        self.assertEqual((told.stdout, told.stderr), ("remove the guard of br-test, which no lease needs\n", ""))
        self.assertEqual(snapshot(), restored)
        self.release_all()
        self.assertEqual(snapshot(), before)
        self.release_all()

    def test_a_dry_run_tells_of_leases_and_of_rules_without_one(self):
        lease = self.expose(8088, "--bridge", "br-test")
        told = self.tc_hostnet("--dry-run", "release", "--all").stdout
        self.assertIn("set route_localnet=0 on br-test\n", told)
        self.assertNotIn("no lease needs", told)
        self.assertEqual(self.fetch(), HELLO)
        self.assertEqual(lease.end()[0], 0)

    def test_a_guard_whose_lease_is_not_known_stays_while_it_is_needed(self):
        before = snapshot()
        self.restore_those_of_a_lease_that_has_ended()
        setting = Path("/proc/sys/net/ipv4/conf/br-test/route_localnet")
        setting.write_text("1")
        self.addCleanup(setting.write_text, "0")
        with_guard = snapshot()
        told = self.tc_hostnet("--dry-run", "release", "--all")
        self.assertEqual(told.stdout, "")
        self.assertIn("br-test has route_localnet on and a guard of tc-hostnet but no known lease; the guard stays", told.stderr)
        self.release_all("br-test has route_localnet on and a guard of tc-hostnet but no known lease; the guard stays")
        self.assertEqual(snapshot(), with_guard)
        setting.write_text("0")
        self.release_all()
        self.assertEqual(snapshot(), before)


if __name__ == "__main__":
    main()
