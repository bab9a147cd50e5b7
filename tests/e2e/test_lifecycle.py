#!/usr/bin/python3
"""How leases end: by their owner, by another process, by themselves, by kill -9, and by events of the engine, its
containers and its networks. Each end leaves nothing behind."""
import fcntl
import json
import os
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from engines import Docker
from harness import (ALIAS, FIREWALL, RUNTIME_DIR, HostCase, eventually, main, output, route_localnet, run,
                     state_folder)

HELLO = "hello from 127.0.0.1\n"


class LifecycleCase(HostCase):
    engine_type = Docker

    def setUp(self):
        super().setUp()
        self.service(8088, HELLO)
        self.network("web")
        self.container("app", network="web")
        self.quiet = self.traces()

    def traces(self):
        """Everything that a lease on this network changes. A restarted container has another veth."""
        settings = {name: value for name, value in route_localnet().items() if not name.startswith("veth")}
        return FIREWALL.rules(), settings, self.engine.hosts("app")

    def nothing_is_left(self):
        self.assertEqual(self.traces(), self.quiet)
        self.assertEqual(self.leases(), [])


class Owner(LifecycleCase):
    def test_ctrl_c_and_sigterm_end_it_cleanly(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            with self.subTest(signal=number.name):
                lease = self.expose(8088, "--network", "web")
                self.assertNotEqual(self.traces(), self.quiet)
                code, _, err = lease.end(number)
                self.assertEqual((code, err), (0, ""))
                self.nothing_is_left()

    def test_killed_in_the_foreground(self):
        lease = self.expose(8088, "--container", "app")
        lease.end(signal.SIGKILL)
        self.reaches("app", HELLO)  # the rules remain, including the guard
        self.tc_hostnet("list")
        self.nothing_is_left()
        self.reaches_nothing("app", name=self.gateway("web"))

    def test_what_somebody_cannot_finish_is_left_to_who_can(self):
        lease = self.expose(8088, "--container", "app")
        lease.end(signal.SIGKILL)
        # With the capabilities of the helper's daemon, which may not enter containers.
        run("setpriv", "--bounding-set=-all,+net_admin,+net_raw", "--inh-caps=-all", "--no-new-privs", self.program, "list",
            env=self.env)
        self.assertTrue(self.has_alias("app"))
        self.assertEqual([one["id"] for one in self.leases()], [])  # listing completes the clean-up
        self.nothing_is_left()
        self.assertFalse(self.has_alias("app"))

    def test_killed_in_the_background(self):
        self.detach(8088, "--network", "web")
        os.kill(self.leases()[0]["owner"]["pid"], signal.SIGKILL)
        self.assertEqual(self.tc_hostnet("release", "--all").stderr, "")
        self.nothing_is_left()

    def test_a_dry_run_finishes_nothing(self):
        lease = self.expose(8088, "--container", "app")
        lease.end(signal.SIGKILL)
        held = self.traces(), state_folder()
        self.assertNotEqual(held[0], self.quiet)
        for command, shown in ((("list",), lease.id), (("status",), "1 leases"), (("inspect", lease.id), lease.id),
                               (("release", lease.id), "set route_localnet=0"), (("release", "--all"), "route_localnet=0")):
            with self.subTest(command=command):
                self.assertIn(shown, self.tc_hostnet("--dry-run", *command).stdout)
                self.assertEqual((self.traces(), state_folder()), held)
        self.tc_hostnet("list")
        self.nothing_is_left()
        before = state_folder()
        self.assertEqual(self.tc_hostnet("--dry-run", "release", "0badf00d", check=False).returncode, 6)
        self.assertEqual(state_folder(), before)

    def test_killed_at_any_moment_of_setting_up(self):
        """Kills by time, not between named steps, often enough to hit every step."""
        for delay in range(0, 40, 2):
            with self.subTest(milliseconds=delay):
                process = subprocess.Popen([self.program, "expose", "8088", "--network", "web"], env=self.env,
                                           stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                           stderr=subprocess.DEVNULL)
                time.sleep(delay / 1000)
                process.kill()
                process.wait(10)
                self.tc_hostnet("list")
                self.nothing_is_left()

    def test_released_by_one_that_is_killed_at_any_moment(self):
        """As above, with an alias to remove from a container; the next command completes the release."""
        for delay in range(0, 42, 3):
            with self.subTest(milliseconds=delay):
                lease = self.detach(8088, "--container", "app")
                self.assertTrue(self.has_alias("app"))
                process = subprocess.Popen([self.program, "release", lease], env=self.env, stdin=subprocess.DEVNULL,
                                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                time.sleep(delay / 1000)
                process.kill()
                process.wait(10)
                # A release that had not begun leaves the lease unchanged.
                if delay % 2 or self.leases():
                    self.assertEqual(self.tc_hostnet("release", "--all").stderr, "")
                self.nothing_is_left()

    def test_detached_from_a_shell_substitution(self):
        shell = f'id=$({self.program} expose 8088 --network web --detach 2>/dev/null); echo "$id"'
        lease = output("sh", "-c", shell, env=self.env, timeout=30)
        self.assertRegex(lease, r"\A[0-9a-f]+\Z")
        self.reaches("app", HELLO)
        self.assertEqual(self.tc_hostnet("release", lease).stdout.strip(), lease)
        self.nothing_is_left()

    def test_its_time_is_up(self):
        started = time.monotonic()
        lease = self.expose(8088, "--network", "web", "--timeout", "2s")
        self.reaches("app", HELLO)
        event = lease.read_event()
        self.assertEqual((event["event"], event["state"]), ("ended", "released"))
        self.assertGreater(time.monotonic() - started, 1)
        self.assertEqual(lease.end(None)[0], 0)
        self.nothing_is_left()

    def test_time_of_a_dead_owner_is_up_at_once(self):
        lease = self.expose(8088, "--network", "web", "--timeout", "1h")
        lease.end(signal.SIGKILL)
        self.tc_hostnet("status")
        self.nothing_is_left()


class Others(LifecycleCase):
    """Other processes of tc-hostnet."""

    def test_released_by_the_beginning_of_its_id(self):
        lease = self.expose(8088, "--network", "web")
        self.tc_hostnet("release", lease.id[:4])
        code, out, _ = lease.end(None)
        self.assertEqual(code, 0)
        self.assertIn("released by another process", out)
        self.nothing_is_left()

    def test_all_released(self):
        leases = [self.detach(f"8088:{port}", "--network", "web") for port in range(9000, 9003)]
        leases.append(self.expose("8088:9010", "--container", "app").id)
        self.assertEqual(sorted(lease["id"] for lease in self.leases()), sorted(leases))
        released = self.tc_hostnet("release", "--all").stdout.split()
        self.assertEqual(sorted(released), sorted(leases))
        self.nothing_is_left()

    def test_the_same_port_twice_stays_until_both_are_released(self):
        first, second = self.detach(8088, "--network", "web"), self.detach(8088, "--network", "web")
        self.tc_hostnet("release", first)
        self.reaches("app", HELLO)
        self.tc_hostnet("release", second)
        self.nothing_is_left()

    def test_many_at_once(self):
        with ThreadPoolExecutor(8) as pool:
            leases = list(pool.map(lambda port: self.detach(f"8088:{port}", "--network", "web"), range(9000, 9012)))
        self.assertEqual(len(self.leases()), len(set(leases)))
        for port in (9000, 9011):
            self.reaches("app", HELLO, port=port)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda lease: self.tc_hostnet("release", lease), leases))
        self.nothing_is_left()

    def test_an_unknown_lease(self):
        refused = self.tc_hostnet("release", "0badf00d", check=False)
        self.assertEqual((refused.returncode, refused.stdout, refused.stderr.count("\n")), (6, "", 1))

    def test_seen_by_list_inspect_and_status(self):
        lease = self.detach(8088, "--network", "web", "--label", "for the demo")
        (listed,) = self.leases()
        self.assertEqual((listed["id"], listed["target"], listed["label"]), (lease, "network web", "for the demo"))
        self.assertIn(lease, self.tc_hostnet("list").stdout)
        self.assertIn("for the demo", self.tc_hostnet("inspect", lease).stdout)
        self.assertRegex(self.tc_hostnet("status").stdout, r"1 leases, route_localnet 1 \(was 0\), guard in place")

    def test_rules_flushed_by_somebody_come_back(self):
        self.expose(8088, "--network", "web")
        whole = FIREWALL.rules()
        for mischief in FIREWALL.mischiefs:
            with self.subTest(mischief):
                run("sh", "-ec", mischief)
                self.assertTrue(eventually(lambda: self.engine.fetch("app", f"http://{ALIAS}:8088/", timeout=2) == HELLO))
                self.assertTrue(eventually(lambda: FIREWALL.rules() == whole))

    def stop(self, pid):
        """Stops it until the end of the test, at a moment when it holds no lock."""
        def is_stopped():
            threads = Path(f"/proc/{pid}/task").glob("*/stat")
            return all(stat.read_text(encoding="utf-8").rpartition(") ")[2].startswith("T") for stat in threads)

        def is_free(lock):
            with lock.open() as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    return False
                return True

        def at_rest():
            os.kill(pid, signal.SIGSTOP)
            # Its other threads run until the first thread is scheduled and takes the signal.
            self.assertTrue(eventually(is_stopped))
            if all(is_free(lock) for lock in (Path("/run/xtables.lock"), *Path(RUNTIME_DIR).glob("*/lock"))):
                return True
            os.kill(pid, signal.SIGCONT)
            return False
        self.addCleanup(os.kill, pid, signal.SIGCONT)
        self.assertTrue(eventually(at_rest))

    def test_what_is_amiss_is_told_by_inspect_and_doctor(self):
        lease = self.expose(8088, "--container", "app")
        bridge = lease.ready["interface"]

        def amiss():
            told = json.loads(self.tc_hostnet("inspect", lease.id, "--json").stdout)
            self.assertEqual(told["intact"], not told["amiss"])
            return told["amiss"]
        self.assertEqual(amiss(), [])
        # The running holder would repair it.
        self.stop(lease.process.pid)
        run("sh", "-ec", FIREWALL.raw_mischief)
        run("nft", "delete", "table", "bridge", "tc_hostnet")
        Path(f"/proc/sys/net/ipv4/conf/{bridge}/route_localnet").write_text("0")
        wrong = [f"route_localnet is off on {bridge}", f"{FIREWALL.name}: the raw rules differ from the expected ones",
                 "the anti-spoofing bindings differ from the expected ones"]
        self.assertEqual(amiss(), wrong)
        doctor = self.tc_hostnet("doctor", check=False)
        self.assertEqual(doctor.returncode, 1, doctor.stdout)
        for one in wrong:
            self.assertIn(one, doctor.stdout)
        lease.process.send_signal(signal.SIGCONT)
        self.assertTrue(eventually(lambda: not amiss()))


