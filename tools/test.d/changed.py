"""Maps changed files to the programs that they can affect, for tools/test --changed."""
import re
import subprocess

from build import ROOT

# The first row whose pattern matches a path decides. Its words match "stage: program"; an empty word matches
# every program. The last row is for what everything depends on (core, netlink, lease, target, shared parts of
# the paths, public headers).
ROWS = (
    (r"docs/schema/|docs/messages", (r"unit: messages$", "dbus: test_leases", "e2e: test_(shapes|errors|doctor_walk|watch)", "install: ")),
    (r"README|LICENSE|po/|examples/|docs/", ("install: ",)),
    (r"tests/unit/path/relay/", ("unit: relay$",)),
    (r"tests/unit/(\w+)/", (r"unit: \1$",)),
    (r"tests/netns/path/native/", (r"(netns|hosts): (native|reach|sharing|attacks|recovery)",)),
    (r"tests/netns/path/relay/", ("netns: relay$",)),
    (r"tests/netns/(\w+)/", (r"netns: \1$",)),
    (r"tests/(dbus|e2e|install)/(test_\w+\.py)$", (r"\1: \2",)),
    (r"tests/(dbus|e2e|install|soak)/", (r"\1: ",)),
    (r"tests/fuzz/", ("fuzz: ",)),
    (r"tests/bench/", ("unit: loadgen", "netns: bench$")),
    (r"tests/support/", ("netns: ", "hosts: ", "dbus: ", "e2e: ", "install: ", "soak: ", "demo: ")),
    (r"src/(daemon|dbus)/", (r"unit: (daemon|dbus)$", "dbus: ", "e2e: test_helper", "fuzz: fuzz_helper", "install: ")),
    (r"src/path/ssh/", ("unit: (path|cli)$", "netns: ssh$", r"e2e: test_(ssh|container|rootless|contexts|run|watch)", "fuzz: fuzz_ssh",
                        "demo: ")),
    (r"src/(path/relay|handoff)/", ("unit: (path|relay|cli)$", "netns: relay$", r"e2e: test_(docker|podman|rootless|container)", "fuzz: fuzz_handoff")),
    (r"src/path/helper/", ("unit: path$", "dbus: ", "e2e: test_(helper|container)", "install: ")),
    (r"src/watch/", ("unit: watch$", "e2e: test_(watch|lifecycle|ssh|helper)", "fuzz: fuzz_request", "install: ")),
    (r"src/(container|reaper)/", ("unit: container$", "e2e: test_container", "install: ")),
    (r"src/cli/", ("unit: cli$", "netns: (cli|recovery)", "e2e: test_(?!container)", "fuzz: fuzz_request", "demo: ", "soak: ")),
    (r"src/firewall/", ("unit: firewall$", "netns: (?!ssh|engine)", "hosts: ", "dbus: ", "soak: ", "demo: ",
                        "e2e: test_(docker|podman|firewalls|lifecycle|run|container_docker|errors|helper)")),
    (r"src/engine/", ("unit: (engine|target|path|watch|container)$", "netns: engine$", "e2e: ", "fuzz: fuzz_engine", "demo: ")),
    (r"tools/debian$", ("format: ",)),
    (r"src/cli/(completion|data/completion)", ("unit: cli$", "e2e: test_(shapes|docker)", "install: ")),
    (r"tools/demo$", ("demo: ",)),
    (r"tools/(bench|soak)", ("unit: loadgen", "netns: bench$")),
    (r"tools/coverage$", ("format: ",)),
    (r"", ("",)),
)


def changed_paths(commit):
    def lines(*command):
        return subprocess.run(["git", "-C", ROOT, *command], capture_output=True, text=True, check=True).stdout.splitlines()
    return lines("diff", "--name-only", commit, "--") + lines("ls-files", "--others", "--exclude-standard")


def words_for(path):
    for pattern, words in ROWS:
        found = re.match(pattern, path)
        if found:
            return [found.expand(word) for word in words]
    raise AssertionError(path)  # the last row matches everything


def touched(commit):
    """A predicate: can the changes since `commit` affect a program? The format checks always run, and the list of
    messages, which is of all sources."""
    words = {"format: ", r"unit: messages$"} | {word for path in changed_paths(commit) for word in words_for(path)}
    either = re.compile("|".join(f"(?:{word})" for word in sorted(words)))
    return lambda program: either.search(f"{program.stage}: {program.name}") is not None
