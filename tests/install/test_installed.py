#!/usr/bin/python3
"""What is installed, looked at without building upon it: the headers, the ABI, the versions, and the API reference."""
import ctypes
import os
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

from installed import BUILD, ROOT, Tree
from harness import main, output, run

# Packages that README.md does not name: they come with another one, or make the build faster only.
UNNAMED = {"g++", "ninja-build", "ccache"}
SYMBOLS = ROOT / "tests" / "install" / "symbols.txt"
LIST = "nm -C -D --defined-only --format=just-symbols --without-symbol-versions {} | LC_ALL=C sort -u"


class ReadMe(unittest.TestCase):
    def test_names_every_package_that_the_build_needs(self):
        needed = re.search(r"^build=\((.*?)^\)", (ROOT / "tools" / "setup").read_text(), re.MULTILINE | re.DOTALL)
        named = re.search(r"^apt-get install ((?:.*\\\n)*.*)\nmeson setup", (ROOT / "README.md").read_text(), re.MULTILINE)
        words = {word for line in needed[1].splitlines() for word in line.split("#")[0].split()}
        self.assertIn("libssh-dev", words)
        self.assertEqual(words - UNNAMED - set(named[1].split()), set())


class Installed(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.tree = Tree()
        cls.addClassCleanup(cls.tree.remove)
        cls.include = cls.tree.prefix / "include"
        cls.headers = sorted(cls.include.rglob("*.hpp"))

    def test_the_public_headers_and_no_others(self):
        public = {path.name for path in (ROOT / "include" / "hostnet").iterdir()}
        self.assertIn("hostnet.hpp", public)
        self.assertEqual({str(path.relative_to(self.include)) for path in self.headers},
                         {f"hostnet/{name}" for name in public})

    def test_each_header_alone_compiles_without_warnings(self):
        for compiler in ("g++", "clang++"):
            for header in self.headers:
                with self.subTest(header=header.name, compiler=compiler):
                    run(compiler, "-std=c++20", "-fsyntax-only", "-Wall", "-Wextra", "-Wpedantic", "-Wshadow",
                        "-Wconversion", "-Werror", "-I", self.include, "-x", "c++", "-",
                        stdin=f'#include "hostnet/{header.name}"\n', timeout=120)

    def test_headers_include_only_the_standard_library_and_each_other(self):
        for header in self.headers:
            included = re.findall(r"^#include (\S+)", header.read_text(), re.MULTILINE)
            strange = [name for name in included if not re.fullmatch(r'"hostnet/\w+\.hpp"|<[a-z_]+>', name)]
            self.assertEqual(strange, [], header.name)

    def test_the_umbrella_has_every_header(self):
        included = re.findall(r'#include "hostnet/(.+)"', (self.include / "hostnet" / "hostnet.hpp").read_text())
        self.assertEqual(sorted([*included, "hostnet.hpp"]), [header.name for header in self.headers])

    def test_abi(self):
        exported = output("sh", "-c", LIST.format(self.tree.library)).splitlines()
        known = SYMBOLS.read_text().splitlines()
        self.assertIn("hostnet::version()", exported)
        added, removed = sorted(set(exported) - set(known)), sorted(set(known) - set(exported))
        library = os.path.relpath(BUILD / "src" / "libhostnet.so", ROOT)
        self.assertTrue(not added and not removed, "\n".join([
            "the library exports other symbols than the list says", *(f"  added:   {name}" for name in added),
            *(f"  removed: {name}" for name in removed),
            "An addition is compatible; older programs need what is removed. If it is meant:",
            f"  {LIST.format(library)} > {SYMBOLS.relative_to(ROOT)}"]))

    def test_the_shared_library_is_self_contained(self):
        dynamic = output("readelf", "-d", self.tree.library)
        self.assertIn("Library soname: [libhostnet.so.0]", dynamic)
        self.assertNotRegex(dynamic, "libfmt|libcurl|libssh|RPATH|RUNPATH|TEXTREL")

    def test_versions_agree(self):
        text = (self.include / "hostnet" / "version.hpp").read_text()
        header = ".".join(re.search(rf"HOSTNET_VERSION_{part} (\d+)", text).group(1)
                          for part in ("MAJOR", "MINOR", "PATCH"))
        version = ctypes.CDLL(str(self.tree.library))._ZN7hostnet7versionEv
        version.restype = ctypes.c_char_p
        self.assertEqual({"library": version().decode(),
                          "pkg-config": output("pkg-config", "--modversion", "hostnet", env=self.tree.env),
                          "file": self.tree.library.resolve().name.removeprefix("libhostnet.so.")},
                         {"library": header, "pkg-config": header, "file": header})

    def test_reference(self):
        """Doxygen has nothing to complain of, and everything that is exported is in what it makes."""
        with tempfile.TemporaryDirectory(prefix="hostnet-reference-") as folder:
            configuration = (ROOT / "docs" / "Doxyfile").read_text() + f"\nOUTPUT_DIRECTORY = {folder}\n"
            done = subprocess.run(["doxygen", "-"], cwd=ROOT, input=configuration, text=True, timeout=120,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            self.assertEqual((done.returncode, done.stdout), (0, ""))
            made = "".join(page.read_text() for page in Path(folder).rglob("*.html"))
        names = {name for name in re.findall(r"^hostnet::(?:\w+::)*(\w+)", SYMBOLS.read_text(), re.MULTILINE)}
        self.assertIn("make_exposer", names)
        self.assertEqual([name for name in sorted(names) if not re.search(rf"\b{name}\b", made)], [])


if __name__ == "__main__":
    main()
