#!/usr/bin/python3
"""engine::Containers against a real Docker and a real rootful Podman, by way of engine_containers."""
import json
import os
import re
import subprocess
import time
import unittest

import engines
import harness
from engine_api import attempt

CALL = os.environ["ENGINE_CONTAINERS"]
DUMP = os.environ["ENGINE_DUMP"]
LABEL = "com.example.test"


class Refused(Exception):
    """An Error of the library."""

    def __init__(self, told):
        super().__init__(told["message"])
        self.code = told["error"]


class ContainersTests:
    """Cases of both engines."""

    @classmethod
    def setUpClass(cls):
        cls.engine = cls.engine_type()
        cls.addClassCleanup(cls.engine.close)
        cls.engine.api.make_network("web")

    def argv(self, command, /, **arguments):
        return [CALL, str(self.engine.socket), command, json.dumps(arguments)]

    def call(self, command, /, **arguments):
        done = harness.run(*self.argv(command, **arguments), check=False)
        self.assertIn(done.returncode, (0, 1), done.stderr)
        answer = json.loads(done.stdout.splitlines()[-1])
        if done.returncode == 1:
            raise Refused(answer)
        return answer

    def refused(self, command, /, **arguments):
        """The code and the words of the error."""
        with self.assertRaises(Refused) as caught:
            self.call(command, **arguments)
        return caught.exception.code, str(caught.exception)

    def inspect(self, identity):
        return json.loads(harness.output(DUMP, self.engine.socket, "container", identity))

    def create(self, *command, **spec):
        arguments = {"image": harness.IMAGE, "labels": {LABEL: self.id()}} | spec
        if command:
            arguments["command"] = command
        identity = self.call("create", **arguments)
        self.addCleanup(attempt, self.engine.api.remove, identity)
        return identity

    def started(self, *command, **spec):
        identity = self.create(*command, **spec)
        self.call("start", id=identity)
        return identity

    def shell(self, script, **spec):
        return self.started("sh", "-c", script, **spec)

    def says_ready(self, identity):
        """Waits until its shell has set its traps: a signal before that does something else."""
        shown = lambda: b"ready" in self.engine.api.ask("GET", f"/containers/{identity}/logs?stdout=true")
        self.assertTrue(harness.eventually(shown))

    def forever(self, **spec):
        return self.started("sleep", "600", **spec)

    # The life of a container.

    def test_from_create_to_remove(self):
        identity = self.create("sh", "-c", "echo hello; exit 7", name="brief")
        self.assertEqual(self.inspect("brief")["id"], identity)
        self.assertIn(self.inspect(identity)["state"], ("created", "initialized"))
        self.call("start", id=identity)
        self.assertEqual(self.call("wait", id=identity), 7)
        seen = self.inspect(identity)
        self.assertIn(seen["state"], ("exited", "stopped"))  # Podman 5 says stopped
        self.assertEqual((seen["exit_code"], seen["running"]), (7, False))
        self.assertEqual(seen["labels"], {LABEL: self.id()})
        self.assertTrue(seen["image"].endswith(harness.IMAGE))
        self.assertTrue(self.call("remove", id=identity))
        self.assertFalse(self.call("remove", id=identity))
        self.assertEqual(self.refused("start", id=identity)[0], "not_found")
        self.assertEqual(self.refused("wait", id=identity)[0], "not_found")

    def test_what_is_so_already_is_no_error(self):
        identity = self.create("sh", "-c", "trap 'exit 0' TERM; echo ready; while :; do sleep 0.1; done")
        self.call("start", id=identity)
        self.call("start", id=identity)
        self.says_ready(identity)
        self.call("stop", id=identity, grace=10)
        self.assertEqual(self.inspect(identity)["exit_code"], 0)
        self.call("stop", id=identity, grace=10)

    def test_stop_kills_what_does_not_mind_it(self):
        identity = self.forever()
        begun = time.monotonic()
        self.call("stop", id=identity, grace=1)
        self.assertLess(time.monotonic() - begun, 8)
        self.assertEqual(self.inspect(identity)["exit_code"], 137)

    def test_kill_sends_any_signal_and_only_to_what_runs(self):
        identity = self.shell("trap 'exit 5' USR1; echo ready; while :; do sleep 0.1; done")
        self.says_ready(identity)
        self.call("kill", id=identity, signal="SIGUSR1")
        self.assertEqual(self.call("wait", id=identity), 5)
        self.assertEqual(self.refused("kill", id=identity, signal="SIGUSR1")[0], "conflict")

    def test_remove_ends_what_runs_at_once_and_takes_its_volumes(self):
        identity = self.engine("run", "-d", "-v", "/data", harness.IMAGE, "sleep", "600").splitlines()[-1]
        self.addCleanup(attempt, self.engine.api.remove, identity)
        self.assertEqual(len(self.engine("volume", "ls", "-q").splitlines()), 1)
        begun = time.monotonic()
        self.assertTrue(self.call("remove", id=identity))
        self.assertLess(time.monotonic() - begun, 5)
        self.assertEqual(self.engine("volume", "ls", "-q"), "")

    def test_a_container_that_removes_itself(self):
        identity = self.shell("exit 0", auto_remove=True)
        gone = lambda: identity not in self.engine.api.containers()
        self.assertTrue(harness.eventually(gone))
        self.assertFalse(self.call("remove", id=identity))

    def test_wait_ends_at_its_deadline(self):
        identity = self.forever()
        begun = time.monotonic()
        self.assertEqual(self.refused("wait", id=identity, seconds=0.5)[0], "timed_out")
        self.assertLess(time.monotonic() - begun, 5)

    # Container descriptions.

    def test_every_part_of_a_description(self):
        identity = self.started("sleep 600", entrypoint=["sh", "-c"], environment=["COLOUR=blue"], network="web",
                                network_aliases=["other"], extra_hosts=["x.example:1.2.3.4"], cap_drop=["ALL"],
                                cap_add=["CHOWN"], no_new_privileges=True,
                                sysctls={"net.ipv4.tcp_syncookies": "0"})
        script = "cat /etc/hosts /proc/self/status; sysctl net.ipv4.tcp_syncookies; echo $COLOUR; nslookup other"
        said = self.call("exec", id=identity, command=["sh", "-c", script])["out"]
        self.assertRegex(said, r"1\.2\.3\.4\s+x\.example")
        self.assertRegex(said, r"CapBnd:\s+0+1\n")
        self.assertRegex(said, r"NoNewPrivs:\s+1")
        self.assertRegex(said, r"tcp_syncookies = 0\n")
        self.assertIn("blue\n", said)
        seen = self.inspect(identity)
        self.assertEqual(list(seen["endpoints"]), ["web"])
        self.assertIn(seen["endpoints"]["web"]["address"], said.split("blue")[1])

    def test_standard_input_that_stays_open(self):
        self.assertEqual(self.call("wait", id=self.started("cat")), 0)
        self.assertEqual(self.refused("wait", id=self.started("cat", open_stdin=True), seconds=1)[0], "timed_out")

    def test_a_published_port_is_found_by_looking_and_answers_on_loopback_alone(self):
        identity = self.shell("mkdir /www; echo published >/www/index.html; exec httpd -f -p 80 -h /www",
                              ports=[[80, "127.0.0.1", 0]])
        [[inside, protocol, address, port]] = self.inspect(identity)["ports"]
        self.assertEqual((inside, protocol, address), (80, "tcp", "127.0.0.1"))
        fetch = lambda: harness.run("curl", "-s", "-m", 2, f"http://127.0.0.1:{port}/", check=False).stdout
        self.assertTrue(harness.eventually(lambda: fetch() == "published\n"), fetch())
        chosen = self.forever(ports=[[80, "127.0.0.1", 18080]])
        self.assertEqual(self.inspect(chosen)["ports"], [[80, "tcp", "127.0.0.1", 18080]])

    def test_a_port_that_is_taken(self):
        self.forever(ports=[[80, "127.0.0.1", 18081]])
        second = self.create("sleep", "600", ports=[[80, "127.0.0.1", 18081]])
        self.assertEqual(self.refused("start", id=second)[0], "engine_error")

    def test_a_name_that_is_taken(self):
        self.create("sleep", "600", name="taken")
        code, words = self.refused("create", image=harness.IMAGE, name="taken")
        self.assertEqual(code, "conflict")
        self.assertIn("taken", words)

    def test_what_does_not_exist(self):
        code, words = self.refused("create", image="absent:1")
        self.assertEqual(code, "not_found")
        self.assertIn("absent", words)
        for command, more in (("start", {}), ("stop", {"grace": 0}), ("kill", {"signal": "SIGTERM"}), ("wait", {}),
                              ("tail", {"lines": 1}), ("follow", {}), ("exec", {"command": ["id"]})):
            with self.subTest(command=command):
                self.assertEqual(self.refused(command, id="nobody", **more)[0], "not_found")

    def test_a_network_that_does_not_exist(self):
        with self.assertRaises(Refused) as caught:
            self.forever(network="absent")
        self.assertEqual(caught.exception.code, "not_found")
        self.assertIn("absent", str(caught.exception))

    # Output.

    def test_last_output_is_the_end_of_both_streams(self):
        identity = self.shell("for i in 1 2; do echo out$i; echo err$i >&2; done; until [ -e /go ]; do sleep 0.1; done; "
                              "echo out3; echo err3 >&2")

        def tail(lines):
            # The engine reads the two from separate pipes, in no fixed order.
            told = self.call("tail", id=identity, lines=lines).splitlines()
            return [[line for line in told if line.startswith(stream)] for stream in ("out", "err")]
        harness.eventually(lambda: tail(100) == [["out1", "out2"], ["err1", "err2"]])
        self.call("exec", id=identity, command=["touch", "/go"])
        self.call("wait", id=identity)
        self.assertEqual(tail(100), [["out1", "out2", "out3"], ["err1", "err2", "err3"]])
        self.assertEqual(tail(2), [["out3"], ["err3"]])
        self.assertEqual(self.call("tail", id=self.create("true"), lines=5), "")

    def test_output_is_followed_as_it_comes_and_to_the_end(self):
        identity = self.shell("echo first; while [ ! -e /go ]; do sleep 0.1; done; echo second >&2; exit 3")
        with subprocess.Popen(self.argv("follow", id=identity), stdout=subprocess.PIPE, text=True) as follower:
            self.addCleanup(follower.kill)
            self.assertEqual(json.loads(follower.stdout.readline()), ["out", "first\n"])
            self.call("exec", id=identity, command=["touch", "/go"])
            rest = [json.loads(line) for line in follower.stdout]
        self.assertEqual(rest, [["err", "second\n"], None])
        self.assertEqual(follower.returncode, 0)

    def test_much_output_comes_whole(self):
        bursts, lines = self.bursts
        one = f"seq $((i * {lines} + 1)) $(((i + 1) * {lines}))"
        identity = self.shell(f"i=0; while [ $i -lt {bursts} ]; do {one}; {one} >&2; i=$((i + 1)); sleep 0.1; done")
        done = harness.run(*self.argv("follow", id=identity))
        pieces = [json.loads(line) for line in done.stdout.splitlines()][:-1]
        whole = "".join(f"{number}\n" for number in range(1, bursts * lines + 1))
        for stream in ("out", "err"):
            told = "".join(text for which, text in pieces if which == stream)
            if told != whole:
                # Docker drops what it has not read two seconds after the end, as it may on a busy machine. What it
                # kept must be told.
                self.assertTrue(whole.startswith(told))
                missing = whole[len(told):].partition("\n")[0]
                kept = self.engine.api.ask("GET", f"/containers/{identity}/logs?std{stream}=true").decode(errors="replace")
                self.assertIsNone(re.search(rf"(?<![0-9]){missing}\n", kept))

    # Commands in a container.

    def test_exec_keeps_the_streams_apart_and_gives_the_exit_code(self):
        identity = self.forever()
        result = self.call("exec", id=identity, command=["sh", "-c", "echo out; echo err >&2; exit 9"])
        self.assertEqual(result, {"exit_code": 9, "out": "out\n", "err": "err\n"})
        self.assertEqual(self.call("exec", id=identity, command=["true"]), {"exit_code": 0, "out": "", "err": ""})
        much = self.call("exec", id=identity, command=["seq", "1", "60000"])["out"]
        self.assertEqual(len(much.splitlines()), 60000)

    def test_exec_as_somebody_somewhere_with_something(self):
        result = self.call("exec", id=self.forever(), user="nobody", working_dir="/tmp", environment=["COLOUR=red"],
                           command=["sh", "-c", "id -un; pwd; echo $COLOUR"])
        self.assertEqual(result["out"], "nobody\n/tmp\nred\n")

    def test_exec_of_what_is_not_there(self):
        result = self.call("exec", id=self.forever(), command=["no-such-program"])
        self.assertIn(result["exit_code"], (126, 127))
        self.assertIn("no-such-program", result["out"] + result["err"])

    def test_exec_in_what_does_not_run(self):
        self.assertEqual(self.refused("exec", id=self.create("true"), command=["id"])[0], "conflict")

    def test_exec_ends_at_its_deadline(self):
        identity = self.forever()
        self.assertEqual(self.refused("exec", id=identity, command=["sleep", "60"], seconds=1)[0], "timed_out")
        self.assertEqual(self.call("exec", id=identity, command=["echo", "alive"])["out"], "alive\n")

    # Listing containers, and images.

    def test_list_finds_by_all_labels_what_runs_and_what_does_not(self):
        running = self.forever(labels={"family": self.id(), "member": "a"}, name="lister")
        idle = self.create("true", labels={"family": self.id(), "member": "b"})
        self.forever()
        found = {one["id"]: one for one in self.call("list", labels=["family=" + self.id()])}
        self.assertEqual(set(found), {running, idle})
        self.assertEqual(found[running]["name"], "lister")
        self.assertEqual(found[running]["state"], "running")
        self.assertEqual(found[running]["labels"]["member"], "a")
        self.assertEqual([one["id"] for one in self.call("list", labels=["family=" + self.id(), "member=b"])], [idle])
        self.assertEqual(len(self.call("list", labels=["family", "member"])), 2)
        self.assertEqual(self.call("list", labels=["family=other"]), [])

    def test_images(self):
        self.assertTrue(self.call("has_image", image=harness.IMAGE))
        for absent in ("absent:1", "alpine:0", "team/absent"):
            self.assertFalse(self.call("has_image", image=absent), absent)

    def test_a_pull_that_cannot_succeed_fails_in_time(self):
        begun = time.monotonic()
        code, words = self.refused("pull", image="registry.invalid/team/app:1", seconds=30)
        self.assertLess(time.monotonic() - begun, 30)
        self.assertEqual(code, "engine_error")
        self.assertIn("registry.invalid", words)


class Docker(ContainersTests, unittest.TestCase):
    engine_type, bursts = engines.Docker, (1, 60_000)

    def test_an_init(self):
        identity = self.forever(init=True)
        self.assertIn("init", self.call("exec", id=identity, command=["cat", "/proc/1/cmdline"])["out"])
        self.call("stop", id=identity, grace=10)
        self.assertEqual(self.inspect(identity)["exit_code"], 143)


class Podman(ContainersTests, unittest.TestCase):
    # Of larger outputs it drops lines, like `podman logs -f`.
    engine_type, bursts = engines.Podman, (20, 200)


if __name__ == "__main__":
    harness.main()
