"""Compares what the command prints with --json with docs/schema. The harnesses call it for each command that they run, so
every test with --json is also a test of the schemas; a member that no schema has fails."""
import json
import os
from pathlib import Path

import jsonschema

FOLDER = Path(os.environ.get("TC_HOSTNET_SCHEMAS", Path(__file__).resolve().parent.parent.parent / "docs" / "schema"))
SCHEMAS = {path.name: json.loads(path.read_text()) for path in FOLDER.glob("*.json")}
COMMANDS = {name.removesuffix(".json") for name in SCHEMAS} - {"common", "message"}


def validator(name):
    """With the definitions of other files in the schema itself: the library's ways to find files differ between its versions."""
    schema = json.loads(json.dumps(SCHEMAS[f"{name}.json"]).replace("common.json#/$defs/", "#/$defs/"))
    schema["$defs"] = SCHEMAS["common.json"]["$defs"] | schema.get("$defs", {})
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


VALIDATORS = {name: validator(name) for name in COMMANDS | {"message"}}


def check_line(name, line):
    """The object; fails if it differs from the schema of that name."""
    shown = json.loads(line)
    faults = [fault for error in VALIDATORS[name].iter_errors(shown) for fault in error.context or [error]]
    if faults:
        raise AssertionError(f"{line}\ndiffers from docs/schema/{name}.json:\n" +
                             "\n".join(f"  {fault.json_path}: {fault.message[:300]}" for fault in faults))
    return shown


def command_of(argv):
    """The command if these words run tc-hostnet with --json, else None. --help and --version are commands here."""
    words = [str(word) for word in argv]
    program = next((place for place, word in enumerate(words) if os.path.basename(word) == "tc-hostnet"), None)
    if program is None:
        return None
    words = words[program + 1:]
    if "run" in words:
        # What follows is the command's own, and so is its output.
        own = words[:words.index("--")] if "--" in words else words
        return "run" if {"--dry-run", "--json"} <= set(own) else None
    if "--json" not in words:
        return None
    for name, flags in (("help", {"-h", "--help"}), ("version", {"-V", "--version"})):
        if flags & set(words):
            return name
    return next((word for word in words if word in COMMANDS), "message")


def check_output(argv, stdout, stderr=""):
    """For a command that ended. Any other program passes."""
    command = command_of(argv)
    if command is None:
        return
    for line in stdout.splitlines():
        check_line(command, line)
    for line in stderr.splitlines():
        check_line("message", line)


def as_text(stderr):
    """Messages in JSON as they are without --json, so that a test needs one form of each."""
    lines = []
    for line in stderr.splitlines(keepends=True):
        if line.startswith("{"):
            told = check_line("message", line)
            level = f"{told['level']}: " if "error" not in told and told["level"] in ("warning", "error") else ""
            # What say() prints has no name before it.
            name = "" if told["level"] == "info" else "tc-hostnet: "
            line = f"{name}{level}{told['message']}{'; ' + told['hint'] if told.get('hint') else ''}\n"
        lines.append(line)
    return "".join(lines)
