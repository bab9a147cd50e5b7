"""Test cases of the library's container API, shared by all engines."""
import contextlib
import os
import tempfile
import time
from pathlib import Path

from container_bed import Driver, Recorder, Refused, get
from engine_api import attempt
from harness import ALIAS, eventually, run
from ssh_cases import HELLO, free_port

FETCH_OFTEN = "until wget -qO- http://{alias}:{port}/; do sleep 0.1; done; exec sleep 600"


class Workflows:
    """Both workflows of the networking guide, on every path."""

    network_before_start = False  # whether the engine makes a container's network before its program runs

    def test_guide_a_containers_service(self):
        self.assertEqual(self.guide("GUIDE_CONTAINER"), "hello from the container\n")

    def test_guide_a_service_of_the_host(self):
        self.assertEqual(self.guide("GUIDE_HOST"), "native: " + HELLO)
        self.assertEqual(self.guide("GUIDE_HOST", "native"), "native: " + HELLO)
        self.assertEqual(self.guide("GUIDE_HOST", "ssh"), "ssh: " + HELLO)

    def test_its_first_instruction_may_use_the_host(self):
        # The container neither waits nor retries.
        port = self.hello()
        for path in ("native", "ssh", "relay"):
            for network in (self.engine.default_network, "fresh"):
                with self.subTest(path=path, network=network):
                    name = self.start(host_ports=[str(port)], path=path, network=network, wait_for=[["exit", 0]],
                                      cmd=["wget", "-qO-", f"http://{ALIAS}:{port}/"])
                    self.assertEqual(self.started["via"], path)
                    self.assertEqual(self.driver("logs", of=name)["out"], HELLO)
                    self.driver("drop", of=name)

    def test_by_relay_without_any_network(self):
        # Podman makes the network before the program runs; Docker's containers have to wait for it.
        port = self.hello()
        fetch = f"wget -qO- http://127.0.0.77:{port}/"
        patient = ["sh", "-c", f"until {fetch} 2>/dev/null; do sleep 0.05; done"]
        for network, cmd in (("none", fetch.split() if self.network_before_start else patient),
                             ("fresh", ["sh", "-c", FETCH_OFTEN.format(alias=ALIAS, port=port)])):
            with self.subTest(network=network):
                wait_for = [["exit", 0]] if network == "none" else [["stdout", HELLO.strip()]]
                name = self.start(host_ports=[str(port)], path="relay", network=network, wait_for=wait_for, cmd=cmd)
                self.assertEqual(self.driver("logs", of=name)["out"], HELLO)
                if network == "fresh":
                    self.assertEqual(self.started["via"], "relay")
                    other = self.hello("other\n")
                    self.driver("expose", of=name, port=str(other))
                    self.assertEqual(self.fetch(name, other), "other\n")
                self.driver("drop", of=name)

    def test_paths_in_order(self):
        port = self.hello()
        name = self.start(host_ports=[str(port)], paths=["relay", "ssh"])
        self.assertEqual((self.started["via"], self.fetch(name, port)), ("relay", HELLO))
        self.driver("drop", of=name)
        for paths, words in ((["ssh", "ssh"], "named twice"), (["auto"], "not one path")):
            self.refused("invalid_argument", words, host_ports=[str(port)], paths=paths)

    def test_a_condition_may_depend_on_the_host(self):
        port = self.hello("ready\n")
        name = self.start(host_ports=[str(port)], wait_for=[["stdout", "ready"]],
                          cmd=["sh", "-c", FETCH_OFTEN.format(alias=ALIAS, port=port)])
        self.assertEqual(self.driver("logs", of=name)["out"], "ready\n")

    def test_other_numbers_and_several_ports(self):
        first, second = self.hello("first\n"), self.hello("second\n")
        for path in ("native", "ssh"):
            with self.subTest(path=path):
                name = self.start(host_ports=[f"{first}:15432", str(second), str(second)], path=path)
                self.assertEqual(self.fetch(name, 15432), "first\n")
                self.assertEqual(self.fetch(name, second), "second\n")
                self.assertEqual(sorted(self.driver("ports", of=name)), sorted([f"{first}:15432/tcp", f"{second}/tcp"]))
                self.driver("drop", of=name)

    def test_another_address_of_the_loopback(self):
        port = self.hello("plain\n")
        self.service(port, "named\n", address="127.0.0.2")
        self.service(port, "six\n", address="::1")
        for host_port, path, via, text in ((f"127.0.0.2:{port}:8080", "native", "native", "named\n"),
                                           (f"127.0.0.2:{port}:8080", "ssh", "ssh", "named\n"),
                                           (f"[::1]:{port}:8080", "auto", "ssh", "six\n")):
            with self.subTest(host_port=host_port, path=path):
                name = self.start(host_ports=[host_port, str(port)], path=path)
                self.assertEqual(self.started["via"], via)
                self.assertEqual((self.fetch(name, 8080), self.fetch(name, port)), (text, "plain\n"))
                self.driver("drop", of=name)

    def test_an_unprivileged_program_goes_by_ssh(self):
        port = self.hello()
        for folder in (self.engine.dir, self.engine.socket):
            folder.chmod(folder.stat().st_mode | (0o005 if folder.is_dir() else 0o006))
        home = Path(tempfile.mkdtemp(prefix="hostnet-nobody-"))
        self.addCleanup(run, "rm", "-rf", home)
        os.chown(home, 65534, 65534)
        environment = self.env | {"HOME": str(home), "XDG_RUNTIME_DIR": str(home)}
        environment.pop("TC_HOSTNET_RUNTIME_DIR")
        programs = Path(tempfile.mkdtemp(prefix="hostnet-bin-"))
        self.addCleanup(run, "rm", "-rf", programs)
        programs.chmod(0o755)
        for variable in ("GUIDE_HOST", "TC_HOSTNET_REAPER"):
            run("cp", os.environ[variable], programs)
        environment["TC_HOSTNET_REAPER"] = str(programs / "tc-hostnet-reaper")
        done = run("setpriv", "--reuid", 65534, "--regid", 65534, "--clear-groups",
                   programs / Path(os.environ["GUIDE_HOST"]).name, env=environment)
        self.assertEqual(done.stdout, "ssh: " + HELLO)
        self.assertIsNotNone(port)

    def test_its_last_words_reach_the_host(self):
        for path in ("native", "ssh"):
            for end in ("stop", "remove", "drop"):
                with self.subTest(path=path, end=end):
                    port = free_port()
                    recorder = Recorder(port)
                    self.addCleanup(recorder.close)
                    # Longer than a monitor's period: a check in that time sees a container that is "stopping".
                    post = f"sleep {2 if end == 'stop' else 0}; wget -qO- --post-data=bye http://{ALIAS}:{port}/; exit 0"
                    name = self.start(host_ports=[str(port)], path=path, wait_for=[["stdout", "ready"]],
                                      cmd=["sh", "-c", f"trap '{post}' TERM; echo ready; while :; do sleep 0.05; done"])
                    # A long grace period for busy machines; "drop" takes none.
                    self.driver(end, of=name, **({"grace": 60} if end != "drop" else {}))
                    self.assertEqual(recorder.posted, ["bye"])
                    if end != "drop":
                        self.driver("drop", of=name)

    def test_expose_later(self):
        early, late = self.hello("early\n"), self.hello("late\n")
        for path, first in (("native", []), ("native", [str(early)]), ("ssh", []), ("ssh", [str(early)])):
            with self.subTest(path=path, first=first):
                name = self.start(host_ports=first, path=path)
                self.assertIsNone(self.fetch(name, late, timeout=2))
                self.driver("expose", of=name, port=str(late))
                self.assertEqual(self.fetch(name, late), "late\n")
                if first:
                    self.assertEqual(self.fetch(name, early), "early\n")
                    with self.assertRaises(Refused) as raised:
                        self.driver("expose", of=name, port=f"{late}:{early}")
                    self.assertEqual(raised.exception.code, "conflict")
                self.driver("drop", of=name)


