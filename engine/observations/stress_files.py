# SPDX-License-Identifier: Apache-2.0
"""Stress tests from files.

.h5     groups of loadings, or sets of such groups: each with the datasets `F` (n, 3, 3) and
        `stress` (n, 3, 3), optionally `time` (n,) [s]. Attributes of the dataset, the loading, the
        set or the file: `unit` (Pa, kPa, MPa) and `stress_type` (PK1, the default, or Cauchy). A
        side whose stress is 0 throughout is free where its stretch changes; where that stays 1 it
        is held, and what it presses was not measured.
.csv    a line of names, then numbers: `stretch`, `strain [%]` (or [-]) or `shear`, and `stress`,
        optionally `time` [s] and `loading` (UT, ET, PS or SS, where `stretch` is the shear γ; or
        words such as tension); or `F11` ... `F33` and some of `P11` ... `P33`, optionally with
        `time`, those F that are left out being those of the identity. A unit may follow a name:
        `stress [kPa]`; `true stress` is Cauchy's. nan stands for a gap. `stress_columns` has all.
.txt    two columns without names: stretch, stress.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from rheograd.materials.elastic import det3

from ..suggestion import did_you_mean
from .stress_columns import Columns, loading_of, read_columns, require_plausible
from .stress_test import KINDS, REST, StressTest

UNITS: Mapping[str, float] = {
    "Pa": 1.0, "kPa": 1e3, "MPa": 1e6, "N/mm2": 1e6, "N/mm^2": 1e6, "N/mm²": 1e6,
}  # fmt: skip
"""Of stress [Pa]."""
RUBBER_UNIT = "MPa"
"""Of an .h5 table that does not say: that of the publications such tables are read off."""
Measure = Literal["nominal", "cauchy"]


@dataclass(frozen=True)
class Reading:
    """How to read what a file does not say."""

    unit: str | None = None
    """Of stress, one of `UNITS`; None: as the file says."""
    chosen: str | None = None
    """The set of an .h5 that holds several."""
    loading: str = "UT"
    """Of a table that names none."""
    rate: float | None = None
    """Of stretch or shear [1/s], from which times follow; None: as the file says, or none."""
    measure: Measure | None = None
    """Of stress: nominal (first Piola) or Cauchy; None: as the file says, else nominal."""


@dataclass(frozen=True)
class StressFile:
    """What was read."""

    tests: tuple[StressTest, ...]
    unit: str
    """In which the file has its stresses."""
    assumed: bool
    """Whether nobody said so."""


def read_stress(path: Path | str, reading: Reading | None = None) -> StressFile:
    """The loadings of a file, in SI units.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no such file, or something is missing; says what and the remedy.
    """
    path, reading = Path(path), reading or Reading()
    if not path.is_file():
        raise FileNotFoundError(f"there are no stress tests at {path}: check the path")
    if reading.rate is not None and not reading.rate > 0.0:
        raise ValueError(f"got a rate of {reading.rate:g} 1/s, expected it above 0")
    if reading.unit is not None:
        _factor(reading.unit, "--unit")
    readers = {".h5": _hdf5, ".hdf5": _hdf5, ".csv": _csv, ".txt": _txt}
    if path.suffix.lower() not in readers:
        raise ValueError(
            f"{path} ends in {path.suffix or 'nothing'}, expected stress tests as"
            f" {', '.join(readers)}"
        )
    found = readers[path.suffix.lower()](path, reading)
    if reading.rate is None:
        return found
    return replace(found, tests=tuple(_timed(test, reading.rate) for test in found.tests))


def _factor(unit: str, where: str) -> float:
    if unit not in UNITS:
        raise ValueError(
            f"{where}: got the unit {unit!r}{did_you_mean(unit, UNITS)}, expected one of"
            f" {', '.join(UNITS)}"
        )
    return UNITS[unit]


def _stated(unit: str | None, path: Path, example: str) -> tuple[str, float]:
    """The unit and what it is in Pa."""
    if unit is None:
        raise ValueError(
            f"{path} does not say the unit of its stresses: give --unit MPa, kPa or Pa, or write"
            f" it in the file, {example}"
        )
    return unit, _factor(unit, str(path))


def _timed(test: StressTest, rate: float) -> StressTest:
    """At a constant rate; points that repeat the one before them are left out."""
    amount = test.amount
    start = 0.0 if test.kind == "SS" else 1.0
    moved = amount.diff(prepend=amount.new_tensor([start])).abs()
    kept = moved > 0.0
    kept[0] = True
    times = (moved / rate).cumsum(0)[kept]
    return replace(test, F=test.F[kept], stress=test.stress[kept], times=times)


def _nominal(P: Tensor, F: Tensor, measure: Measure | None) -> Tensor:
    """First Piola stress of what was measured, (n, 3, 3); of Cauchy's P = J σ F⁻ᵀ."""
    if measure != "cauchy":
        return P
    known = torch.isfinite(P)
    full = det3(F)[:, None, None] * torch.where(known, P, 0.0) @ torch.linalg.inv(F).mT
    return torch.where(known, full, torch.nan)


