"""Runs the examples of docs/dbus.md verbatim with a real bus, polkitd and kernel, and checks its statements on leases.

  tests/support/in_namespaces tests/support/with_system_bus FOLDER /usr/bin/python3 -B tests/dbus/test_examples.py"""
import os
import re
import signal
import subprocess
import threading
import unittest

from examples_bed import (BRIDGE, GATEWAY, NAME, PATH, PORT, ROOT, TEXT, Bed, as_user, eventually, helper_pid, leases,
                          run)

EXAMPLES = ROOT / "docs/examples"
TOLD = (ROOT / "docs/dbus.md").read_text()


class Examples(Bed):
    def start(self, example, *command, user=None, **options):
        words = [str(EXAMPLES / example), BRIDGE, str(PORT), *map(str, command)]
        process = subprocess.Popen(as_user(user, *words) if user else words, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, **options)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def test_the_document_shows_the_files(self):
        for example in ("expose.py", "expose-busctl", "expose-gdbus"):
            self.assertIn((EXAMPLES / example).read_text(), TOLD)

    def test_busctl(self):
        done = self.start("expose-busctl", *self.fetch_command())
        out, errors = done.communicate(timeout=20)
        self.assertEqual((done.returncode, errors), (0, ""))
        self.assertIn(TEXT, out)
        self.assertIn(f'"gateway" s "{GATEWAY}"', out)  # Probe
        self.assertRegex(out, rf'a\(sqqtt\) 1 "tcp" {PORT} {PORT} 1 \d+')  # Counters: one connection

    def test_gdbus(self):
        done = self.start("expose-gdbus", *self.fetch_command())
        out, errors = done.communicate(timeout=20)
        self.assertEqual((done.returncode, errors), (0, ""))
        self.assertIn(TEXT, out)
        self.assertIn("'Lifetime': <'persistent'>", out)

    def test_python(self):
        process = self.start("expose.py", "sleep", 60, user="alice")
        self.assertTrue(eventually(lambda: len(leases(self.bus)) == 1))
        self.assertEqual(self.fetch(), TEXT)
        facts = next(iter(leases(self.bus).values()))
        self.assertEqual((facts["OwnerUid"], facts["OwnerPid"], facts["Lifetime"], facts["Label"]),
                         (20001, process.pid, "fd", "sleep"))
        process.kill()
        self.assertTrue(eventually(lambda: not leases(self.bus), timeout=2))

    def test_without_a_rule_it_takes_a_prompt(self):
        process = self.start("expose.py", "true", user="bob")
        self.assertIn("InteractiveAuthorizationRequired", process.communicate(timeout=20)[1])
        process = self.start("expose.py", "true", user="mallory")
        self.assertIn("AccessDenied", process.communicate(timeout=20)[1])


