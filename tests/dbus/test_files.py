"""The files installed beside the daemon: each is in the right place, is valid for its reader, and matches the daemon's
behaviour; and the daemon works under the limits of its unit.

  tests/support/in_namespaces tests/support/with_system_bus FOLDER /usr/bin/python3 -B tests/dbus/test_files.py"""
import gettext
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import tempfile
import unittest
import xml.etree.ElementTree as xml
from pathlib import Path

import dbus

from examples_bed import (BRIDGE, NAME, PATH, PORT, ROOT, TEXT, Bed, as_user, eventually, helper_pid, leases, run,
                          system_bus)

DATA = ROOT / "src/daemon/data"
SANDBOX = Path(__file__).with_name("unit_sandbox")
INTERFACE = ROOT / "src/dbus/io.github.tchostnet.HostNet1.xml"
ACTIONS = {  # any, inactive, active: as in docs/security.md
    "expose-own": ("auth_admin", "auth_admin", "auth_admin_keep"),
    "expose-foreign": ("auth_admin", "auth_admin", "auth_admin"),
    "release-any": ("auth_admin", "auth_admin", "auth_admin_keep"),
}
PLACES = {
    "tc-hostnetd": "/usr/libexec/tc-hostnetd",
    "io.github.tchostnet.HostNet1.service": "/usr/share/dbus-1/system-services/io.github.tchostnet.HostNet1.service",
    "io.github.tchostnet.HostNet1.conf": "/usr/share/dbus-1/system.d/io.github.tchostnet.HostNet1.conf",
    "io.github.tchostnet.HostNet1.xml": "/usr/share/dbus-1/interfaces/io.github.tchostnet.HostNet1.xml",
    "io.github.tchostnet.hostnet1.policy": "/usr/share/polkit-1/actions/io.github.tchostnet.hostnet1.policy",
    "tc-hostnetd.service": "/usr/lib/systemd/system/tc-hostnetd.service",
    "tc-hostnet-watch.service": "/usr/lib/systemd/system/tc-hostnet-watch.service",
    "tc-hostnet-watch.user.service": "/usr/lib/systemd/user/tc-hostnet-watch.service",
    "watch-compose.yml": "/usr/share/doc/tc-hostnet/docs/examples/watch-compose.yml",
    "tc-hostnet.tmpfiles": "/usr/lib/tmpfiles.d/tc-hostnet.conf",
    "hostnetd.conf": "/etc/tc-hostnet/hostnetd.conf",
    "tc-hostnet.1": "/usr/share/man/man1/tc-hostnet.1",
    "tc-hostnetd.8": "/usr/share/man/man8/tc-hostnetd.8",
    "50-tc-hostnet.rules": "/usr/share/doc/tc-hostnet/docs/examples/50-tc-hostnet.rules",
    "README.md": "/usr/share/doc/tc-hostnet/README.md",
    "expose.cpp": "/usr/share/doc/tc-hostnet/examples/expose.cpp",
    "completion.bash": "/usr/share/bash-completion/completions/tc-hostnet",
    "completion.zsh": "/usr/share/zsh/vendor-completions/_tc-hostnet",
    "completion.fish": "/usr/share/fish/vendor_completions.d/tc-hostnet.fish",
    "tc-hostnet.mo": "/usr/share/locale/de/LC_MESSAGES/tc-hostnet.mo",
}


def configure(prefix):
    """A configured build folder without compilation: enough to know what is installed where."""
    folder = tempfile.mkdtemp(prefix="hostnet-files-")
    unittest.addModuleCleanup(shutil.rmtree, folder)
    run("meson", "setup", folder, str(ROOT), f"--prefix={prefix}", "-Dtests=false", timeout=120)
    return Path(folder)


def setUpModule():
    global build
    build = configure("/usr")


def installed(folder):
    """{name in the source tree: installed path} of the files."""
    return {Path(source).name: place for source, place in json.loads(
        run("meson", "introspect", folder, "--installed").stdout).items()}


