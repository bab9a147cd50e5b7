#!/usr/bin/python3
"""Each failure gives one line and its exit code, and changes nothing."""
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from engines import Docker
from harness import FIREWALL, HostCase, eventually, main, route_localnet, run

HELLO = "hello from 127.0.0.1\n"
HARD_NAME = "$(touch /tmp/pwned); `id` | 'web\" \\ & <x>"
NOBODY = "setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--inh-caps=-all"
DEADLINE = 30  # seconds that the command gives an engine


class ErrorCase(HostCase):
    def refused(self, code, *arguments, says=".", before="", prefix=(), env=None, timeout=20):
        """Exits with `code` and prints only one line, which matches `says`, after the warning `before`, if any.
        Returns what it prints."""
        done = run(*prefix, self.program, *arguments, env=env or self.env, timeout=timeout, check=False)
        shown = (done.returncode, done.stdout, done.stderr)
        self.assertEqual(done.returncode, code, shown)
        self.assertEqual(done.stdout, "", shown)
        self.assertRegex(done.stderr, rf"\A{before}tc-hostnet: [^\n]+\n\Z", shown)
        self.assertRegex(done.stderr, says)
        return done.stderr


class Usage(ErrorCase):
    """Errors in the arguments: no engine is asked. Each is told as JSON, too."""

    def refused(self, code, *arguments, **options):
        line = super().refused(code, *arguments, **options)
        options.pop("says", None)
        done = run(*options.pop("prefix", ()), self.program, "--json", *arguments, env=options.pop("env", self.env), check=False)
        self.assertEqual((done.returncode, done.stdout), (code, ""))
        told = json.loads(done.stderr)
        self.assertEqual((told["level"], told["exit_code"]), ("error", code))
        self.assertEqual("; ".join(["tc-hostnet: " + told["message"]] + [told["hint"]] * bool(told["hint"])), line.rstrip("\n"))
        return line

    def test_ports(self):
        for port in ("0", "65536", "-1", "80:0", "80:65536", "80:80:80", "", ":", "80:", ":80", "abc", "0x50", "8 0",
                     "80/sctp", "80/", "１", "99999999999999999999", "10.0.0.1:80", "0.0.0.0:80", "localhost:80", "::1:80",
                     "90-80", "80-90:80", HARD_NAME):
            with self.subTest(port=port):
                self.refused(2, "expose", "--bridge", "br0", "--", port)

    def test_port_zero_in_words(self):
        self.refused(2, "expose", "0", "--bridge", "br0", says="greater than zero")

    def test_a_port_that_shall_lead_to_two_services(self):
        self.refused(8, "expose", "8088:80", "8089:80", "--bridge", "br0", says="80")

    def test_targets(self):
        self.refused(2, "expose", "8088", says="--network, --container, --project, --bridge")
        self.refused(2, "expose", "8088", "--network", "web", "--bridge", "br0", says="more than one target")
        self.refused(2, "expose", "--network", "web", says="PORT")

    def test_bridges(self):
        for name in ("a-name-of-16-chr", HARD_NAME, "..", "/", "a/b", "br 0", "x" * 4000):
            with self.subTest(bridge=name[:40]):
                self.refused(2, "expose", "8088", "--bridge", name)
        self.refused(6, "expose", "8088", "--bridge", "br404", says="br404")
        self.refused(2, "expose", "8088", "--bridge", "lo", says="not a bridge")

    def test_options(self):
        self.refused(2, "expose", "8088", "--bridge", "br0", "--unheard-of")
        self.refused(2, "expose", "8088", "--bridge", "br0", "--via", "magic", says="via")
        self.refused(2, "frobnicate", says="the commands are")
        self.refused(2, says="no command is given")
        for span in ("0", "-1", "-5m", "1w", "h", "1h-5m", "5m1h", "1h1h", "1.5h", "31d", "999ms", "forever", "99999999h",
                     "99999999999999999999d", "9223372036854775807d9223372036854775807h", ""):
            with self.subTest(span=span):
                self.refused(2, "expose", "8088", "--bridge", "br0", f"--timeout={span}")
        self.refused(2, "expose", "8088", "--bridge", "br0", "--label", "x" * 65, says="label")
        self.refused(2, "expose", "8088", "--bridge", "br0", "--label", "two\nlines", says="label")

    def test_leases(self):
        for identity in ("0badf00d", HARD_NAME, "../.."):
            with self.subTest(lease=identity):
                self.refused(6, "release", identity)
                self.refused(6, "inspect", identity)
        self.refused(2, "release", says="--all")
        self.refused(2, "release", "abc", "--all")

    def test_mistyped_words(self):
        for arguments, meant in ((("exposes", "8088"), "'expose'"), (("expose", "1", "--netwrok", "web"), "'--network'"),
                                 (("expose", "1", "--via", "natvie"), "'native'"), (("help", "lst"), "'list'"),
                                 (("doctor", "--prot", "1"), "'--port'"), (("--jsno", "list"), "'--json'")):
            with self.subTest(arguments=arguments):
                self.refused(2, *arguments, says=f"did you mean {meant}")
        self.refused(2, "list", "--network", "web", says="it belongs to expose")
        self.refused(2, "expose", "1", "--detach=yes", says="takes no value")
        self.refused(2, "expose", "1", "--network", says="needs a NAME")

    def test_run_gives_125_for_whatever_is_wrong_with_it(self):
        for arguments in ((), ("true",), ("-p", "8088"), ("-p", "0", "true"), ("--imgae", "x", "true"), ("-p",),
                          ("-p", "8088", "--via", "magic", "true"), ("-p", "8088", "--network", "web", "true"),
                          ("-p", "8088", "--image", "x", "--engine", "unix:///no/such.sock")):
            with self.subTest(arguments=arguments):
                self.refused(125, "run", *arguments)
        self.refused(125, "run", "-p", "8088", "-it", "true", says="-i and -t need --image")
        for via, more, says in (("ssh", (), "--via ssh needs --image"), ("relay,ssh", (), "--via relay,ssh needs --image"),
                                ("helper", (), "goes by the native path alone, not by --via helper"),
                                ("native,helper", ("--image", "x"), "only on the ssh and relay paths")):
            self.refused(125, "run", "-p", "8088", "--via", via, *more, "true", says=says)
        self.refused(125, "run", "-p", "8088", "-i", "-t", "--image", "x", "true", says="standard input is none")
        self.refused(125, "--bogus", "run", "-p", "8088", "true")
        self.refused(125, "run", "-p", "8088", "true", env=self.env | {"TC_HOSTNET_VIA": "magic"})
        with socket.create_server(("127.0.0.1", 0)) as service:  # or that would be told, too
            self.refused(125, "run", "-p", service.getsockname()[1], "--", "true", prefix=NOBODY)

    def test_help_and_version_are_no_errors(self):
        for arguments in (("--help",), ("help",), ("expose", "--help"), ("help", "expose"), ("run", "--help"),
                          ("--version",), ("version",)):
            for columns in ("40", "80"):
                done = run(self.program, *arguments, env=self.env | {"COLUMNS": columns})
                self.assertTrue(done.stdout)
                self.assertEqual(done.stderr, "")
                self.assertNotRegex(done.stdout, r"\bTEXT\b \.\.\.|UINT|\x1b")
                for line in done.stdout.splitlines():
                    self.assertTrue(len(line) <= int(columns) or "http" in line, line)
        self.assertEqual(run(self.program, "help", "expose").stdout, run(self.program, "expose", "--help").stdout)

    def test_help_and_version_as_json(self):
        shown = json.loads(run(self.program, "--json", "--version").stdout)
        self.assertEqual(shown, json.loads(run(self.program, "version", "--json").stdout))
        self.assertRegex(shown["commit"] or "", r"\A([0-9a-f]{8,}\+?)?\Z")  # null in a tree without git
        self.assertEqual(shown["paths"], ["native", "helper", "ssh", "relay"])
        versions = {one["name"]: one["version"] for one in shown["libraries"]}
        self.assertLessEqual({"libnl", "libip4tc", "libnftables", "libsystemd", "libssh", "libcurl"}, set(versions))
        for name in ("libnl", "libssh", "libcurl"):
            self.assertRegex(versions[name], r"\A[0-9]+(\.[0-9]+)+\Z", name)
        # A file's number is not the library's version: where no function tells that, the file is shown.
        self.assertIsNone(versions["libsystemd"])
        self.assertTrue(all(one["file"] for one in shown["libraries"]))
        first, *others = run(self.program, "-V").stdout.splitlines()
        self.assertEqual(first, f"tc-hostnet {shown['version']}" + (f" (commit {shown['commit']})" if shown["commit"] else ""))
        self.assertIn(versions["libssh"], "\n".join(others))
        one = json.loads(run(self.program, "help", "expose", "--json").stdout)
        self.assertEqual(one, json.loads(run(self.program, "expose", "--json", "--help").stdout))
        self.assertEqual([command["name"] for command in one["commands"]], ["expose"])
        self.refused(2, "help", "lst", says="'list'")

    def test_json_of_the_command_of_run_is_its_own(self):
        done = run(self.program, "run", "-p", "0", "--", "true", "--json", check=False)
        self.assertRegex(done.stderr, r"\Atc-hostnet: ")

    def test_nothing_held_is_no_error(self):
        self.assertEqual(self.leases(), [])
        self.assertEqual(self.tc_hostnet("release", "--all").stderr, "")
        self.assertEqual(json.loads(self.tc_hostnet("status", "--json").stdout)["leases"], 0)


