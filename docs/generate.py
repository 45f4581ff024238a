"""Pages of the reference that are made from the code: ``python docs/generate.py``.

* ``reference/options/*.md``, from the comments of the ``ClassName.yaml`` files;
* ``reference/command_line.md``, from the parsers of ``cobaya_neuralbias/cli.py``;
* ``reference/api/*.md``, one page a room, which sphinx fills from the docstrings.

The pages are committed, so that they can be read without sphinx. ``conf.py`` writes them anew at
each build, and ``tests/test_docs.py`` fails if one of them is not what this script writes.
"""

import argparse
import ast
import re
import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
PACKAGE = ROOT / "cobaya_neuralbias"

NOTICE = "<!-- Written by `python docs/generate.py` from {source}: edit that instead. -->"
# Rooms of the API reference, in the order of its table of contents
ROOMS = (
    *("posterior", "catalogue", "gravity", "bias", "sampling", "runs", "qnhmc"),
    *("survey", "mock", "report", "export", "fitting", "calibration", "bench"),
)


def title(path, anchor=None):
    """Heading of a page, or of the section of it that ``anchor`` names."""
    for heading in re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.M):
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        if anchor in (None, slug):
            return heading
    raise ValueError(f"{path} has no section '{anchor}'")


def linked(text, page):
    """``text`` with each path of a page of the manual, ``docs/FOLDER/NAME.md``, made a link."""

    def link(match):
        target, anchor = DOCS / match[1], match[2]
        up = "../" * len(page.relative_to(DOCS).parent.parts)
        return f"[{title(target, anchor)}]({up}{match[1]}{'#' + anchor if anchor else ''})"

    return re.sub(r"docs/([\w/]+\.md)(?:#([\w-]+))?", link, text)


# Options


def components():
    """The files ``ClassName.yaml``, by the name of the class."""
    return {path.stem: path for path in sorted(PACKAGE.rglob("*.yaml"))}


def comment(lines):
    """The text of comment lines: paragraphs, and lists whose items continue indented."""
    blocks = [""]
    for line in lines:
        line = re.sub(r"^\s*# ?", "", line)
        in_list = blocks[-1].startswith("- ")
        if line.startswith("- ") or (in_list and not line.startswith("  ")):
            blocks.append(line)
        else:
            blocks[-1] = f"{blocks[-1]} {line.strip()}".strip()
    text = ""
    for before, block in zip(["", *blocks], blocks, strict=False):
        both_items = before.startswith("- ") and block.startswith("- ")
        text += ("\n" if both_items else "\n\n") + block
    return text.strip()


def sentences(text):
    """``text`` with a full stop at its end, unless it ends with a list."""
    return text if not text or text.rpartition("\n")[2].startswith("- ") else text.rstrip(".") + "."


def options_page(name, source, page):
    """The options of a component: default, and the comment above it in its yaml file."""
    lines = source.read_text(encoding="utf-8").splitlines()
    start = lines.index("") if lines and lines[0].startswith("#") and "" in lines else 0
    parts = [
        NOTICE.format(source=source.relative_to(ROOT)),
        f"# {name}",
        sentences(comment(lines[:start])),
        "In a yaml file: "
        f"`cobaya_neuralbias.{name}`. On a terminal: `cobaya-doc cobaya_neuralbias.{name}`. "
        f"The source of this page: `{source.relative_to(ROOT)}`.",
        "## Options",
    ]
    pending, groups, parameters = [], [], []
    in_params = False
    for line in lines[start:]:
        if match := re.match(r"(\w+):\s*(.*)$", line):
            in_params = match[1] == "params"
            if in_params:
                continue
            entry = (match[1], match[2].strip() or "null")
            if pending or not groups:
                groups.append((pending, [entry]))
            else:
                groups[-1][1].append(entry)
            pending = []
        elif in_params and (match := re.match(r"  (\w+):", line)):
            parameters.append((match[1], comment(pending)))
            pending = []
        elif line.lstrip().startswith("#"):
            pending.append(line)
    for lines_above, entries in groups:
        parts.append("### " + ", ".join(f"`{key}`" for key, _ in entries))
        parts.append("Default: " + ", ".join(f"`{value}`" for _, value in entries))
        parts.append(sentences(comment(lines_above)))
    if parameters:
        parts.append("## Derived parameters")
        parts += [f"* `{key}`: {sentences(text)}" for key, text in parameters]
    return linked("\n\n".join(part for part in parts if part), page) + "\n"


# Command line