class Networks:
    """Cases that depend on how an engine makes networks and publishes ports."""

    def test_each_containers_ports_are_its_own(self):
        mine, yours = self.hello("mine\n"), self.hello("yours\n")
        for path in ("native", "ssh"):
            with self.subTest(path=path):
                one = self.start(host_ports=[str(mine)], path=path, network="shared")
                two = self.start(host_ports=[str(yours)], path=path, network="shared")
                self.assertEqual((self.fetch(one, mine), self.fetch(two, yours)), ("mine\n", "yours\n"))
                self.assertIsNone(self.fetch(one, yours, timeout=2))
                self.assertIsNone(self.fetch(two, mine, timeout=2))
                for other, name, port in ((two, one, mine), (one, two, yours)):
                    # Nor by the address of the other's alias.
                    hosts = self.exec(name, "cat", "/etc/hosts")["out"]
                    (address,) = [line.split()[0] for line in hosts.splitlines() if ALIAS in line]
                    self.assertIsNone(self.fetch(other, port, name=address, timeout=2))
                for name in (one, two):
                    self.driver("drop", of=name)

    def test_the_same_number_may_lead_elsewhere_for_another_container(self):
        first, second = self.hello("first\n"), self.hello("second\n")
        one = self.start(host_ports=[f"{first}:8088"], path="native", network="shared")
        two = self.start(host_ports=[f"{second}:8088"], path="native", network="shared")
        self.assertEqual((self.fetch(one, 8088), self.fetch(two, 8088)), ("first\n", "second\n"))

    def test_the_forward_is_for_one_container(self):
        port = self.hello()
        for network in (self.engine.default_network, "fresh"):
            with self.subTest(network=network):
                name = self.start(host_ports=[str(port)], path="native", network=network)
                address = self.driver("address", of=name)
                self.assertTrue(eventually(lambda: self.leases()[0]["sources"] == [address]), self.leases())
                (lease,) = self.leases()
                self.assertEqual(lease["target"], "container " + self.started["name"])
                if lease["mac"]:
                    self.assertIn(lease["mac"], self.exec(name, "ip", "link")["out"])
                    rules = self.tc_hostnet("inspect", lease["id"]).stdout
                    self.assertIn(f"-m mac --mac-source {lease['mac']}", rules)
                    self.assertIn(f"-s {address}/32", rules)
                # No other container on the network.
                other = self.start(network=network)
                self.assertIsNone(self.fetch(other, port, name=lease["gateway"], timeout=2))
                for one in (name, other):
                    self.driver("drop", of=one)

    def test_ports(self):
        free = free_port()
        name = self.web(exposed=["8080"], mapped=[[free, "8081"]], wait_for=[["http", "/", "8080"]])
        self.assertEqual(self.driver("host", of=name), "localhost")
        self.assertEqual(get(self.driver("port4", of=name, port="8080")), "web\n")
        self.assertEqual(self.driver("port4", of=name, port="8081"), free)
        for port in ("8082", "8080/udp"):
            with self.assertRaises(Refused) as raised:
                self.driver("port4", of=name, port=port)
            self.assertEqual(raised.exception.code, "port_not_exposed")
            self.assertIn("is not exposed", str(raised.exception))

    def test_two_on_one_network(self):
        first = self.web(network="both", name="first", wait_for=[["listening", "8080"]])
        second = self.start(network="both")
        self.assertEqual(self.fetch(second, 8080, name="first"), "web\n")
        self.driver("drop", of=first)
        self.assertIn("both", " ".join(self.engine.inventory()["networks"]))
        self.driver("drop", of=second)
        self.assertNotIn("both", " ".join(self.engine.inventory()["networks"]))

    def test_a_network_of_somebody_else_stays(self):
        self.network("theirs")
        self.driver("drop", of=self.start(network="theirs"))
        self.assertIn("theirs", " ".join(self.engine.inventory()["networks"]))

    def test_a_listener_on_its_loopback_alone_does_not_count(self):
        self.late("wait for a listener on 8080/tcp", cmd=["httpd", "-f", "-p", "127.0.0.1:8080"],
                  wait_for=[["listening", "8080"]])