class AfterRoot(ErrorCase):
    """What root has done is no fault to a user, and --detach keeps nothing of its caller."""

    def setUp(self):
        super().setUp()
        for words in ("link add br0 type bridge", "address add 198.18.0.1/24 dev br0", "link set br0 up"):
            run("ip", *words.split())
        self.addCleanup(run, "ip", "link", "del", "br0")
        self.addCleanup(self.tc_hostnet, "release", "--all")

    def test_a_user_is_told_what_only_root_sees(self):
        lease = self.detach(8088, "--bridge", "br0")
        home = tempfile.mkdtemp(prefix="hostnet-e2e-")
        self.addCleanup(shutil.rmtree, home)
        os.chown(home, 65534, 65534)
        for env in (self.env, self.env | {"HOME": home}):
            for arguments in (("list",), ("list", "--json"), ("status",), ("release", "--all")):
                with self.subTest(arguments=arguments):
                    done = run(*NOBODY, self.program, *arguments, env=env)
                    self.assertRegex(done.stderr, rf"\A[^\n]*only root[^\n]*sudo tc-hostnet {arguments[0]}[^\n]*\n\Z")
                    self.assertNotIn("remove", done.stderr)
            for verb in ("inspect", "release"):
                line = self.refused(4, verb, lease, prefix=NOBODY, env=env, says=f"sudo tc-hostnet {verb} {lease}")
                self.assertNotIn("remove", line)
        self.assertTrue(json.loads(run(*NOBODY, self.program, "status", "--json").stdout)["hides_roots_leases"])
        self.assertEqual([one["id"] for one in self.leases()], [lease])
        for verb in ("inspect", "release"):
            self.refused(6, verb, "0badf00d", says=f"there is no lease '0badf00d'; there is only '{lease}'")
        self.refused(6, "expose", "8088", "--bridge", "br1", says="there is no bridge 'br1'; .*did you mean 'br0'")

    def test_in_the_foreground_it_says_how_it_serves_and_goodbye(self):
        def serve(*options, number=signal.SIGINT):
            process = subprocess.Popen([self.program, *options, "expose", "8088", "--bridge", "br0"], env=self.env,
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            identity = process.stdout.readline().strip()
            process.send_signal(number)
            out, err = process.communicate(timeout=20)
            self.assertEqual((process.returncode, out), (0, ""))
            return identity, err.splitlines()

        for number in (signal.SIGINT, signal.SIGTERM):
            identity, lines = serve(number=number)
            self.assertEqual(lines[-2:], ["served by native; Ctrl-C to stop",
                                          f"lease {identity} released; nothing of it is left"])
        self.assertEqual(serve("--quiet")[1], [])
        done = self.tc_hostnet("expose", "8088", "--bridge", "br0", "--detach")
        self.assertIn(f"served by native in the background; to stop it: tc-hostnet release {done.stdout.strip()}\n",
                      done.stderr)
        self.tc_hostnet("release", "--all")

    def test_tables_fit_the_terminal(self):
        lease = self.detach("8088", "9090", "--bridge", "br0", "--label", "a label of several words")
        for columns in (40, 60, 80):
            for arguments in (("list",), ("status",), ("inspect", lease)):
                with self.subTest(columns=columns, arguments=arguments):
                    done = run(self.program, *arguments, env=self.env | {"COLUMNS": str(columns)})
                    self.assertIn(lease if arguments[0] != "status" else "br0", done.stdout)
                    for line in (done.stdout + done.stderr).splitlines():
                        self.assertTrue(len(line) <= columns or "/" in line, line)  # a path stays whole
        self.assertIn("too narrow for", run(self.program, "list", env=self.env | {"COLUMNS": "40"}).stderr)
        self.assertIn("a label of several words", self.tc_hostnet("list").stdout)  # no terminal: whole

    def test_detach_closes_what_it_inherits(self):
        ours, theirs = os.pipe()
        with tempfile.TemporaryFile() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            done = subprocess.run([self.program, "expose", "8088", "--bridge", "br0", "--detach"], env=self.env,
                                  pass_fds=(theirs, lock.fileno()), capture_output=True, timeout=30, check=True)
            os.close(theirs)
            owner = self.leases()[0]["owner"]["pid"]
            self.assertEqual(os.read(ours, 1), b"")  # the end: no process has the other end
            inode = os.fstat(lock.fileno()).st_ino
        os.close(ours)
        self.assertEqual([one for one in Path(f"/proc/{owner}/fd").iterdir() if one.stat().st_ino == inode], [])
        self.assertEqual([os.readlink(f"/proc/{owner}/fd/{fd}") for fd in range(3)], ["/dev/null"] * 3)
        self.tc_hostnet("release", done.stdout.decode().strip())

    def test_standard_streams_that_are_closed(self):
        """Else a lock or the descriptor of the signals has the number of one: it is read as input, or gets messages."""
        process = subprocess.Popen(["sh", "-c", "exec \"$0\" \"$@\" <&- >&- 2>&-", self.program, "expose", "8088", "--bridge", "br0"],
                                   env=self.env)
        self.addCleanup(process.kill)
        self.assertTrue(eventually(self.leases))
        self.assertEqual([os.readlink(f"/proc/{process.pid}/fd/{fd}") for fd in range(3)], ["/dev/null"] * 3)
        process.terminate()
        self.assertEqual(process.wait(30), 0)

    def test_the_end_of_a_detached_lease_is_in_the_systems_log(self):
        run("ip", "link", "add", "br1", "type", "bridge")
        self.addCleanup(run, "ip", "link", "del", "br1", check=False)
        run("ip", "address", "add", "198.18.1.1/24", "dev", "br1")
        run("ip", "link", "set", "br1", "up")
        folder = Path(tempfile.mkdtemp(prefix="hostnet-e2e-"))
        self.addCleanup(shutil.rmtree, folder)
        own_dev = ("unshare", "-m", "sh", "-ec", "mount -t tmpfs tmpfs /dev; mknod -m 666 /dev/null c 1 3; "
                   "mknod -m 666 /dev/urandom c 1 9; ln -s $0 /dev/log; exec \"$@\"", folder / "log")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
            log.bind(str(folder / "log"))
            log.settimeout(20)
            for bridge, end, priority, reason in (
                    ("br0", lambda lease: self.tc_hostnet("release", lease), 29, "released by another process"),
                    ("br1", lambda lease: run("ip", "link", "del", "br1"), 28, "bridge br1 is gone")):
                lease = run(*own_dev, self.program, "expose", "8088", "--bridge", bridge, "--detach").stdout.strip()
                end(lease)
                self.assertRegex(log.recv(4096).decode(),
                                 rf"\A<{priority}>.* tc-hostnet\[\d+\]: lease {lease} for bridge {bridge} ended: {reason}")


class FakeEngine:
    """A Unix socket that runs `answer(connection)` for each client."""

    def __init__(self, answer):
        self.folder = Path(tempfile.mkdtemp(prefix="hostnet-e2e-"))
        self.path = self.folder / "docker.sock"
        self.answer = answer
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.path))
        self.listener.listen(16)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve_one, args=(connection,), daemon=True).start()

    def serve_one(self, connection):
        with connection:
            try:
                connection.recv(4096)
                self.answer(connection)
            except OSError:
                pass  # the client has closed the connection

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        shutil.rmtree(self.folder)