def settings_of(path):
    """A key-value file's keys by section."""
    found, section = {}, None
    for line in Path(path).read_text().splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(section, {}).setdefault(key, []).append(value)
    return found


def said_in(log):
    log.seek(0)
    return log.read()


class Places(unittest.TestCase):
    def test_everything_is_where_its_reader_looks(self):
        places = installed(build)
        self.assertEqual({name: places.get(name) for name in PLACES}, PLACES)

    def test_the_other_prefix(self):
        places = installed(configure("/usr/local"))
        for name in ("io.github.tchostnet.HostNet1.service", "io.github.tchostnet.hostnet1.policy",
                     "io.github.tchostnet.HostNet1.conf", "tc-hostnetd.service", "tc-hostnet.tmpfiles", "tc-hostnetd.8"):
            self.assertEqual(places[name], PLACES[name].replace("/usr/", "/usr/local/"))

    def test_no_rule_is_put_into_effect(self):
        for place in installed(build).values():
            self.assertNotIn("/rules.d/", place)

    def test_the_service_files_start_what_is_installed(self):
        daemon = PLACES["tc-hostnetd"]
        activation = settings_of(build / "src/daemon/io.github.tchostnet.HostNet1.service")["D-BUS Service"]
        self.assertEqual(activation, {"Name": [NAME], "Exec": [daemon], "User": ["root"],
                                      "SystemdService": ["tc-hostnetd.service"]})
        unit = settings_of(build / "src/daemon/tc-hostnetd.service")["Service"]
        self.assertEqual((unit["Type"], unit["BusName"]), (["dbus"], [NAME]))
        self.assertEqual(unit["ExecStart"], [daemon])
        self.assertEqual(unit["ExecStopPost"], [f"{daemon} --flush-stale"])

    def test_the_manual_knows_every_option(self):
        told = (ROOT / "docs/man/tc-hostnetd.8").read_text().replace("\\-", "-")
        helped = run(os.environ["HELPER_PROGRAM"], "--help").stdout
        options = set(re.findall(r"^\s+(?:-\w,)?(--[a-z-]+)", helped, re.MULTILINE))
        self.assertIn("--idle-timeout", options)
        self.assertEqual({option for option in options if option not in told}, set())

    def test_the_configuration_shows_the_defaults(self):
        helped = run(os.environ["HELPER_PROGRAM"], "--help").stdout
        shown = dict(re.findall(r"^#([a-z-]+)=(.*)$", (DATA / "hostnetd.conf").read_text(), re.MULTILINE))
        self.assertGreater(len(shown), 4)
        for option, value in shown.items():
            # CLI11 2.4 puts brackets around it, older ones an equals sign before it.
            default = re.search(rf"--{option} \S+?(?: in \[.*?\])?(?:=| \[)(\S+)", helped)
            self.assertIsNotNone(default, option)
            self.assertEqual(re.sub(r'[][" ]', "", default.group(1)), re.sub(r'[][" ]', "", value), option)


class Forms(unittest.TestCase):
    def test_xml_is_well_formed(self):
        for path in (INTERFACE, DATA / "io.github.tchostnet.HostNet1.conf", DATA / "io.github.tchostnet.hostnet1.policy"):
            run("xmllint", "--noout", "--nonet", path)
        run("xmllint", "--noout", "--nonet", "--dtdvalid", "/usr/share/polkit-1/policyconfig-1.dtd",
            DATA / "io.github.tchostnet.hostnet1.policy")

    def test_only_root_is_the_helper(self):
        done = run(*as_user("alice", "/usr/bin/python3", "-c",
                            f"import dbus; print(dbus.SystemBus().request_name('{NAME}.Another')); "
                            f"dbus.SystemBus().request_name('{NAME}')"), check=False)
        self.assertIn("AccessDenied", done.stderr)

    def test_polkit_has_the_actions(self):
        for action, (any_, inactive, active) in ACTIONS.items():
            listing = run("pkaction", "--verbose", "--action-id", f"io.github.tchostnet.hostnet1.{action}").stdout
            facts = dict(re.findall(r"^\s+([a-z ]+):\s+(.*)$", listing, re.MULTILINE))
            self.assertEqual((facts["implicit any"], facts["implicit inactive"], facts["implicit active"]),
                             (any_, inactive, active), action)
            self.assertEqual((facts["vendor"], facts["icon"]), ("tc-hostnet", "network-server"))
            self.assertTrue(facts["description"] and facts["message"])
        every = [line for line in run("pkaction").stdout.splitlines() if "tchostnet" in line]
        self.assertEqual(len(every), len(ACTIONS), every)

    def test_tmpfiles(self):
        with tempfile.TemporaryDirectory() as root:
            os.chmod(root, 0o755)
            (Path(root) / "run").mkdir()
            run("systemd-tmpfiles", "--create", f"--root={root}", DATA / "tc-hostnet.tmpfiles")
            lock = (Path(root) / "run/xtables.lock").stat()
            self.assertEqual((stat.S_IMODE(lock.st_mode), lock.st_uid, lock.st_size), (0o600, 0, 0))


