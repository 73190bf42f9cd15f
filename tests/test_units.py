"""Constants have one home: no second solar metallicity and no second physical constant, in code or configs."""

import ast
import math
import pathlib
import re

import astropy.constants as c
import astropy.units as u
import pytest

from galdiff import units
from galdiff.runtime import project_dir

ROOT = pathlib.Path(__file__).resolve().parent.parent
FILES = [
    path
    for folder in ("galdiff", "experiments")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if path != ROOT / "galdiff" / "units.py"
]
# Digits of constants, whatever the unit: a number that begins with them and is far from one is a constant again.
DIGITS = {
    "speed of light": c.c.cgs.value,
    "gravitational constant": c.G.cgs.value,
    "G in kpc (km/s)^2 / Msun": units.G_KPC_KMS2_MSUN,
    "Boltzmann constant": c.k_B.cgs.value,
    "Planck constant": c.h.cgs.value,
    "h c / k": (c.h * c.c / c.k_B).cgs.value,
    "proton mass": c.m_p.cgs.value,
    "solar mass": c.M_sun.cgs.value,
    "solar luminosity": c.L_sun.cgs.value,
    "parsec": c.pc.cgs.value,
    "year": u.yr.cgs.scale,
    "Stefan-Boltzmann constant": c.sigma_sb.cgs.value,
}
SOLAR = (
    0.0122,
    0.0127,
    0.0134,
    0.0142,
    0.0152,
    0.0172,
    0.0189,
    0.019,
    0.0196,
)  # metal mass fractions that were published
FITTED = "sps/analytic/coefficients.py"
GRIDS = {"sps/analytic/default_library.py", "sps/readers/miles.py", FITTED}  # where they are nodes of tables, or fits
NAMES = re.compile(
    r"(?i)(^|_)(z_?sun|z_?solar|solar_?(z|metal\w*|oxygen)|mean_weight|mu_ion\w*|msun|lsun|mpc|kpc|gyr)(_|$)"
)


def label(path):
    return str(path.relative_to(ROOT)).removeprefix("galdiff/")


def numbers(tree):
    return [n for n in ast.walk(tree) if isinstance(n, ast.Constant) and type(n.value) in (int, float)]


def mantissa(value):
    return value / 10 ** math.floor(math.log10(value))


def second_constants(tree):
    """Numbers of a file that repeat a physical constant, in whatever power of ten."""
    found = []
    for node in numbers(tree):
        value = abs(node.value)
        if not value or not (value > 1e5 or value < 1e-5) or value == 10 ** round(math.log10(value)):
            continue
        names = [n for n, known in DIGITS.items() if abs(mantissa(value) / mantissa(known) - 1) < 4e-3]
        exact = len(f"{value:.12e}".split("e")[0].rstrip("0")) > 3  # 3e-8 may be a tolerance
        found += [(node.lineno, node.value, names)] if names and exact else []
    return found


def literal_constants(tree):
    """Assignments, in a module or a class, of a bare number to a name that says it is a constant of nature."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Constant):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [ast.unparse(t) for t in targets]
            found += [(node.lineno, name) for name in names if NAMES.search(name) and type(node.value.value) is float]
    return found


def solar_metallicities(tree):
    """Published solar values wherever they stand, and what a metallicity is divided by or its logarithm taken of."""
    found = [(node.lineno, node.value) for node in numbers(tree) if node.value in SOLAR]
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and isinstance(node.right, ast.Constant):
            over = re.search(r"(?i)metal|(^|\W)z(_|\W|$)|z_in", ast.unparse(node.left))
            found += [(node.lineno, node.right.value)] if node.right.value == 0.02 and over else []
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("log10"):
            found += [(node.lineno, a.value) for a in node.args if isinstance(a, ast.Constant) and a.value == 0.02]
    return found


@pytest.mark.parametrize("path", FILES, ids=label)
def test_no_file_has_a_constant_of_its_own(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert not second_constants(tree), "take it from galdiff.units"
    assert not literal_constants(tree), "take it from galdiff.units"
    assert label(path) in GRIDS or not solar_metallicities(tree), "take it from galdiff.units"


def test_no_config_has_a_solar_metallicity_or_a_constant():
    for path in project_dir("conf").rglob("*.yaml"):
        text = re.sub(r"#.*", "", path.read_text(encoding="utf-8"))
        assert not re.search(r"(?i)z_?sun|z_?solar|solar_|mean_weight", text), path
        assert not [x for x in re.findall(r"(?<![\d.])0\.01\d+(?!\d)", text) if float(x) in SOLAR], path


@pytest.mark.parametrize(
    ("scan", "line"),
    [
        (second_constants, "C = 2.998e10"),
        (second_constants, "x = mass * 1.989e33"),
        (second_constants, "def f(g=4.30091e-6): ..."),
        (second_constants, "year = 3.156e7"),
        (literal_constants, "Z_SUN = 0.0196"),
        (literal_constants, "MEAN_WEIGHT: float = 0.6"),
        (literal_constants, "_MSUN_G = 2.0"),
        (solar_metallicities, "zsol = 0.0142"),
        (solar_metallicities, "zeta = log10(metallicity / 0.02)"),
        (solar_metallicities, "s = np.log10(0.02)"),
        (solar_metallicities, "x = dict(z=0.019)"),
    ],
)
def test_the_scan_finds_what_it_is_for(scan, line):
    assert scan(ast.parse(line))


@pytest.mark.parametrize(
    "line", ["metal_yield = 0.02", "x = 1e33", "tolerance = 3e-8", "Z = METALS / Z_SUN", "a = 5.67"]
)
def test_the_scan_leaves_other_numbers_alone(line):
    tree = ast.parse(line)
    assert not [*second_constants(tree), *literal_constants(tree), *solar_metallicities(tree)]


def test_the_cooling_function_and_the_tracks_have_the_scale_of_the_run():
    assert units.Z_SUN == units.Z_SUN_COOLING == units.Z_SUN_TRACKS  # else drivers are converted where they are read


def test_constants_are_those_of_astropy():
    expected = {
        "C_KMS": c.c.to_value("km/s"),
        "MPC_CM": (1 * u.Mpc).to_value("cm"),
        "LSUN_ERG_S": c.L_sun.to_value("erg/s"),
        "MSUN_G": c.M_sun.to_value("g"),
        "G_KPC_KMS2_MSUN": c.G.to_value("kpc km2 / (s2 Msun)"),
        "G_CGS": c.G.cgs.value,
        "STEFAN_BOLTZMANN_CGS": c.sigma_sb.cgs.value,
        "GYR_S": (1 * u.Gyr).to_value("s"),
        "PROTON_MASS_G": c.m_p.cgs.value,
        "BOLTZMANN_ERG_K": c.k_B.cgs.value,
        "HC_K_ANGSTROM": (c.h * c.c / c.k_B).to_value("Angstrom K"),
        "MPC_KMS_PER_GYR": (1 * u.Mpc / (u.km / u.s)).to_value("Gyr"),
    }
    for name, value in expected.items():
        assert getattr(units, name) == pytest.approx(value, rel=3e-5), name
