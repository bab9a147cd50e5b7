"""The build folders of the checkout: configured once, reconfigured only if an option differs."""
import configparser
import json
import os
import shutil
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MESON = "/usr/bin/meson"  # Debian's, with Debian's python; PATH may have another one first
LIMIT = 60 * 60  # seconds, for one build


def of_release():
    """The options of tools/release.ini, in the form of meson's command line."""
    file = configparser.ConfigParser()
    file.read(ROOT / "tools" / "release.ini")
    return {name: value.strip("'") for name, value in file["built-in options"].items()}


@dataclass(frozen=True)
class Build:
    name: str
    options: dict = field(hash=False)
    compiler: str = "g++"
    sanitizer: bool = False

    @property
    def folder(self):
        return ROOT / f"build-{self.name}"

    @property
    def runner(self):
        """The prefix that turns address randomisation off: with that of newer kernels, the sanitizers of g++
        12 and clang 14 cannot map their shadow memory."""
        return ("setarch", "--addr-no-randomize") if self.sanitizer else ()


def introspect(folder, what):
    done = subprocess.run([MESON, "introspect", f"--{what}", folder], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def configuration(build):
    """The meson command to run before ninja, or None."""
    options = [f"-D{name}={value}" for name, value in build.options.items()]
    if not (build.folder / "build.ninja").exists():
        return [MESON, "setup", *options, build.folder, ROOT]
    present = {option["name"]: option["value"] for option in introspect(build.folder, "buildoptions")}
    as_text = {name: str(value).lower() if isinstance(value, bool) else " ".join(value) if isinstance(value, list) else value
               for name, value in present.items()}
    if all(as_text.get(name) == value for name, value in build.options.items()):
        return None
    return [MESON, "configure", *options, build.folder]


def environment_of(build):
    environment = dict(os.environ)
    if "CXX" not in environment or build.compiler != "g++":
        environment["CXX"] = f"ccache {build.compiler}" if shutil.which("ccache") else build.compiler
    if build.compiler == "clang++":
        environment["CXX_LD"] = "lld"  # links the large sanitized programs in a third of GNU ld's time
    # Without it, ccache ignores all compilations with a precompiled header.
    environment.setdefault("CCACHE_SLOPPINESS", "pch_defines,time_macros")
    return environment


class Make:
    """One build. Builds and tests never run at the same time: they would slow down each other, and some tests
    have time limits."""

    def __init__(self, build, targets):
        """`targets()` is called after the configuration and returns ninja's targets; an empty list means
        all."""
        self.build, self.targets = build, targets
        self.output, self.failed, self.seconds = "", False, 0.0

    def run(self):
        start = time.monotonic()
        try:
            configure = configuration(self.build)
            if configure:
                self.call(*configure)
            # targets() reads meson's output, so meson must have read the current meson.build files first.
            self.call("ninja", "-C", self.build.folder, "build.ninja")
            self.call("ninja", "-C", self.build.folder, *self.targets())
        except (subprocess.SubprocessError, OSError) as error:
            self.failed, self.output = True, self.output + f"\n{error}"
        self.seconds = time.monotonic() - start

    def call(self, *command):
        done = subprocess.run(command, env=environment_of(self.build), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=LIMIT)
        self.output += done.stdout
        done.check_returncode()

    def tell(self, report):
        """Reports a failure as one failed case, with the end of the tools' output."""
        if self.failed:
            shown = "\n".join(line for line in self.output.splitlines()[-60:] if not line.startswith("["))
            report.add("build", self.build.name, 0, 1, self.seconds, 0, shown)
        else:
            report.say(f"{self.build.name}: built in {self.seconds:.0f} s")
        return not self.failed
