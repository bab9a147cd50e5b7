"""An installed tree in a scratch folder, which is not the prefix that the build was configured for."""
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ["BUILD_ROOT"])
sys.path.insert(0, str(ROOT / "tests" / "e2e"))  # harness.py


class Tree:
    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="hostnet-install-"))
        self.folder.chmod(0o755)
        subprocess.run(["/usr/bin/meson", "install", "-C", BUILD, "--no-rebuild", "--quiet", "--destdir", self.folder],
                       check=True, timeout=60, stdout=subprocess.DEVNULL)
        (self.prefix,) = (path.parent for path in self.folder.rglob("include") if (path / "hostnet").is_dir())
        (self.library,) = (path for path in self.prefix.rglob("libhostnet.so.*") if path.name.count(".") == 2)  # by its soname
        self.env = os.environ | {"PKG_CONFIG_PATH": str(self.library.parent / "pkgconfig"),
                                 "CMAKE_PREFIX_PATH": str(self.prefix)}
        # Meson would apply the flags of the outer build to the consumers.
        for name in ("CFLAGS", "CXXFLAGS", "LDFLAGS", "DESTDIR"):
            self.env.pop(name, None)

    def remove(self):
        shutil.rmtree(self.folder)