# ---- HDF5


def _hdf5(path: Path, reading: Reading) -> StressFile:
    import h5py

    try:
        file: Any = h5py.File(path, "r")
    except OSError:
        raise ValueError(f"{path} is not an HDF5 file: copy it again") from None
    with file:
        group = _chosen_set(file, path, reading.chosen)
        loadings = {name: group[name] for name in group if _is_loading(group[name])}
        read = [
            _hdf5_loading(name, item, path, reading, [item["stress"], item, group, file])
            for name, item in loadings.items()
        ]
    unit, assumed = read[0][1:]
    return StressFile(tuple(test for test, _, _ in read), unit, assumed)


def _is_loading(item: Any) -> bool:
    return hasattr(item, "keys") and {"F", "stress"} <= set(item)


def _chosen_set(file: Any, path: Path, chosen: str | None) -> Any:
    """The group that holds loadings."""
    if any(_is_loading(file[name]) for name in file):
        if chosen is not None:
            raise ValueError(f"{path} holds one set without a name: leave --set {chosen} out")
        return file
    sets = [
        name for name in file
        if hasattr(file[name], "keys") and any(_is_loading(file[name][k]) for k in file[name])
    ]  # fmt: skip
    if not sets:
        raise ValueError(
            f"{path} holds no loadings, expected groups with F (n, 3, 3) and stress (n, 3, 3)"
        )
    if chosen is None and len(sets) == 1:
        return file[sets[0]]
    if chosen not in sets:
        came = "no --set" if chosen is None else f"--set {chosen}{did_you_mean(chosen, sets)}"
        raise ValueError(f"{path}: got {came}, expected one of {', '.join(sets)}")
    return file[chosen]


def _attribute(name: str, places: Sequence[Any]) -> str | None:
    """The first of some places that says something."""
    for place in places:
        if name in place.attrs:
            value = place.attrs[name]
            return value.decode() if isinstance(value, bytes) else str(value)
    return None


def _hdf5_loading(
    name: str, item: Any, path: Path, reading: Reading, places: Sequence[Any]
) -> tuple[StressTest, str, bool]:
    """A loading, the unit of its stresses, and whether that is a guess."""
    arrays = {}
    for key in ("F", "stress", *(["time"] if "time" in item else [])):
        try:
            arrays[key] = torch.from_numpy(np.array(item[key], dtype=np.float64))
        except (TypeError, ValueError):
            raise ValueError(f"{path}, {name}/{key}: expected an array of numbers") from None
    F, P = arrays["F"], arrays["stress"]
    if F.ndim != 3 or F.shape[1:] != (3, 3) or P.shape != F.shape:
        raise ValueError(
            f"{path}, {name}: got F of shape {tuple(F.shape)} and stress of {tuple(P.shape)},"
            " expected (n, 3, 3) of both"
        )
    said = _attribute("unit", places)
    unit = reading.unit or said or RUBBER_UNIT
    kind = (_attribute("stress_type", places) or "PK1").lower()
    measures: Mapping[str, Measure] = {"pk1": "nominal", "nominal": "nominal", "cauchy": "cauchy"}
    if kind not in measures:
        raise ValueError(
            f"{path}, {name}: got stresses of the type {kind!r}, expected PK1 or Cauchy"
        )
    P = _nominal(P * _factor(unit, str(path)), F, reading.measure or measures[kind])
    P, free = _borne(P, F)
    known = name.split(maxsplit=1)[0] if name.split(maxsplit=1)[0] in KINDS else ""
    test = StressTest(name, F, P, free, arrays.get("time"), None, known)
    return test, unit, reading.unit is None and said is None


def _borne(P: Tensor, F: Tensor) -> tuple[Tensor, tuple[bool, bool, bool]]:
    """Stresses with NaN where none was measured, and which sides are free."""
    P, free = P.clone(), [False] * 3
    zero = (P == 0.0).all(0)
    for i in range(3):
        for j in range(3):
            if i != j and zero[i, j]:
                P[:, i, j] = torch.nan
        if zero[i, i]:
            free[i] = not bool(((F[:, i, i] - 1.0).abs() < REST).all())
            P[:, i, i] = torch.nan
    return P, (free[0], free[1], free[2])


# ---- tables


def _csv(path: Path, reading: Reading) -> StressFile:
    table = read_columns(path)
    stresses = [q for q in table.columns if q.endswith("stress") or q.startswith("P")]
    stated = {table.columns[q].unit for q in stresses} - {None}
    if len(stated) > 1:
        raise ValueError(f"{path} has stresses in {' and '.join(map(str, stated))}: use one unit")
    said = reading.unit or (stated.pop() if stated else None)
    unit, factor = _stated(said, path, "such as stress [kPa]")
    if reading.measure is None and "cauchy stress" in stresses:
        reading = replace(reading, measure="cauchy")
    if any(q.startswith("F") for q in table.columns):
        tests = _full(table, reading, factor)
    else:
        tests = tuple(_simple(table, reading, factor))
    return StressFile(tests, unit, False)


