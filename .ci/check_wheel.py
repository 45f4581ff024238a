"""Whether an installed package is complete: ``check_wheel.py FILE``, a list of the package's files.

To be run outside of the clone, by the Python that the wheel is installed for.
"""

import inspect
import sys
from pathlib import Path

import cobaya_neuralbias
from cobaya_neuralbias.catalogue import BUNDLED, read_catalogue


def main(listing):
    folder = Path(cobaya_neuralbias.__file__).parent
    if "site-packages" not in folder.parts:
        sys.exit(f"{folder} is not an installed package")
    expected = Path(listing).read_text().split()
    if missing := [name for name in expected if not (folder.parent / name).is_file()]:
        sys.exit(f"not in the wheel: {', '.join(missing)}")
    classes = 0
    for name in cobaya_neuralbias.__all__:
        value = getattr(cobaya_neuralbias, name)
        if not inspect.isclass(value):
            continue
        classes += 1
        if not value.get_defaults():
            sys.exit(f"{name} has no defaults: where is {name}.yaml?")
        if not value.get_bibtex().startswith("@"):
            sys.exit(f"{name} has no references: where is {name}.bibtex?")
    halos = len(read_catalogue(BUNDLED, 250.0))
    version = ".".join(map(str, sys.version_info[:2]))
    print(
        f"Python {version}: {len(expected)} files, {len(cobaya_neuralbias.__all__)} public names, "
        f"{classes} components, {halos} bundled halos"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
