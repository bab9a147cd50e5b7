#!/usr/bin/python3
"""tools/bench data has a row for each path, with each figure, and says for each of the relay's goals whether it is met;
what cannot be measured here is told. Its figures mean nothing at this pace."""
import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = sys.argv.pop(1)
ALWAYS = {"direct", "direct beside nftables", "direct beside iptables", "native, nftables", "native, iptables", "blog recipe",
          "relay (setns)", "relay (hand-off)", "relay (gateway)"}
IF_INSTALLED = {"docker-proxy": "/usr/sbin/docker-proxy", "socat": "/usr/bin/socat", "tc-hostnet ssh": "/usr/sbin/sshd",
                "ssh -R": "/usr/sbin/sshd"}
FIGURES = {"upload", "download", "request", "p50", "p99", "request32", "connect"}
OF_COPYING = {"cpu_upload", "cpu_download", "fairness", "beside", "stalled", "burst", "memory"}


class Bench(unittest.TestCase):
    def test_data_has_every_row_every_figure_and_every_goal(self):
        with tempfile.NamedTemporaryFile("r") as file:
            done = subprocess.run([ROOT / "tools" / "bench", "data", "--check", "--build", BUILD, "--json", file.name],
                                  capture_output=True, text=True, timeout=500)
            self.assertEqual(done.returncode, 0, done.stderr)
            data = json.load(file)["data"]
        installed = {name for name, path in IF_INSTALLED.items() if os.access(path, os.X_OK)}
        self.assertEqual(set(data["absolute"]), ALWAYS | installed)
        for name, row in data["absolute"].items():
            copies = name in installed or name.startswith("relay")
            self.assertEqual(set(row), FIGURES | (OF_COPYING if copies else set()), name)
            self.assertIn(name, done.stdout)
        self.assertEqual(len(data["missing"]), len({path for name, path in IF_INSTALLED.items() if name not in installed}))
        for sentence in data["missing"]:
            self.assertIn(f"Note: {sentence}.", done.stdout)
        for name in ("relay (setns)", "relay (hand-off)", "relay (gateway)"):
            goals = data["goals"][name]
            self.assertEqual(len(goals), 13 if "tc-hostnet ssh" in installed else 9, goals)
            self.assertIn(f"Goals of {name}: ", done.stdout)


if __name__ == "__main__":
    unittest.main()