def _simple(table: Columns, reading: Reading, factor: float) -> Iterator[StressTest]:
    """Tests of one number a point, by loading."""
    path = table.path
    amount = table.amount()
    stress = table.numbers([next(q for q in table.columns if q.endswith("stress"))])
    times = table.seconds()
    if "loading" in table.columns:
        kinds = table.words("loading")
    else:
        kinds = ["SS" if amount == "shear" else reading.loading] * len(stress)
    for name in dict.fromkeys(kinds):
        kind = loading_of(name)
        if kind in KINDS and kind != "SS" and amount == "shear":
            raise ValueError(f"{path}: got a shear of {name}, expected stretch or strain of it")
        rows = np.array([other == name for other in kinds])
        moved = table.deformed(shear=kind == "SS", rows=rows)
        if "compression" in name.lower() and bool((moved > 1.0).any()):
            raise ValueError(
                f"{path}: {name} has a stretch of {np.nanmax(moved):g}, expected none above 1:"
                " shortening is a strain below 0, and presses with a stress below 0"
            )
        columns = [moved, stress[rows, 0], *([] if times is None else [times[rows]])]
        yield _one(path, name, torch.from_numpy(np.stack(columns, 1)), reading, factor)


def _one(path: Path, name: str, table: Tensor, reading: Reading, factor: float) -> StressTest:
    """A test from its columns: amount, stress and perhaps time, shape (n, 2 or 3)."""
    amount = table[:, 0]
    if not bool(torch.isfinite(amount).all()):
        raise ValueError(f"{path}: a stretch is missing: leave that line out")
    times = table[:, 2] if table.shape[1] > 2 else None
    kind = loading_of(name)
    if len(table) < 2:
        raise ValueError(f"{path}: {name} has {len(table)} point, expected two or more: add some")
    try:
        test = StressTest.of_kind(kind, amount, factor * table[:, 1], name=name, times=times)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return replace(test, stress=_nominal(test.stress, test.F, reading.measure))


def _full(table: Columns, reading: Reading, factor: float) -> tuple[StressTest, ...]:
    """One test told by components."""
    path = table.path
    strain = [q for q in table.columns if re.fullmatch(r"F[123]{2}", q)]
    stress = [q for q in table.columns if re.fullmatch(r"P[123]{2}", q)]
    values = torch.from_numpy(table.numbers([*strain, *stress]))
    found = table.seconds()
    times = None if found is None else torch.from_numpy(found)
    F = torch.eye(3, dtype=torch.float64).repeat(len(values), 1, 1)
    P = torch.full_like(F, torch.nan)
    for k, name in enumerate([*strain, *stress]):
        i, j = int(name[1]) - 1, int(name[2]) - 1
        (F if name[0] == "F" else P)[:, i, j] = values[:, k] * (1.0 if name[0] == "F" else factor)
    free = [
        bool((P[:, i, i] == 0.0).all())
        or (f"P{i + 1}{i + 1}" not in stress and bool(((F[:, i, i] - 1).abs() >= REST).any()))
        for i in range(3)
    ]
    P = _nominal(P, F, reading.measure)
    for i in range(3):
        if free[i]:
            P[:, i, i] = torch.nan
    try:
        sides = (free[0], free[1], free[2])
        return (StressTest(path.stem, F, P, sides, times, None, ""),)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _txt(path: Path, reading: Reading) -> StressFile:
    rows = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not text: expected two columns, stretch and stress") from None
    for number, line in enumerate(lines, 1):
        words = [w for w in re.split(r"[,;\s]+", line.partition("#")[0]) if w]
        if not words:
            continue
        try:
            rows.append([float(w) for w in words])
        except ValueError:
            rows.append([])
        if len(rows[-1]) != 2:
            raise ValueError(
                f"{path}, line {number}: got {line[:40]!r}, expected two numbers, stretch and"
                " stress"
            )
    if not rows:
        raise ValueError(f"{path} has no line of numbers: expected stretch and stress")
    unit, factor = _stated(reading.unit, path, "as a .csv with a line of names")
    table = torch.tensor(rows, dtype=torch.float64)
    amount = table[:, 0].numpy()
    shear = loading_of(reading.loading) == "SS"
    remedy = "if these are strains, make it a .csv with strain [%],stress [MPa] in its first line"
    require_plausible(amount, shear, amount, f"{path}: got a first column", remedy)
    test = _one(path, reading.loading, table, reading, factor)
    return StressFile((replace(test, name=path.stem),), unit, False)
