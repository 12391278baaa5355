"""`python -m autolog.compat`: compile and check the compatibility matrix, in a source checkout.

    compile            write autolog/_compat_data.py and README's table
    compile --check    only say whether they are up to date
    check              prove that the matrix, guards, tests and project agree

Exit codes: 0 all is well; 1 something is out of date or does not agree; 2 wrong usage, no
checkout, or a matrix that cannot be read.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from autolog.compat import check, compiler
from autolog.compat.matrix import MatrixError


def main(argv: list[str] | None = None) -> int:
    """Run one command; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m autolog.compat",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--root", type=Path, help="the checkout (default: found from here upwards)")
    commands = parser.add_subparsers(dest="command", required=True)
    compiling = commands.add_parser("compile", help="write the generated files")
    compiling.add_argument("--check", action="store_true", help="write nothing, compare only")
    commands.add_parser("check", help="prove that everything agrees")
    options = parser.parse_args(argv)
    root = options.root or _checkout()
    if root is None or not (root / compiler.SOURCE).is_file():
        _say(f"no {compiler.SOURCE} in {root or 'this folder or above'}; see --root")
        return 2
    try:
        if options.command == "check":
            return _report(check.findings(root), "the compatibility matrix agrees with the project")
        if options.check:
            stale = [f"{path.relative_to(root)} is out of date" for path in compiler.stale(root)]
            return _report(stale, "the generated files are up to date")
        for path in compiler.write(root):
            _say(f"wrote {path.relative_to(root)}")
    except MatrixError as error:
        _say(str(error))
        return 2
    return 0


def _checkout() -> Path | None:
    here = Path.cwd()
    return next((up for up in (here, *here.parents) if (up / compiler.SOURCE).is_file()), None)


def _report(findings: list[str], fine: str) -> int:
    for finding in findings:
        _say(finding)
    if not findings:
        _say(fine)
    return 1 if findings else 0


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main())
