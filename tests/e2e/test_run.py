#!/usr/bin/python3
"""`tc-hostnet run`: no engine, a command in its own network namespace that reaches only the exposed ports."""
import contextlib
import json
import os
import re
import signal
import subprocess
from pathlib import Path

from harness import FIREWALL, ALIAS, HostCase, eventually, main, run, snapshot

HELLO = "hello from 127.0.0.1\n"
URL = f"http://{ALIAS}:8088/"


class Run(HostCase):
    def setUp(self):
        super().setUp()
        self.service(8088, HELLO)

    def run_in_it(self, *command, ports=("8088",), check=True, **options):
        flags = [word for port in ports for word in ("-p", port)]
        return self.tc_hostnet("run", *flags, "--", *command, check=check, **options)

    def sh(self, script, **options):
        return self.run_in_it("sh", "-c", script, **options)

    def start(self, script):
        # A shell cannot trap a signal that was ignored when it started, as under nohup.
        process = subprocess.Popen(["env", "--default-signal", self.program, "run", "-p", "8088", "--", "sh", "-c", script],
                                   env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   text=True, start_new_session=True)

        def end():  # children of the command keep its namespace, and so the veth pair
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate(timeout=60)
        self.addCleanup(end)
        self.assertEqual(process.stdout.readline(), "up\n")
        return process

    def test_reaches_the_service_by_name(self):
        done = self.run_in_it("curl", "-sS", "-m", "10", URL)
        self.assertEqual((done.stdout, done.stderr), (HELLO, ""))
        self.service(8090, HELLO, address="127.0.0.2")
        done = self.run_in_it("true", ports=["8088", "8089", "8090"])
        self.assertIn("warning: nothing listens on 127.0.0.1:8089; exposing the port anyway\n", done.stderr)
        self.assertIn("nothing listens on 127.0.0.1:8090, only on 127.0.0.2:8090; exposing the port anyway; "
                      "to expose 127.0.0.2:8090: name it as 127.0.0.2:8090\n", done.stderr)

    def test_reaches_another_port_number(self):
        done = self.run_in_it("curl", "-s", "-m", "10", f"http://{ALIAS}:80/", ports=["8088:80"])
        self.assertEqual(done.stdout, HELLO)

    def test_reaches_another_address_of_the_loopback(self):
        self.service(8088, "second\n", address="127.0.0.2")
        done = self.run_in_it("curl", "-s", "-m", "10", URL, f"http://{ALIAS}:8089/", ports=["8088", "127.0.0.2:8088:8089"])
        self.assertEqual(done.stdout, HELLO + "second\n")
        for port, words in (("[::1]:8088", "leads to IPv4 only"), ("/run/db.sock:80", "leads to ports only"),
                            ("0.0.0.0:8088", "leave out the address")):
            refused = self.run_in_it("true", ports=[port], check=False)
            self.assertEqual(refused.returncode, 125, refused.stderr)
            self.assertIn(words, refused.stderr)
            self.assertRegex(refused.stderr, r"\Atc-hostnet: [^\n]+\n\Z")

    def test_reaches_several_ports(self):
        self.service(8089, "second\n")
        done = self.run_in_it("curl", "-s", "-m", "10", URL, f"http://{ALIAS}:8089/", ports=["8088", "8089"])
        self.assertEqual(done.stdout, HELLO + "second\n")

    def test_reaches_nothing_else(self):
        self.service(8089, "secret\n")
        self.service(8090, "on every address\n", address="0.0.0.0")
        for url in (f"http://{ALIAS}:8089/", "http://127.0.0.1:8089/", "http://127.0.0.1:8088/"):
            with self.subTest(url=url):
                done = self.run_in_it("curl", "-sS", "-m", "2", url, check=False)
                self.assertEqual((done.returncode != 0, done.stdout), (True, ""))

    def test_leaves_the_hosts_file_of_the_machine_alone(self):
        before = Path("/etc/hosts").read_text()
        inside = self.sh("cat /etc/hosts").stdout
        self.assertIn(ALIAS, inside)
        self.assertTrue(inside.startswith(before.splitlines()[0] if before else ""))
        self.assertEqual(Path("/etc/hosts").read_text(), before)

    def test_two_at_once(self):
        first, second = self.start("echo up; exec sleep 60"), self.start(f"echo up; curl -s -m 10 {URL}")
        self.assertEqual(second.communicate(timeout=60)[0], HELLO)
        first.send_signal(signal.SIGTERM)
        self.assertEqual(first.wait(10), 128 + signal.SIGTERM)

    def test_gives_the_commands_exit_code(self):
        for code in (0, 1, 42, 125, 255):
            self.assertEqual(self.sh(f"exit {code}", check=False).returncode, code)
        self.assertEqual(self.sh("kill -KILL $$", check=False).returncode, 128 + signal.SIGKILL)

    def test_gives_its_own_exit_codes(self):
        for code, done in ((125, self.run_in_it("true", ports=["0"], check=False)),
                           (126, self.run_in_it("/etc/hosts", check=False)),
                           (127, self.run_in_it("no-such-command", check=False)),
                           (127, self.run_in_it("/no/such/command", check=False))):
            self.assertEqual((done.returncode, done.stdout), (code, ""), done.stderr)
            self.assertRegex(done.stderr, r"\Atc-hostnet: [^\n]+\n\Z")

    def test_usage(self):
        for code, arguments in ((125, ()), (125, ("-p", "8088")), (125, ("--", "true"))):
            self.assertEqual(self.tc_hostnet("run", *arguments, check=False).returncode, code)

    def test_passes_words_on_as_they_are(self):
        done = self.run_in_it("printf", "<%s>", "a b", "$(id)", "", "-p", "--json", "--help")
        self.assertEqual(done.stdout, "<a b><$(id)><><-p><--json><--help>")

    def test_passes_input_output_folder_and_environment_on(self):
        done = self.sh('cat; pwd; echo "$MINE"; echo prose >&2', stdin="from outside\n",
                       env=self.env | {"MINE": "and mine"})
        self.assertEqual((done.stdout, done.stderr), (f"from outside\n{os.getcwd()}\nand mine\n", "prose\n"))

    def test_passes_signals_on(self):
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
            with self.subTest(signal=number.name):
                name = number.name.removeprefix("SIG")
                process = self.start(f"trap 'echo got {name}; exit 7' {name}; echo up; while :; do sleep 0.1; done")
                process.send_signal(number)
                out, err = process.communicate(timeout=60)
                self.assertEqual((process.returncode, out, err), (7, f"got {name}\n", ""))

    def test_is_listed_while_it_runs(self):
        process = self.start("echo up; exec sleep 60")
        (lease,) = self.leases()
        self.assertEqual(lease["owner"]["pid"], process.pid)
        self.assertEqual([port["host"] for port in lease["ports"]], [8088])

    def test_killed(self):
        process = self.start("echo up; exec sleep 61")
        process.kill()
        process.wait(10)
        self.assertTrue(eventually(lambda: not self.sleepers()), "the command outlived it")
        self.tc_hostnet("list")
        # The comparison after each test includes the bridge.
        self.assertEqual(self.leases(), [])

    def sleepers(self):
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                if path.read_bytes() == b"sleep\0" + b"61\0":
                    found.append(path)
            except OSError:
                pass  # it has ended by now
        return found

    def test_without_root(self):
        done = run("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", self.program, "run",
                   "-p", "8088", "--", "true", env=self.env, check=False)
        self.assertEqual((done.returncode, done.stdout), (125, ""))
        self.assertRegex(done.stderr, r"\Atc-hostnet: [^\n]+\n\Z")

    def test_a_dry_run_prints_the_rules_and_runs_nothing(self):
        flag = Path(f"/tmp/hostnet-e2e-{os.getpid()}")
        self.addCleanup(flag.unlink, missing_ok=True)
        command = ("--dry-run", "run", "-p", "8088:80", "--", "touch", flag)
        before = snapshot(), os.listdir("/sys/class/net")
        shown = self.tc_hostnet(*command)
        self.assertEqual(shown.stderr, "")
        for words in FIREWALL.words_of_a_forward(80, 8088):
            self.assertIn(words, shown.stdout + " ")
        self.assertIn(f"# run touch {flag}", shown.stdout)
        FIREWALL.takes(shown.stdout)
        (line,) = self.tc_hostnet("--json", *command).stdout.splitlines()
        planned = json.loads(line)
        self.assertEqual(planned["lease"]["ports"], [{"host": 8088, "container": 80, "protocol": "tcp"}])
        self.assertEqual(planned["lease"]["gateway"], planned["lease"]["gateways"][0])
        self.assertEqual(planned["steps"][-1], f"run touch {flag}")
        unprivileged = run("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", self.program, *command,
                           env=self.env)
        self.assertEqual(unprivileged.stdout, shown.stdout)
        self.assertEqual((snapshot(), os.listdir("/sys/class/net")), before)
        self.assertFalse(flag.exists(), "it ran")

    def test_what_a_dry_run_promises_is_what_a_run_does(self):
        promised = self.tc_hostnet("--dry-run", "run", "-p", "8088", "--", "true").stdout
        self.start("echo up; exec sleep 60")

        def plain(rules):  # the interface name and the lease id in the comment differ each time
            words = json.dumps(rules, sort_keys=True)
            return re.sub(r"tchn-\w+", "tchn", re.sub(r"tc-hostnet:(dry-run|[0-9a-f]{8})", "tc-hostnet:lease", words))
        self.assertEqual(plain(FIREWALL.rules_of_script(promised)), plain(FIREWALL.rules()))

    def test_a_dry_run_of_what_cannot_be(self):
        for port in ("0", "65536"):
            refused = self.run_in_it("true", ports=[port], check=False)
            told = self.tc_hostnet("--dry-run", "run", "-p", port, "--", "true", check=False)
            self.assertEqual((told.returncode, told.stdout, told.stderr), (125, "", refused.stderr))

    def test_the_reason_for_the_path(self):
        done = self.tc_hostnet("--explain", "run", "-p", "8088", "--", "echo", "done")
        self.assertEqual((done.stdout, done.stderr), ("done\n", "native: as asked for\n"))

    def test_a_command_that_ends_at_once(self):
        for _ in range(5):
            self.assertEqual(self.run_in_it("true").returncode, 0)

    def test_what_the_command_leaves_running_does_not_reach_the_service_any_more(self):
        flag = Path(f"/tmp/hostnet-e2e-{os.getpid()}")
        self.addCleanup(flag.unlink, missing_ok=True)
        self.sh(f"(sleep 1; curl -s -m 2 {URL} >{flag}; echo tried >>{flag}) >/dev/null 2>&1 &")
        self.assertTrue(eventually(lambda: flag.exists() and "tried" in flag.read_text()))
        self.assertEqual(flag.read_text(), "tried\n")
        # The namespace and its veth pair end with the last process in it.
        self.assertTrue(eventually(lambda: not any(name.startswith("tchn-") for name in os.listdir("/sys/class/net"))))


class Interfaces(HostCase):
    """Every run removes its bridge and namespace, regardless of the host's addresses."""

    def test_addresses_that_are_in_use_are_left_alone(self):
        self.service(8088, HELLO)
        run("ip", "link", "add", "other0", "type", "bridge")
        self.addCleanup(run, "ip", "link", "del", "other0")
        inside = self.tc_hostnet("run", "-p", "8088", "--", "ip", "-4", "-o", "addr", "show", "scope", "global").stdout
        address = inside.split(" inet ")[1].split("/")[0]
        network = ".".join(address.split(".")[:3])
        run("ip", "addr", "add", f"{network}.1/24", "dev", "other0")
        run("ip", "link", "set", "other0", "up")
        done = self.tc_hostnet("run", "-p", "8088", "--", "curl", "-sS", "-m", "10", URL)
        self.assertEqual(done.stdout, HELLO)


if __name__ == "__main__":
    main()
