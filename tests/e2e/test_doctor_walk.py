#!/usr/bin/python3
"""`tc-hostnet doctor --container C --port P`: each step of the path broken once, and the picture names it."""
import contextlib
import json
import os
import signal
import socket
import socketserver
import subprocess
import threading
import time

from engines import DockerWithSshd, PodmanWithSshd
from harness import ALIAS, HostCase, Lease, eventually, main, output, run

HELLO = "hello from 127.0.0.1\n"
STEPS = ["container", "alias", "gateway", "forward", "firewall", "listener", "return", "connect"]
SPAN = 10  # seconds in which doctor finds a fault; below 1.6 on a quiet machine
SLOW = 6  # seconds until SlowInfo answers


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
        self.assertEqual(told["ok"], told["stops_at"] is None and not told["unseen"])
        for step in told["steps"]:
            if step["status"] == "ok":
                self.assertIsNone(step["mend"], step)
        self.steps = {step["name"]: step for step in told["steps"]}
        return told

    def stops_at(self, step, finding, **options):
        """The remedy of that step, which must be the only one."""
        begun = time.monotonic()
        told = self.walk(**options)
        took = time.monotonic() - begun
        if took > SPAN:  # the machine may be busy
            begun = time.monotonic()
            told = self.walk(**options)
            took = time.monotonic() - begun
        self.assertEqual(told["stops_at"], step, told)
        self.assertRegex(self.steps[step]["finding"], finding)
        self.assertLess(took, SPAN)
        mends = [one["mend"] for one in told["steps"] if one["mend"]]
        self.assertEqual(len(mends), 1, told)
        return mends[0]


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
        self.service(8088, HELLO)
        self.expose(8088, "--network", "web", "--no-alias")
        mend = self.stops_at("alias", rf"is 198.19.77.7 in its hosts file, by --add-host, but it should be "
                                      rf"{self.gateway('web')}", container="theirs")
        self.assertIn("without --add-host", mend)

    def test_no_lease(self):
        self.service(8088, HELLO)
        self.expose(8088, "--container", "app").end()
        self.stops_at("forward", "no lease lets it in on 8088/tcp")
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
        self.assertEqual((told["port"], told["protocol"], told["stops_at"]), (5353, "udp", "listener"), told)
        self.assertIn("not tried", self.steps["connect"]["finding"])

    def test_by_ssh(self):
        self.service(8088, HELLO)
        lease = self.expose(8088, "--container", "app", "--via", "ssh")
        told = self.walk()
        self.assertTrue(told["ok"], told)
        self.assertIn(f"is the sidecar of lease {lease.id} on web", self.steps["gateway"]["finding"])
        self.assertIn(f"lease {lease.id} (ssh) leads", self.steps["forward"]["finding"])
        self.assertEqual(self.steps["firewall"]["status"], "ok")
        self.assertEqual(lease.end()[0], 0)

    def test_words_that_do_not_belong_together(self):
        for words in (["--port", "8088"], ["--container", "app", "--port", "8088", "9090"],
                      ["--container", "app", "--port", "/run/x.sock:1"], ["--container", "app", "--port", "0"]):
            refused = self.tc_hostnet("doctor", *words, check=False)
            self.assertEqual((refused.returncode, refused.stdout, refused.stderr.count("\n")), (2, "", 1), words)


