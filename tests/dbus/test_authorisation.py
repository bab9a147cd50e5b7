"""Who may do what: real polkitd, real rules, users told apart by the bus."""
import json
import os
import signal
import time
import unittest

from harness import (ACCESS_DENIED, GATEWAY, MUST_ASK, UIDS, Helped, add_container, as_user, fetch, firewall, run, settings,
                     user_environment)


class Authorisation(Helped):
    def test_member_of_docker_exposes_a_service_of_their_own(self):
        self.service("alice", 8088)
        alice = self.caller("alice")
        path = alice.expose(self.bridge, 8088)
        self.assertEqual(fetch(8088), "alice")
        self.assertEqual(alice.get(path=path, name="OwnerUid"), 20001)
        self.assertEqual(alice.get(path=path, name="OwnerPid"), alice.pid)
        alice.release(path=path)
        self.assertIsNone(fetch(8088))

    def test_a_lease_for_one_source_serves_no_other(self):
        self.service("alice", 8088)
        alice = self.caller("alice")
        path = alice.expose(self.bridge, 8088, sources=["198.18.0.2"])
        self.assertEqual(fetch(8088), "alice")
        self.assertIsNone(fetch(8088, "neighbour", seconds=0.5))
        self.assertEqual(alice.get(path=path, name="Sources"), ["198.18.0.2"])

    def test_its_source_is_pinned_to_its_port_of_the_bridge(self):
        self.service("alice", 8088)
        for name, address in (("victim", "198.18.0.9"), ("thief", "198.18.0.10")):
            add_container(name, "br-test", address, GATEWAY)
            self.addCleanup(run, "ip", "netns", "del", name)
            self.addCleanup(run, "ip", "link", "del", f"v-{name}")  # now; a namespace's end removes it late
        self.caller("alice").expose(self.bridge, 8088, sources=["198.18.0.9"])
        self.assertIn('198.18.0.9 . "v-victim"', run("nft", "list", "set", "bridge", "tc_hostnet", "ports").stdout)
        self.assertEqual(fetch(8088, "victim"), "alice")
        run("ip", "-n", "victim", "link", "set", "eth0", "down")
        run("ip", "-n", "thief", "addr", "flush", "dev", "eth0")
        run("ip", "-n", "thief", "addr", "add", "198.18.0.9/24", "dev", "eth0")
        self.assertIsNone(fetch(8088, "thief", seconds=0.5))

    def test_a_lease_for_one_ethernet_address_serves_no_other(self):
        self.service("alice", 8088)
        mac = json.loads(run("ip", "-n", "container", "-j", "link", "show", "eth0").stdout)[0]["address"]
        alice = self.caller("alice")
        path = alice.expose(self.bridge, 8088, sources=[mac])
        self.assertEqual(fetch(8088), "alice")
        self.assertIsNone(fetch(8088, "neighbour", seconds=0.5))
        self.assertEqual(alice.get(path=path, name="Sources"), [mac])

    def test_without_a_rule_somebody_would_have_to_be_asked(self):
        self.service("bob", 8088)
        message = self.refused(MUST_ASK, self.caller("bob").expose, self.bridge, 8088)
        self.assertIn("io.github.tchostnet.hostnet1.expose-own", message)
        self.assertIn("rules.d", message)
        self.assertEqual((firewall(), settings()), self.before)

    def test_who_is_denied_is_denied(self):
        self.service("mallory", 8088)
        self.refused(ACCESS_DENIED, self.caller("mallory").expose, self.bridge, 8088)
        self.assertEqual((firewall(), settings()), self.before)

    def test_root_needs_no_leave(self):
        self.service("bob", 80)
        root = self.caller("root")
        path = root.expose(self.bridge, 80, lifetime="persistent")
        self.assertEqual(fetch(80), "bob")
        root.release(path=path)

    def test_what_is_riskier_takes_another_action(self):
        """alice may expose her own, by the rule, and nothing else."""
        self.service("alice", 8088)
        self.service("bob", 8089)
        alice = self.caller("alice")
        bobs = f"uid {UIDS['bob']} listens on 127.0.0.1:8089, and the caller is uid {UIDS['alice']}"
        for ports, options, why in (((8089,), {}, bobs), ((8088, 8089), {}, bobs),
                                    ((8090,), {}, "no process listens on 127.0.0.1:8090"),
                                    ((("tcp", 80, 8088),), {}, "has a port below 1024"),
                                    ((("udp", 8088, 8088),), {}, "no process listens on 127.0.0.1:8088/udp"),
                                    ((8088,), {"lifetime": "persistent"}, "the lease is to outlive its caller")):
            with self.subTest(why):
                message = self.refused(MUST_ASK, alice.expose, self.bridge, *ports, **options)
                self.assertIn("expose-foreign (", message)
                self.assertIn(why, message)
        self.assertEqual((firewall(), settings()), self.before)

    def test_one_releases_ones_own_and_nobody_elses(self):
        self.service("alice", 8088)
        alice, bob, mallory, root = (self.caller(user) for user in ("alice", "bob", "mallory", "root"))
        path = alice.expose(self.bridge, 8088)
        self.assertIn("release-any", self.refused(MUST_ASK, bob.release, path=path))
        self.refused(ACCESS_DENIED, mallory.release, path=path)
        self.assertEqual(fetch(8088), "alice")
        another = self.caller("alice")
        another.release(path=path)
        self.assertIsNone(fetch(8088))
        path = alice.expose(self.bridge, 8088)
        root.release(path=path)
        self.assertIsNone(fetch(8088))

    def test_everybody_may_look(self):
        self.service("alice", 8088)
        path = self.caller("alice").expose(self.bridge, 8088, label="a <b>label</b>")
        mallory = self.caller("mallory")
        self.assertEqual(list(mallory.leases()), [path])
        self.assertEqual(mallory.get(path=path, name="Label"), "a <b>label</b>")
        facts = mallory.probe(ifindex=self.bridge)
        self.assertEqual((facts["usable"], facts["interface"], facts["gateway"]), (True, "br-test", "198.18.0.1"))

    def test_without_polkit_only_root_is_served(self):
        """polkitd absent, and polkitd hanging."""
        self.service("alice", 8088)
        alice, root = self.caller("alice"), self.caller("root")
        pid = int(os.environ["HELPER_POLKIT_PID"])
        os.kill(pid, signal.SIGSTOP)
        try:
            alice.begin_expose(self.bridge, 8088)
            self.assertFalse(alice.answered(0.5), "answered without polkit")
            self.assertEqual((firewall(), settings()), self.before)
            path = root.expose(self.bridge, 8088)
            self.assertEqual(fetch(8088), "alice")
            root.release(path=path)
        finally:
            os.kill(pid, signal.SIGCONT)
        alice.release(path=alice.result())

    def test_the_command_takes_the_same_answers_as_exit_codes(self):
        for user, code, words in (("bob", 5, "expose-own"), ("mallory", 4, "expose-own")):
            with self.subTest(user):
                service = self.service(user, 8088)
                done = run(*as_user(user), os.environ["TC_HOSTNET"], "--no-ask-password", "expose", "8088", "--bridge",
                           "br-test", "--via", "helper", check=False, env=user_environment())
                self.assertEqual(done.returncode, code, done.stderr)
                self.assertIn(words, done.stderr)
                self.assertIn("rules.d", done.stderr)
                self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)
                service.stop()
        self.assertEqual((firewall(), settings()), self.before)


class WithoutPolkit(Helped):
    def test_polkit_that_is_gone_refuses_everybody_but_root(self):
        self.service("alice", 8088)
        alice, root = self.caller("alice"), self.caller("root")
        os.kill(int(os.environ["HELPER_POLKIT_PID"]), signal.SIGKILL)
        time.sleep(0.2)
        self.assertIn("polkit", self.refused(ACCESS_DENIED, alice.expose, self.bridge, 8088))
        path = root.expose(self.bridge, 8088)
        self.assertEqual(fetch(8088), "alice")
        root.release(path=path)


if __name__ == "__main__":
    unittest.main()
