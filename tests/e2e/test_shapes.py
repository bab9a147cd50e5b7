"""The shapes of what the command prints: listings in each form, and changes as they come; and where options have their
defaults from. On a bridge without an engine. harness.run() compares all JSON with docs/schema."""
import json
import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import termios
import time
from pathlib import Path

from harness import HostCase, json_schema, main, run
from shells import Shells
from test_watch import Watch

NOBODY = "setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"


class ListWatch(Watch):
    schema = "list"


class BridgeCase(HostCase):
    def setUp(self):
        super().setUp()
        for words in ("link add br0 type bridge", "address add 198.18.0.1/24 dev br0", "link set br0 up"):
            run("ip", *words.split())
        self.addCleanup(run, "ip", "link", "del", "br0")
        self.addCleanup(self.tc_hostnet, "release", "--all")
        self.folder = Path(tempfile.mkdtemp(prefix="hostnet-e2e-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.folder.chmod(0o755)

    def refused(self, code, *arguments, says, **options):
        done = run(*options.pop("prefix", ()), self.program, *arguments, env=options.pop("env", self.env), check=False)
        self.assertEqual((done.returncode, done.stdout), (code, ""), done.stderr)
        self.assertRegex(done.stderr, r"\Atc-hostnet: [^\n]+\n\Z")
        self.assertIn(says, done.stderr)


class Listings(BridgeCase):
    def test_each_form(self):
        lease = self.detach("8088:80", "9090", "--bridge", "br0", "--label", "a \"note\"")
        self.assertEqual(self.tc_hostnet("list", "-q").stdout, lease + "\n")
        self.assertEqual(self.tc_hostnet("list", "--format", "json").stdout, self.tc_hostnet("list", "--json").stdout)
        self.assertEqual(self.tc_hostnet("list", "--format", "table").stdout.splitlines()[0],
                         self.tc_hostnet("list").stdout.splitlines()[0])
        filled = self.tc_hostnet("list", "--format", r"{id}\t{target}|{ports} {{x}} {owner.uid} {network}{label}").stdout
        self.assertEqual(filled, f"{lease}\tbridge br0|8088:80/tcp,9090/tcp {{x}} 0 a \"note\"\n")
        self.assertEqual(self.tc_hostnet("inspect", lease, "--json").returncode, 0)
        self.assertEqual(self.tc_hostnet("status", "--json").returncode, 0)
        plan = json.loads(self.tc_hostnet("release", "--all", "--dry-run", "--json").stdout)
        self.assertEqual(plan["leases"], [lease])
        self.assertIn("route_localnet", " ".join(plan["steps"]))
        self.tc_hostnet("doctor", "8088", "--bridge", "br0", "--json", check=False)
        self.tc_hostnet("expose", "8088", "--bridge", "br0", "--dry-run", "--json")
        self.tc_hostnet("run", "-p", "8088", "--dry-run", "--json", "true")
        self.assertEqual(json.loads(self.tc_hostnet("release", lease, "--json").stdout)["lease"], lease)

    def test_what_is_wrong_with_a_template(self):
        self.refused(2, "list", "--format", "{ids}", says="did you mean '{id}'?")
        self.refused(2, "list", "--format", "{owner.pidd}", says="did you mean '{owner.pid}'?")
        self.refused(2, "list", "--format", "{frobnicate}", says="the fields are id, target")
        self.refused(2, "list", "--format", "{{.ID}}", says="write {id}, in single braces")
        self.refused(2, "list", "--format", "{id", says="no closing brace")
        self.refused(2, "list", "--format", "jsno", says="'jsno' names no field of a lease; did you mean 'json'?")
        self.refused(2, "list", "--format", "{{json .}}", says="'{{json .}}' names no field of a lease; for example: --format '{id}")
        self.refused(2, "list", "--format", "id}", says="without an opening one")
        done = run(self.program, "list", "--format", "{id}", "--json", check=False)
        self.assertEqual(json.loads(done.stderr)["hint"], "give one of them")

    def test_every_field_of_a_template_is_in_the_schema(self):
        told = run(self.program, "list", "--format", "{frobnicate}", check=False).stderr
        fields = re.split(r", | and ", told.split("the fields are ")[1].strip())
        members = json_schema.SCHEMAS["common.json"]["$defs"]["lease"]["properties"]
        self.assertEqual({field.split(".")[0] for field in fields}, set(members))

    def watched(self, *arguments):
        watch = ListWatch([self.program, *arguments, "list", "--watch"], self.env)
        self.addCleanup(watch.close)
        return watch

    def test_changes_as_json(self):
        watch = self.watched("--json")  # before there is any folder
        self.assertEqual(watch.ready["leases"], [])
        lease = self.expose(8088, "--bridge", "br0")
        self.assertEqual([one["id"] for one in watch.read_event(10)["leases"]], [lease.id])
        second = self.expose(9090, "--bridge", "br0")
        self.assertEqual([one["id"] for one in watch.read_event(10)["leases"]], [lease.id, second.id])
        second.end(signal.SIGKILL)  # nobody but the watcher looks
        self.assertEqual([one["id"] for one in watch.read_event(10)["leases"]], [lease.id])
        lease.end()
        self.assertEqual(watch.read_event(10)["leases"], [])
        used = [int(field) for field in Path(f"/proc/{watch.process.pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]]
        time.sleep(1)
        now = [int(field) for field in Path(f"/proc/{watch.process.pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]]
        self.assertEqual(now, used, "it polls")
        self.assertEqual(watch.end(signal.SIGINT)[:2], (0, ""))

    def test_changes_as_blocks_of_text(self):
        process = subprocess.Popen([self.program, "list", "-q", "-w"], stdout=subprocess.PIPE, text=True, env=self.env)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.kill)
        self.assertEqual(process.stdout.readline(), "\n")
        lease = self.detach(8088, "--bridge", "br0")
        self.assertEqual([process.stdout.readline(), process.stdout.readline()], [lease + "\n", "\n"])
        process.terminate()
        self.assertEqual(process.wait(10), 0)

    def test_a_terminal_is_redrawn(self):
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        termios.tcsetwinsize(slave, (24, 80))
        process = subprocess.Popen([self.program, "list", "-w"], stdin=slave, stdout=slave, stderr=slave, env=self.env,
                                   start_new_session=True)
        os.close(slave)
        self.addCleanup(process.kill)
        seen = b""
        while b"LEASE" not in seen:
            seen += os.read(master, 4096)
        lease = self.detach(8088, "--bridge", "br0").encode()
        while lease not in seen:
            seen += os.read(master, 4096)
        self.assertEqual(seen.count(b"\x1b[H\x1b[2J"), 2)
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(10), 0)

    def test_durations(self):
        lease = self.expose(8088, "--bridge", "br0", "--timeout", "1d1h")
        (listed,) = self.leases()
        self.assertAlmostEqual(listed["expires"] - listed["created"], 25 * 3600, delta=2)
        lease.end()
        short = self.expose(8088, "--bridge", "br0", "--timeout", "1200ms")
        self.assertEqual(short.read_event(15)["event"], "ended")


class Completion(Shells, BridgeCase):
    """What the shells offer without an engine; tests/unit/cli has what is offered where."""

    def test_words_and_names(self):
        lease = self.detach(8088, "--bridge", "br0")
        other = self.detach(8089, "--bridge", "br0")
        for offered in (self.by_bash, self.by_fish):
            with self.subTest(offered.__name__):
                self.assertEqual(offered("rel"), ["release"])
                self.assertEqual(offered("expose 8088 --netw"), ["--network"])
                self.assertEqual(offered("list --color a"), ["always", "auto"])
                self.assertEqual(offered("expose 8088 --bridge "), ["br0"])
                self.assertEqual(offered("release "), sorted([lease, other]))
                self.assertEqual(offered(f"inspect {lease[:6]}"), [lease])
                self.assertEqual(offered("expose 8088 --via relay,na"), ["relay,native"])
                self.assertIn("/etc/passwd", offered("list --config /etc/passw"))
                self.assertIn("ip", offered("run -p 8088 -- ip"))
        # Bash replaces only what follows the equals sign.
        self.assertEqual(self.by_bash("expose 8088 --bridge=br"), ["br0"])
        self.assertEqual(self.by_fish("expose 8088 --bridge=br"), ["--bridge=br0"])

    def test_a_tab_on_a_terminal(self):
        lease = self.detach(8088, "--bridge", "br0")
        for shell in ("bash", "zsh"):
            with self.subTest(shell):
                self.tab(shell, "rele", "release ")
                self.tab(shell, "expose 8088 --bridge=b", "--bridge=br0")
                self.tab(shell, f"inspect {lease[:5]}", f"inspect {lease}")

    def test_an_engine_that_is_not_there_or_does_not_answer(self):
        silent = socket.socket(socket.AF_UNIX)
        self.addCleanup(silent.close)
        silent.bind(str(self.folder / "silent.sock"))
        silent.listen()
        for engine in ("unix:///nowhere.sock", f"unix://{self.folder}/silent.sock", "tcp://127.0.0.1:1", "ssh://nobody@127.0.0.1", "nonsense"):
            with self.subTest(engine):
                start = time.monotonic()
                done = self.tc_hostnet("__complete", "--engine", engine, "expose", "8088", "--network", "")
                self.assertEqual((done.stdout, done.stderr), ("", ""))
                self.assertLess(time.monotonic() - start, 5)  # 0.1 s on a quiet machine

    def test_what_is_printed_is_what_is_installed(self):
        for shell in ("bash", "zsh", "fish"):
            file = Path(__file__).resolve().parents[2] / "src" / "cli" / "data" / f"completion.{shell}"
            self.assertEqual(self.tc_hostnet("completion", shell).stdout, file.read_text())
        self.refused(2, "completion", says="give bash, zsh or fish")
        self.refused(2, "completion", "tcsh", says="tcsh")


class Config(BridgeCase):
    def write(self, text, name="tc-hostnet.conf", mode=0o644, owner=0):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        os.chown(path, owner, owner)
        return path

    @property
    def env(self):
        return super().env | {"XDG_CONFIG_HOME": str(self.folder)}

    def planned(self, *options, **environment):
        """The firewall of a plan with these options."""
        done = self.tc_hostnet(*options, "expose", "8088", "--bridge", "br0", "--dry-run", "--json", env=self.env | environment)
        return json.loads(done.stdout)["firewall"]

    def test_which_file_and_which_line(self):
        self.write('# a comment\n[expose]\nfirewall = "nftables"\n', "tc-hostnet/tc-hostnet.conf")
        named = self.write('firewall = "nftables"\n[expose]\nfirewall = "iptables"\n', "named.conf")
        none = {"TC_HOSTNET_FIREWALL": ""}
        self.assertEqual(self.planned(**none), "nftables")
        self.assertEqual(self.planned("--config", named, **none), "iptables")
        self.assertEqual(self.planned(TC_HOSTNET_FIREWALL="iptables"), "iptables")
        done = self.tc_hostnet("expose", "8088", "--bridge", "br0", "--dry-run", "--json", "--firewall", "iptables")
        self.assertEqual(json.loads(done.stdout)["firewall"], "iptables")
        self.write("json = true\nquiet = on\n", "tc-hostnet/tc-hostnet.conf")
        self.assertEqual(json.loads(self.tc_hostnet("status").stdout)["leases"], 0)
        self.assertTrue(self.tc_hostnet("status", "--no-config").stdout.startswith("version"))
        self.assertEqual(json.loads(run(self.program, "inspect", "x", env=self.env, check=False).stderr)["error"], "not_found")
        # The first name that exists is read, and /etc last.
        self.write("[list]\nformat = '{id}'\n", "tc-hostnet.conf")
        self.assertEqual(self.tc_hostnet("list").stdout, "")
        (self.folder / "tc-hostnet" / "tc-hostnet.conf").unlink()
        self.assertEqual(self.tc_hostnet("list").stdout, "")
        self.assertTrue(self.tc_hostnet("list", "--format", "table").stdout.startswith("LEASE"))
        Path("/etc/tc-hostnet.conf").write_text("[list]\nformat = 'json'\n[expose]\nlabel = 'by /etc'\n")
        self.addCleanup(Path("/etc/tc-hostnet.conf").unlink)
        lease = self.detach(8088, "--bridge", "br0")
        self.assertEqual(self.tc_hostnet("list").stdout, lease + "\n")
        self.assertEqual(self.tc_hostnet("list", "--format", "{label}").stdout, "by /etc\n")

    def test_an_order_of_paths(self):
        # Before the first section also a path that one of the commands has no use for.
        for value in ("relay", '"relay,ssh"', '["relay", "ssh", "native"]', "auto"):
            with self.subTest(value=value):
                self.write(f"via = {value}\n")
                self.assertEqual(self.tc_hostnet("list", "--json").stdout, "")
        self.write('via = ["relay", "ssh", "native"]\n')
        shown = json.loads(self.tc_hostnet("--json", "--dry-run", "expose", 8088, "--bridge", "br0").stdout)
        self.assertEqual(shown["via"], "native")

    def test_what_is_wrong_with_a_file(self):
        for text, says in (("colour = never", ":1: unknown key 'colour'; did you mean 'color'?"),
                           ("\n\n[expose]\ntimout = 1d", ":4: unknown key 'timout' of [expose]; did you mean 'timeout'?"),
                           ("[expsoe]\ntimeout = 1d", ":1: unknown section '[expsoe]'; did you mean [expose]?"),
                           ("via = magic", ":1: via cannot be 'magic'; it is auto"),
                           ("[watch]\nvia = [\"relay\", \"shs\"]", ":2: via cannot be 'shs': did you mean 'ssh'?"),
                           ("via = \"ssh,ssh\"", ":1: via: path ssh is named twice"),
                           ("quiet = perhaps", ":1: quiet is true or false"),
                           ("[release]\nall = true", ":2: 'all' cannot be set in a file"),
                           ("[list]\nlabel = x", ":2: unknown key 'label' of [list]"),
                           ("color = never\ncolor = always", ":2: 'color' is set twice"),
                           ("[expose]\nlabel = two words", ":2: label needs one TEXT"),
                           ("nonsense", ":1: 'nonsense' is neither"), ("x=", ":1: 'x=' is neither"),
                           ("[expose\ntimeout = 1d", ":1: '[expose' has no closing bracket"),
                           ("[lst]", ":1: unknown section '[lst]'; did you mean [list]?"),
                           ("[expose] timeout = 1d", ":1: 'timeout = 1d' is behind a closing bracket"),
                           ("[expose]\nproject = shop", ":2: 'project' cannot be set in a file"),
                           ("[expose]\ntimeout = forever", ":2: timeout: 'forever' is not a duration"),
                           ("[expose]\ntimeout = 99d", ":2: timeout: '99d' is too long"),
                           ("engine =", ":1: engine has no value")):
            with self.subTest(text=text):
                path = self.write(text)
                self.refused(2, "list", says=str(path) + says)
                self.refused(125, "run", "-p", "80", "true", says=str(path) + says)
                self.assertTrue(self.tc_hostnet("help").stdout)
                self.assertTrue(self.tc_hostnet("version").stdout)
        self.assertEqual(json.loads(run(self.program, "list", "--json", env=self.env, check=False).stderr)["exit_code"], 2)
        self.refused(6, "list", "--config", "/no/such/file", says="there is no configuration '/no/such/file'")
        # A comment behind a section's name is one. The line counts before the file, also where the words differ.
        self.write("[list]  # in short\nformat = '{id}'")
        self.assertEqual(self.tc_hostnet("list", "--json").stdout, "")
        self.write("json = true")
        self.assertEqual(self.tc_hostnet("list", "--format", "{id}").stdout, "")
        self.assertEqual(json.loads(run(self.program, "inspect", env=self.env, check=False).stderr)["exit_code"], 2)
        self.assertEqual(json.loads(run(self.program, "isnpect", env=self.env, check=False).stderr)["exit_code"], 2)

    def test_a_file_that_another_user_could_have_written(self):
        for mode, says in ((0o664, "group 0 can write it"), (0o646, "every user can write it")):
            with self.subTest(mode=oct(mode)):
                path = self.write('engine = "unix:///tmp/evil.sock"', mode=mode)
                self.refused(4, "list", says=says)
                self.refused(4, "list", "--config", path, says=says)
                self.refused(125, "run", "-p", "80", "true", says=says)
                self.assertTrue(self.tc_hostnet("list", "--no-config").stdout)
        # The home may be another user's, as after sudo -E: that user's defaults are not root's, and root's command works.
        path = self.write("nonsense", owner=65534)
        done = self.tc_hostnet("status")
        self.assertIn(f"warning: configuration '{path}' is passed over: it belongs to uid 65534, and this is uid 0", done.stderr)
        self.refused(4, "list", "--config", path, says="it belongs to uid 65534")
        # A user's own is the user's, also with a group.
        self.write("[list]\nformat = '{id}'", mode=0o664, owner=65534)
        self.assertEqual(run(*NOBODY, self.program, "list", env=self.env).stdout, "")
        # What a user cannot see, as in root's home, is none.
        path = self.write("nonsense", "closed/tc-hostnet.conf")
        path.parent.chmod(0o700)
        closed = self.env | {"XDG_CONFIG_HOME": str(path.parent)}
        self.assertEqual(run(*NOBODY, self.program, "list", "-q", env=closed).stdout, "")
        self.refused(4, "list", "--config", path, says="Permission denied", prefix=NOBODY)
        self.write("x" * 70000)
        self.refused(1, "list", says="more than 65536 bytes")
        (self.folder / "tc-hostnet.conf").unlink()
        os.mkfifo(self.folder / "tc-hostnet.conf")
        self.refused(1, "list", says="is not a regular file")
        (self.folder / "tc-hostnet.conf").unlink()
        (self.folder / "tc-hostnet.conf").mkdir()
        self.refused(1, "list", says="is not a regular file")


if __name__ == "__main__":
    main()
