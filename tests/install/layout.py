#!/usr/bin/python3
"""The binary layout of the public types, on standard output: what a compiled program relies on beside the symbols.

    tests/install/layout.py > tests/install/layout.txt
"""
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def soname():
    """Of the next build."""
    abi = re.search(r"^abi = '(\d+)'", (ROOT / "src" / "meson.build").read_text(), re.MULTILINE)
    return f"libhostnet.so.{abi[1]}"


def public_text():
    """The headers without their comments."""
    headers = sorted((ROOT / "include" / "hostnet").glob("*.hpp"))
    return "".join(re.sub(r"//.*", "", header.read_text()) for header in headers)


def classes(text, keyword="struct|class"):
    """The types that are defined, not nested."""
    return re.findall(rf"^(?:{keyword}) (?:HOSTNET_EXPORT )?(\w+)(?: : [^{{]+)? \{{", text, re.MULTILINE)


def record(text):
    """Members, as clang lays them out, one level deep."""
    names = sorted(classes(text))
    source = "#include <hostnet/hostnet.hpp>\n" + "".join(f"static_assert(sizeof(hostnet::{name}) > 0);\n" for name in names)
    dump = subprocess.run(
        ["clang++", "-std=c++20", "-fsyntax-only", "-Xclang", "-fdump-record-layouts", "-I", ROOT / "include", "-x", "c++", "-"],
        input=source, stdout=subprocess.PIPE, text=True, timeout=120, check=True).stdout
    found = {}
    for block in dump.split("*** Dumping AST Record Layout\n"):
        head = re.match(r" +0 \| (?:class|struct) hostnet::(\w+)\n", block)
        if head and head[1] in names:
            members = re.findall(r"^ +(\d+) \|   (\S.*)$", block, re.MULTILINE)
            size, alignment = re.search(r"\[sizeof=(\d+), .*align=(\d+)", block).groups()
            found[head[1]] = [f"{head[1]}: {size} bytes, aligned to {alignment}", *(f"  {at} {member}" for at, member in members)]
    assert sorted(found) == names, (sorted(found), names)
    return [line for name in names for line in found[name]]


def enumerations(text):
    return [f"{name}: {' '.join(values.split()).rstrip(',')}"
            for name, values in re.findall(r"enum class (\w+)[^{]*\{([^}]*)\}", text)]


def virtual_functions(text):
    return [f"virtual {' '.join(words.split())}" for words in re.findall(r"\bvirtual ([^;]+);", text)]


def layout():
    text = public_text()
    return [soname(), *record(text), *enumerations(text), *virtual_functions(text)]


if __name__ == "__main__":
    print("\n".join(layout()))