def http(body, head="Content-Type: application/json", status="200 OK"):
    return f"HTTP/1.1 {status}\r\n{head}\r\nContent-Length: {len(body.encode())}\r\n\r\n{body}".encode()


def without_end(connection):
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        connection.sendall(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")


def headers_without_end(connection):
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        connection.sendall(b"X-More: " + b"x" * 1000 + b"\r\n")


def drop_by_drop(connection):
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        connection.sendall(b" ")
        time.sleep(0.5)


class BadEngines(ErrorCase):
    """Engines that are absent or broken, and sockets that are not engines."""

    def engine_env(self, address):
        return os.environ | {"DOCKER_HOST": str(address)}

    def fake(self, answer):
        fake = FakeEngine(answer)
        self.addCleanup(fake.close)
        return self.engine_env(f"unix://{fake.path}")

    def both_targets(self, code, env, **options):
        for target in (("--network", "web"), ("--container", "app")):
            self.refused(code, "expose", "8088", *target, env=env, **options)

    def test_none(self):
        env = {name: value for name, value in os.environ.items() if name not in ("DOCKER_HOST", "CONTAINER_HOST")}
        folder = tempfile.mkdtemp(prefix="hostnet-e2e-")
        self.addCleanup(shutil.rmtree, folder)
        self.both_targets(3, self.engine_env(f"unix://{folder}/docker.sock"), says="docker.sock")
        self.refused(3, "expose", "8088", "--network", "web", "--engine", f"unix://{folder}/x.sock", env=env,
                     says="x.sock")

    def test_a_dead_socket(self):
        folder = Path(tempfile.mkdtemp(prefix="hostnet-e2e-"))
        self.addCleanup(shutil.rmtree, folder)
        path = folder / "docker.sock"
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(path))
        self.both_targets(3, self.engine_env(f"unix://{path}"), says=str(path))

    def test_a_plain_file(self):
        with tempfile.NamedTemporaryFile() as file:
            self.both_targets(3, self.engine_env(f"unix://{file.name}"), says=file.name)

    def test_addresses_that_are_no_socket_here(self):
        for code, address in ((3, "tcp://127.0.0.1:2375"), (3, "ssh://root@example.invalid"),
                              (2, "npipe:////./pipe/docker_engine"), (2, "unix://"), (2, "unix://relative"),
                              (3, "/no/such/docker.sock"), (2, "nonsense"), (2, HARD_NAME), (2, f"unix:///{'x' * 300}")):
            with self.subTest(address=address):
                self.refused(code, "expose", "8088", "--network", "web", env=self.engine_env(address))
        self.both_targets(3, self.engine_env("tcp://127.0.0.1:2375"), says="tcp://")

    def test_answers_that_make_no_sense(self):
        answers = {
            "noise": lambda to: to.sendall(bytes(range(256)) * 64),
            "nothing": lambda to: None,
            "no JSON": lambda to: to.sendall(http("hello")),
            "an empty body": lambda to: to.sendall(http("")),
            "another shape": lambda to: to.sendall(http("[1, 2, 3]")),
            "an empty object": lambda to: to.sendall(http("{}")),
            "wrong types": lambda to: to.sendall(http('{"Name":7,"Id":[],"Driver":{},"IPAM":"x","State":1}')),
            "a body cut short": lambda to: to.sendall(http('{"Name":"web"}').replace(b": 14", b": 9000")),
            "deep nesting": lambda to: to.sendall(http("[" * 200000)),
            "no UTF-8": lambda to: to.sendall(http("{}").replace(b"{}", b"\xff\xfe")),
            "an error of its own": lambda to: to.sendall(
                http('{"message":"out\\nof\\u001b[31m order"}', status="500 No")),
            "an error without words": lambda to: to.sendall(http("", status="503 No")),
            "a redirect": lambda to: to.sendall(http("", head="Location: http://127.0.0.1:1/", status="302 Found")),
            "no end": without_end,
            "no end of headers": headers_without_end,
        }
        ends = "closed the connection before the end of its answer; see whether it runs"
        says = {"noise": "does not speak HTTP; ", "nothing": ends, "a body cut short": ends}
        for name, answer in answers.items():
            with self.subTest(answer=name):
                self.both_targets(1, self.fake(answer), says=says.get(name, "."))

    def test_a_bridge_name_that_is_none(self):
        """An engine's answer is untrusted input like any other."""
        for bridge in ("../../etc/passwd", "lo", "br404", "x" * 5000, "a\nb", ""):
            network = {"Name": "web", "Id": "0" * 64, "Driver": "bridge", "Containers": {},
                       "IPAM": {"Config": [{"Subnet": "198.18.7.0/24", "Gateway": "198.18.7.1"}]},
                       "Options": {"com.docker.network.bridge.name": bridge},
                       "Version": "20.10.24", "ApiVersion": "1.41"}  # the same answer to all requests
            with self.subTest(bridge=bridge[:20]):
                env = self.fake(lambda to, body=json.dumps(network): to.sendall(http(body)))
                self.refused(3, "expose", "8088", "--network", "web", "--via", "native", env=env)

    def test_one_that_hangs_is_given_up_within_the_deadline(self):
        def hang(answer, told):
            start = time.monotonic()
            self.refused(1, "expose", "8088", "--network", "web", env=self.fake(answer), says="time",
                         before=rf"tc-hostnet: warning: the engine at \S+ has not {told} for 3 s; "
                                rf"waiting up to 2[67] s more\n", timeout=DEADLINE * 2)
            return time.monotonic() - start

        with ThreadPoolExecutor(2) as pool:
            for seconds in pool.map(hang, (lambda to: time.sleep(DEADLINE * 2), drop_by_drop),
                                    ("answered", "ended its answer")):
                self.assertLess(seconds, DEADLINE + 5)


