# SPDX-License-Identifier: Apache-2.0
"""Laws of common soft materials, as published: where a fit may start, or a first simulation.

A material is what it was made of and how: numbers of one batch are good to a factor of about 1.5
for another. All are of rest and room temperature; bulk moduli, which the sources do not tell, are
`STIFF` times the shear modulus (ν = 0.4995). The moduli of PDMS are in the abstract of its source;
the other numbers are as they are commonly quoted from the sources, not checked against the
originals: where one matters, read the source. That of PDMS depends on the test too: published shear
moduli of Sylgard 184 span two decades (Varner and Cohen 2024, Soft Matter, 10.1039/d4sm00573b).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .elastic import NeoHookean
from .law import ConstitutiveLaw
from .provenance import Provenance
from .rubber import ArrudaBoyce, Ogden, Yeoh

STIFF = 1000.0
"""Bulk over shear modulus of what is called incompressible: that of rubber, about."""


@dataclass(frozen=True)
class Known:
    """One material."""

    material: str
    """What it is, in words."""
    law: Callable[[], ConstitutiveLaw]
    numbers: str
    """What was published."""
    source: str


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
"""Pascals."""

KNOWN: Mapping[str, Known] = {
    "natural-rubber": Known(
        "natural rubber with 8 % sulphur, up to seven times its length",
        lambda: _ogden([0.63e6, 0.0012e6, -0.01e6], [1.3, 5.0, -2.0]),
        "Ogden: 0.63, 0.0012, −0.01 MPa; 1.3, 5, −2",
        "Ogden 1972, Proc. R. Soc. Lond. A 326, 565, of the tests of Treloar 1944",
    ),
    "natural-rubber-chains": Known(
        "the same rubber",
        lambda: _chains(0.27e6, 26.5),
        "Arruda–Boyce: nkΘ = 0.27 MPa, N = 26.5",
        "Arruda and Boyce 1993, J. Mech. Phys. Solids 41, 389",
    ),
    "natural-rubber-small": Known(
        "the same rubber, to about 1.5 times its length",
        lambda: neo_hookean(0.39e6),
        "neo-Hookean: G = 0.39 MPa",
        "Treloar 1944, Trans. Faraday Soc. 40, 59",
    ),
    "dragon-skin-10": Known(
        "silicone Smooth-On Dragon Skin 10, small strains",
        lambda: neo_hookean(263.8e3 / 3),
        "Young's modulus 263.8 kPa",
        "Dubied et al. 2022, IEEE Robot. Autom. Lett. 7, 5015 (diffPD_sim2real)",
    ),
    "ecoflex-00-30": Known(
        "silicone Smooth-On Ecoflex 00-30, to twice its length",
        lambda: neo_hookean(10 * PSI / 1.75),
        "100 % modulus 10 psi, of which P = μ (λ − λ⁻²) makes μ = 39 kPa",
        "Smooth-On, technical bulletin of the Ecoflex series",
    ),
    "pdms": Known(
        "polydimethylsiloxane Dow Sylgard 184, 10:1, cured at 25 °C",
        lambda: neo_hookean(1.32e6 / 3),
        "Young's modulus 1.32 MPa (to 2.97 MPa if cured hotter, up to 200 °C)",
        "Johnston et al. 2014, J. Micromech. Microeng. 24, 035017",
    ),
    "vhb-4910": Known(
        "acrylic 3M VHB 4910, stretched at once; it relaxes to a fraction of that",
        lambda: Yeoh(69.3e3, -888.0, 16.7, STIFF * 2 * 69.3e3),
        "Yeoh: 0.0693 MPa, −8.88e-4 MPa, 16.7e-6 MPa",
        "Wissler and Mazza 2005, Smart Mater. Struct. 14, 1396",
    ),
    "brain": Known(
        "brain tissue of swine, at its instantaneous stiffness",
        lambda: _ogden([2 * 842.0 / -4.7], [-4.7]),
        "ψ = 2μ/α² (Σ λ^α − 3): μ = 842 Pa, α = −4.7",
        "Miller and Chinzei 2002, J. Biomech. 35, 483",
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
