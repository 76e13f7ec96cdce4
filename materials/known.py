# SPDX-License-Identifier: Apache-2.0
"""Laws of common soft materials, as published: where a fit may start, or a first simulation.

A material is what it was made of and how: numbers of one batch are good to a factor of about 1.5
for another. All are of room temperature; what relaxes is named in the words of the material.

**Assumed.** The sources take their materials as incompressible, or nearly. Here the bulk modulus is
`STIFF` times the shear modulus at rest (ν = 0.4995), also where a source simulated with another ν.
A law has no density: that of a body is its own (`Body`); of the silicones of Smooth-On it is 1070
kg/m³, the specific gravity of 1.07 of their bulletins.

**Checked.** Numbers of PDMS stand in the abstract of the source; that of Dragon Skin, with ν of
0.499 and 1070 kg/m³, in the program that was published with it, and the maker's 22 psi at twice its
length make nearly the same (μ = 87 kPa). Those of Ogden, of the brain, of Ecoflex and of VHB (whose
√N is 5.85 in one of five) are as programs of others have them from the same sources; that of VHB
is between loading and unloading as Hossain, Vu and Steinmann 2012 measured them (Comput. Mater.
Sci. 59, 65). The three of natural rubber are near Treloar's tests as far as they are meant to be.
Originals behind a paywall were not read: where a number matters, read the source. That of PDMS
depends on the test too: published shear moduli of Sylgard 184 span two decades (Varner and Cohen
2024, Explaining the spread in measurement of PDMS elastic properties, Soft Matter,
10.1039/d4sm00573b).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .elastic import NeoHookean
from .law import ConstitutiveLaw
from .provenance import Provenance
from .rubber import ArrudaBoyce, Ogden

STIFF = 1000.0
"""Bulk over shear modulus of what is called incompressible: that of rubber, about."""


@dataclass(frozen=True)
class Known:
    """One material."""

    material: str
    """What it is, in words."""
    law: Callable[[], ConstitutiveLaw]
    numbers: str
    """What was published, in its units."""
    source: str
    """Authors, year, title, journal."""


def poisson_of(bulk_over_shear: float) -> float:
    """ν = (3K − 2μ)/(6K + 2μ) [-] of K/μ [-]."""
    return (3 * bulk_over_shear - 2) / (6 * bulk_over_shear + 2)


def neo_hookean(shear: float) -> NeoHookean:
    """Nearly incompressible, of a shear modulus [Pa]."""
    nu = poisson_of(STIFF)
    return NeoHookean(2 * (1 + nu) * shear, nu)


def _ogden(moduli: list[float], exponents: list[float]) -> Ogden:
    shear = 0.5 * sum(m * a for m, a in zip(moduli, exponents, strict=True))
    return Ogden(moduli, exponents, STIFF * shear)


def _chains(modulus: float, links: float) -> ArrudaBoyce:
    """Of n k Θ [Pa], from which the shear modulus at rest differs a little (series in 1/N)."""
    shear = modulus * (1 + 3 / (5 * links) + 99 / (175 * links**2))
    return ArrudaBoyce(shear, links, STIFF * shear)


PSI = 6894.757
"""Pound-force per square inch [Pa]."""
KGF_CM2 = 98066.5
"""Kilogram-force per square centimetre [Pa]."""

KNOWN: Mapping[str, Known] = {
    "natural-rubber": Known(
        "natural rubber with 8 % sulphur, up to seven times its length",
        lambda: _ogden([6.3 * KGF_CM2, 0.012 * KGF_CM2, -0.1 * KGF_CM2], [1.3, 5.0, -2.0]),
        "ψ = Σ μ/α (Σ λ^α − 3): μ = 6.3, 0.012, −0.1 kgf/cm², α = 1.3, 5, −2",
        "Ogden 1972, Large deformation isotropic elasticity: on the correlation of theory and"
        " experiment for incompressible rubberlike solids, Proc. R. Soc. Lond. A 326, 565–584, of"
        " the tests of Treloar 1944",
    ),
    "natural-rubber-chains": Known(
        "the same rubber",
        lambda: _chains(0.27e6, 26.5),
        "Arruda–Boyce: nkΘ = 0.27 MPa, N = 26.5",
        "Arruda and Boyce 1993, A three-dimensional constitutive model for the large stretch"
        " behavior of rubber elastic materials, J. Mech. Phys. Solids 41, 389–412, of the same",
    ),
    "natural-rubber-small": Known(
        "the same rubber, to about 1.5 times its length",
        lambda: neo_hookean(4.0 * KGF_CM2),
        "neo-Hookean: G = 4.0 kgf/cm² (0.39 MPa)",
        "Treloar 1944, Stress-strain data for vulcanised rubber under various types of deformation,"
        " Trans. Faraday Soc. 40, 59–70",
    ),
    "dragon-skin-10": Known(
        "silicone Smooth-On Dragon Skin 10, small strains",
        lambda: neo_hookean(263.8e3 / 3),
        "Young's modulus 263.8 kPa, of a clamped beam at ν = 0.499",
        "Dubied, Michelis, Spielberg and Katzschmann 2022, Sim-to-real for soft robots using"
        " differentiable FEM: recipes for meshing, damping, and actuation, IEEE Robot. Autom. Lett."
        " 7, 5015–5022; program: diffPD_sim2real",
    ),
    "ecoflex-00-30": Known(
        "silicone Smooth-On Ecoflex 00-30, to twice its length",
        lambda: neo_hookean(10 * PSI / 1.75),
        "100 % modulus 10 psi, of which P = μ (λ − λ⁻²) makes μ = 39 kPa",
        "Smooth-On, Ecoflex series, technical bulletin, table of properties (ASTM D-412)",
    ),
    "pdms": Known(
        "polydimethylsiloxane Dow Sylgard 184, 10:1, cured at 25 °C",
        lambda: neo_hookean(1.32e6 / 3),
        "Young's modulus 1.32 MPa (to 2.97 MPa if cured hotter, up to 200 °C)",
        "Johnston, McCluskey, Tan and Tracey 2014, Mechanical characterization of bulk Sylgard 184"
        " for microfluidics and microengineering, J. Micromech. Microeng. 24, 035017",
    ),
    "vhb-4910": Known(
        "acrylic 3M VHB 4910, relaxed; stretched at once it is five times as stiff",
        lambda: _chains(15.36e3, 5.99**2),
        "Arruda–Boyce: 15.36 kPa, √N = 5.99, beside branches of 26.06, 26.53 and 10.83 kPa that"
        " relax in 0.6, 6.6 and 61 s, which are left out",
        "Wang, Decker, Henann and Chester 2016, Modeling of dielectric viscoelastomers with"
        " application to electromechanical instabilities, J. Mech. Phys. Solids 95, 213–229",
    ),
    "brain": Known(
        "brain tissue of swine, at its instantaneous stiffness, of which four fifths relax",
        lambda: _ogden([2 * 842.0 / -4.7], [-4.7]),
        "ψ = 2μ/α² (Σ λ^α − 3): μ = 842 Pa, α = −4.7",
        "Miller and Chinzei 2002, Mechanical properties of brain tissue in tension, J. Biomech. 35,"
        " 483–490",
    ),
}
"""By name."""


def known_law(name: str) -> ConstitutiveLaw:
    """The law of a material.

    Args:
        name: One of `KNOWN`.

    Raises:
        ValueError: There is no such material.
    """
    if name not in KNOWN:
        raise ValueError(f"got the material {name!r}, expected one of {', '.join(KNOWN)}")
    known = KNOWN[name]
    law = known.law()
    law.provenance = Provenance(f"{known.material}: {known.numbers} ({known.source})")
    return law