class Leases(Bed):
    """What docs/dbus.md says of descriptors, lifetimes, reasons and errors."""

    CLIENT = f"""
import dbus, os, socket, time
bus = dbus.SystemBus()
manager = dbus.Interface(bus.get_object('{NAME}', '{PATH}'), '{NAME}.Manager')
def expose(**options):
    ports = [('tcp', {PORT}, {PORT})]
    return manager.Expose(socket.if_nametoindex('{BRIDGE}'), ports, options, signature='ia(sqq)a{{sv}}')
"""

    def client(self, code, user="alice"):
        process = subprocess.Popen(as_user(user, "/usr/bin/python3", "-c", self.CLIENT + code), stdout=subprocess.PIPE,
                                   text=True, start_new_session=True)
        self.addCleanup(process.communicate)
        self.addCleanup(lambda: os.killpg(process.pid, signal.SIGKILL) if process.poll() is None else None)
        return process

    def released(self):
        """A list that collects (lease, reason) from the signal."""
        monitor = subprocess.Popen(["gdbus", "monitor", "--system", "-d", NAME, "-o", PATH], stdout=subprocess.PIPE,
                                   text=True)
        self.addCleanup(monitor.communicate)
        self.addCleanup(monitor.kill)
        seen = []
        ready = threading.Event()

        def read():
            for line in monitor.stdout:
                if "is owned by" in line:
                    ready.set()
                found = re.search(r"LeaseReleased \(objectpath '(.*?)', '(.*?)'\)", line)
                if found:
                    seen.append(found.groups())

        threading.Thread(target=read, daemon=True).start()
        self.assertTrue(ready.wait(10))
        return seen

    def one_lease(self):
        self.assertTrue(eventually(lambda: len(leases(self.bus)) == 1))
        return next(iter(leases(self.bus)))

    def test_the_last_duplicate_counts(self):
        seen = self.released()
        client = self.client("""
lease, keepalive = expose()
fd = keepalive.take()
if os.fork() == 0:
    time.sleep(5)
    os._exit(0)
""")
        lease = self.one_lease()
        client.wait(timeout=10)
        self.assertEqual(self.fetch(), TEXT)  # the child still holds the descriptor
        self.assertTrue(eventually(lambda: not leases(self.bus)))
        self.assertTrue(eventually(lambda: seen == [(lease, "owner-gone")]), seen)

    def test_closed_is_released_while_the_connection_lives(self):
        client = self.client("""
lease, keepalive = expose()
fd = keepalive.take()
print('held', flush=True)
time.sleep(0.5)
os.close(fd)
print('closed', flush=True)
time.sleep(60)
""")
        self.assertEqual(client.stdout.readline(), "held\n")
        self.one_lease()
        self.assertEqual(client.stdout.readline(), "closed\n")
        self.assertTrue(eventually(lambda: not leases(self.bus), timeout=2))

    def test_a_crash_of_the_daemon(self):
        client = self.client("lease, keepalive = expose()\nfd = keepalive.take()\nbus.close()\ntime.sleep(60)\n")
        lease = self.one_lease()
        pid = helper_pid(self.bus)
        os.kill(pid, signal.SIGKILL)
        self.assertTrue(eventually(lambda: helper_pid(self.bus) != pid))
        self.assertEqual(self.fetch(), TEXT)
        self.assertEqual(list(leases(self.bus)), [lease])
        self.assertEqual(leases(self.bus)[lease]["Owner"], "")
        client.kill()
        self.assertTrue(eventually(lambda: not leases(self.bus)))

    def test_stopping_releases(self):
        seen = self.released()
        client = self.client("lease, keepalive = expose()\nfd = keepalive.take()\ntime.sleep(60)\n")
        lease = self.one_lease()
        os.kill(helper_pid(self.bus), signal.SIGTERM)
        self.assertTrue(eventually(lambda: seen == [(lease, "daemon-stopping")]), seen)
        self.assertIsNone(self.fetch())
        client.kill()

    def test_reasons(self):
        seen = self.released()
        for options, after, reason in (("timeout=dbus.UInt64(1)", "time.sleep(60)", "expired"),
                                       ("lifetime='connection'", "bus.close()\ntime.sleep(60)", "owner-gone"),
                                       ("", f"dbus.Interface(bus.get_object('{NAME}', lease), '{NAME}.Lease').Release()\n"
                                        "time.sleep(60)", "released")):
            client = self.client(f"lease, keepalive = expose({options})\nfd = keepalive.take()\n{after}\n")
            self.assertTrue(eventually(lambda: seen), reason)
            self.assertEqual([why for _, why in seen], [reason])
            seen.clear()
            client.kill()
        client = self.client("lease, keepalive = expose()\nfd = keepalive.take()\ntime.sleep(60)\n")
        lease = self.one_lease()
        run("busctl", "call", NAME, lease, f"{NAME}.Lease", "Release")  # by root
        self.assertTrue(eventually(lambda: seen == [(lease, "revoked")]), seen)
        client.kill()

    def test_the_gateway_of_another_bridge(self):
        run("ip", "link", "add", "br-default", "type", "bridge")
        self.addCleanup(run, "ip", "link", "del", "br-default")
        run("ip", "address", "add", "198.19.0.1/24", "dev", "br-default")
        run("ip", "link", "set", "br-default", "up")
        run("ip", "-n", "container", "route", "add", "default", "via", GATEWAY)
        self.addCleanup(run, "ip", "-n", "container", "route", "del", "default")
        fetch = [word.replace(GATEWAY, "198.19.0.1") for word in self.fetch_command()]
        client = self.client("lease, keepalive = expose()\nfd = keepalive.take()\ntime.sleep(60)\n")
        self.one_lease()
        self.assertNotEqual(run(*fetch, check=False).returncode, 0)
        client.kill()
        self.assertTrue(eventually(lambda: not leases(self.bus)))
        client = self.client("lease, keepalive = expose(**{'host-gateway': '198.19.0.1'})\nfd = keepalive.take()\n"
                             "time.sleep(60)\n")
        self.one_lease()
        self.assertEqual(run(*fetch).stdout, TEXT)
        self.assertEqual(self.fetch(), TEXT)
        client.kill()
        self.assertTrue(eventually(lambda: not leases(self.bus)))

    def test_errors(self):
        def said(code, user="alice"):
            out = self.client(f"try: {code}\nexcept dbus.DBusException as error: print(error.get_dbus_name())\n",
                              user).communicate(timeout=20)[0]
            return out.strip().removeprefix("org.freedesktop.DBus.Error.").removeprefix(f"{NAME}.Error.")

        self.assertEqual(said("expose(colour='red')"), "InvalidArgs")
        self.assertEqual(said("expose(timeout='soon')"), "InvalidArgs")
        self.assertEqual(said("expose(lifetime='process')"), "InvalidArgs")
        self.assertEqual(said("expose(sources=dbus.Array([], signature='s'))"), "InvalidArgs")
        self.assertEqual(said("expose(ifname='br-other')"), "NetworkInvalid")
        self.assertEqual(said("expose(gateway='198.18.0.9')"), "NetworkInvalid")
        self.assertEqual(said("expose(sources=['198.18.1.2'])"), "NetworkInvalid")
        self.assertEqual(said("expose(lifetime='persistent')"), "InteractiveAuthorizationRequired")
        self.assertEqual(said("expose()", "bob"), "InteractiveAuthorizationRequired")
        self.assertEqual(said("expose()", "mallory"), "AccessDenied")

        def ask(ports, options="{}", interface=BRIDGE):
            return f"manager.Expose(socket.if_nametoindex('{interface}'), {ports}, {options}, signature='ia(sqq)a{{sv}}')"

        self.assertEqual(said(ask("[('tcp', 0, 0)]")), "InvalidArgs")
        self.assertEqual(said(ask(f"[('tcp', {PORT}, {PORT}), ('tcp', {PORT}, 9)]")), "InvalidArgs")
        self.assertEqual(said(ask("[('tcp', 8099, 8099)]", "{'require-listener': True}"), "root"), "PortNotListening")
        self.assertEqual(said(ask(f"[('tcp', p, {PORT}) for p in range(20000, 20129)]")), "QuotaExceeded")
        self.assertEqual(said(ask("[('tcp', 8088, 8088)]", interface="lo")), "NetworkInvalid")
        self.assertEqual(said(f"dbus.Interface(bus.get_object('{NAME}', '{PATH}/lease/00000000', introspect=False), "
                              f"'{NAME}.Lease').Release()"), "UnknownObject")


if __name__ == "__main__":
    unittest.main()
