#!/usr/bin/python3
"""The load generator measures a sound path, and fails on one that loses or alters what it carries: a benchmark that
cannot notice a broken path would report it as a fast one."""
import json
import signal
import socket
import subprocess
import sys
import threading
import unittest

LOADGEN = sys.argv.pop(1)


def client(metric, port, seconds="0.1"):
    return subprocess.run([LOADGEN, "client", metric, f"127.0.0.1:{port}", seconds],
                          capture_output=True, text=True, timeout=60)


class Relay:
    """A TCP relay, as a context manager, that passes the server's bytes through `alter`."""

    def __init__(self, target, alter):
        self.target, self.alter = target, alter

    def __enter__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()
        return self.listener.getsockname()[1]

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)  # wakes accept(), which closes would not
        self.listener.close()

    def accept(self, listener):
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self.relay, args=(near,), daemon=True).start()

    def relay(self, near):
        with near, socket.create_connection(("127.0.0.1", self.target)) as far:
            upward = threading.Thread(target=self.pump, args=(near, far, lambda data: data))
            upward.start()
            self.pump(far, near, self.alter)
            upward.join()

    @staticmethod
    def pump(source, sink, alter):
        try:
            while data := source.recv(65536):
                sink.sendall(alter(data))
        except OSError:
            pass
        try:
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass


class LoadGenerator(unittest.TestCase):
    METRICS = ("upload", "download", "request", "request32", "connect", "burst")

    @classmethod
    def setUpClass(cls):
        cls.server = subprocess.Popen([LOADGEN, "server", "127.0.0.1:0", "127.0.0.1:0"],
                                      stdout=subprocess.PIPE, text=True)
        word, *ports = cls.server.stdout.readline().split()
        assert word == "listening" and len(ports) == 2
        cls.port, cls.other = map(int, ports)

    @classmethod
    def tearDownClass(cls):
        cls.server.terminate()
        cls.server.wait()
        cls.server.stdout.close()

    def test_every_metric_gives_a_figure(self):
        for metric in self.METRICS:
            with self.subTest(metric):
                result = client(metric, self.port)
                self.assertEqual(result.returncode, 0, result.stderr)
                self.assertGreater(json.loads(result.stdout)[metric], 10 if metric != "burst" else 0)

    def test_latencies_are_in_order(self):
        figures = json.loads(client("request", self.port).stdout)
        self.assertGreater(figures["p50"], 0)
        self.assertGreaterEqual(figures["p99"], figures["p50"])

    def test_who_stalls_stays_connected_while_others_go_on(self):
        with subprocess.Popen([LOADGEN, "client", "stall", f"127.0.0.1:{self.port}", "10"],
                              stdout=subprocess.PIPE, text=True) as stalled:
            self.assertGreater(json.loads(stalled.stdout.readline())["stall"], 10_000)
            for metric in self.METRICS:
                with self.subTest(metric):
                    self.assertEqual(client(metric, self.port).returncode, 0)
            self.assertIsNone(stalled.poll())
            self.assertEqual(stalled.wait(60), 0)

    def test_an_unaltered_relay_is_sound(self):
        for metric in self.METRICS + ("check",):
            with self.subTest(metric), Relay(self.other, lambda data: data) as port:
                result = client(metric, port)
                self.assertEqual(result.returncode, 0, result.stderr)

    def test_altered_bytes_are_noticed(self):
        def flip_last_bit(data):
            return data[:-1] + bytes([data[-1] ^ 1])
        for metric in self.METRICS + ("check",):
            with self.subTest(metric), Relay(self.port, flip_last_bit) as port:
                result = client(metric, port)
                self.assertEqual(result.returncode, 1, result.stdout)
                self.assertEqual(result.stdout, "")

    def test_a_lost_stretch_is_noticed(self):
        seen = 0

        def drop_one_block(data):
            nonlocal seen
            before, seen = seen, seen + len(data)
            return b"" if before <= 1_000_000 < seen else data
        with Relay(self.port, drop_one_block) as port:
            result = client("download", port)
        self.assertEqual(result.returncode, 1, result.stdout)
        self.assertIn("download", result.stderr)

    def test_nobody_listening_is_an_error(self):
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            for metric in self.METRICS + ("hold", "stall"):
                with self.subTest(metric):
                    result = client(metric, unused.getsockname()[1])
                    self.assertEqual(result.returncode, 1)
                    self.assertIn("refused", result.stderr)

    def test_wrong_arguments_are_refused(self):
        for arguments in (["client", "upload", "127.0.0.1", "1"], ["client", "nothing", "127.0.0.1:1", "1"],
                          ["client", "upload", "127.0.0.1:1", "0"], ["client", "upload", "127.0.0.1:99999", "1"],
                          ["server"], ["spawn-time"], ["spawn-time", "--"], ["spawn-time", "true"]):
            with self.subTest(arguments):
                result = subprocess.run([LOADGEN, *arguments], capture_output=True, text=True, timeout=10)
                self.assertEqual(result.returncode, 1)


class StopWatch(unittest.TestCase):
    def run_one(self, *arguments):
        return subprocess.run([LOADGEN, "spawn-time", "--", *arguments], capture_output=True, text=True, timeout=10)

    def test_times_commands_in_sequence(self):
        result = json.loads(self.run_one("sleep", "0.1", "+", "sh", "-c", "sleep 0.1; echo seven").stdout)
        self.assertGreaterEqual(result["ms"], 200)
        self.assertLess(result["ms"], 2000)
        self.assertEqual(result["line"], "seven")

    def test_a_failing_command_is_an_error(self):
        for command in (["false"], ["/nonexistent"], ["false", "+", "true"], ["true", "+"]):
            with self.subTest(command):
                result = self.run_one(*command)
                self.assertEqual((result.returncode, result.stdout), (1, ""))

    def test_does_not_wait_for_a_child_left_behind(self):
        result = json.loads(self.run_one("sh", "-c", "echo lease; sleep 3 >/dev/null 2>&1 &").stdout)
        self.assertLess(result["ms"], 1500)
        self.assertEqual(result["line"], "lease")

    def test_times_the_first_line_and_the_end(self):
        script = "trap 'sleep 0.1; exit 0' TERM; sleep 0.1; echo up; while :; do sleep 0.01; done"
        watch = subprocess.Popen([LOADGEN, "spawn-time", "--until-line", "--", "sh", "-c", script],
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        ready = json.loads(watch.stdout.readline())
        self.assertEqual(ready["line"], "up")
        self.assertGreaterEqual(ready["ms"], 100)
        output, _ = watch.communicate("\n", timeout=10)
        end = json.loads(output)
        self.assertEqual(end["status"], signal.SIG_DFL)
        self.assertGreaterEqual(end["ms"], 100)


if __name__ == "__main__":
    unittest.main()
