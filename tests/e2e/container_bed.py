"""The driver program of the library's container API, and what every test of that API shares."""
import contextlib
import http.server
import json
import os
import selectors
import subprocess
import tempfile
import threading
import urllib.request

from harness import ALIAS, HostCase, run, snapshot
from ssh_cases import HELLO, free_port


class Refused(Exception):
    def __init__(self, answer):
        super().__init__(answer["message"])
        self.code, self.hint = answer["error"], answer["hint"]


class Driver:
    """A program that uses the library and takes commands."""

    def __init__(self, env):
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen([os.environ["CONTAINER_DRIVER"]], env=env, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=self.log, text=True)

    def send(self, op, **arguments):
        self.process.stdin.write(json.dumps({"op": op, **arguments}) + "\n")
        self.process.stdin.flush()

    def receive(self, timeout=90):
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            if not selector.select(timeout):
                raise AssertionError(f"no answer for {timeout} s; it said: {self.said()}")
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"it ended, status {self.process.wait(10)}; it said: {self.said()}")
        answer = json.loads(line)
        if "error" in answer:
            raise Refused(answer)
        return answer["result"]

    def __call__(self, op, patience=90, **arguments):
        self.send(op, **arguments)
        return self.receive(patience)

    def said(self):
        self.log.seek(0)
        return self.log.read()

    def close(self):
        """Orderly end: the driver removes its containers. Idempotent."""
        if self.log.closed:
            return
        if self.process.poll() is None:
            self.process.stdin.close()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)
        self.process.stdout.close()
        if not self.process.stdin.closed:
            with contextlib.suppress(OSError):
                self.process.stdin.close()
        said = self.said()
        self.log.close()
        if self.process.returncode not in (0, -9):  # -9 is the test's own kill; others are faults
            raise AssertionError(f"exit status {self.process.returncode}: {said}")


class Recorder:
    """An HTTP service on 127.0.0.1 that records the bodies posted to it."""

    def __init__(self, port):
        posted = self.posted = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                posted.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def get(port, host="127.0.0.1", path="/"):
    with urllib.request.urlopen(f"http://{host}:{port}{path}", timeout=10) as answer:
        return answer.read().decode()


class ContainerCase(HostCase):
    """Each test has its own driver; `start()` returns the driver's name of the container."""

    def setUp(self):
        super().setUp()
        self.driver = Driver(self.env)
        self.addCleanup(self.driver.close)
        self.ids = {}

    def start(self, **description):
        name = f"c{len(self.ids) + 1}"
        self.started = self.driver("start", **{"as": name, "cmd": ["sleep", "600"], **description})
        self.ids[name] = self.started["id"]
        return name

    def web(self, **more):
        return self.start(cmd=["httpd", "-f", "-p", "8080", "-h", "/var/www"],
                          copies=[["/var/www/index.html", "web\n", 0o644]], **more)

    def exec(self, container, *words, **more):
        return self.driver("exec", of=container, words=list(map(str, words)), **more)

    def fetch(self, container, port, name=ALIAS, timeout=10):
        """What the container's own wget gets by the alias, or None."""
        return self.engine.fetch(self.ids[container], f"http://{name}:{port}/", timeout)

    def hello(self, text=HELLO):
        port = free_port()
        self.service(port, text)
        return port

    def refused(self, code, *words, **description):
        """start() throws that error, and makes and changes nothing."""
        before = snapshot(self.engine)
        with self.assertRaises(Refused) as raised:
            self.start(**description)
        self.assertEqual(raised.exception.code, code, raised.exception)
        for word in words:
            self.assertIn(word, str(raised.exception))
        self.leaves_all_as_it_was(before)
        return str(raised.exception)

    def late(self, *words, **description):
        """refused() by a deadline that leaves time for the steps before the wait, and more time on a busy machine."""
        for milliseconds in (2_000, 10_000):
            with contextlib.suppress(AssertionError):
                return self.refused("timed_out", *words, timeout_ms=milliseconds, **description)
        return self.refused("timed_out", *words, timeout_ms=60_000, **description)

    def guide(self, program, *arguments):
        return run(os.environ[program], *arguments, env=self.env, timeout=60).stdout