def usage(command, parser):
    """How a command is called; one that says so itself keeps its own words."""
    if parser.usage:
        lines = (parser.usage % {"prog": parser.prog}).splitlines()
        return "\n".join(re.sub(r"^ {7}", "", line) for line in lines)
    named = {"?": "[{}]", "+": "{0} [{0} ...]", None: "{}"}
    positional = [
        named[action.nargs].format(action.metavar)
        for action in parser._actions
        if not action.option_strings
    ]
    return " ".join([parser.prog, "[OPTIONS]", *positional])


def argument(action):
    """(how an argument is written, what it says of itself)."""
    value = action.metavar or ("{" + ",".join(action.choices) + "}" if action.choices else "")
    if action.nargs == 0:
        value = ""
    written = [f"`{name} {value}`".replace(" `", "`") for name in action.option_strings]
    return ", ".join(written) or f"`{value}`", action.help or ""


def cell(text):
    return text.replace("|", "\\|")


def command_page(parser, page):
    """Every command with its arguments, as argparse knows them."""
    parts = [
        NOTICE.format(source="cobaya_neuralbias/cli.py"),
        "# Command line",
        parser.description,
        f"`{parser.prog} --version` prints the version; `{parser.prog} COMMAND --help` what "
        "stands here. The exit code is 0, or 2 after a mistake in what the user gave, which one "
        "line on the standard error explains.",
    ]
    (commands,) = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    for name, command in commands.choices.items():
        parts += [f"## {name}", command.description]
        parts.append(f"```text\n{usage(name, command)}\n```")
        rows = ["| argument | meaning |", "|---|---|"]
        for group in command._action_groups:
            actions = [a for a in group._group_actions if not isinstance(a, argparse._HelpAction)]
            for action in actions:
                written, text = argument(action)
                rows.append(" ".join(["|", cell(written), "|", cell(text), "|"]))
        parts.append("\n".join(rows))
    return linked("\n\n".join(parts), page) + "\n"


# Application programming interface


def first_sentence(path):
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return " ".join(text.split("\n\n")[0].replace("``", "`").split())


def api_page(room):
    """A room's modules: what each is for, then the directive for its docstrings."""
    modules = sorted(p for p in (PACKAGE / room).glob("*.py") if not p.stem.startswith("_"))
    parts = [
        NOTICE.format(source=f"cobaya_neuralbias/{room}/"),
        f"# {room}",
        first_sentence(PACKAGE / room / "__init__.py"),
    ]
    rows = [f"| `{room}.{path.stem}` | {cell(first_sentence(path))} |" for path in modules]
    parts.append("\n".join(["| module | what it is for |", "|---|---|", *rows]))
    for path in modules:
        parts.append(f"## {room}.{path.stem}")
        parts.append(
            f"```{{eval-rst}}\n.. automodule:: cobaya_neuralbias.{room}.{path.stem}\n"
            "   :members:\n   :member-order: bysource\n```"
        )
    return "\n\n".join(parts) + "\n"


def api_index():
    """The public names, and the rooms."""
    rows = [
        f"| [{room}]({room}.md) | {cell(first_sentence(PACKAGE / room / '__init__.py'))} |"
        for room in ROOMS
    ]
    parts = [
        NOTICE.format(source="cobaya_neuralbias/"),
        "# Python API",
        "Each room of the package has a page, made from its docstrings. The components of Cobaya "
        "are documented by their [options](../options/index.md) instead; `field_target(model)` "
        "makes the [FieldTarget](posterior.md) of a Cobaya model.",
        "\n".join(["| room | what it is for |", "|---|---|", *rows]),
        "```{toctree}\n:hidden:\n\n" + "\n".join(ROOMS) + "\n```",
    ]
    return "\n\n".join(parts) + "\n"


def pages():
    """{path: text} of all generated pages."""
    sys.path.insert(0, str(ROOT))
    try:
        from cobaya_neuralbias.cli import build_parser
    finally:
        sys.path.pop(0)
    found = {}
    for name, source in components().items():
        page = DOCS / "reference" / "options" / f"{name}.md"
        found[page] = options_page(name, source, page)
    page = DOCS / "reference" / "command_line.md"
    found[page] = command_page(build_parser(), page)
    found[DOCS / "reference" / "api" / "index.md"] = api_index()
    for room in ROOMS:
        found[DOCS / "reference" / "api" / f"{room}.md"] = api_page(room)
    return found


def write():
    """Write the pages that are not yet as they should be; return those."""
    changed = []
    for path, text in pages().items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            changed.append(path)
    return changed


if __name__ == "__main__":
    for path in write():
        print(path.relative_to(ROOT))