class RealEngine(ErrorCase):
    engine_type = Docker

    def setUp(self):
        super().setUp()
        self.service(8088, HELLO)

    def test_unknown_names(self):
        for name in ("nowhere", HARD_NAME, "x" * 300, "web/../bridge", "%2e%2e", "a b", "é"):
            with self.subTest(name=name[:30]):
                self.refused(6, "expose", "8088", "--network", name)
                self.refused(6, "expose", "8088", "--container", name)
        self.assertFalse(os.path.exists("/tmp/pwned"))

    def test_empty_names(self):
        self.refused(2, "expose", "8088", "--network", "")
        self.refused(2, "expose", "8088", "--container", "")

    def test_networks_that_are_no_bridge(self):
        for name in ("host", "none"):
            self.refused(2, "expose", "8088", "--network", name, says=name)

    def test_containers_without_a_network_of_their_own(self):
        self.container("app")
        self.container("with-host", network="host")
        self.container("with-none", network="none")
        self.container("with-app", network="container:app")
        self.refused(2, "expose", "8088", "--container", "with-host", says="host's network")
        self.refused(3, "expose", "8088", "--container", "with-none", "--via", "native", says="no network")
        self.refused(3, "expose", "8088", "--container", "with-none", "--via", "ssh", says="no network")
        self.refused(2, "expose", "8088", "--container", "with-app", says="shares the network")

    def test_a_container_that_does_not_run(self):
        self.container("over", command=("true",))
        self.engine.api.wait("over")
        self.refused(6, "expose", "8088", "--container", "over", says="not running")

    def test_a_listener_that_must_be_there(self):
        self.refused(7, "expose", "8099", "--network", "bridge", "--require-listener", says="127.0.0.1:8099")

    def test_a_listener_that_may_come_later(self):
        self.container("app")
        lease = self.expose(8099, "--container", "app")
        self.service(8099, HELLO)
        self.reaches("app", HELLO, port=8099)
        code, _, err = lease.end()
        self.assertEqual(code, 0)
        self.assertIn("nothing listens on 127.0.0.1:8099", err)


