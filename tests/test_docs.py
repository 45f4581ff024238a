"""The pages: their blocks run, their yaml is valid, what they name exists, they are current."""

import copy
import importlib.util
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cobaya.component import get_component_class
from cobaya.yaml import yaml_load, yaml_load_file

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [p for p in sorted(DOCS.rglob("*.md")) if "_build" not in p.parts]
PAGES += [p for p in [ROOT / "README.md"] if p.exists()]
COMPONENTS = ("EisensteinHu", "LPT", "NeuralBias", "Neyrinck", "ParticleMesh", "QNHMC")
PACKAGE = "cobaya_neuralbias"
LPT, QNHMC = f"{PACKAGE}.LPT", f"{PACKAGE}.QNHMC"

# What Cobaya itself takes in any component's block.
COMMON = {
    "class", "external", "params", "speed", "stop_at_error", "requires", "provides",
    "input_params", "output_params", "type", "version",
}  # fmt: skip
# A run of a moment.
SAMPLER = {
    "warmup": 4, "max_samples": 8, "max_steps": 1, "weight_steps": 1,
    "output_every": 2, "store_every": 2,
}  # fmt: skip
N_GRID = 8
# Tutorials whose blocks are run one after the other, commands included, as a reader does.
FOLLOWED = ("a_mock_recovered", "a_survey", "cosmology_with_bao")


def blocks(page, language):
    """[(line number, text)] of the fenced blocks of ``page`` in ``language``."""
    found = re.finditer(
        rf"^```{language}[^\n]*\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S
    )
    return [(page.read_text(encoding="utf-8")[: m.start()].count("\n") + 2, m[1]) for m in found]


def label(page):
    return page.relative_to(ROOT).with_suffix("").as_posix().removeprefix("docs/")


def every_page(test):
    return pytest.mark.parametrize("page", PAGES, ids=label)(test)


def every_page_with(language):
    """As ``every_page``, of those that have blocks in one of the languages."""
    chosen = [p for p in PAGES if any(blocks(p, one) for one in language)]
    return pytest.mark.parametrize("page", chosen, ids=label)


