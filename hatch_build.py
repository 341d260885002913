"""hatchling's hook: puts the catalogue and the native bundle into a wheel, which git ignores.

The catalogue is the folder that scripts/catalogue makes; a wheel without it has no tools. With a
bundle the wheel is for one platform.

EBPM_BUNDLE names the bundle (a folder .cache/native/TARGET, see scripts/native). Without it the one
in the checkout is taken, if it was made for this machine; else the wheel is for every platform and
uses the system's libbpf. An sdist holds no bundle.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PARTS = {  # of a bundle: where they lie in a checkout, and in a wheel
    "native": "ebpm/runtime/libbpf/native",
    "bpf": "ebpm/build/headers/bpf",
    "output": "ebpm/output/native",
}
CATALOGUE = "ebpm/index/layout"


class BundleHook(BuildHookInterface[Any]):
    """Adds what git ignores: nothing of a bundle is ever committed."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Choose the bundle, and the tag that follows from it."""
        if self.target_name != "wheel" or version == "editable":
            return
        root = Path(self.root)
        if (root / CATALOGUE / "oci-layout").exists():
            build_data["force_include"][str(root / CATALOGUE)] = CATALOGUE
        sys.path.insert(0, str(root / "scripts"))
        from targets import TARGETS, host

        given = os.environ.get("EBPM_BUNDLE")
        parts = {Path(given) / part if given else root / PARTS[part]: PARTS[part] for part in PARTS}
        facts = next(iter(parts)) / "bundle.json"
        if not facts.exists():
            if given:
                raise FileNotFoundError(f"EBPM_BUNDLE: {given} is no bundle of scripts/native")
            return
        target = TARGETS[json.loads(facts.read_text())["target"]]
        if given or target == host():
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-{target.platform}"
            build_data["force_include"] |= {
                str(folder): place for folder, place in parts.items() if folder.exists()
            }