class SlowInfo:
    """A socket of the engine on which GET /info is answered after 3 s."""

    def __init__(self, path, engine):
        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                with socket.socket(socket.AF_UNIX) as there:
                    there.connect(str(engine))
                    back = threading.Thread(target=self.pump, args=(there, self.request), daemon=True)
                    back.start()
                    self.pump(self.request, there)
                    back.join(5)

            @staticmethod
            def pump(source, target):
                with contextlib.suppress(OSError):
                    while data := source.recv(65536):
                        if b"/info HTTP" in data.split(b"\r\n", 1)[0]:
                            time.sleep(SLOW)
                        target.sendall(data)
                    target.shutdown(socket.SHUT_WR)

        class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
            daemon_threads = True
            block_on_close = False

        self.path = path
        self.server = Server(str(path), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        self.path.unlink()


class Seeded(WalkCase):
    """One fault beside a lease that works: the step, the words, and one remedy, which mends it if it is a command."""

    def setUp(self):
        super().setUp()
        self.service(8088, HELLO)
        self.lease = self.expose(8088, "--container", "app")
        endpoint = self.engine.api.inspect("app")["NetworkSettings"]["Networks"]["web"]
        bridge = self.engine.api.bridge("web")
        inside = output("nsenter", "-t", self.process("app"), "-n", "ip", "-json", "link", "show", "eth0")
        ports = {link["ifindex"]: link["ifname"] for link in json.loads(output("ip", "-json", "link"))}
        self.words = {"address": endpoint["IPAddress"], "gateway": self.gateway("web"), "bridge": bridge,
                      "subnet": self.engine.api.network("web")["IPAM"]["Config"][0]["Subnet"],
                      "port": ports[json.loads(inside)[0]["link_index"]]}

    def process(self, container):
        return self.engine.api.inspect(container)["State"]["Pid"]

    def fill(self, text):
        for name, value in self.words.items():
            text = text.replace(f"@{name}@", value)
        return text

    def seed(self, step, finding, seed, clear):
        with self.subTest(seed):
            run("sh", "-ec", self.fill(seed))
            try:
                mend = self.stops_at(step, self.fill(finding))
                run("sh", "-ec", mend)
                self.assertTrue(self.walk()["ok"], mend)
            finally:
                run("sh", "-c", self.fill(clear), check=False)

    def fence(self, family, finding, chain, more=""):
        self.seed("firewall", finding, f"nft 'table {family} fence {{ {more} chain c {{ type filter hook {chain} }}; }}'",
                  f"nft delete table {family} fence")

    def test_rules_of_nftables(self):
        rule = "rule with handle [0-9]+ in chain {} drops the connection"
        self.fence("inet", rule.format("inet fence c"),
                   "input priority 0; policy accept; tcp dport { 22, 8088 } ct state new drop;")
        self.fence("inet", "in chain inet fence c rejects", 'input priority 0; iifname "@bridge@" reject;')
        self.fence("inet", rule.format("inet fence c"),
                   "prerouting priority -300; ip saddr @subnet@ tcp dport 8088 drop;")
        self.fence("ip", rule.format("ip fence sub"), "input priority -1; iifname @ports jump sub;",
                   'set ports { type ifname; elements = { "@bridge@" }; }; chain sub { ip saddr @subnet@ counter drop; };')
        self.fence("inet", rule.format("inet fence zone"), 'input priority 10; iifname vmap { "@bridge@" : goto zone };',
                   "chain zone { ct state established,related accept; ct state invalid drop; drop; };")
        self.fence("bridge", rule.format("bridge fence c"), "prerouting priority -300; ip daddr @gateway@ tcp dport 8088 drop;")
        self.fence("bridge", rule.format("bridge fence c"), 'prerouting priority -300; iifname "@port@" drop;')
        self.fence("netdev", rule.format("netdev fence c"), 'ingress device "@port@" priority 0; tcp dport 8088 drop;')
        self.fence("netdev", rule.format("netdev fence c"), 'egress device "@port@" priority 0; tcp sport 8088 drop;')
        self.fence("inet", rule.format("inet fence c"), 'output priority 0; oifname "@bridge@" tcp sport 8088 drop;')
        self.fence("inet", "the policy of chain inet fence c drops", "input priority 0; policy drop; iif lo accept;")
        self.fence("bridge", "the policy of chain bridge fence c drops", "input priority 0; policy drop;")
        self.fence("inet", rule.format("inet fence c"),
                   "input priority 0; icmp type != echo-request return; ip6 saddr != ::1 drop; iif lo accept; "
                   "tcp dport vmap { 22 : accept, * : drop };")

    def test_rules_of_iptables(self):
        for program in ("iptables-legacy", "iptables-nft"):
            for table, chain, match, verb in (("filter", "INPUT", "-s @subnet@ -p tcp --dport 8088 -j DROP", "drops"),
                                              ("filter", "INPUT", "-i @bridge@ -j REJECT", "rejects"),
                                              ("raw", "PREROUTING", "-i @bridge@ -p tcp -j DROP", "drops"),
                                              ("mangle", "PREROUTING", "-d @gateway@ -p tcp -j DROP", "drops")):
                if (program, table) == ("iptables-nft", "filter"):
                    continue  # the lease puts its own accept above it
                where = f"{program} -w -t {table}"
                self.seed("firewall", f"rule 1 of chain {chain} in {program}'s table {table} .* {verb} the connection",
                          f"{where} -I {chain} {match}",
                          f"{where} -D {chain} {match}; {where} -D {chain} 1")
        ufw = "iptables-legacy -w"
        self.seed("firewall", "rule 1 of chain ufw-user-input in iptables-legacy's table filter",
                  f"{ufw} -N ufw-user-input; {ufw} -A ufw-user-input -p tcp --dport 8088 -j DROP; "
                  f"{ufw} -I INPUT -j ufw-user-input",
                  f"{ufw} -D INPUT -j ufw-user-input; {ufw} -F ufw-user-input; {ufw} -X ufw-user-input")
        # iptables-nft leaves its tables; "filter" is the engine's.
        for table in ("raw", "mangle"):
            run("nft", "delete", "table", "ip", table, check=False)

    def test_lost_return(self):
        self.seed("return", r"lost: .* \(route blackhole @address@/32\)", "ip route add blackhole @address@",
                  "ip route del blackhole @address@")
        self.seed("return", r"lost: .* \(rule 77 of", "ip rule add pref 77 to @subnet@ unreachable",
                  "ip rule del pref 77")
        self.seed("return", "there is no route to @subnet@ by @bridge@", "ip route del @subnet@",
                  "ip route replace @subnet@ dev @bridge@ src @gateway@")

    def test_links(self):
        inside = f"nsenter -t {self.process('app')} -n ip link set eth0"
        self.seed("gateway", "an address of bridge @bridge@, which is down", "ip link set @bridge@ down",
                  "ip link set @bridge@ up")
        self.seed("gateway", "but @port@, the container's port of it, is down", "ip link set @port@ down",
                  "ip link set @port@ up")
        self.seed("gateway", "but eth0 inside is down", f"{inside} down", f"{inside} up")

    def test_rules_of_the_lease(self):
        owner = self.lease.process.pid
        os.kill(owner, signal.SIGSTOP)  # or it would put them back
        self.addCleanup(os.kill, owner, signal.SIGCONT)
        setting = "/proc/sys/net/ipv4/conf/" + self.words["bridge"] + "/route_localnet"
        run("sh", "-c", f"echo 0 > {setting}")
        self.assertIn("expose again", self.stops_at("forward", "route_localnet"))
        run("sh", "-c", f"echo 1 > {setting}; "
            "nft list table ip tc-hostnet >/dev/null 2>&1 && nft flush table ip tc-hostnet || iptables-legacy -w -t nat -F")
        self.assertIn("expose again", self.stops_at("forward", "but "))

    def test_listeners(self):
        self.expose("9099", "--container", "app")
        self.service(9098, HELLO)
        self.stops_at("listener", "nothing listens on 127.0.0.1:9099/tcp", port=9099)
        serve = ["/usr/bin/python3", "-m", "http.server", "--bind", "127.0.0.1", "9099"]
        run("ip", "netns", "add", "far")
        self.addCleanup(run, "ip", "netns", "del", "far")
        run("ip", "-n", "far", "link", "set", "lo", "up")
        far = subprocess.Popen(["ip", "netns", "exec", "far", *serve])
        self.addCleanup(far.wait)
        self.addCleanup(far.kill)
        self.assertTrue(eventually(lambda: output("ip", "netns", "exec", "far", "ss", "-ltnH")))
        self.stops_at("listener", r"python3 \(pid [0-9]+\) in network namespace far listens on 127.0.0.1:9099", port=9099)
        far.kill()
        self.container("server", network="web", command=("nc", "-l", "-p", "9099"))
        mend = self.stops_at("listener", r"nc \(pid [0-9]+\) of container server listens on ", port=9099)
        self.assertIn("-p 127.0.0.1:9099:9099", mend)

    def test_aliases(self):
        for hosts in ("198.19.77.7 {0}\n{1}", "198.19.77.7 {0} # stale\n{1}"):
            before = "\n".join(self.engine.hosts("app")) + "\n"
            self.rewrite(hosts.format(ALIAS, before))
            self.mend(self.stops_at("alias", "is 198.19.77.7 in its hosts file, by an entry of the container"))
            self.assertTrue(self.walk()["ok"])
        self.rewrite("127.0.0.1 localhost\n")
        self.stops_at("alias", "is not in its hosts file")

    def rewrite(self, text):
        run("nsenter", "--target", self.process("app"), "--all", "sh", "-c", "cat > /etc/hosts", stdin=text)

    def mend(self, mend):
        """Runs a remedy that is a command of the engine's."""
        self.assertTrue(mend.startswith(f"{self.engine.product} "), mend)
        run("sh", "-ec", mend, env=self.engine.env | {"DOCKER_HOST": f"unix://{self.engine.socket}"})

    def test_containers(self):
        self.engine.api.pause("app")
        self.mend(self.stops_at("container", "app is paused").removeprefix("resume it: "))
        self.assertTrue(self.walk()["ok"])
        self.network("second")
        self.container("two", network="second")
        self.engine.api.connect("web", "two")
        mend = self.stops_at("forward", "no lease lets it in on 8088/tcp", container="two")
        self.assertEqual(mend, "tc-hostnet expose 8088 --container two")
        self.engine.api.kill("app")
        self.assertIn(f"{self.engine.product} start app", self.stops_at("container", "app does not run"))

    def test_listeners_on_other_addresses(self):
        self.expose(9099, "--container", "app")
        other = "127.0.0.5"
        elsewhere = self.service(9099, HELLO, other)
        self.stops_at("listener", f"nothing listens on 127.0.0.1:9099/tcp, only on {other}:9099", port=9099)
        elsewhere.close()
        six = socket.create_server(("::1", 9099), family=socket.AF_INET6)
        self.addCleanup(six.close)
        self.stops_at("listener", r"only on \[::1\]:9099", port=9099)

    def test_engines(self):
        """One whose /info takes long, and one that is gone."""
        slow = self.engine.dir / "slow.sock"
        with SlowInfo(slow, self.engine.socket):
            begun = time.monotonic()
            done = self.tc_hostnet("doctor", "--container", "app", "--port", "8088",
                                   env=self.env | {"DOCKER_HOST": f"unix://{slow}"}, check=False)
            self.assertLess(time.monotonic() - begun, SLOW)
            self.assertNotIn("rootless", done.stdout)
            checks = json.loads(self.tc_hostnet("doctor", "--json", env=self.env | {"DOCKER_HOST": f"unix://{slow}"},
                                                check=False).stdout)["checks"]
            (engine,) = [check for check in checks if check["name"] == "engine"]
            self.assertEqual(engine["status"], "unseen")
            self.assertIn("whether it runs rootless is not known", engine["finding"])
        # One that takes connections and says nothing: not even whether it is needed can be seen.
        with socket.socket(socket.AF_UNIX) as silent:
            silent.bind(str(self.engine.dir / "silent.sock"))
            silent.listen()
            environment = self.env | {"DOCKER_HOST": f"unix://{self.engine.dir / 'silent.sock'}"}
            done = self.tc_hostnet("doctor", "--json", env=environment, check=False)
            (engine,) = [check for check in json.loads(done.stdout)["checks"] if check["name"] == "engine"]
            self.assertEqual((done.returncode, engine["status"]), (1, "unseen"), engine)
        gone = self.tc_hostnet("doctor", "--container", "app", "--port", "8088", check=False,
                               env=self.env | {"DOCKER_HOST": f"unix://{slow}"})
        self.assertEqual(gone.stdout.splitlines()[-1], " ✗ it stops at: container")

    def test_sidecars(self):
        self.lease.end()
        lease = self.expose(9099, "--container", "app", "--via", "ssh")
        sidecar = f"tc-hostnet-{lease.id}"
        self.service(9099, HELLO)
        self.assertTrue(self.walk(9099)["ok"])
        self.engine.api.pause(sidecar)
        self.mend(self.stops_at("forward", "but its sidecar is paused", port=9099))
        self.assertTrue(self.walk(9099)["ok"])
        os.kill(lease.process.pid, signal.SIGSTOP)  # or it would make another
        try:
            self.engine.api.kill(sidecar)
            self.assertIn("expose again", self.stops_at("forward", "but its sidecar is", port=9099))
        finally:
            os.kill(lease.process.pid, signal.SIGCONT)


class SeededOnPodman(Seeded):
    engine_type = PodmanWithSshd

    test_rules_of_iptables = None  # they do not differ


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
        self.assertEqual((done.returncode, told["stops_at"], told["ok"]), (1, None, False), told)
        self.assertEqual(told["unseen"], ["firewall", "connect"])
        self.assertIn(f"lease {lease.id} (ssh) leads", steps["forward"]["finding"])
        self.assertEqual(steps["connect"]["status"], "unseen")
        self.assertIn("no connection from inside is possible", steps["connect"]["finding"])
        self.assertIn("sudo", steps["firewall"]["mend"])
        self.assertEqual(lease.end()[0], 0)


if __name__ == "__main__":
    main()
