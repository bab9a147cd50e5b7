#!/usr/bin/python3
"""Containers of a real Docker Engine whose hosts files block on open, or are another file: root's commands, other
containers and the guard are not affected."""
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from engine_api import attempt
from engines import Docker
from harness import ALIAS, FIREWALL, HostCase, eventually, main, route_localnet, run

HELLO = "hello from 127.0.0.1\n"
# The budget of an operation is two seconds; five times that allows for a busy machine. Waiting for a file lease takes 45.
SLOW = 10
MOUNTS = {"CapAdd": ["SYS_ADMIN"], "SecurityOpt": ["apparmor=unconfined"]}
FUSE = {"PathOnHost": "/dev/fuse", "PathInContainer": "/dev/fuse", "CgroupPermissions": "rwm"}
WAYS = {"lease": {}, "flock": {}, "fifo": MOUNTS, "silence": MOUNTS | {"Devices": [FUSE]}}


class HostsFileCase(HostCase):
    engine_type = Docker

    def setUp(self):
        super().setUp()
        self.service(8088, HELLO)
        self.network("web")

    def hostile(self, way):
        """A container whose process blocks its hosts file in that way."""
        name = self.container(f"bad-{way}", network="web", **WAYS[way])
        self.engine("cp", os.environ["HOSTILE_HOSTS"], f"{name}:/hostile")
        program = subprocess.Popen([*self.engine.command, "exec", name, "/hostile", way, "/etc/hosts"], stdout=subprocess.PIPE,
                                   text=True, env=self.engine.env)

        def close():
            attempt(self.engine.api.remove, name)
            program.kill()
            program.wait(10)
            program.stdout.close()
        self.addCleanup(close)
        self.assertEqual(program.stdout.readline(), "ready\n")
        return name

    def timed(self, *arguments):
        start = time.monotonic()
        done = self.tc_hostnet(*arguments)
        took = time.monotonic() - start
        print(f"{' '.join(arguments[:2])}: {took:.2f} s", flush=True)
        self.assertLess(took, SLOW)
        return done


class Hostile(HostsFileCase):
    def test_files_that_are_held_up(self):
        for way in WAYS:
            with self.subTest(way=way):
                good = self.container("good", network="web")
                bad = self.hostile(way)
                done = self.timed("expose", "8088", "--network", "web", "--detach")
                self.assertRegex(done.stderr, f"warning: {ALIAS} is not written into container {bad}: ")
                self.reaches(good, HELLO)
                self.timed("list")
                done = self.timed("release", "--all")
                self.assertFalse(self.has_alias(good))
                if way in ("lease", "flock"):
                    self.assertIn(f"container {bad}", done.stderr)
                    self.timed("list")
                self.assertEqual(self.leases(), [])
                self.reaches_nothing(good, name=self.gateway("web"))
                self.engine.api.remove(good)
                self.engine.api.remove(bad)

    def test_a_lease_for_the_container_itself_is_refused(self):
        for way in WAYS:
            with self.subTest(way=way):
                bad = self.hostile(way)
                start = time.monotonic()
                done = self.tc_hostnet("expose", "8088", "--container", bad, check=False)
                self.assertLess(time.monotonic() - start, SLOW)
                self.assertNotEqual(done.returncode, 0)
                self.assertEqual(self.leases(), [])
                self.engine.api.remove(bad)

    def test_a_flushed_guard_is_back_meanwhile(self):
        good = self.container("good", network="web")
        self.hostile("lease")
        self.detach(8088, "--container", good)
        rules = FIREWALL.rules()
        stalled = subprocess.Popen([self.program, "expose", "8088:9000", "--network", "web", "--detach"], env=self.env,
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.addCleanup(stalled.stdout.close)
        self.assertTrue(eventually(lambda: FIREWALL.rules() != rules))
        rules = FIREWALL.rules()
        run("sh", "-ec", FIREWALL.raw_mischief)
        start = time.monotonic()
        self.assertTrue(eventually(lambda: FIREWALL.rules() == rules, 5))
        print(f"guard back after {time.monotonic() - start:.2f} s", flush=True)
        self.assertIsNone(stalled.poll(), "the guard came back only when the file had been given up")
        self.assertEqual(stalled.wait(SLOW), 0)
        self.assertIn("1", route_localnet().values())


class Removal(HostsFileCase):
    def test_a_file_that_is_mounted_over_the_engines_is_left_alone(self):
        folder = Path(tempfile.mkdtemp(prefix="hostnet-e2e-"))
        self.addCleanup(shutil.rmtree, folder)
        victim = folder / "host-file"
        self.container("sly", network="web", Binds=[f"{folder}:/volume"], **MOUNTS)
        lease = self.detach(8088, "--container", "sly")
        self.assertTrue(self.has_alias("sly"))
        text = f"keep me\n192.0.2.9 other # tc-hostnet {lease}\nand me\n"
        victim.write_text(text)
        self.engine("exec", "sly", "mount", "--bind", "/volume/host-file", "/etc/hosts")
        self.tc_hostnet("release", lease)
        self.assertEqual(victim.read_text(), text)
        self.engine("exec", "sly", "umount", "/etc/hosts")
        self.assertFalse(self.has_alias("sly"))  # the engine's own file is clean nevertheless


if __name__ == "__main__":
    main()
