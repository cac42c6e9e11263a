#!/usr/bin/env python3
"""Fills the placeholders of a policy, and refuses one that is left: fill.py FILE NAME=VALUE... (AWS::Partition is aws unless given).

`${aws:...}` stays: AWS fills it in at each request. A value with commas becomes a list where the whole text is the placeholder.
"""

import json
import pathlib
import re
import sys

PLACEHOLDER = re.compile(r"\$\{((?!aws:)[^}]+)\}")


def filled(value, given):
    if isinstance(value, list):
        return [filled(each, given) for each in value]
    if isinstance(value, dict):
        return {filled(key, given): filled(each, given) for key, each in value.items()}
    if not isinstance(value, str):
        return value
    missing = [name for name in PLACEHOLDER.findall(value) if name not in given]
    if missing:
        sys.exit(f"no value for {missing[0]}: add {missing[0]}=...")
    whole = PLACEHOLDER.fullmatch(value)
    if whole and "," in given[whole[1]]:
        return given[whole[1]].split(",")
    return PLACEHOLDER.sub(lambda found: given[found[1]], value)


def main(file, *arguments):
    wrong = [argument for argument in arguments if "=" not in argument]
    if wrong:
        sys.exit(f"not NAME=VALUE: {wrong[0]}")
    given = {"AWS::Partition": "aws"} | dict(argument.split("=", 1) for argument in arguments)
    path = pathlib.Path(file)
    path = path if path.exists() else pathlib.Path(__file__).parent / file
    print(json.dumps(filled(json.loads(path.read_text()), given), indent=2))


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(*sys.argv[1:])
