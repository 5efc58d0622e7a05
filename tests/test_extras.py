"""What the service imports, its extra installs: a site installs no more than that."""

import ast
import re
import sys
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import srx_service

PACKAGE = Path(srx_service.__file__).parent


def name_of(requirement):
    return re.match(r"[\w.-]+", requirement)[0].lower().replace("_", "-")


def is_wanted(requirement, extra):
    _, _, marker = requirement.partition(";")
    return "extra" not in marker or f"'{extra}'" in marker.replace('"', "'")


def installed_with(extra):
    """Return the names of all distributions that srx and one extra bring."""
    found, ahead = set(), [("srx", extra)]
    while ahead:
        name, extra = ahead.pop()
        try:
            wanted = [r for r in requires(name) or () if is_wanted(r, extra)]
        except PackageNotFoundError:  # of another platform
            continue
        new = {name_of(requirement) for requirement in wanted} - found
        found |= new
        ahead += [(other, None) for other in new]
    return found


def imported_by(package):
    names = set()
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names.add(node.module.partition(".")[0])
    return names - sys.stdlib_module_names - {package.name}


def test_the_service_imports_nothing_that_its_extra_does_not_bring():
    brought, whose = installed_with("service"), packages_distributions()
    imported = imported_by(PACKAGE)
    assert {"zmq", "h5py", "fastapi"} <= imported
    missing = {
        name
        for name in imported
        if not {d.lower().replace("_", "-") for d in whose.get(name, [])} & brought
    }
    assert not missing
