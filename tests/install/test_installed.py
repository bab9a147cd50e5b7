#!/usr/bin/python3
"""The installed files, without a build against them: headers, ABI, versions, and the API reference."""
import ctypes
import difflib
import os
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

import layout
from installed import BUILD, ROOT, Tree
from harness import main, output, run

# Packages that README.md does not name: another package brings them, or they only make the build faster.
UNNAMED = {"g++", "ninja-build", "ccache"}
SYMBOLS = ROOT / "tests" / "install" / "symbols.txt"
LAYOUT = SYMBOLS.with_name("layout.txt")
STRICT = ("-std=c++20", "-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Werror")
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

    def test_links_between_the_documents(self):
        """Links into the sources are for those who have them."""
        folder = self.tree.prefix / "share/doc/tc-hostnet"
        documents = sorted(folder.rglob("*.md"))
        self.assertEqual({str(path.relative_to(folder)) for path in documents},
                         {"README.md"} | {f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")})
        for document in documents:
            for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text()):
                if not target.startswith("../src/"):
                    self.assertTrue((document.parent / target).exists(), f"{document.name}: {target}")

    def test_the_documents_can_be_copied_with_what_their_links_lead_to(self):
        with tempfile.TemporaryDirectory(prefix="hostnet-install-") as copy:
            run("cp", "-rL", self.tree.prefix / "share/doc/tc-hostnet", copy, timeout=30)
            self.assertTrue((Path(copy) / "tc-hostnet/docs/schema/common.json").is_file())

    def test_each_header_alone_compiles_without_warnings(self):
        for compiler in ("g++", "clang++"):
            for header in self.headers:
                with self.subTest(header=header.name, compiler=compiler):
                    run(compiler, *STRICT, "-fsyntax-only", "-I", self.include, "-x", "c++", "-",
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
            "An addition is compatible; a removal needs another `abi` in src/meson.build. If it is meant:",
            f"  {LIST.format(library)} > {SYMBOLS.relative_to(ROOT)}"]))

    def test_the_static_library_shows_what_the_shared_one_exports(self):
        shown = output("nm", "-gC", "--defined-only", "--format=just-symbols", self.library("a")).splitlines()
        public = [name for name in SYMBOLS.read_text().splitlines() if not name.startswith("HOSTNET_")]
        self.assertEqual(sorted({name for name in shown if name and not name.endswith(".o:")}), sorted(public))

    def test_a_static_program_keeps_its_own_symbols(self):
        """It has a function with the name of an internal one, and a JSON library of its own; exceptions reach it."""
        source = """
            #include <hostnet/hostnet.hpp>
            #include <nlohmann/json.hpp>
            namespace hostnet { std::string quote(std::string_view) { return "the program's"; } }
            int main() {
              try {
                hostnet::HostPort::parse("0");
              } catch (const hostnet::Error& error) {
                if (std::string(error.what()) != "port '0': a port must be greater than zero") return 2;
                if (hostnet::quote("") != "the program's") return 3;
                try {
                  return nlohmann::json::parse(hostnet::GenericImage("a").start().inspect()).size() == 0 ? 4 : 5;
                } catch (const std::exception&) {
                  return 0;  // no engine answers
                }
              }
              return 1;
            }"""
        self.assertIn("std::string quote(std::string_view text);", (ROOT / "src" / "core" / "strings.hpp").read_text())
        with tempfile.TemporaryDirectory(prefix="hostnet-static-") as folder:
            program = Path(folder, "program")
            self.compile(source, program, self.library("a"), *self.private_libraries())
            run(program, env=os.environ | {"DOCKER_HOST": "unix:///nowhere"}, timeout=60)

    def test_layout(self):
        known, now = LAYOUT.read_text().splitlines(), layout.layout()
        self.assertEqual(self.tree.library.name, now[0])
        self.assertTrue(known == now, "\n".join([
            "the layout of public types is not what the list says", *difflib.unified_diff(known, now, lineterm="", n=1),
            "A type more, or an enumerator at the end, is compatible. Anything else breaks compiled programs: raise `abi`",
            f"in src/meson.build. If it is meant:\n  tests/install/layout.py > {LAYOUT.relative_to(ROOT)}"]))

    def test_structs_can_grow_in_source(self):
        """Callers that name the members they set compile as before when each public struct has a member more."""
        caller = ROOT / "tests" / "install" / "caller.cpp"
        text = caller.read_text()
        structs = layout.classes(layout.public_text(), "struct")
        self.assertIn("ExposeRequest", structs)
        with tempfile.TemporaryDirectory(prefix="hostnet-grown-") as folder:
            for header in self.headers:
                grown = re.sub(r"(^struct [^;{]*\{.*?)^\};", r"\1  int added = 0;\n};", header.read_text(),
                               flags=re.MULTILINE | re.DOTALL)
                target = Path(folder, header.relative_to(self.include))
                target.parent.mkdir(exist_ok=True)
                target.write_text(grown)
            added = "".join(f"static_assert(sizeof(hostnet::{name}::added) > 0);\n" for name in structs)
            for compiler in ("g++", "clang++"):
                for include, source in ((self.include, text), (folder, text + added)):
                    with self.subTest(compiler=compiler, include=include):
                        run(compiler, *STRICT, "-fsyntax-only", "-I", include, "-x", "c++", "-", stdin=source, timeout=120)

    def test_a_program_of_another_abi_is_refused(self):
        """By the dynamic linker, before anything runs: by the soname, and by the symbols' version if the soname lies."""
        name = self.tree.library.name
        with tempfile.TemporaryDirectory(prefix="hostnet-abi-") as folder:
            program, later = Path(folder, "program"), Path(folder, "libhostnet.so.later")
            self.compile("#include <hostnet/version.hpp>\nint main() { return hostnet::version() == nullptr; }\n", program,
                         f"-L{self.tree.library.parent}", "-lhostnet")

            def start(libraries):
                done = subprocess.run([program], env={"LD_LIBRARY_PATH": str(libraries), "LC_ALL": "C"}, text=True, timeout=20,
                                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
                return done.returncode, done.stdout

            self.assertEqual(start(self.tree.library.parent), (0, ""))
            versions = Path(folder, "map")
            versions.write_text((ROOT / "src" / "hostnet.map.in").read_text().replace("@ABI@", "later"))
            run("g++", "-shared", "-o", later, "-Wl,--whole-archive", self.library("a"), "-Wl,--no-whole-archive",
                f"-Wl,-soname,{later.name}", f"-Wl,--version-script={versions}", *self.private_libraries(), timeout=120)
            status, said = start(folder)
            self.assertEqual(status, 127)
            self.assertIn(f"{name}: cannot open shared object file", said)
            Path(folder, name).symlink_to(later.name)
            status, said = start(folder)
            self.assertEqual(status, 1)
            self.assertRegex(said, rf"version `HOSTNET_{name.rsplit('.', 1)[1]}' not found")

    def library(self, ending):
        return self.tree.library.with_name(f"libhostnet.{ending}")

    def private_libraries(self):
        words = output("pkg-config", "--libs", "--static", "hostnet", env=self.tree.env).split()
        return [word for word in words if word != "-lhostnet"]

    def compile(self, source, program, *words):
        run("g++", "-std=c++20", "-I", self.include, "-x", "c++", "-", "-x", "none", "-o", program, *words, stdin=source,
            timeout=120)

    def test_the_shared_library_is_self_contained(self):
        dynamic = output("readelf", "-d", self.tree.library)
        self.assertIn(f"Library soname: [{self.tree.library.name}]", dynamic)
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
