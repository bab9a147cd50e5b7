#!/usr/bin/python3
"""What goes wrong on the ssh path: images, sidecars that do not serve, are killed, restarted, or lose their engine."""
import os
import signal
import subprocess
import time

from harness import ALIAS, DockerWithSshd, eventually, main, output
from ssh_cases import HELLO, SshCase


class Sidecars(SshCase):
    engine_type = DockerWithSshd

    def with_image(self, image):
        return self.env | {"TESTCONTAINERS_SSHD_CONTAINER_IMAGE": image}

    def test_an_image_that_cannot_be_had(self):
        said = self.refused(6, "cannot be pulled", self.port, "--via", "ssh", "--container", "app",
                            env=self.with_image("nosuch.invalid/sshd:1"))
        self.assertIn("nosuch.invalid/sshd:1", said)
        self.assertIn("TESTCONTAINERS_SSHD_CONTAINER_IMAGE", said)
        self.nothing_is_left()

    def test_an_image_without_sshd(self):
        begin = time.monotonic()
        done = self.tc_hostnet("expose", "--via", "ssh", self.port, "--container", "app", check=False,
                               env=self.with_image("alpine:3.19"))
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertLess(time.monotonic() - begin, 20)
        self.assertRegex(done.stderr, "last words: .*sshd: not found")
        self.nothing_is_left()

    def test_a_killed_sidecar_ends_the_lease_loudly(self):
        lease = self.expose_by_ssh(self.port, "--container", "app")
        self.engine("kill", self.sidecar())
        begin = time.monotonic()
        ended = lease.read_event()
        self.assertEqual(ended["state"], "failed")
        self.assertLess(time.monotonic() - begin, 5)
        code, _, err = lease.end(None)
        self.assertEqual(code, 1)
        self.assertIn("the sidecar was removed", err)
        self.nothing_is_left()

    def test_a_restarted_sidecar_is_found_again(self):
        lease = self.expose_by_ssh(self.port, "--container", "app")
        self.engine("restart", "-t", "0", self.sidecar())
        self.assertTrue(eventually(lambda: self.status_of(lease)["tunnel"]["reconnects"] == 1, timeout=15))
        self.assertTrue(eventually(lambda: self.engine.fetch("app", f"http://{ALIAS}:{self.port}/", 2) == HELLO))
        code, _, err = lease.end()
        self.assertEqual(code, 0)
        self.assertIn("connecting again", err)
        self.nothing_is_left()

    def test_a_lost_session_comes_back(self):
        lease = self.expose_by_ssh(self.port, "--container", "app")
        for process in self.engine("top", self.sidecar(), "-eo", "pid,args").splitlines()[1:]:
            pid, arguments = process.split(None, 1)
            if arguments.startswith("sshd: root"):
                os.kill(int(pid), signal.SIGKILL)
        self.assertTrue(eventually(lambda: self.status_of(lease)["tunnel"]["reconnects"] >= 1))
        self.assertTrue(eventually(lambda: self.engine.fetch("app", f"http://{ALIAS}:{self.port}/", 2) == HELLO))
        self.assertEqual(self.status_of(lease)["tunnel"]["state"], "up")

    def test_orphans_of_dead_owners_are_found_by_their_labels(self):
        lease = self.expose_by_ssh(self.port, "--container", "app")
        lease.end(signal.SIGKILL)
        for record in output("find", os.environ["TC_HOSTNET_RUNTIME_DIR"], "-name", "*.json").split():
            os.unlink(record)  # as if the state folder had been lost
        orphan = self.sidecar()
        self.container("next", "--network", "web")
        self.expose_by_ssh(self.port, "--container", "next")
        self.assertNotIn(orphan, self.sidecars())
        self.assertEqual(len(self.sidecars()), 1)
        # The line in the hosts file was known to the record alone.
        self.engine(*self.engine.rm, "app")

    def test_killed_at_any_moment_of_setting_up(self):
        for delay in range(0, 1000, 125):
            with self.subTest(milliseconds=delay):
                process = subprocess.Popen([self.program, "expose", "--via", "ssh", str(self.port), "--container", "app"],
                                           env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                           stderr=subprocess.DEVNULL)
                time.sleep(delay / 1000)
                process.kill()
                process.wait(10)
                self.assertTrue(eventually(lambda: self.tc_hostnet("list").returncode == 0 and not self.sidecars()))
                self.nothing_is_left()

    def test_the_engine_restarts(self):
        # For the network: a lease for the container may hear first that this has stopped, and has not failed then.
        lease = self.expose_by_ssh(self.port, "--network", "web")
        self.engine.stop()
        ended = lease.read_event(timeout=45)
        self.assertEqual(ended["state"], "failed")
        self.assertEqual(lease.end(None)[0], 1)
        self.engine.start()
        self.engine("start", "app")
        self.tc_hostnet("list")
        self.nothing_is_left()


if __name__ == "__main__":
    main()
