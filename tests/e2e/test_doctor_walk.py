#!/usr/bin/python3
"""`tc-hostnet doctor --container C --port P`: each step of the path broken once, and the picture names it."""
import json
import os
import signal

from engines import DockerWithSshd
from harness import ALIAS, HostCase, Lease, main, run

HELLO = "hello from 127.0.0.1\n"
STEPS = ["container", "alias", "gateway", "forward", "firewall", "listener", "connect"]


class WalkCase(HostCase):
    engine_type = DockerWithSshd

    def setUp(self):
        super().setUp()
        self.network("web")
        self.container("app", network="web")

    def walk(self, port=8088, container="app", **options):
        """The --json output; checks that the exit status agrees."""
        done = self.tc_hostnet("--json", "doctor", "--container", container, "--port", port, check=False, **options)
        told = json.loads(done.stdout)
        self.assertEqual(done.returncode, 0 if told["ok"] else 1, done.stderr)
        self.assertEqual(told["ok"], told["stops_at"] is None)
        for step in told["steps"]:
            self.assertEqual(step["mend"] is None, step["status"] == "ok", step)
        self.steps = {step["name"]: step for step in told["steps"]}
        return told

    def stops_at(self, step, finding, **options):
        told = self.walk(**options)
        self.assertEqual(told["stops_at"], step, told)
        self.assertRegex(self.steps[step]["finding"], finding)
        return self.steps[step]["mend"]


class Steps(WalkCase):
    def test_the_way_is_open(self):
        self.service(8088, HELLO)
        lease = self.expose(8088, "--container", "app")
        told = self.walk()
        self.assertTrue(told["ok"], told)
        self.assertEqual([step["name"] for step in told["steps"]], STEPS)
        self.assertEqual({step["status"] for step in told["steps"]}, {"ok"}, told)
        self.assertIn(f"by lease {lease.id}", self.steps["alias"]["finding"])
        self.assertRegex(self.steps["gateway"]["finding"], "is this host, on bridge .*, and a route inside leads there")
        self.assertEqual(self.steps["forward"]["finding"],
                         f"lease {lease.id} (native) leads 8088/tcp to 127.0.0.1:8088")
        self.assertRegex(self.steps["connect"]["finding"], rf"connected from inside to {self.gateway('web')}:8088 in ")

    def test_the_picture(self):
        self.service(8088, HELLO)
        self.expose(8088, "--container", "app")
        lines = self.tc_hostnet("doctor", "--container", "app", "--port", "8088").stdout.splitlines()
        self.assertEqual(lines[0], f"app → {ALIAS}:8088")
        self.assertEqual([line.split()[:3] for line in lines[1:-1]], [["│", "✓", step] for step in STEPS])
        self.assertEqual(lines[-1], " ▼ the way is open, as far as doctor can see")
        broken = self.tc_hostnet("doctor", "--container", "app", "--port", "9099", check=False)
        self.assertEqual(broken.returncode, 1)
        self.assertRegex(broken.stdout, r"(?m)^ │ ✓ alias .*\n │ ✓ gateway .*\n ╳ ✗ forward    no lease lets it in on "
                                        r"9099/tcp; lease \w+ gives it other ports\n ┊ +→ tc-hostnet expose 9099 "
                                        r"--container app\n ┊ ")
        self.assertEqual(broken.stdout.splitlines()[-1], " ✗ it stops at: forward")

    def test_no_alias(self):
        self.service(8088, HELLO)
        self.expose(8088, "--container", "app", "--no-alias")
        mend = self.stops_at("alias", f"{ALIAS} is not in its hosts file")
        self.assertEqual(self.steps["connect"]["status"], "ok")  # via the gateway's address
        # The hint is a command, and it repairs.
        self.detach(*mend.split()[2:])
        self.assertTrue(self.walk()["ok"])

    def test_another_alias(self):
        self.container("theirs", network="web", hosts=[f"{ALIAS}:198.19.77.7"])
        self.stops_at("gateway", "198.19.77.7 is not this host's address on its network; br-", container="theirs")

    def test_no_lease(self):
        self.service(8088, HELLO)
        self.expose(8088, "--container", "app").end()
        self.stops_at("alias", "is not in its hosts file")
        self.container("other", network="web")
        lease = self.expose(8088, "--container", "other")
        self.walk()
        self.assertRegex(self.steps["forward"]["finding"],
                         f"no lease lets it in on 8088/tcp; lease {lease.id} has that port for container other")
        self.assertEqual(self.steps["connect"]["status"], "fail")
        mend = self.steps["forward"]["mend"]
        self.assertEqual(mend, "tc-hostnet expose 8088 --container app")
        self.detach(*mend.split()[2:])
        self.assertTrue(self.walk()["ok"])

    def test_a_lease_whose_holder_is_dead(self):
        self.service(8088, HELLO)
        self.expose(8088, "--container", "app").end(signal.SIGKILL)
        mend = self.stops_at("forward", "but it has ended")
        self.assertTrue(mend.startswith("tc-hostnet list"))

    def test_a_firewall_that_drops(self):
        self.service(8088, HELLO)
        self.expose(8088, "--container", "app")
        fence = "table inet fence { chain input { type filter hook input priority 0; policy drop; iif lo accept; }; }"
        run("nft", "-f", "-", stdin=fence)
        self.addCleanup(run, "nft", "delete", "table", "inet", "fence", check=False)
        mend = self.stops_at("firewall", "the firewall chain inet fence input drops")
        self.assertRegex(self.steps["connect"]["finding"], "does not answer: a firewall drops it")
        run("sh", "-c", mend)
        self.assertTrue(self.walk()["ok"])
        run("nft", "delete", "table", "inet", "fence")

    def test_no_listener(self):
        self.expose("9099:8088", "--container", "app")
        mend = self.stops_at("listener", r"nothing listens on 127.0.0.1:9099/tcp")
        self.assertIn("start the service", mend)
        self.assertRegex(self.steps["connect"]["finding"], "refuses")
        self.service(9099, HELLO)
        self.assertTrue(self.walk()["ok"])

    def test_no_container(self):
        self.stops_at("container", "nobody", container="nobody")
        self.assertEqual(list(self.steps), ["container"])
        self.engine.api.kill("app")
        self.stops_at("container", "app does not run")
        self.container("hostly", network="host")
        self.stops_at("container", "network mode host", container="hostly")

    def test_udp(self):
        self.expose("5353/udp", "--container", "app")
        told = self.walk("5353/udp")
        self.assertEqual((told["port"], told["protocol"], told["stops_at"]), (5353, "udp", "listener"))
        self.assertIn("not tried", self.steps["connect"]["finding"])

    def test_by_ssh(self):
        self.service(8088, HELLO)
        lease = self.expose(8088, "--container", "app", "--via", "ssh")
        told = self.walk()
        self.assertTrue(told["ok"], told)
        self.assertIn(f"is the sidecar of lease {lease.id} on web", self.steps["gateway"]["finding"])
        self.assertIn(f"lease {lease.id} (ssh) leads", self.steps["forward"]["finding"])
        self.assertIn("not passed", self.steps["firewall"]["finding"])
        self.assertEqual(lease.end()[0], 0)

    def test_words_that_do_not_belong_together(self):
        for words in (["--port", "8088"], ["--container", "app", "--port", "8088", "9090"],
                      ["--container", "app", "--port", "/run/x.sock:1"], ["--container", "app", "--port", "0"]):
            refused = self.tc_hostnet("doctor", *words, check=False)
            self.assertEqual((refused.returncode, refused.stdout, refused.stderr.count("\n")), (2, "", 1), words)


