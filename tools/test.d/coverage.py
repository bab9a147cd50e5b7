"""Runs the suites on a build that counts what is executed, and prints the lines and branches reached, by
folder. Started by tools/coverage.

The counters are mapped files (LLVM's continuous mode), so that the work of a killed process counts, too: most
of these tests kill something. Their path is compiled in, because daemons and other users' commands are started
with an environment of their own."""
import argparse
import collections
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import build
import programs
from main import SANITIZED
from pool import Pool
from report import Report

FOLDER = build.ROOT / "build-coverage"
PROFILES = FOLDER / "profiles"
# %m: one file for each program, in which all its processes count; %c: mapped.
COUNTERS = f"-fprofile-instr-generate={PROFILES}/%c%m.profraw"
COVERAGE = build.Build("coverage", SANITIZED | {
    "cpp_args": f"-g1 {COUNTERS} -fcoverage-mapping -mllvm -runtime-counter-relocation", "cpp_link_args": COUNTERS}, compiler="clang++")
# The other suites run the installed files or a build of their own.
SUITES = ("unit", "netns", "hosts", "dbus", "e2e")
BATCH = 200  # profiles merged at a time: the kernel bounds the length of a command line


def prepare():
    """Makes each program's file, empty and writable for every user: the tests start programs as other users,
    and a user who starts one first would own it."""
    PROFILES.mkdir(exist_ok=True)
    for old in PROFILES.glob("*.profraw"):
        old.unlink()
    for program in binaries():
        if os.access(program, os.X_OK) and ".so" not in program:
            subprocess.run([program, "--help"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=30)
    for made in PROFILES.glob("*.profraw"):
        made.chmod(0o666)


def merged():
    """The file with the sums of all profiles."""
    files = sorted(PROFILES.glob("*.profraw"))
    total = FOLDER / "total.profdata"
    total.unlink(missing_ok=True)
    for start in range(0, len(files), BATCH):
        batch = files[start:start + BATCH] + ([total] if total.exists() else [])
        subprocess.run(["llvm-profdata", "merge", "-failure-mode=all", "-sparse", "-o", FOLDER / "part.profdata", *batch], check=True)
        (FOLDER / "part.profdata").rename(total)
    return total


def binaries():
    """The programs and libraries of the build that have code of src/ in them."""
    for target in build.introspect(FOLDER, "targets"):
        if target["type"] in ("executable", "shared library"):
            yield from (name for name in target["filename"] if os.path.exists(name))


def by_folder(profile):
    """{folder below src or include: [lines, lines reached, branches, branches reached]}"""
    first, *others = binaries()
    objects = [word for name in others for word in ("-object", name)]
    done = subprocess.run(["llvm-cov", "export", "-summary-only", f"-instr-profile={profile}", first, *objects],
                          capture_output=True, text=True, check=True)
    found = collections.defaultdict(lambda: [0, 0, 0, 0])
    for file in json.loads(done.stdout)["data"][0]["files"]:
        path = Path(os.path.realpath(file["filename"]))
        if not path.is_relative_to(build.ROOT) or path.relative_to(build.ROOT).parts[0] not in ("src", "include"):
            continue
        lines, branches = file["summary"]["lines"], file["summary"]["branches"]
        numbers = lines["count"], lines["covered"], branches["count"], branches["covered"]
        for folder in (str(path.relative_to(build.ROOT).parent), "all"):
            found[folder] = [one + more for one, more in zip(found[folder], numbers)]
    return found


def main():
    parser = argparse.ArgumentParser(prog="tools/coverage", description="Measures which lines the tests reach.")
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"only these, of {', '.join(SUITES)}; default all")
    parser.add_argument("--jobs", type=int, default=1 + 2 * (os.cpu_count() or 1), metavar="N", help="programs at a time")
    options = parser.parse_args()
    for suite in options.suites:
        if suite not in SUITES:
            parser.error(f"there is no suite {suite!r}: {', '.join(SUITES)}")
    report = Report()
    make = build.Make(COVERAGE, lambda: [])
    make.run()
    if not make.tell(report):
        return report.finish()
    prepare()
    pool = Pool(options.jobs, report)
    pool.add(programs.of_build(COVERAGE, {suite: () for suite in options.suites or SUITES}))
    with tempfile.TemporaryDirectory(prefix="hostnet-images-") as folder:
        os.environ["ENGINE_IMAGES"] = folder
        pool.run()
    status = report.finish()
    print(f"\n| {'folder':<28} | lines | reached | branches | reached |\n|{'-' * 30}|------:|--------:|---------:|--------:|")
    for folder, (lines, hit, branches, taken) in sorted(by_folder(merged()).items(), key=lambda item: (item[0] == "all", item[0])):
        print(f"| {folder:<28} | {lines:>5} | {hit / lines if lines else 1:>7.1%} | {branches:>8} | {taken / branches if branches else 1:>7.1%} |")
    return status


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