class Privilege(ErrorCase):
    engine_type = Docker
    NOBODY = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups")

    def setUp(self):
        super().setUp()
        self.service(8088, HELLO)

    def test_without_root(self):
        self.assertEqual(os.stat(self.program).st_mode & 0o777, 0o755)
        # The requested path is not permitted, or no path exists.
        for code, via in ((3, ()), (3, ("--via", "auto")), (4, ("--via", "native"))):
            for target in (("--network", "bridge"), ("--bridge", "docker0")):
                self.refused(code, "expose", "8088", *target, *via, prefix=self.NOBODY,
                             says="CAP_NET_ADMIN .*CAP_NET_RAW .*run it as root")

    def test_without_one_capability(self):
        for capability in ("net_admin", "net_raw"):
            prefix = ("setpriv", "--bounding-set", f"-{capability}", "--inh-caps", f"-{capability}")
            for code, via in ((3, "auto"), (4, "native")):
                self.refused(code, "expose", "8088", "--bridge", "docker0", "--via", via, prefix=prefix,
                             says=f"CAP_{capability.upper()}")


class DryRun(HostCase):
    engine_type = Docker

    def setUp(self):
        super().setUp()
        self.service(8088, HELLO)
        self.container("app")

    def test_prints_the_rules_and_changes_nothing(self):
        before = FIREWALL.rules(), route_localnet(), self.engine.hosts("app")
        for target in (("--network", "bridge"), ("--container", "app"), ("--bridge", "docker0")):
            with self.subTest(target=target):
                shown = self.tc_hostnet("expose", "8088:80", *target, "--dry-run").stdout
                for words in FIREWALL.words_of_a_forward(container=80, host=8088):
                    self.assertIn(words, shown)
                self.assertIn("route_localnet=1 on docker0", shown)
                self.assertEqual((FIREWALL.rules(), route_localnet(), self.engine.hosts("app")), before)
                self.assertEqual(self.leases(), [])

    def test_its_rules_are_what_the_firewall_takes_and_what_is_then_there(self):
        shown = self.tc_hostnet("expose", "8088", "--bridge", "docker0", "--dry-run").stdout
        FIREWALL.takes(shown)
        promised = json.dumps(FIREWALL.rules_of_script(shown))
        lease = self.expose(8088, "--bridge", "docker0")
        self.assertIn("tc-hostnet:dry-run", promised)  # stands in comments in place of a lease id
        promised = promised.replace("tc-hostnet:dry-run", f"tc-hostnet:{lease.id}")
        self.assertEqual(json.loads(promised), json.loads(json.dumps(FIREWALL.rules())))

    def test_for_programs(self):
        (line,) = self.tc_hostnet("expose", "8088", "--container", "app", "--dry-run", "--json").stdout.splitlines()
        shown = json.loads(line)
        self.assertEqual(shown["schema"], 1)
        self.assertEqual(sorted(shown["rules"]), ["filter", "mangle", "nat", "pins", "raw"])
        self.assertIn("table bridge tc_hostnet", shown["rules"]["pins"])
        self.assertEqual(shown["lease"]["ports"], [{"host": 8088, "container": 8088, "protocol": "tcp"}])
        self.assertTrue(shown["steps"])

    def test_unknown_things_are_unknown_to_it_too(self):
        done = self.tc_hostnet("expose", "8088", "--network", "nowhere", "--dry-run", check=False)
        self.assertEqual((done.returncode, done.stdout), (6, ""))