def reduced(info):
    """``info`` at the size of a test, without output."""
    info = copy.deepcopy(info)
    if LPT in (info.get("theory") or {}):
        info["theory"][LPT] = {**(info["theory"][LPT] or {}), "n_grid": N_GRID}
    if QNHMC in (info.get("sampler") or {}):
        info["sampler"][QNHMC] = {**(info["sampler"][QNHMC] or {}), **SAMPLER}
    return info


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder with small versions of yaml/*.yaml and a finished run of the quick start."""
    from cobaya.run import run
    from cobaya.yaml import yaml_dump_file

    folder = tmp_path_factory.mktemp("docs")
    (folder / "yaml").mkdir()
    for path in (ROOT / "yaml").glob("*.yaml"):
        yaml_dump_file(str(folder / "yaml" / path.name), reduced(yaml_load_file(str(path))))
    info = yaml_load_file(str(folder / "yaml" / "quickstart.yaml"))
    run({**info, "output": str(folder / "chains" / "quickstart")})
    return folder


@pytest.fixture
def folder(workplace, tmp_path, monkeypatch):
    """A copy of it, as the present folder."""
    shutil.copytree(workplace, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def execute_python(page):
    """Run the python blocks of ``page`` in sequence, in one namespace."""
    namespace = {}
    for line, text in blocks(page, "python"):
        # Blank lines in front, so that a traceback has the line of the page.
        code = compile("\n" * (line - 1) + text, str(page), "exec")
        if not text.lstrip().startswith("# not run"):
            exec(code, namespace)


@every_page_with(["python", "yaml"])
def test_blocks_run(page, folder):
    """Python blocks in sequence; then the yaml blocks that are whole runs."""
    from cobaya.run import run

    if page.stem in FOLLOWED:
        pytest.skip("test_a_tutorial_can_be_followed runs it")
    execute_python(page)
    for _, text in blocks(page, "yaml"):
        info = yaml_load(text)
        if not {"theory", "likelihood", "params", "sampler"} <= set(info):
            continue
        if "camb" in info["theory"]:
            pytest.importorskip("camb")
        info = reduced(info)
        info.pop("output", None)
        provide_catalogues(info)
        run(info)


def steps(page):
    """(language, text of a block, files named since the block before it), in their order."""
    text, end = page.read_text(encoding="utf-8"), 0
    for match in re.finditer(r"^```(\w+)\n(.*?)^```", text, re.M | re.S):
        yield match[1], match[2], re.findall(r"`([\w./]+)`", text[end : match.start()])
        end = match.end()


def shortened(info):
    """``info`` with the sampler of a moment, long enough for getdist, and a mesh to match."""
    if "bias_grid" in (info.get("theory") or {}).get(LPT, {}):
        mesh = info["theory"][LPT]["n_grid"]
    else:
        mesh = N_GRID
    info = reduced(info)
    info["theory"].get(LPT, {}).update({"n_grid": mesh} if LPT in info["theory"] else {})
    if QNHMC in (info.get("sampler") or {}):
        info["sampler"][QNHMC] |= {"warmup": 12, "max_samples": 40, "max_steps": 2}
    if "mcmc" in (info.get("sampler") or {}):
        info["sampler"]["mcmc"]["max_samples"] = 20
    return info


def run_line(line, run):
    """One line of a sh block."""
    from cobaya_neuralbias.cli import main

    command, *arguments = shlex.split(line)
    if command == "cobaya-run":
        (file,) = (a for a in arguments if not a.startswith("-"))
        run(yaml_load_file(file), force="-f" in arguments)
    elif command == "cobaya-neuralbias":
        assert main(arguments) == 0, line
    else:
        assert command == "sed"
        subprocess.run([command, *arguments], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", FOLLOWED)
def test_a_tutorial_can_be_followed(name, folder, monkeypatch):
    """Its files, commands and Python blocks in the order of the page, at the size of a test."""
    import cobaya.run  # noqa: F401
    from cobaya.yaml import yaml_dump_file

    module = sys.modules["cobaya.run"]
    whole = module.run

    def run(info, **options):
        return whole(shortened(info), **options)

    monkeypatch.setattr(module, "run", run)
    shutil.copytree(ROOT / "yaml" / "data", folder / "yaml" / "data")
    namespace = {}
    for language, text, named in steps(DOCS / "tutorials" / f"{name}.md"):
        if language == "yaml":
            file = [word for word in named if word.endswith(".yaml")][-1]
            yaml_dump_file(file, shortened(yaml_load(text)))
        elif language == "sh":
            for line in text.splitlines():
                run_line(line, run)
        elif language == "python":
            exec(compile(text, name, "exec"), namespace)


@pytest.mark.parametrize(
    "name, number",
    [
        *[("mocks", 3), ("predictive_checks", 1), ("fit", 1), ("compare_models", 2)],
        *[("diagnose", 2), ("export", 3), ("survey", 2)],
    ],
)
def test_commands_run(name, number, folder):
    """`cobaya-neuralbias` lines of a page, after its Python blocks (which write what they take)."""
    from cobaya_neuralbias.cli import main

    page = DOCS / "how_to" / f"{name}.md"
    execute_python(page)
    lines = [line for _, text in blocks(page, "sh") for line in text.splitlines()]
    assert len(lines) == number
    for line in lines:
        command, *arguments = shlex.split(line)
        assert command == "cobaya-neuralbias"
        # A mock that a Python block has made is in the way of the first command.
        more = ["--force"] if arguments[0] == "mock" and "--chain" not in arguments else []
        if arguments[0] in ("fit", "compare"):
            more = ["--starts", "1"]
        assert main([*arguments, *more]) == 0, line


def provide_catalogues(info):
    """Write a small catalogue where ``info`` names one that the page has not made."""
    from cobaya_neuralbias.catalogue import BUNDLED, HaloCatalogue, write_catalogue

    rng = np.random.default_rng(0)
    for component, options in options_of(info):
        path = Path(options.get("catalogue", BUNDLED))
        if component not in ("NeuralBias", "Neyrinck") or str(path) == BUNDLED or path.exists():
            continue
        box_size = info["theory"][LPT]["box_size"]
        position = rng.uniform(0, box_size, (500, 3))
        mass = 1.01 * options.get("mass_threshold", 2e12) * (1 + rng.pareto(1.5, 500))
        if path.suffix == ".h5":
            write_catalogue(path, HaloCatalogue(position, mass, box_size))
        else:
            np.savetxt(path, np.column_stack([position, mass]), header="x y z mass")


def options_of(info):
    """Yield (class, options) of this package's components in a yaml block, whole or not."""
    for kind in ("theory", "likelihood", "sampler"):
        for name, options in ((info or {}).get(kind) or {}).items():
            options = options or {}
            name = options.get("class", name) if isinstance(options, dict) else name
            if str(name).startswith(f"{PACKAGE}."):
                yield name.rpartition(".")[2], options


@every_page_with(["yaml"])
def test_yaml_options_exist(page):
    for line, text in blocks(page, "yaml"):
        info = yaml_load(text)
        assert isinstance(info, dict), f"{page.name}:{line}"
        for component, options in options_of(info):
            assert component in COMPONENTS, f"{page.name}:{line}"
            known = set(defaults(component)) | COMMON
            assert not set(options) - known, f"{page.name}:{line}: {set(options) - known}"


def defaults(component):
    (path,) = (ROOT / PACKAGE).rglob(f"{component}.yaml")
    return yaml_load_file(str(path))


def in_backticks(page):
    """What stands between single backticks outside code blocks."""
    prose = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    return re.findall(r"`([^`\n]+)`", prose)


@every_page
def test_files_and_tests_exist(page):
    for text in in_backticks(page):
        if match := re.match(r"(?:cobaya_neuralbias|tests|yaml|docs)/[\w./-]*", text):
            path = ROOT / match[0]
            assert path.exists(), f"{page.name}: {text}"
            if name := re.search(r"::(\w+)", text):
                assert f"def {name[1]}(" in path.read_text(encoding="utf-8"), f"{page.name}: {text}"


@every_page
def test_links_between_pages(page):
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        target, _, anchor = link.partition("#")
        if ":" in link:
            continue
        other = (page.parent / target).resolve() if target else page
        assert other.exists(), f"{page.name}: {link}"
        assert not anchor or anchor in anchors(other), f"{page.name}: {link}"


def anchors(page):
    """The anchors of a page's headings, as both a forge and sphinx make them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", h.strip().lower()).replace(" ", "-") for h in headings}


def generator():
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_generated_pages_are_current():
    """Run ``python docs/generate.py`` where this fails."""
    expected = generator().pages()
    for path, text in expected.items():
        assert path.exists() and path.read_text(encoding="utf-8") == text, path
    kept = {p for name in ("options", "api") for p in (DOCS / "reference" / name).glob("*.md")}
    assert kept - set(expected) == {DOCS / "reference" / "options" / "index.md"}


@pytest.mark.parametrize("component", COMPONENTS)
def test_every_option_is_explained(component):
    """Each has a heading and a text on its page: an option without a comment is seen here."""
    page = (DOCS / "reference" / "options" / f"{component}.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^### (.+)\n\nDefault: .+\n\n(?!#)(.+)$", page, re.M))
    named = {option for heading in sections for option in re.findall(r"`(\w+)`", heading)}
    assert named == set(defaults(component)) - {"params"}


def test_pages_build_without_warnings(tmp_path):
    for module in ("sphinx", "furo", "myst_parser"):
        pytest.importorskip(module)
    command = [sys.executable, "-m", "sphinx", "-W", "-q", "-d", str(tmp_path / "trees")]
    command += ["-b", "html", str(DOCS), str(tmp_path / "html")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@every_page
def test_components_exist(page):
    for text in in_backticks(page):
        if match := re.fullmatch(r"cobaya_neuralbias\.([A-Z]\w*)", text):
            assert get_component_class(text).__name__ == match[1]


def test_numbers_of_weights():
    """The tables of the conventions, which say how many weights there are."""
    from cobaya_neuralbias.likelihoods.neural_bias import NeuralBias

    def names(**options):
        base = NeuralBias.get_defaults()
        return list(NeuralBias.get_modified_defaults(base, input_options=options)["params"])

    text = (DOCS / "reference" / "conventions.md").read_text(encoding="utf-8")
    table = re.search(r"^\| `multipoles` \| `kernel_size` 1 \|.*\n\|.*\n((?:\|.*\n)+)", text, re.M)
    checked = 0
    for row in table[1].splitlines():
        multipoles, *numbers = (cell.strip() for cell in row.strip("|").split("|"))
        degrees = [int(digit) for digit in re.findall(r"\d", multipoles)]
        for size, number in zip((1, 3, 5), numbers, strict=True):
            if number:
                assert len(names(kernel_size=size, multipoles=degrees)) == int(number)
                checked += 1
    assert checked == 7


def test_field_file_is_described(workplace):
    from cobaya_neuralbias.runs.field_file import SERIES, read_field_file

    described = set(in_backticks(DOCS / "reference" / "run_files.md"))
    assert set(SERIES) <= described
    assert set(read_field_file(workplace / "chains" / "quickstart.1.field.h5")) <= described
