"""Includes go one way, from a layer to those below it (docs/architecture.md), and no path includes another."""
import re
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)

# Each layer, and the layers that it may include beside itself. Every layer may include the public headers.
LIBRARY = {
    "core": (),
    "netlink": ("core",),
    "firewall": ("core", "netlink"),
    "engine": ("core", "netlink"),  # whether an engine's socket is served from this network namespace
    "dbus": ("core",),
    "lease": ("core", "netlink", "firewall", "engine", "dbus"),
    "target": ("core", "netlink", "firewall", "engine", "dbus", "lease"),
}
BELOW_PATHS = tuple(LIBRARY)
# The files in src/path itself form two layers: the interface of every path, and the code that knows all paths.
CONTRACT = ("path/path.hpp", "path/ahead.hpp", "path/ahead.cpp", "path/clear_away.hpp")
PATHS = ("path/native", "path/helper", "path/ssh", "path/relay")
LAYERS = LIBRARY | {
    "path contract": BELOW_PATHS,
    "path/sidecar": (*BELOW_PATHS, "path contract"),
    **{path: (*BELOW_PATHS, "path contract", "path/sidecar") for path in PATHS},
    "path": (*BELOW_PATHS, "path contract", "path/sidecar", *PATHS),
}
ALL_PATHS = (*BELOW_PATHS, "path contract", "path/sidecar", *PATHS, "path")
LAYERS |= {
    "container": ALL_PATHS,
    "watch": ALL_PATHS,
    "reaper": (*ALL_PATHS, "container"),
    "handoff": ("path/relay",),
    "daemon": ALL_PATHS,
    "cli": (*ALL_PATHS, "container", "watch"),
}


def layer_of(name):
    """The layer of a file or include, given relative to src/; None for files elsewhere."""
    if name in CONTRACT:
        return "path contract"
    parts = name.split("/")
    if parts[0] == "path" and len(parts) > 2:
        return "/".join(parts[:2])
    return parts[0] if len(parts) > 1 else None


def wrong_arrows(name, text):
    layer = layer_of(name)
    for included in INCLUDE.findall(text):
        if included.startswith("hostnet/"):
            continue
        below = layer_of(included)
        if below in LAYERS and below != layer and below not in LAYERS[layer]:
            yield f"{name} includes {included}: {layer} is not above {below}"


class Layers(unittest.TestCase):
    def sources(self):
        found = [path for suffix in ("cpp", "hpp") for path in sorted((ROOT / "src").rglob(f"*.{suffix}"))]
        self.assertGreater(len(found), 200)
        return {str(path.relative_to(ROOT / "src")): path.read_text() for path in found}

    def test_every_folder_is_a_layer(self):
        folders = {layer_of(name) for name in self.sources()} - {"precompiled"}
        self.assertEqual(folders, set(LAYERS))

    def test_includes_go_down(self):
        wrong = [arrow for name, text in self.sources().items() if layer_of(name) in LAYERS
                 for arrow in wrong_arrows(name, text)]
        self.assertEqual(wrong, [])

    def test_public_headers_include_each_other_and_the_standard_library(self):
        for header in sorted((ROOT / "include" / "hostnet").glob("*.hpp")):
            text = header.read_text()
            self.assertEqual([name for name in INCLUDE.findall(text) if not name.startswith("hostnet/")], [], header)
            self.assertEqual(re.findall(r"^#include <([^>]*[/.][^>]*)>", text, re.MULTILINE), [], header)

    def test_an_arrow_upwards_or_to_another_path_is_seen(self):
        for name, included in (("core/file.cpp", "lease/owner.hpp"), ("lease/owner.cpp", "path/native/native.hpp"),
                               ("path/ssh/lease.cpp", "path/native/lease_store.hpp"), ("path/path.hpp", "path/paths.hpp"),
                               ("path/sidecar/plan.cpp", "path/ssh/key.hpp"), ("watch/plan.cpp", "container/reap.hpp")):
            with self.subTest(name, included=included):
                self.assertEqual(len(list(wrong_arrows(name, f'#include "{included}"\n'))), 1)
        for name, included in (("path/paths.cpp", "path/ssh/ssh.hpp"), ("path/ssh/lease.cpp", "path/sidecar/sidecar.hpp"),
                               ("cli/run.cpp", "path/select.hpp"), ("lease/owner.cpp", "hostnet/error.hpp")):
            with self.subTest(name, included=included):
                self.assertEqual(list(wrong_arrows(name, f'#include "{included}"\n')), [])


if __name__ == "__main__":
    unittest.main()
