"""Text from other users, containers and engines never reaches a terminal unescaped: neither from the helper's leases nor
from an engine's answers."""
import http.server
import json
import os
import subprocess
import threading
import unicodedata
import unittest
from pathlib import Path

from harness import Helped, as_user, helper_log, json_schema, user_environment

PROGRAM = os.environ["TC_HOSTNET"]
# ESC and an OSC string, C1, bidi, zero width, a line separator, a tag: 36 bytes.
LABEL = "\x1b[31m\u009b31m\u202etxet\u200b\u2028\U000e0041"
LABEL_ON_BUS = LABEL[5:]  # C0 is refused in a label
SHOWN = r"\u009b31m\u202etxet\u200b\u2028\U000e0041"
ENGINE = json.loads((Path(__file__).parents[1] / "unit/engine/data/docker-container.json").read_text())


def captured(*command, **options):
    return subprocess.run([str(word) for word in command], capture_output=True, timeout=60, stdin=subprocess.DEVNULL,
                          **options)


class FakeEngine(http.server.ThreadingHTTPServer):
    """An engine on 127.0.0.1 with one container of that name; inspecting it fails if `says` is set."""

    daemon_threads = True

    def __init__(self, name="/app", says=None, ports=None):
        self.container = ENGINE | {"Name": name}
        self.container["Config"] = ENGINE["Config"] | {"Labels": {"io.github.tchostnet.ports": ports} if ports else {}}
        self.container["State"] = ENGINE["State"] | {"Running": True, "Pid": 1}
        self.says = says
        super().__init__(("127.0.0.1", 0), Answer)
        threading.Thread(target=self.serve_forever, daemon=True).start()
        self.url = f"tcp://127.0.0.1:{self.server_address[1]}"

    def close(self):
        self.shutdown()
        self.server_close()