class Engine(LifecycleCase):
    """A lease whose container, network or engine goes away."""

    def ended(self, lease):
        """Waits until the lease ends by itself; returns the reason."""
        event = lease.read_event()
        self.assertEqual(event["event"], "ended")
        self.assertEqual(lease.end(None)[0], 1)
        return event["reason"]

    def test_the_container_stops(self):
        """The rules go: its address may pass to another container, which the lease does not cover."""
        for options in ((), ("--no-alias",)):
            with self.subTest(options=options):
                self.container("brief", network="web")
                lease = self.expose(8088, "--container", "brief", "--once", *options)
                self.engine.api.kill("brief")
                self.assertEqual(self.ended(lease), "its container has stopped")
                self.nothing_is_left()
                self.engine.api.remove("brief")

    def test_the_container_is_removed(self):
        self.container("brief", network="web")
        self.detach(8088, "--container", "brief", "--once")
        self.engine.api.remove("brief")
        self.assertTrue(eventually(lambda: not self.leases()), "the lease did not end")
        self.nothing_is_left()

    def test_a_removed_container_is_awaited(self):
        """Without rules; in the list, from where it can be released."""
        self.container("brief", network="web")
        lease = self.detach(8088, "--container", "brief", "--label", "mine")
        self.engine.api.remove("brief")
        self.assertTrue(eventually(lambda: [one.get("state") for one in self.leases()] == ["waiting"], timeout=10))
        self.assertEqual(self.traces(), self.quiet)
        time.sleep(0.6)  # it has looked for its target meanwhile
        (listed,) = self.leases()
        self.assertEqual((listed["reason"], listed["interface"], listed["network"]), ("its container has stopped", None, None))
        told = self.tc_hostnet("inspect", lease).stdout
        self.assertIn("waiting for container brief: its container has stopped", told)
        self.assertNotIn("network", told)
        self.engine.api.run("brief", "alpine:3.19", ("sleep", "600"), network="web")
        self.assertTrue(eventually(lambda: self.has_alias("brief"), timeout=10))
        self.reaches("brief", HELLO)
        (listed,) = self.leases()
        self.assertEqual((listed["id"], listed["label"], listed["via"]), (lease, "mine", "native"))
        self.engine.api.remove("brief")
        self.assertTrue(eventually(lambda: [one.get("state") for one in self.leases()] == ["waiting"], timeout=10))
        self.tc_hostnet("release", lease)
        self.assertTrue(eventually(lambda: not state_folder()))
        self.nothing_is_left()

    def test_the_container_is_restarted(self):
        """A lease for the container follows it, also to another address; a lease for its network stands, and gives it the
        alias again, as to a container that starts later."""
        self.container("brief", network="web")
        mine = self.expose(8088, "--container", "brief")
        self.engine.api.restart("brief")
        mine.follows(self, time.monotonic())
        self.reaches("brief", HELLO)
        self.assertEqual(mine.end()[0], 0)
        lease = self.expose(8088, "--network", "web")
        self.reaches("brief", HELLO)
        self.engine.api.restart("brief")
        self.container("later", network="web")
        for name in ("brief", "later"):
            self.assertTrue(eventually(lambda name=name: self.has_alias(name), timeout=10))
            self.reaches(name, HELLO)
        self.assertEqual(len(self.leases()), 1)
        self.assertEqual(lease.end()[0], 0)
        for name in ("brief", "later"):
            self.assertFalse(self.has_alias(name))

    def test_the_container_stopped_while_nobody_looked(self):
        self.container("brief", network="web")
        self.detach(8088, "--container", "brief")
        os.kill(self.leases()[0]["owner"]["pid"], signal.SIGKILL)
        self.engine.api.remove("brief")
        self.tc_hostnet("list")
        self.nothing_is_left()

    def test_a_container_of_an_exposed_network_stops(self):
        self.container("brief", network="web")
        self.expose(8088, "--network", "web")
        self.engine.api.remove("brief")
        time.sleep(1)
        self.reaches("app", HELLO)
        self.assertEqual(len(self.leases()), 1)

    def test_the_network_is_made_anew(self):
        """As by `compose down` and `compose up`."""
        self.network("brief")
        lease = self.expose(8088, "--network", "brief")
        self.engine.api.remove_network("brief")
        self.assertEqual(lease.read_event()["event"], "waiting")
        self.engine.api.make_network("brief")
        lease.follows(self, time.monotonic())
        self.container("late", network="brief")
        self.assertTrue(eventually(lambda: self.has_alias("late"), timeout=10))
        self.reaches("late", HELLO)
        self.assertEqual(lease.end()[0], 0)
        self.engine.api.remove("late")

    def test_the_network_is_removed(self):
        self.network("brief")
        lease = self.expose(8088, "--network", "brief", "--once")
        self.engine.api.remove_network("brief")
        event = lease.read_event()
        self.assertEqual((event["event"], event["state"]), ("ended", "failed"))
        code, _, err = lease.end(None)
        self.assertEqual(code, 1)
        self.assertRegex(err.splitlines()[-1], r"\Atc-hostnet: lease \w+ ended: bridge \S+ is gone; to expose it again: tc-hostnet expose [^\n]+\Z")
        self.nothing_is_left()

    def test_the_engine_is_restarted(self):
        lease = self.expose(8088, "--network", "web")
        self.engine.stop()
        self.engine.start()
        self.engine.api.start("app")
        self.assertTrue(eventually(lambda: self.has_alias("app"), timeout=5))
        self.reaches("app", HELLO)
        self.assertEqual(lease.end()[0], 0)
        self.nothing_is_left()

    def test_the_engine_is_gone_at_release(self):
        lease = self.expose(8088, "--container", "app")
        hosts = self.engine.api.inspect("app")["HostsPath"]
        self.engine.stop()
        try:
            self.assertEqual(lease.end()[0], 0)
            self.assertEqual(FIREWALL.rules(), self.quiet[0])
            with open(hosts) as left:
                self.assertNotIn(ALIAS, left.read())
        finally:
            self.engine.start()
            self.engine.api.start("app")


if __name__ == "__main__":
    main()