class Unit(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        # The daemon's own program, so that systemd finds what the unit starts.
        folder = Path(tempfile.mkdtemp(prefix="hostnet-unit-"))
        cls.addClassCleanup(shutil.rmtree, folder)
        cls.unit = folder / "tc-hostnetd.service"
        text = (build / "src/daemon/tc-hostnetd.service").read_text()
        cls.unit.write_text(text.replace(PLACES["tc-hostnetd"], os.environ["HELPER_PROGRAM"]))

    def test_systemd_understands_it(self):
        done = run("systemd-analyze", "verify", "--man=no", self.unit)
        self.assertEqual(done.stderr, "")

    def test_what_it_leaves_exposed(self):
        done = run("systemd-analyze", "security", "--offline=true", "--no-pager", "--json=short", self.unit)
        self.assertGreater(len(json.loads(done.stdout)), 50)
        told = run("systemd-analyze", "security", "--offline=true", "--no-pager", self.unit).stdout
        level = float(re.search(r"exposure level for \S+: ([\d.]+)", told).group(1))
        self.assertLessEqual(level, 2.1)
        run("systemd-analyze", "security", "--offline=true", "--threshold=21", self.unit)


class WatchUnits(unittest.TestCase):
    """The units of `tc-hostnet watch`; tests/e2e/test_watch.py runs the system unit under its limits."""

    def units(self):
        for name in ("tc-hostnet-watch.service", "tc-hostnet-watch.user.service"):
            yield build / "src/cli" / name

    def test_systemd_understands_them(self):
        for unit, manager in zip(self.units(), ("--system", "--user")):
            with self.subTest(unit=unit.name), tempfile.TemporaryDirectory() as folder:
                runnable = Path(folder, "tc-hostnet-watch.service")
                runnable.write_text(unit.read_text().replace("/usr/bin/tc-hostnet", os.environ["TC_HOSTNET"]))
                done = run("systemd-analyze", manager, "verify", "--man=no", runnable,
                           env=os.environ | {"XDG_RUNTIME_DIR": folder})
                self.assertEqual(done.stderr, "")

    def test_they_start_what_is_installed(self):
        for unit in self.units():
            service = settings_of(unit)["Service"]
            self.assertRegex(service["ExecStart"][0], r"\A/usr/bin/tc-hostnet (--no-ask-password )?watch\Z")
            self.assertEqual(service["ExecStopPost"], ["-/usr/bin/tc-hostnet --json list"])

    def test_what_the_systems_leaves_exposed(self):
        unit = build / "src/cli/tc-hostnet-watch.service"
        run("systemd-analyze", "security", "--offline=true", "--threshold=28", unit)


class Introspection(unittest.TestCase):
    """The daemon's introspection equals the installed XML that others generate code from."""

    @staticmethod
    def members(root, wanted):
        found = {}
        for interface in root.iter("interface"):
            if interface.get("name") not in wanted:
                continue
            for kind in ("method", "signal", "property"):
                for member in interface.iter(kind):
                    arguments = [(a.get("name"), a.get("type"), a.get("direction") if kind == "method" else None)
                                 for a in member.iter("arg")]
                    notes = {a.get("name"): a.get("value") for a in member.iter("annotation")
                             if not a.get("name").endswith(".Async")}  # for the generator, not for callers
                    found[interface.get("name"), kind, member.get("name")] = (
                        arguments, member.get("type"), member.get("access"), notes)
        return found

    def test_equals_the_xml(self):
        bus = system_bus()
        self.addCleanup(bus.close)
        # Root may expose every port; our own interface is all that this needs.
        run("ip", "link", "add", "br-look", "type", "bridge")
        self.addCleanup(run, "ip", "link", "del", "br-look")
        run("ip", "address", "add", "198.18.9.1/24", "dev", "br-look")
        run("ip", "link", "set", "br-look", "up")
        index = json.loads(run("ip", "-j", "link", "show", "br-look").stdout)[0]["ifindex"]
        manager = dbus.Interface(bus.get_object(NAME, PATH, introspect=False), f"{NAME}.Manager")
        lease, keepalive = manager.Expose(index, [("tcp", 8099, 8099)], {}, signature="ia(sqq)a{sv}")
        descriptor = keepalive.take()
        told = {}
        for path in (PATH, lease):
            target = dbus.Interface(bus.get_object(NAME, path, introspect=False), "org.freedesktop.DBus.Introspectable")
            told |= self.members(xml.fromstring(target.Introspect()), {f"{NAME}.Manager", f"{NAME}.Lease"})
        os.close(descriptor)
        wanted = self.members(xml.parse(INTERFACE).getroot(), {f"{NAME}.Manager", f"{NAME}.Lease"})
        self.assertGreater(len(wanted), 15)
        self.maxDiff = None
        self.assertEqual(told, wanted)
        self.assertTrue(eventually(lambda: not leases(bus)))


class Sandbox(Bed):
    """The daemon under the limits of its unit. The first tests check what the limits must stop, to prove them active."""

    def start(self):
        pid = helper_pid(self.bus)
        if pid:
            os.kill(pid, signal.SIGTERM)
            self.assertTrue(eventually(lambda: helper_pid(self.bus) is None))
        self.log = log = tempfile.TemporaryFile("w+")
        self.addCleanup(log.close)
        self.addCleanup(lambda: self.assertNotIn("Sanitizer", said_in(log)))
        daemon = subprocess.Popen([SANDBOX, build / "src/daemon/tc-hostnetd.service", os.environ["HELPER_PROGRAM"],
                                   "--idle-timeout=0"], stderr=self.log)
        self.addCleanup(daemon.wait)
        self.addCleanup(daemon.kill)
        self.assertTrue(eventually(lambda: helper_pid(self.bus) == daemon.pid), "the daemon does not come up")
        return daemon

    def said(self):
        return said_in(self.log)

    def limited(self, *command):
        """Runs a command under the same limits; they prevent a sanitizer's leak check."""
        return run(SANDBOX, build / "src/daemon/tc-hostnetd.service", *command, check=False,
                   env=os.environ | {"ASAN_OPTIONS": "detect_leaks=0"})

    def test_the_limits_are_on(self):
        status = self.limited("/usr/bin/cat", "/proc/self/status").stdout
        self.assertIn("CapBnd:\t0000000000003000", status)  # CAP_NET_ADMIN and CAP_NET_RAW
        self.assertIn("NoNewPrivs:\t1", status)
        self.assertIn("Seccomp:\t2", status)
        for what, attempt in {
            "a file": "open('/etc/hostnet-was-here', 'w')",
            "a sysctl": "open('/proc/sys/net/ipv4/ip_forward', 'w').write('1')",
            "a packet socket": "socket.socket(socket.AF_PACKET, socket.SOCK_RAW)",
            "another user": "os.setuid(20001)",
            "somebody else's file": "os.chown('/run/xtables.lock', 20001, 20001)",
            "a memory map to write and execute": "mmap.mmap(-1, 4096, prot=7)",
            "a mount": "ctypes.CDLL(None, use_errno=True).mount(b'x', b'/mnt', b'tmpfs', 0, None) and 1 / 0",
            "a namespace": "ctypes.CDLL(None).unshare(0x10000000) and 1 / 0",
        }.items():
            done = self.limited("/usr/bin/python3", "-c", f"import ctypes, mmap, os, socket; {attempt}")
            self.assertNotEqual(done.returncode, 0, what)
        done = self.limited("/usr/bin/python3", "-c",
                            "import socket; socket.socket(socket.AF_INET, socket.SOCK_RAW, 255)")
        self.assertEqual(done.returncode, 0, done.stderr)

    def expose_and_fetch(self):
        client = subprocess.Popen(as_user("alice", "/usr/bin/python3", ROOT / "docs/examples/expose.py", BRIDGE, PORT,
                                          "sleep", "60"))
        self.addCleanup(client.wait)
        self.addCleanup(client.kill)
        self.assertTrue(eventually(lambda: len(leases(self.bus)) == 1), self.said())
        self.assertEqual(self.fetch(), TEXT)
        return client

    def test_it_does_its_job(self):
        self.start()
        client = self.expose_and_fetch()

        def counters():
            return [tuple(counter)[:4] for counter in next(iter(leases(self.bus).values()))["Counters"]]
        self.assertTrue(eventually(lambda: counters() == [("tcp", PORT, PORT, 1)]), counters())
        client.kill()
        self.assertTrue(eventually(lambda: not leases(self.bus)))

    def test_connections_are_cut(self):
        self.start()
        client = self.expose_and_fetch()
        code = f"""
import socket
connection = socket.create_connection(('198.18.0.1', {PORT}))
print('on', flush=True)
try:
    connection.recv(1)
    print('ended')
except ConnectionResetError:
    print('reset')
"""
        held = subprocess.Popen(["ip", "netns", "exec", "container", "/usr/bin/python3", "-c", code],
                                stdout=subprocess.PIPE, text=True)
        self.assertEqual(held.stdout.readline(), "on\n")
        client.kill()
        self.assertEqual(held.communicate(timeout=10)[0], "reset\n")

    def test_an_input_chain_of_iptables_nft(self):
        run("iptables-nft", "-P", "INPUT", "DROP")
        self.addCleanup(run, "iptables-nft", "-P", "INPUT", "ACCEPT")
        self.start()
        client = self.expose_and_fetch()
        self.assertIn("TCHN-IN", run("iptables-nft-save", "-t", "filter").stdout)
        client.kill()
        self.assertTrue(eventually(lambda: not leases(self.bus)))
        self.assertNotIn("TCHN-IN", run("iptables-nft-save", "-t", "filter").stdout)

    def test_it_is_killed_and_comes_back(self):
        daemon = self.start()
        client = self.expose_and_fetch()
        daemon.kill()
        daemon.wait()
        self.assertEqual(self.fetch(), TEXT)
        self.start()
        self.assertEqual(len(leases(self.bus)), 1, self.said())
        client.kill()
        self.assertTrue(eventually(lambda: not leases(self.bus)), self.said())

    def test_what_is_left_is_flushed(self):
        daemon = self.start()
        client = self.expose_and_fetch()
        daemon.kill()
        daemon.wait()
        client.kill()
        client.wait()
        self.assertEqual(self.fetch(), TEXT)
        done = self.limited(os.environ["HELPER_PROGRAM"], "--flush-stale")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("its owner is gone", done.stderr)
        self.assertIsNone(self.fetch())


class German(unittest.TestCase):
    """polkit shows the texts in the user's language: on a private bus, with a polkitd that has a locale and the installed
    translation."""

    @classmethod
    def setUpClass(cls):
        folder = Path(tempfile.mkdtemp(prefix="hostnet-german-"))
        cls.addClassCleanup(shutil.rmtree, folder)
        os.chmod(folder, 0o755)
        run("localedef", "--quiet", "-i", "de_DE", "-f", "UTF-8", folder / "de_DE.UTF-8", timeout=60)
        run("ninja", "-C", build, "po/de/LC_MESSAGES/tc-hostnet.mo")
        place = folder / "locale" / Path(PLACES["tc-hostnet.mo"]).relative_to("/usr/share/locale")
        place.parent.mkdir(parents=True)
        shutil.copy(build / "po/de/LC_MESSAGES/tc-hostnet.mo", place)
        run("mount", "--bind", folder / "locale", "/usr/share/locale")
        cls.addClassCleanup(run, "umount", "/usr/share/locale")
        bus = os.environ["DBUS_SYSTEM_BUS_ADDRESS"].partition("path=")[2]
        config = Path(os.environ["HELPER_BUS_CONFIG"]).read_text().replace(f"path={bus}<", f"path={folder}/bus<")
        (folder / "bus.conf").write_text(config)
        cls.environment = os.environ | {"DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={folder}/bus", "LOCPATH": str(folder)}
        for command in (["dbus-daemon", f"--config-file={folder}/bus.conf", "--nofork", "--nopidfile"],
                        ["/usr/lib/polkit-1/polkitd", "--no-debug"]):
            daemon = subprocess.Popen(command, env=cls.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            cls.addClassCleanup(daemon.wait)
            cls.addClassCleanup(daemon.kill)
            if not eventually((folder / "bus").exists):
                raise AssertionError("there is no bus")
        run("gdbus", "wait", "--system", "--timeout", "10", "org.freedesktop.PolicyKit1", env=cls.environment)

    def texts(self, language):
        # The same call as an agent's; pkaction has no language option.
        return run("gdbus", "call", "--system", "-d", "org.freedesktop.PolicyKit1", "-o",
                   "/org/freedesktop/PolicyKit1/Authority", "-m", "org.freedesktop.PolicyKit1.Authority.EnumerateActions",
                   language, env=self.environment).stdout

    def test_descriptions_and_messages(self):
        with open(build / "po/de/LC_MESSAGES/tc-hostnet.mo", "rb") as file:
            catalog = gettext.GNUTranslations(file)
        sources = [element.text for element in xml.parse(DATA / "io.github.tchostnet.hostnet1.policy").iter()
                   if element.get("gettext-domain") == "tc-hostnet"]
        translated = {source: catalog.gettext(source) for source in sources}
        self.assertEqual(len(translated), 2 * len(ACTIONS))
        english, german = self.texts("C"), self.texts("de_DE.UTF-8")
        for source, text in translated.items():
            self.assertIn(source, english)
            self.assertIn(text, german)
            self.assertNotIn(source, german)
            self.assertEqual(sorted(re.findall(r"\$\(\w+\)", source)), sorted(re.findall(r"\$\(\w+\)", text)))


def messages_of(path):
    """In one line each: where they are broken differs between the versions of gettext."""
    return [text.replace('"\n"', "") for text in re.findall(r'^msgid (.*(?:\n".*")*)', path.read_text(), re.MULTILINE)]


class Translations(unittest.TestCase):
    def test_the_template_is_up_to_date(self):
        with tempfile.TemporaryDirectory() as folder:
            run("xgettext", "--directory", ROOT, "--files-from", ROOT / "po/POTFILES.in", "--output", f"{folder}/new.pot")
            fresh = messages_of(Path(folder, "new.pot"))
        kept = messages_of(ROOT / "po/tc-hostnet.pot")
        self.assertEqual(len(kept), 1 + 2 * len(ACTIONS))
        self.assertEqual(kept, fresh)

    def test_every_language_is_complete(self):
        languages = [line for line in (ROOT / "po/LINGUAS").read_text().split("\n") if line and not line.startswith("#")]
        self.assertIn("de", languages)
        for language in languages:
            done = run("msgfmt", "--check", "--statistics", "-o", "/dev/null", ROOT / f"po/{language}.po",
                       env=os.environ | {"LC_ALL": "C"})
            self.assertEqual(done.stderr.strip(), f"{2 * len(ACTIONS)} translated messages.")


if __name__ == "__main__":
    unittest.main()