class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path = self.path.partition("?")[0]
        engine = self.server
        if path.endswith("/_ping"):
            return self.answer(200, "OK")
        if path.endswith("/events"):
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            return None
        if path.endswith("/containers/json"):
            return self.answer(200, [{"Id": engine.container["Id"], "Names": [engine.container["Name"]],
                                      "Labels": engine.container["Config"]["Labels"]}])
        if "/containers/" in path and engine.says is None:
            return self.answer(200, engine.container)
        if "/images/" in path:
            return self.answer(200, {"Id": "sha256:" + "0" * 64, "Config": {"Labels": {}}})
        return self.answer(500, engine.says if isinstance(engine.says, bytes) else {"message": engine.says or "no"})

    def answer(self, status, body):
        if not isinstance(body, bytes):
            body = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(status)
        self.send_header("Api-Version", "1.41")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Terminals(Helped):
    def check_safe(self, written, lines=None):
        text = written.decode()  # raises if it is not UTF-8
        wrong = [f"U+{ord(c):04X}" for c in text if c != "\n" and unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp", "Cs")]
        self.assertEqual(wrong, [], text.encode("unicode_escape"))
        if lines is not None:
            self.assertEqual(text.count("\n"), lines, text)
        return text

    def test_the_helpers_leases(self):
        self.service("alice", 8088)
        alice = self.caller("alice")
        alice.rename(name="\x1b[2J\x1b]0;P\x07\x9b\n")
        path = alice.expose(self.bridge, 8088, label=LABEL_ON_BUS)
        lease = path.rpartition("/")[2]
        # The label was there to show: the bus passes it unchanged.
        self.assertEqual(alice.get(path=path, name="Label"), LABEL_ON_BUS)
        for user, environment in (("root", os.environ), ("bob", user_environment())):
            for command, lines in (("list", 2), ("status", None), (("inspect", lease), None), ("doctor", None)):
                words = command if isinstance(command, tuple) else (command,)
                with self.subTest(user=user, command=words[0]):
                    done = captured(*as_user(user), PROGRAM, *words, env=environment)
                    text = self.check_safe(done.stdout, lines)
                    self.check_safe(done.stderr)
                    if words[0] in ("list", "inspect"):
                        self.assertIn(SHOWN, text)
                        self.assertIn(r"\x1b[2J\x1b]0;P\x07", text)
            done = captured(*as_user(user), PROGRAM, "--json", "list", env=environment)
            self.assertEqual(json.loads(self.check_safe(done.stdout, 1))["label"], LABEL_ON_BUS)
        coloured = captured(PROGRAM, "--color", "always", "inspect", lease).stdout
        self.assertIn(b"\x1b[32myes\x1b[0m", coloured)
        self.assertNotIn(b"\x1b[2J", coloured)
        self.check_safe(helper_log().encode())
        alice.release(path=path)

    def test_errors_of_the_helper(self):
        alice = self.caller("alice")
        for options in ({"label": "\x1b[31m\u009b"}, {"ifname": "\u202e\u009b"}, {"lifetime": "\x1b\u2028"}):
            with self.subTest(options=options):
                try:
                    alice.expose(self.bridge, 8088, **options)
                    self.fail("it was accepted")
                except Exception as error:  # noqa: B902
                    self.check_safe(error.message.encode(), 0)

    def test_an_engines_words(self):
        words = "\x1b[31mX\u009b31m\u202e\u200b\u2028\nforged: line\x7f"
        invalid = b"\x1b[2J\x9b31m\xc0\x9b\xed\xa0\x80\xf3\xa0\x81\x81 plain"
        for says in (words, invalid):
            engine = FakeEngine(says=says)
            self.addCleanup(engine.close)
            for command in (("expose", "8088", "--container", "x", "--via", "ssh"), ("expose", "8088", "--container", "x"),
                            ("--dry-run", "expose", "8088", "--container", "x"), ("doctor", "--container", "x"),
                            ("--explain", "expose", "8088", "--network", "x", "--via", "ssh"), ("status",),
                            ("-v", "run", "--image", "x", "-p", "8088", "--", "true")):
                with self.subTest(command=command, says=says):
                    done = captured(PROGRAM, "--engine", engine.url, *command)
                    out = self.check_safe(done.stdout) + self.check_safe(done.stderr)
                    self.assertNotIn("\nforged", out)
            failed = captured(PROGRAM, "--engine", engine.url, "expose", "8088", "--container", "x", "--via", "ssh")
            shown = r"\x1b[31mX\u009b31m\u202e\u200b\u2028 forged: line\x7f" if says is words else r"\x1b[2J\x9b31m\xc0\x9b"
            self.assertIn(shown, self.check_safe(failed.stderr, 1))

    def test_a_containers_name(self):
        engine = FakeEngine(name=f"/{LABEL}\nforged: line", ports="22")
        self.addCleanup(engine.close)
        for options in ((), ("--json",)):
            with self.subTest(options=options):
                done = captured("timeout", "-s", "TERM", "3", PROGRAM, "--engine", engine.url, *options, "watch")
                told = json_schema.as_text(self.check_safe(done.stderr))
                refused = [line for line in told.splitlines() if ": refused: " in line]
                self.assertEqual(len(refused), 1, done.stderr)
                self.assertTrue(refused[0].startswith(r"tc-hostnet: \x1b[31m" + SHOWN + r"\x0aforged"), refused)
                events = self.check_safe(done.stdout).splitlines()
                if options:
                    names = [json.loads(line).get("container") for line in events]
                    self.assertIn(f"{LABEL}\nforged: line", names)
        for command in (("doctor", "--container", "x"), ("doctor", "--container", "x", "--port", "8088"),
                        ("--dry-run", "watch"), ("--dry-run", "expose", "8088", "--container", "x", "--via", "ssh")):
            with self.subTest(command=command):
                done = captured(PROGRAM, "--engine", engine.url, *command)
                self.assertNotIn("\nforged", self.check_safe(done.stdout) + self.check_safe(done.stderr))

    def test_the_users_own_words(self):
        for words in (("expose", "80\x1b[2J\u202e", "--bridge", "br-test"), ("\u009b31m",), ("expose", "8088", "--bridge", "\x1b[m"),
                      ("inspect", "\u2028\x9b"), ("--engine", "tcp://\u202eX:1", "expose", "8088", "--network", "a")):
            with self.subTest(words=words):
                done = captured(PROGRAM, *words)
                self.assertNotEqual(done.returncode, 0)
                self.check_safe(done.stderr, 1)


if __name__ == "__main__":
    unittest.main()
