"""`python -m autolog.compat`: compile, check and run the compatibility matrix, in a checkout.

    compile            write autolog/_compat_data.py, the tables and the workflows
    compile --check    only say whether they are up to date
    check              prove that the matrix, guards, tests, results and project agree
    matrix             run the rows, each in an environment of its own, and keep the results

With `--package NAME`, compile and check are about the matrix that an integration of others ships,
a file compat_matrix.yaml in the package NAME, installed or below --root.

`autolog compat` (list, show, outdated) is for users: it reads the compiled matrix that is
installed, and needs no checkout.

Exit codes: 0 all is well; 1 something is out of date or does not agree, or a row failed; 2 wrong
usage, no checkout, or a matrix that cannot be read; 130 matrix was stopped with Ctrl-C.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from autolog.compat import check, compiler, packages, report, runner
from autolog.compat.matrix import MatrixError, load
from autolog.compat.results import Result
from autolog.compat.rows import rows
from autolog.errors import AutologError


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
    checking = commands.add_parser("check", help="prove that everything agrees")
    checking.add_argument("--tests", type=Path, help="with --package: where its quirks' tests are")
    for one in (compiling, checking):
        one.add_argument("--package", metavar="NAME", help="the matrix of this package instead")
    running = commands.add_parser("matrix", help="run the rows")
    running.add_argument("--tier", choices=["commit", "full"], default="full")
    running.add_argument("--framework", metavar="NAME", help="rows of one framework")
    running.add_argument("--row", metavar="ID", action="append", help="one row; may be repeated")
    running.add_argument("--list", action="store_true", help="name the rows and run none")
    running.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1), help="at once")
    running.add_argument("--resume", action="store_true", help="only what has not passed as it is")
    running.add_argument("--fresh", action="store_true", help="make the environments anew")
    running.add_argument("--json", action="store_true", help="print a JSON document")
    options = parser.parse_args(argv)
    if getattr(options, "package", None):
        return _package(options)
    root = options.root or _checkout()
    if root is None or not (root / compiler.SOURCE).is_file():
        _say(f"no {compiler.SOURCE} in {root or 'this folder or above'}; see --root")
        return 2
    try:
        if options.command == "check":
            return _report(check.findings(root), "the compatibility matrix agrees with the project")
        if options.command == "matrix":
            return _matrix(root, options)
        if options.check:
            stale = [f"{path.relative_to(root)} is out of date" for path in compiler.stale(root)]
            return _report(stale, "the generated files are up to date")
        for path in compiler.write(root):
            _say(f"wrote {path.relative_to(root)}")
    except MatrixError as error:
        _say(str(error))
        return 2
    return 0


def _package(options: argparse.Namespace) -> int:
    try:
        package = packages.find(options.package, options.root)
        if options.command == "check":
            found = packages.findings(package, tests=options.tests)
            return _report(found, f"the matrix of {package.name} agrees with the package")
        if options.check:
            found = [f"{package.module} is out of date"] if packages.stale(package) else []
            return _report(found, f"{package.module} is up to date")
        if packages.write(package):
            _say(f"wrote {package.module}")
    except AutologError as error:
        _say(str(error))
        return 2
    return 0


def _matrix(root: Path, options: argparse.Namespace) -> int:
    chosen = rows(load(root / compiler.SOURCE), options.tier, options.framework)
    if options.row:
        missing = set(options.row) - {row.id for row in chosen}
        if missing:
            _say(f"no such row: {', '.join(sorted(missing))}; see matrix --list")
            return 2
        chosen = [row for row in chosen if row.id in options.row]
    if not chosen:
        _say(f"{compiler.SOURCE} has no rows of {options.framework}; see matrix --list")
        return 2
    if options.list:
        for row in chosen:
            _say(f"{row.id:34} {row.tier:7} {' '.join(row.requirements)}")
        return 0
    begun = time.monotonic()

    def tell(result: Result, was_there: bool) -> None:
        sys.stderr.write(report.line(result, was_there) + "\n")

    how = runner.Options(jobs=max(1, options.jobs), resume=options.resume, fresh=options.fresh)
    try:
        found = runner.run(chosen, root, how, tell)
    except KeyboardInterrupt:
        sys.stderr.write("stopped; --resume goes on with the rows that are left\n")
        return 130
    except OSError as error:  # a result cannot be kept: a full disk, a folder without rights
        sys.stderr.write(f"stopped, a result cannot be kept: {error}\n")
        return 2
    show = report.emit if options.json else report.page
    show(found, round(time.monotonic() - begun))
    return 0 if all(result.passed for result in found) else 1


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
