"""The build folders of the checkout: configured once, reconfigured only where an option differs."""
import json
import os
import shutil
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MESON = "/usr/bin/meson"  # Debian's, with Debian's python: another may come first in PATH
LIMIT = 30 * 60  # seconds, for one build


@dataclass(frozen=True)
class Build:
    name: str
    options: dict = field(hash=False)
    targets: tuple = ()  # what ninja shall make; all, when empty
    compiler: str = "g++"
    sanitizer: bool = False

    @property
    def folder(self):
        return ROOT / f"build-{self.name}"

    @property
    def runner(self):
        """Sanitizers of g++ 12 and clang 14 cannot place their shadow under the address randomisation of newer
        kernels."""
        return ("setarch", "--addr-no-randomize") if self.sanitizer else ()


def introspect(folder, what):
    done = subprocess.run([MESON, "introspect", f"--{what}", folder], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def configure(build):
    """The meson command that is needed before ninja, or None."""
    options = [f"-D{name}={value}" for name, value in build.options.items()]
    if not (build.folder / "build.ninja").exists():
        return [MESON, "setup", *options, build.folder, ROOT]
    present = {option["name"]: option["value"] for option in introspect(build.folder, "buildoptions")}
    as_text = {name: str(value).lower() if isinstance(value, bool) else " ".join(value) if isinstance(value, list) else value
               for name, value in present.items()}
    if all(as_text.get(name) == value for name, value in build.options.items()):
        return None
    return [MESON, "configure", *options, build.folder]


class Ahead:
    """Builds made in the background, with what processor time nobody else wants, while tests wait for engines and clocks.

    What a build says is of no interest here: make() runs it again, which is quick when all went well.
    """

    def __init__(self, builds):
        self.done = {build.name: threading.Event() for build in builds}
        threading.Thread(target=self.run, args=(builds,), daemon=True).start()

    def run(self, builds):
        for build in builds:
            try:
                for command in commands_of(build):
                    subprocess.run(["chrt", "--idle", "0", *command], env=environment_of(build), check=True,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            except (subprocess.CalledProcessError, OSError):
                pass  # make() tells what is wrong
            finally:
                self.done[build.name].set()

    def wait_for(self, build):
        if build.name in self.done:
            self.done[build.name].wait(LIMIT)


def environment_of(build):
    environment = dict(os.environ)
    if "CXX" not in environment or build.compiler != "g++":
        environment["CXX"] = f"ccache {build.compiler}" if shutil.which("ccache") else build.compiler
    return environment


def commands_of(build):
    """One after the other: the second is known when the first has run."""
    configuration = configure(build)
    if configuration:
        yield configuration
    yield ["ninja", "-C", build.folder, *build.targets]


def make(build, report):
    """Configures and compiles. A failure is one failed case, with the end of what the tools said."""
    report.stage(f"{build.name}: building in {build.folder.relative_to(ROOT)}")
    start = time.monotonic()
    for command in commands_of(build):
        try:
            done = subprocess.run(command, env=environment_of(build), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True, timeout=LIMIT)
            output, failed = done.stdout, done.returncode != 0
        except subprocess.TimeoutExpired as expired:
            output, failed = f"{expired}", True
        if failed:
            shown = "\n".join(line for line in output.splitlines()[-60:] if not line.startswith("["))
            report.add(f"{build.name}: build", 0, 1, time.monotonic() - start, shown)
            return False
    return True
