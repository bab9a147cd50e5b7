#!/usr/bin/python3
"""Sidecars with a wrong sshd: each is an error that names the stage and the sidecar's last output, and leaves nothing
behind."""
import time

from engine_api import attempt
from engines import DockerWithSshd, PodmanWithSshd
from harness import main, run
from ssh_cases import SshCase

SSHD = "testcontainers/sshd:1.3.0"


class Faults:
    def image(self, name, script):
        """The sidecar image with this shell script in place of its sshd, which is moved to sshd.real."""
        put = "mv /usr/sbin/sshd /usr/sbin/sshd.real; printf '%s' \"$0\" >/usr/sbin/sshd; chmod 755 /usr/sbin/sshd"
        self.addCleanup(attempt, self.engine.api.remove, "maker")
        self.engine("run", "--name", "maker", "--entrypoint", "sh", SSHD, "-c", put, "#!/bin/sh\n" + script)
        self.addCleanup(self.engine.attempt, "rmi", "-f", name)
        self.engine("commit", "--change", 'ENTRYPOINT ["sh","-c"]', "maker", name)
        self.engine.api.remove("maker")
        return name

    def fails(self, code, image, *words):
        """The command ends with that exit status and prints one line with all these words."""
        env = self.env | {"TESTCONTAINERS_SSHD_CONTAINER_IMAGE": image}
        done = self.tc_hostnet("expose", "--via", "ssh", self.port, "--container", "app", check=False, env=env)
        self.assertEqual((done.returncode, done.stdout), (code, ""), done.stderr)
        self.assertRegex(done.stderr, r"\Atc-hostnet: [^\n]+\n\Z")
        for word in words:
            self.assertIn(word, done.stderr)
        self.nothing_is_left()

    def test_another_host_key(self):
        pair = self.engine.dir / "other"
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", pair)
        script = (f"umask 077\ncat >/other <<'KEY'\n{pair.read_text()}KEY\n"
                  "sed -i 's#^HostKey .*#HostKey /other#' /run/tc-hostnet/sshd_config\n"
                  "echo 'another key it is' >&2\nexec /usr/sbin/sshd.real \"$@\"\n")
        self.fails(8, self.image("sshd:other-key", script), "ssh handshake: ", "host key is not the sidecar's",
                   "the sidecar's last words: ", "another key it is")

    def test_a_refused_key(self):
        script = ": >/run/tc-hostnet/authorized_keys\necho 'nobody may come' >&2\nexec /usr/sbin/sshd.real \"$@\"\n"
        self.fails(4, self.image("sshd:refuses", script), "ssh login: the sidecar refuses the key",
                   "the sidecar's last words: ", "nobody may come")


class Docker(Faults, SshCase):
    engine_type = DockerWithSshd

    def test_a_silent_sshd(self):
        script = "echo 'nothing will come of it' >&2\nsleep 600 | nc -l -p 22\n"
        image = self.image("sshd:silent", script)
        begin = time.monotonic()
        self.fails(1, image, "ssh banner: ", "it accepts the connection and sends no banner",
                   "the sidecar's last words: nothing will come of it")
        self.assertLess(time.monotonic() - begin, 60)  # the deadline of a lease is 30 s


class Podman(Faults, SshCase):
    engine_type = PodmanWithSshd


if __name__ == "__main__":
    main()