class Containers:
    """Cases without host ports."""

    def test_exec(self):
        name = self.start(env={"GREETING": "hello"})
        done = self.exec(name, "sh", "-c", "echo out; echo err >&2; exit 7")
        self.assertEqual(done, {"code": 7, "out": "out\n", "err": "err\n"})
        self.assertEqual(self.exec(name, "sh", "-c", "echo $GREETING $MORE; pwd; id -u", env={"MORE": "there"},
                                   dir="/tmp", user="65534")["out"], "hello there\n/tmp\n65534\n")
        self.assertIn(self.exec(name, "nosuch")["code"], (126, 127))

    def test_exec_with_input(self):
        name = self.start()
        self.assertEqual(self.exec(name, "cat", input="one\ntwo\n"), {"code": 0, "out": "one\ntwo\n", "err": ""})
        self.assertEqual(self.exec(name, "cat", input=""), {"code": 0, "out": "", "err": ""})
        big = "x" * 79 + "\n"
        big *= 20_000
        done = self.exec(name, "sh", "-c", "cat; echo end >&2; exit 3", input=big)
        self.assertEqual((done["code"], done["err"], done["out"] == big), (3, "end\n", True))
        # A command that reads nothing.
        self.assertEqual(self.exec(name, "true", input=big)["code"], 0)

    def test_logs(self):
        name = self.start(cmd=["sh", "-c", "echo one; echo two >&2; sleep 0.5; echo three; exec sleep 600"],
                          wait_for=[["stdout", "one"], ["stderr", "two"]])
        pieces = self.driver("follow", of=name, until="three")
        self.assertEqual("".join(text for stream, text in pieces if stream == "out"), "one\nthree\n")
        self.assertEqual("".join(text for stream, text in pieces if stream == "err"), "two\n")
        self.assertEqual(self.driver("logs", of=name), {"out": "one\nthree\n", "err": "two\n"})

    def test_logs_until_the_end(self):
        name = self.start(cmd=["sh", "-c", "echo one; exit 3"])
        self.assertEqual(self.driver("wait", of=name), 3)
        self.assertEqual(self.driver("follow", of=name), [["out", "one\n"]])
        self.assertEqual(self.driver("logs", of=name)["out"], "one\n")

    def test_the_consumer_of_its_output_forks_and_destroys_it(self):
        name = self.start(cmd=["sh", "-c", "echo one; exec sleep 600"])
        self.assertEqual(self.driver("follow_and_destroy", of=name), 0)
        self.assertNotIn(self.ids[name], self.engine.api.containers())

    def test_what_it_is_made_from(self):
        source = self.engine.dir / "file"
        source.write_text("from a file\n")
        deep = "/opt/" + "d" * 90 + "/" + "e" * 60 + "/file"
        name = self.start(name="chosen", labels={"mine": "yes"}, hosts={"other.example": "192.0.2.7"},
                          entrypoint=["sh", "-c"], cmd=["echo $0 $A; exec sleep 600"], env={"A": "b"},
                          copies=[["/opt/new/folder/script", "#!/bin/sh\necho run\n", 0o755], [deep, "deep\n", 0o600]],
                          files=[["/tmp/copied", str(source)]], network="own", wait_for=[["stdout", "\n"]])
        self.assertEqual(self.started["name"], "chosen")
        self.assertEqual(self.exec(name, "/opt/new/folder/script")["out"], "run\n")
        self.assertEqual(self.exec(name, "cat", deep, "/tmp/copied")["out"], "deep\nfrom a file\n")
        self.assertEqual(self.exec(name, "stat", "-c", "%a %u", deep)["out"], "600 0\n")
        self.assertIn("192.0.2.7", self.exec(name, "cat", "/etc/hosts")["out"])
        seen = self.driver("inspect", of=name)
        self.assertEqual(seen["Id"], self.started["id"])
        labels = seen["Config"]["Labels"]
        self.assertEqual((labels["mine"], labels["org.testcontainers"], labels["org.testcontainers.lang"]),
                         ("yes", "true", "c++"))
        self.assertRegex(labels["org.testcontainers.sessionId"], "^[0-9a-f]{32}$")
        self.assertEqual(self.driver("address", of=name), self.address_of("chosen"))

    def test_waiting(self):
        slow = ["sh", "-c", "sleep 0.4; echo ready; echo ready >&2; exec httpd -f -p 8080 -h /"]
        for condition in (["stdout", "ready"], ["stderr", "ready"], ["listening", "8080"], ["http", "/nosuch", "8080", 404]):
            with self.subTest(condition=condition):
                name = self.start(cmd=slow, exposed=["8080"], wait_for=[condition])
                self.assertGreater(self.started["ms"], 400)
                self.driver("drop", of=name)
        name = self.start(wait_for=[["seconds", 1]])
        self.assertGreater(self.started["ms"], 1000)
        self.driver("drop", of=name)
        name = self.start(cmd=["sh", "-c", "for i in 1 2 3; do echo go; sleep 0.2; done; exec sleep 600"],
                          wait_for=[["stdout", "go", 3]])
        self.assertGreater(self.started["ms"], 400)
        self.driver("drop", of=name)
        self.driver("drop", of=self.start(cmd=["sh", "-c", "exit 5"], wait_for=[["exit", 5]]))

    def test_reuse(self):
        # The driver that made the container ends; the engine removes the container at the end.
        first = Driver(self.env)
        self.addCleanup(first.close)
        one = first("start", **{"as": "r", "cmd": ["sleep", "600"], "reuse": True, "env": {"A": "1"}})
        self.addCleanup(attempt, self.engine.api.remove, one["id"])
        first.close()
        self.start(reuse=True, env={"A": "1"})
        self.assertEqual(self.started["id"], one["id"])
        self.start(reuse=True, env={"A": "2"})
        self.addCleanup(attempt, self.engine.api.remove, self.started["id"])
        self.assertNotEqual(self.started["id"], one["id"])

    def test_after_it_is_gone(self):
        name = self.web(exposed=["8080"])
        self.driver("stop", of=name)
        self.driver("stop", of=name)
        self.assertEqual(self.driver("inspect", of=name)["State"]["Running"], False)
        self.driver("remove", of=name)
        self.driver("remove", of=name)
        with self.assertRaises(Refused) as raised:
            self.driver("inspect", of=name)
        self.assertEqual(raised.exception.code, "not_found")

    def test_an_end_is_not_waited_for_in_vain(self):
        # sleep as the first process does not hear SIGTERM.
        name = self.start()
        begin = time.monotonic()
        self.driver("drop", of=name)
        self.assertLess(time.monotonic() - begin, 5)


