"""Prints the Pulumi packages that the interpreter can import, as JSON: name, version, pulumi-plugin.json or null.

Looks at folder names instead of asking pip, and imports next to nothing: this is asked before every preview and every
update.
"""

# Importing pathlib takes longer than all of this.
# ruff: noqa: PTH112, PTH113, PTH118, PTH123, PTH208

import json
import os
import sys

WITHOUT_PLUGIN = {"pulumi-policy", "pulumi-esc-sdk"}


def plugin_of(folder: str, name: str) -> object:
    """The content of a package's pulumi-plugin.json, None without one."""
    path = os.path.join(folder, name.replace("-", "_").replace(".", "_"), "pulumi-plugin.json")
    if not os.path.isfile(path):
        return None
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def packages(folder: str) -> dict[str, dict[str, object]]:
    """The Pulumi packages in one folder of `sys.path`, by normalized name."""
    found: dict[str, dict[str, object]] = {}
    for entry in os.listdir(folder):
        if not entry.endswith(".dist-info"):
            continue
        name, _, version = entry.removesuffix(".dist-info").partition("-")
        normalized = name.lower().replace("_", "-").replace(".", "-")
        plugin = plugin_of(folder, name)
        if normalized not in WITHOUT_PLUGIN and (plugin is not None or normalized.startswith("pulumi-")):
            found[normalized] = {"name": normalized, "version": version, "plugin": plugin}
    return found


if __name__ == "__main__":
    every: dict[str, dict[str, object]] = {}
    for entry in reversed(sys.path):
        if os.path.isdir(entry):
            every.update(packages(entry))
    json.dump(list(every.values()), sys.stdout)
