#!/usr/bin/python3
"""Programs that use the installed library, built by the very snippets of docs/linking.md, expose a port for real."""
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from installed import ROOT, Tree
from harness import HostCase, eventually, main, output, run, snapshot

HELLO = "hello from 127.0.0.1\n"
GATEWAY = "198.18.0.1"


def snippets():
    """{heading: {language: text}} of docs/linking.md."""
    parts = re.split(r"^## (.+)\n", (ROOT / "docs" / "linking.md").read_text(), flags=re.MULTILINE)
    return {heading: dict(re.findall(r"^```(\w+)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL))
            for heading, text in zip(parts[1::2], parts[2::2])}


def with_line(text, line):
    """`text` with the one line that begins with the same word replaced."""
    word = re.match(r"\w+", line).group()
    changed, count = re.subn(rf"^{word}\b.*\n", lambda _: line, text, flags=re.MULTILINE)
    assert count == 1, (text, line)
    return changed


class Consumer(HostCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.tree = Tree()
        cls.addClassCleanup(cls.tree.remove)
        cls.doc = snippets()

    def setUp(self):
        super().setUp()
        self.project = Path(tempfile.mkdtemp(prefix="hostnet-consumer-"))
        self.addCleanup(shutil.rmtree, self.project)
        self.project.chmod(0o755)
        shutil.copy(ROOT / "examples" / "expose.cpp", self.project)
        self.service(8088, HELLO)
        run("ip", "netns", "add", "app")
        self.addCleanup(run, "ip", "netns", "del", "app")
        run("ip", "link", "add", "br0", "type", "bridge")
        self.addCleanup(run, "ip", "link", "del", "br0")
        run("ip", "address", "add", f"{GATEWAY}/24", "dev", "br0")
        run("ip", "link", "set", "br0", "up")
        run("ip", "link", "add", "port0", "master", "br0", "up", "type", "veth", "peer", "name", "eth0", "netns", "app")
        run("ip", "-n", "app", "address", "add", "198.18.0.2/24", "dev", "eth0")
        run("ip", "-n", "app", "link", "set", "eth0", "up")

    def fetch(self):
        done = run("ip", "netns", "exec", "app", "curl", "-s", "-m", "5", f"http://{GATEWAY}:8088/", check=False)
        return done.stdout if done.returncode == 0 else None

    def build(self, script, program="expose", env=None, **files):
        """Writes `files`, runs the snippet, and returns what it has built."""
        for name, text in files.items():
            (self.project / {"cmake": "CMakeLists.txt", "meson": "meson.build"}[name]).write_text(text)
        done = subprocess.run(["sh", "-euc", script], cwd=self.project, env=env or self.tree.env, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=3600)
        self.assertEqual(done.returncode, 0, done.stdout)
        return self.project / program

    def needs(self, program):
        return set(re.findall(r"\(NEEDED\).*\[(.+)\]", output("readelf", "-d", program)))

    def works(self, program, library_path=None):
        env = self.env | ({"LD_LIBRARY_PATH": str(library_path)} if library_path else {})
        self.exposes(program, env)
        self.reports_errors(program, env)

    def exposes(self, program, env):
        before = snapshot()
        self.assertIsNone(self.fetch())
        with subprocess.Popen([program, "br0", "8088"], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True) as process:
            self.addCleanup(process.kill)
            self.assertEqual(process.stdout.readline(), f"{GATEWAY}:8088\n")
            self.assertEqual(self.fetch(), HELLO)
            (lease,) = self.leases()
            self.assertEqual((lease["label"], lease["owner"]["pid"]), ("example", process.pid))
            out, err = process.communicate(timeout=20)
            self.assertEqual((process.returncode, out, err), (0, "", ""))
        self.assertIsNone(self.fetch())
        eventually(lambda: snapshot() == before, timeout=5)
        self.assertEqual(snapshot(), before)

    def reports_errors(self, program, env):
        """An exception that is thrown in the library is caught in the program, with all that it carries."""
        def fails(*command):
            done = run(*command, env=env, check=False)
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            return done.stderr
        self.assertRegex(fails(program, "br0", "0"), r"\Ainvalid_argument: .*greater than zero")
        self.assertRegex(fails(program, "br1", "8088"), r"\Anot_found: .*br1")
        self.assertRegex(fails(program, "br0", "8089"), r"\Anot_listening: .*8089.*\nstart the service first")
        nobody = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups")
        self.assertRegex(fails(*nobody, program, "br0", "8088"), r"\Anot_authorised: no usable path.*\nrun it as root")


class Shared(Consumer):
    def test_pkg_config(self):
        program = self.build(self.doc["pkg-config"]["sh"])
        self.assertIn(self.tree.library.name, self.needs(program))
        self.works(program, self.tree.library.parent)

    def test_cmake(self):
        program = self.build(self.doc["CMake"]["sh"], "build/expose", cmake=self.doc["CMake"]["cmake"])
        self.assertIn(self.tree.library.name, self.needs(program))
        self.works(program)

    def test_cmake_refuses_another_major_version(self):
        lists = with_line(self.doc["CMake"]["cmake"], "find_package(hostnet 1.0 REQUIRED)\n")
        (self.project / "CMakeLists.txt").write_text(lists)
        done = run("cmake", "-S", self.project, "-B", self.project / "build", env=self.tree.env, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn('compatible with requested version "1.0"', " ".join(done.stderr.split()))

    def test_meson(self):
        program = self.build(self.doc["Meson"]["sh"], "build/expose", meson=self.doc["Meson"]["meson"])
        self.assertIn(self.tree.library.name, self.needs(program))
        self.works(program, self.tree.library.parent)


class Static(Consumer):
    def is_static(self, program):
        self.assertEqual([name for name in self.needs(program) if "hostnet" in name], [])

    def test_pkg_config(self):
        program = self.build(self.doc["Static library"]["sh"])
        self.is_static(program)
        self.works(program)

    def test_cmake(self):
        lists = with_line(self.doc["CMake"]["cmake"], self.doc["Static library"]["cmake"])
        program = self.build(self.doc["CMake"]["sh"], "build/expose", cmake=lists)
        self.is_static(program)
        self.works(program)

    def test_meson(self):
        lists = with_line(self.doc["Meson"]["meson"], self.doc["Static library"]["meson"])
        program = self.build(self.doc["Meson"]["sh"], "build/expose", meson=lists)
        self.is_static(program)
        self.works(program)


class Subproject(Consumer):
    """Compiled along with the program; nothing is installed."""

    def test_shared_and_then_static(self):
        env = {name: value for name, value in self.tree.env.items() if name != "PKG_CONFIG_PATH"}
        # A faster compiler than that of the other tests.
        env["CXX"] = "clang++"
        (self.project / "subprojects").mkdir()
        (self.project / "subprojects" / "hostnet").symlink_to(ROOT)
        script = self.doc["Meson subproject"]["sh"]
        # Not optimised: optimisation takes most of the time.
        program = self.build(script.replace("meson setup", "meson setup --buildtype=plain"), "build/expose", env,
                             meson=self.doc["Meson"]["meson"])
        self.assertIn(self.tree.library.name, self.needs(program))
        self.works(program)
        # Links the same objects again.
        program = self.build("meson configure build -Dhostnet:default_library=static && ninja -C build expose", "build/expose", env)
        self.assertNotIn(self.tree.library.name, self.needs(program))
        self.works(program)


if __name__ == "__main__":
    main()