class Output(HostCase):
    """Output for programs and output for people."""

    engine_type = Docker

    def setUp(self):
        super().setUp()
        self.service(8088, HELLO)
        self.container("app")

    def test_json(self):
        lease = self.expose("8088:80", "--container", "app", "--label", "a \"note\"")
        self.assertEqual(lease.ready | {"lease": "", "gateway": ""},
                         {"event": "ready", "schema": 1, "lease": "", "target": "container app", "via": "native",
                          "alias": "host.testcontainers.internal", "gateway": "", "interface": "docker0", "network": None,
                          "ports": [{"host": 8088, "container": 80, "protocol": "tcp", "found": "127.0.0.1"}]})
        (listed,) = self.leases()
        self.assertLessEqual({"schema", "id", "target", "via", "label", "interface", "ifindex", "gateway", "gateways",
                              "sources", "ports", "alias_in", "created", "expires", "owner"}, set(listed))
        self.assertEqual((listed["id"], listed["label"], listed["expires"]), (lease.id, 'a "note"', None))
        self.assertEqual(listed["owner"]["pid"], lease.process.pid)
        inspected = json.loads(self.tc_hostnet("inspect", lease.id, "--json").stdout)
        self.assertEqual((inspected["schema"], inspected["intact"], inspected["amiss"]), (1, True, []))
        status = json.loads(self.tc_hostnet("status", "--json").stdout)
        self.assertEqual((status["schema"], status["leases"], status["via"]), (1, 1, "native"))
        self.assertEqual(json.loads(lease.end()[1])["state"], "released")

    def test_the_reason_for_the_path(self):
        done = self.tc_hostnet("expose", "8088", "--container", "app", "--explain", "--dry-run")
        self.assertIn("native: the first that is usable here", done.stderr)
        done = self.tc_hostnet("expose", "8088", "--container", "app", "--explain", "--dry-run", "--via", "native")
        self.assertIn("native: as asked for", done.stderr)

    def test_data_and_prose_are_apart(self):
        done = self.tc_hostnet("expose", "8088", "--container", "app", "--detach")
        self.assertRegex(done.stdout, r"\A[0-9a-f]+\n\Z")
        self.assertIn("127.0.0.1:8088", done.stderr)
        self.assertNotIn("\x1b", done.stdout + done.stderr)
        self.tc_hostnet("release", "--all")
        self.assertEqual(self.tc_hostnet("expose", "8088", "--container", "app", "--detach", "--quiet").stderr, "")

    def test_a_reader_that_has_gone(self):
        self.detach(8088, "--container", "app")
        done = run("sh", "-c", f"{self.program} list --json >/dev/full", env=self.env, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(json.loads(done.stderr)["message"], "write to standard output: ")


if __name__ == "__main__":
    main()