class WithoutRoot(WalkCase):
    """As a user whose only right is access to the engine."""

    def setUp(self):
        super().setUp()
        self.engine.dir.chmod(0o755)
        self.engine.socket.chmod(0o666)
        self.state = self.engine.dir / "nobody"
        self.state.mkdir(exist_ok=True)
        os.chown(self.state, 65534, 65534)
        self.addCleanup(run, "rm", "-rf", self.state)

    def as_nobody(self, *arguments):
        return ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "env",
                f"TC_HOSTNET_RUNTIME_DIR={self.state}", str(self.program), *arguments]

    def test_a_path_that_works_is_no_failure(self):
        done = run(*self.as_nobody("--json", "doctor", "--container", "app"), env=self.env, check=False)
        checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
        self.assertEqual(checks["capabilities"]["status"], "warn")
        self.assertIn("expose goes by ssh", checks["capabilities"]["finding"])
        self.assertEqual(checks["path"]["status"], "ok")

    def test_the_walk_says_what_it_could_not_see(self):
        self.service(8088, HELLO)
        lease = Lease(self.as_nobody("--json", "expose", "8088", "--container", "app", "--via", "ssh"), self.env)
        self.addCleanup(lease.close)
        done = run(*self.as_nobody("--json", "doctor", "--container", "app", "--port", "8088"), env=self.env, check=False)
        told = json.loads(done.stdout)
        steps = {step["name"]: step for step in told["steps"]}
        self.assertEqual((done.returncode, told["stops_at"]), (0, None), told)
        self.assertIn(f"lease {lease.id} (ssh) leads", steps["forward"]["finding"])
        self.assertEqual(steps["connect"]["status"], "warn")
        self.assertIn("no connection from inside is possible", steps["connect"]["finding"])
        self.assertIn("sudo", steps["connect"]["mend"])
        self.assertEqual(lease.end()[0], 0)


if __name__ == "__main__":
    main()
