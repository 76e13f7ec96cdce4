# SPDX-License-Identifier: Apache-2.0
"""Every kernel also compiles for CUDA: NVRTC comes with Warp and needs no GPU.

A new kernel factory is one line in FACTORIES: a name, and a call that answers its kernels (in a
tuple, nested or not). Float64 shares its source with float32, so one of each kind suffices. What
the compiler accepts does not depend on how much it optimizes: most are compiled quickly, and those
in SHIPPED as they run on a GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import warp as wp

import rheograd.kernels
from rheograd.kernels.elements.assembly import assembly_kernels
from rheograd.kernels.elements.relaxation import relaxation_kernels
from rheograd.kernels.laws.analytic import AROUND, ELASTICITIES, PLASTICITIES
from rheograd.kernels.laws.rubber import RUBBERS
from rheograd.kernels.laws.tangents import linearize_kernel, piola_kernels
from rheograd.kernels.laws.update import law_kernels
from rheograd.kernels.learned.features import feature_kernels
from rheograd.kernels.learned.invariants import invariant_kernels
from rheograd.kernels.learned.principal import principal_kernels
from rheograd.kernels.mpm.grid import grid
from rheograd.kernels.mpm.grid_adjoint import grid_adjoint
from rheograd.kernels.mpm.transfer_adjoints import transfer_adjoints
from rheograd.kernels.mpm.transfers import transfers
from rheograd.kernels.pictures.discs import disc_kernels
from rheograd.kernels.pictures.raycast import ray_kernels
from rheograd.kernels.pictures.splatting import splat_kernels
from rheograd.kernels.points.density import density_kernels
from rheograd.kernels.points.farthest_points import farthest_kernels
from rheograd.kernels.points.interpolation import interpolation_kernels
from rheograd.kernels.points.neighbours import neighbour_kernels
from rheograd.kernels.points.springs import spring_kernels

HOPPER = 90
QUICK = 1
"""Level of optimization [of 3]; a law takes less than half the time of what runs on a GPU."""
SHIPPED = ("hencky-float64", "tangent-history", "assembly-hex8", "transfers", "transfer-adjoints")
"""With the optimization of a run."""

LAWS = (
    ("corotated", "none", True),
    ("neo-hookean", "von-mises", False),
    ("neo-hookean", "hardening-von-mises", False),
    ("hencky", "hardening-von-mises", True),
    ("hencky", "herschel-bulkley", False),
    ("tait", "fluid-reset", True),
    ("hencky", "drucker-prager-volume", False),
    ("corotated", "snow", False),
    ("stvk", "fluid-reset", False),
    ("hencky", "drucker-prager", False),
    ("volumetric", "none", False),
    *((name, "none", False) for name in RUBBERS),
    ("ogden-3", "von-mises", True),
    ("viscoelastic-3(neo-hookean)", "none", False),
    ("fibre-reinforced-0(neo-hookean)", "none", True),
    ("viscoelastic-1(active-0(fibre-reinforced-0(yeoh)))", "none", False),
    ("viscoelastic-1(gent)", "hardening-von-mises", True),
)

FACTORIES: list[tuple[str, Callable[[], Any]]] = [
    *(("-".join(map(str, law)), lambda law=law: law_kernels(*law, wp.float32)) for law in LAWS),
    ("hencky-float64", lambda: law_kernels("hencky", "von-mises", False, wp.float64)),
    ("features-full", lambda: feature_kernels("full", wp.float32, False)),
    ("features-smooth", lambda: feature_kernels("smooth", wp.float32, False)),
    ("features-polar", lambda: feature_kernels("polar", wp.float32, False)),
    ("features-scalar", lambda: feature_kernels("scalar", wp.float32, False)),
    ("invariants", lambda: invariant_kernels(wp.float32)),
    ("principal", lambda: principal_kernels(wp.float32)),
    ("principal-float64", lambda: principal_kernels(wp.float64)),
    ("grid", lambda: grid(wp.float32)),
    ("grid-adjoint", lambda: grid_adjoint(wp.float32)),
    ("transfers", lambda: transfers(wp.float32)),
    ("transfers-float64", lambda: transfers(wp.float64)),
    ("transfer-adjoints", lambda: transfer_adjoints(wp.float32)),
    ("assembly-hex8", lambda: assembly_kernels(8, 8, wp.float32, False)),
    ("assembly-tet10-float64", lambda: assembly_kernels(10, 4, wp.float64, False)),
    ("tangent", lambda: linearize_kernel("hencky", "von-mises", True, wp.float32)),
    (
        "tangent-history",
        lambda: linearize_kernel("hencky", "hardening-von-mises", True, wp.float32),
    ),
    ("tangent-float64", lambda: (linearize_kernel("neo-hookean", "none", False, wp.float64),)),
    ("stress-into-lanes", lambda: piola_kernels(wp.float32)),
    ("relaxation", lambda: relaxation_kernels(wp.float64)),
    ("density", lambda: density_kernels(wp.float32)),
    ("density-float64", lambda: density_kernels(wp.float64)),
    ("discs", lambda: disc_kernels(wp.float32)),
    ("discs-float64", lambda: disc_kernels(wp.float64)),
    ("rays", lambda: ray_kernels()),
    ("farthest-points", lambda: farthest_kernels()),
    ("interpolation", lambda: interpolation_kernels(wp.float32)),
    ("interpolation-float64", lambda: interpolation_kernels(wp.float64)),
    ("neighbours", lambda: neighbour_kernels(wp.float32)),
    ("neighbours-float64", lambda: neighbour_kernels(wp.float64)),
    ("splatting", lambda: splat_kernels(wp.float32)),
    ("splatting-float64", lambda: splat_kernels(wp.float64)),
    ("springs", lambda: spring_kernels(wp.float32)),
    ("springs-float64", lambda: spring_kernels(wp.float64)),
]


def kernels_in(made: Any) -> Iterator[wp.Kernel]:
    if isinstance(made, wp.Kernel):
        yield made
    elif isinstance(made, tuple):
        for part in made:
            yield from kernels_in(part)


@pytest.mark.parametrize(("name", "factory"), FACTORIES, ids=[name for name, _ in FACTORIES])
def test_compiles_for_hopper(
    name: str, factory: Callable[[], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wp.init()
    if HOPPER not in wp.get_cuda_supported_archs():
        pytest.skip("this build of Warp compiles no CUDA code")
    if name not in SHIPPED:
        monkeypatch.setattr(wp.config, "optimization_level", QUICK)
    modules = {kernel.module for kernel in kernels_in(factory())}
    assert modules
    for module in modules:
        (path,) = wp.compile_aot_module(module, arch=HOPPER, module_dir=tmp_path, use_ptx=True)
        assert ".target sm_90" in path.read_text()
        module.mark_modified()  # or what runs on a GPU later would be compiled quickly too


def test_those_compiled_as_they_run_are_among_them() -> None:
    assert set(SHIPPED) <= {name for name, _ in FACTORIES}


def test_every_law_is_among_them() -> None:
    assert {law[0] for law in LAWS if "(" not in law[0]} == set(ELASTICITIES)
    words = " ".join(law[0] for law in LAWS)
    assert all(f"{word}-" in words for word in AROUND)
    assert {law[1] for law in LAWS} == set(PLASTICITIES)


def test_every_file_of_kernels_is_among_them() -> None:
    found = {kernel.func.__module__ for _, make in FACTORIES for kernel in kernels_in(make())}
    folder = Path(rheograd.kernels.__path__[0])
    written = {
        ".".join(["rheograd.kernels", *path.relative_to(folder).with_suffix("").parts])
        for path in folder.rglob("*.py")
        if "@wp.kernel" in path.read_text(encoding="utf-8")
    }
    assert found == written, "add the missing factory to FACTORIES"