class Errors:
    """Refusals and failures during the start: each with its message, and with nothing left behind."""

    def test_rejections(self):
        port = str(self.hello())
        refused = self.refused
        for path in ("native", "ssh", "relay", "auto"):
            with self.subTest(path=path):
                refused("invalid_argument", "greater than zero", host_ports=["0"], path=path)
                refused("conflict", "host port exposure", "already defined", host_ports=[port], path=path,
                        hosts={ALIAS: "192.0.2.1"})
                refused("invalid_argument", "the host's network", host_ports=[port], path=path, network="host")
                refused("invalid_argument", "shares another's network", host_ports=[port], path=path,
                        network="container:abc")
                if path != "relay":
                    refused("invalid_argument", "without a network", host_ports=[port], path=path, network="none")
                refused("invalid_argument", "a reused container", host_ports=[port], path=path, reuse=True)
                refused("conflict", "host port exposure", host_ports=[f"{port}:80", "81:80"], path=path)
        refused("invalid_argument", "SSH port is reserved", host_ports=["22"], path="ssh")

    def test_the_first_of_several_faults_is_told(self):
        everything = {"hosts": {ALIAS: "192.0.2.1"}, "network": "host", "reuse": True}
        self.refused("invalid_argument", "greater than zero", host_ports=["0", "22"], path="ssh", **everything)
        self.refused("invalid_argument", "SSH port is reserved", host_ports=["22"], path="ssh", **everything)
        self.refused("conflict", "already defined", host_ports=["81"], path="ssh", **everything)
        del everything["hosts"]
        self.refused("invalid_argument", "the host's network", host_ports=["81"], path="ssh", **everything)

    def test_22_is_a_port_as_any_other_on_the_native_path(self):
        port = self.hello()
        name = self.start(host_ports=[f"{port}:22"], path="native")
        self.assertEqual(self.fetch(name, 22), HELLO)

    def test_without_host_ports_the_modes_are_the_engines(self):
        for network in ("host", "none"):
            self.driver("drop", of=self.start(network=network, hosts={ALIAS: "192.0.2.1"}))

    def test_other_faults_of_a_request(self):
        self.refused("invalid_argument", "greater than zero", exposed=["0"])
        self.refused("invalid_argument", "greater than zero", mapped=[[8080, "0"]])
        self.refused("port_not_exposed", "is waited for but not exposed", wait_for=[["http", "/", "8080"]])
        self.refused("invalid_argument", "the library's own", labels={"org.testcontainers": "false"})
        self.refused("invalid_argument", "not the absolute path", copies=[["relative", "text", 0o644]])
        self.refused("invalid_argument", "contains '..'", copies=[["/a/../../b", "text", 0o644]])
        self.refused("failure", "/nosuch/file", files=[["/tmp/x", "/nosuch/file"]], network="fresh")

    def test_an_image_that_is_not_here(self):
        self.refused("not_found", "image: image nosuch:1 is not here", image="nosuch", tag="1", never_pull=True)

    def test_what_the_engine_refuses(self):
        self.container("taken")
        port = str(self.hello())
        for path in ("native", "ssh"):
            self.refused("conflict", "there is a container 'taken' already", name="taken", host_ports=[port], path=path,
                         network="fresh", image="127.0.0.1:9/not/here")
            self.refused("engine_error", "/nosuch/program", cmd=["/nosuch/program"], host_ports=[port], path=path, network="fresh")

    def test_the_deadline_names_its_stage(self):
        port = str(self.hello())
        said = self.late("start of alpine:3.19: wait for message 'never' on stdout", "last words: first | second",
                         cmd=["sh", "-c", "echo first; sleep 0.1; echo second >&2; exec sleep 600"],
                         wait_for=[["stdout", "never"]], host_ports=[port], network="fresh")
        self.assertNotIn("\n", said)
        self.late("wait for HTTP status 200 of '/' on 8080/tcp", exposed=["8080"], wait_for=[["http", "/", "8080"]])
        self.late("wait for end", wait_for=[["exit"]])
        self.late("wait for 600000 ms", wait_for=[["seconds", 600]])

    def test_the_deadline_covers_the_tunnel(self):
        port = str(self.hello())
        self.driver("drop", of=self.start(host_ports=[port], path="ssh"))  # warm up: the first start takes longer
        # On a busy machine the shortest may expire before the tunnel starts; then a longer one may suffice for all of it.
        for milliseconds in (150, 200, 270, 350, 450, 600, 800, 1050, 1400):
            with contextlib.suppress(AssertionError):
                return self.ends_in_the_tunnel(port, milliseconds)
        self.ends_in_the_tunnel(port, 1900)

    def ends_in_the_tunnel(self, port, milliseconds):
        begin = time.monotonic()
        self.refused("timed_out", "start of alpine:3.19: host ports by ssh: ", host_ports=[port], path="ssh",
                     timeout_ms=milliseconds)
        self.assertLess(time.monotonic() - begin, 10)

    def test_a_container_that_ends_too_soon(self):
        die = ["sh", "-c", "echo cannot go on >&2; exit 3"]
        for condition in (["stdout", "ready"], ["listening", "80"], ["http", "/", "8080"]):
            with self.subTest(condition=condition):
                self.refused("failure", "the container has ended, exit code 3", "last words: cannot go on", cmd=die,
                             wait_for=[condition], exposed=["8080"])
        self.refused("failure", "exit code 3", cmd=die, wait_for=[["exit", 0]])

    def test_nobody_checks_its_health(self):
        self.refused("failure", "wait for health: the container has no health check", wait_for=[["healthy"]])

    def test_an_engine_that_is_not_there(self):
        driver = Driver(self.env | {"DOCKER_HOST": "unix:///nosuch.sock"})
        self.addCleanup(driver.close)
        with self.assertRaises(Refused) as raised:
            driver("start", **{"as": "x"})
        self.assertEqual(raised.exception.code, "engine_unavailable")
