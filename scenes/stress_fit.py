# SPDX-License-Identifier: Apache-2.0
"""Fit laws to stress tests: stretch and stress of a specimen that deforms alike everywhere.

FILE is an .h5 table of rubber tests (groups UT, ET, PS with F and stress), a .csv with the columns
stretch or strain [%], stress [MPa] and perhaps time [s] and loading (UT, ET, PS or SS), or F11 ...
and P11 ..., or a .txt of two columns. Each law is fitted to the loadings of --train and judged on
all the others. The folder --out gets law.safetensors (the best), report.html, report.json and
config.json.

Without --law eight analytic laws are compared. A law of few numbers gets error bars; a network is
trained from several seeds, whose scatter is its band. Rubber is taken as incompressible: its bulk
modulus is then not in the data, and is 1000 times the shear modulus unless --bulk says otherwise.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from . import laws
from .options import Parser, converter, count, number
from .outputs import read_by, require_new
from .progress import Progress, say
from .repeat import repeated

if TYPE_CHECKING:
    from rheograd.engine.fit.stress.compare import Comparison
    from rheograd.engine.fit.stress.contenders import Contender
    from rheograd.engine.fit.stress.families import Bulk, Scales
    from rheograd.engine.observations.stress_files import StressFile
    from rheograd.engine.observations.stress_test import StressTest

PROGRAM = "rheograd fit stress"
NOTE = "exit codes: 0 done, 1 failed, 2 bad input; --debug shows where an error came from"
FITTING = (
    "fitting: of a law of few numbers nothing is shown until it is done, in seconds to minutes; the"
    " first on a machine compiles its kernels"
)
WRITTEN = ("config.json", "law.safetensors", "report.json", "report.html")


def main(tokens: Sequence[str]) -> int:
    """Run the command on the words after `rheograd fit stress`."""
    parser = Parser(prog=PROGRAM, description=__doc__, epilog=NOTE)
    add_arguments(parser)
    found = parser.read(tokens)
    folder = found.out or Path("runs") / found.file[0].stem
    from rheograd.engine.fit.stress.files import require_free, write_stress_fit

    require_free(folder, force=found.force)
    if folder.is_dir():
        kept = [folder / name for name in WRITTEN]
        require_new(kept, force=True, inputs=read_by(found, ("out",)))
    files = read(found)
    tests = with_constants(named(found.file, files), found.constant)
    comparison = fitted(found, tests)
    notes = assumed(found, files, tests)
    again = repeated(PROGRAM, [t for t in tokens if t != "--force"], folder)
    write_stress_fit(folder, comparison, settings(found, comparison), again, notes)
    sum_up(comparison, notes, folder)
    return 0


def add_arguments(parser: Parser) -> None:
    """The options."""
    volume, _ = converter(Literal["incompressible", "free"])
    error, _ = converter(Literal["absolute", "relative"])
    parser.add_argument("file", type=Path, nargs="+", metavar="FILE", help=".h5, .csv or .txt")
    parser.add_argument(
        "--law", action="append", metavar="NAME|FILE|FILE.py:CLASS",
        help="neo-hookean, mooney-rivlin, yeoh, gent, arruda-boyce, ogden-1, -2, -3, viscoelastic,"
        " -2, -3 or such as 'viscoelastic-2(gent)', fibre-reinforced or 'fibre-reinforced(gent)',"
        " any other law by its name, a law.safetensors to start from, or a class of your own; may"
        " be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--train", metavar="A,B", help="loadings to fit to, such as UT,PS (default: all)"
    )
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="(default: runs/FILE)")
    parser.add_argument("--force", action="store_true", help="replace the fit in --out")
    group = parser.add_argument_group("the fit")
    group.add_argument(
        "--start",
        metavar="MATERIAL",
        help="begin at the published law of a material, too:"
        " natural-rubber, natural-rubber-chains, natural-rubber-small, dragon-skin-10,"
        " ecoflex-00-30, pdms, vhb-4910 or brain",
    )
    group.add_argument(
        "--error", type=error, default="absolute", metavar="absolute|relative",
        help="what counts: stress, or stress relative to itself (default: absolute)",
    )  # fmt: skip
    group.add_argument(
        "--weight", action="append", default=[], metavar="NAME=X", help="of a loading's errors"
    )
    group.add_argument(
        "--constant", action="append", default=[], metavar="NAME[@LOADING]=X,Y",
        help="constant field that the law reads, such as the direction of its fibres in all"
        " specimens, fibre=1,0,0, or in those of a loading, fibre@across=0,1,0",
    )  # fmt: skip
    group.add_argument(
        "--volume", type=volume, metavar="incompressible|free",
        help="whether a pressure frees the sides, or their stretch is solved for (default:"
        " incompressible where the measured volume stays, free with --constant)",
    )  # fmt: skip
    group.add_argument(
        "--bulk", type=bulk_option, metavar="PA|fit",
        help="bulk modulus [Pa], or fitted (with --volume free; default: 1000 shear moduli)",
    )  # fmt: skip
    group.add_argument("--seed", type=int, default=0, metavar="N", help="of a network's weights")
    group.add_argument(
        "--members", type=count, default=5, metavar="N",
        help="networks trained from seeds that follow each other (default: 5)",
    )  # fmt: skip
    group.add_argument(
        "--epochs", type=count, default=600, metavar="N", help="of each (default: 600)"
    )
    group = add_reading(parser)
    group.add_argument(
        "--rate",
        metavar="1/S",
        help="stretch per second [1/s], one for all files or one each: 0.01,0.05",
    )


def add_reading(parser: Parser) -> Any:
    """Options of files of stress tests that do not say what they hold, as a group."""
    measure, _ = converter(Literal["nominal", "cauchy"])
    kind, _ = converter(Literal["UT", "ET", "PS", "SS"])
    group = parser.add_argument_group("files that do not say")
    group.add_argument("--set", dest="chosen", metavar="NAME", help="of an .h5 with several sets")
    group.add_argument("--unit", metavar="UNIT", help="of stress: MPa, kPa or Pa (.h5: MPa)")
    group.add_argument(
        "--loading", type=kind, default="UT", metavar="UT|ET|PS|SS", help="(default: UT)"
    )
    group.add_argument(
        "--stress", type=measure, metavar="nominal|cauchy",
        help="force over area at rest, or as it is (default: nominal)",
    )  # fmt: skip
    return group


def bulk_option(text: str) -> float | str:
    """A modulus, or the word fit.

    Raises:
        argparse.ArgumentTypeError: It is neither.
    """
    if text == "fit":
        return text
    value = number(text)
    if not value > 0.0:
        raise argparse.ArgumentTypeError(f"got {text}, expected a modulus above 0 Pa, or fit")
    return value


def read(found: argparse.Namespace) -> list[StressFile]:
    """The files, each with its rate."""
    from rheograd.engine.observations.stress_files import Reading, read_stress

    rates = [None] if found.rate is None else [_rate(word) for word in found.rate.split(",")]
    if len(rates) not in (1, len(found.file)):
        raise ValueError(
            f"--rate: got {len(rates)} rates for {len(found.file)} files, expected one, or one each"
        )
    rates *= len(found.file) if len(rates) == 1 else 1
    reading = Reading(found.unit, found.chosen, found.loading, None, found.stress)
    return [
        read_stress(path, replace(reading, rate=rate))
        for path, rate in zip(found.file, rates, strict=True)
    ]


def _rate(word: str) -> float:
    try:
        return number(word)
    except argparse.ArgumentTypeError as error:
        raise ValueError(f"--rate: {error}") from None


def named(paths: Sequence[Path], files: Sequence[StressFile]) -> list[StressTest]:
    """All loadings, each with a name of its own: that of its file comes first where names clash."""
    rows = [(p, f, t) for p, f in zip(paths, files, strict=True) for t in f.tests]
    names = [test.name for *_, test in rows]
    if len(set(names)) < len(names):
        names = [p.stem if len(f.tests) == 1 else f"{p.stem} {t.name}" for p, f, t in rows]
    if len(set(names)) < len(names):
        names = [f"{p.parent.name}/{name}" for (p, *_), name in zip(rows, names, strict=True)]
    return [replace(test, name=name) for (*_, test), name in zip(rows, names, strict=True)]


def chosen(words: str | None, tests: Sequence[StressTest]) -> tuple[StressTest, ...]:
    """The loadings that are fitted to.

    Raises:
        ValueError: One of them is not there.
    """
    from rheograd.engine.suggestion import did_you_mean

    if words is None:
        return tuple(tests)
    wanted = [word.strip() for word in words.split(",") if word.strip()]
    known = dict.fromkeys([t.name for t in tests] + [t.kind for t in tests if t.kind])
    for word in wanted:
        if word not in known:
            raise ValueError(
                f"--train: got {word!r}{did_you_mean(word, known)}, expected some of"
                f" {', '.join(known)}"
            )
    return tuple(t for t in tests if t.name in wanted or t.kind in wanted)


def weights(words: Sequence[str]) -> dict[str, float]:
    """Of loadings, by name.

    Raises:
        ValueError: One is not NAME=X.
    """
    told = {}
    for word in words:
        name, _, value = word.partition("=")
        try:
            told[name] = number(value)
        except argparse.ArgumentTypeError:
            raise ValueError(f"--weight: got {word!r}, expected NAME=X, such as UT=2") from None
    return told


def with_constants(tests: Sequence[StressTest], words: Sequence[str]) -> list[StressTest]:
    """The loadings with the constant fields of their specimens.

    Args:
        tests: All of them.
        words: Such as fibre=1,0,0, or fibre@UT=1,0,0 of one loading, which goes before.

    Raises:
        ValueError: A word cannot be read, or there is no such loading.
    """
    from rheograd.engine.suggestion import did_you_mean

    told = {key.partition("@")[::2]: row for key, row in laws.constant_values(words).items()}
    names = [t.name for t in tests]
    for _, loading in told:
        if loading and loading not in names:
            raise ValueError(
                f"--constant: got the loading {loading!r}{did_you_mean(loading, names)}, expected"
                f" one of {', '.join(names)}"
            )
    general, own = ([pair for pair in told.items() if bool(pair[0][1]) is k] for k in (False, True))
    return [
        replace(t, fields={
            name: tuple(row) for (name, loading), row in general + own if loading in ("", t.name)
        }) for t in tests
    ]  # fmt: skip


def require_read(words: Sequence[str], rivals: Sequence[Contender], scales: Scales) -> None:
    """Refuse constant fields that no law reads.

    Raises:
        ValueError: Names the first.
    """
    from rheograd.engine.suggestion import did_you_mean

    read = sorted({name for rival in rivals for name in rival.fields(scales)})
    for key in laws.constant_values(words):
        name = key.partition("@")[0]
        if name not in read:
            raise ValueError(
                f"--constant: got {name!r}{did_you_mean(name, read)}, which none of"
                f" {', '.join(r.name for r in rivals)} reads:"
                f" {'expected ' + ', '.join(read) if read else 'leave it out'}"
            )


def taken_as_incompressible(found: argparse.Namespace) -> bool | None:
    """As --volume says; fibres narrow a specimen unevenly, so that with them its sides are free."""
    if found.volume is None:
        return False if found.constant else None
    return bool(found.volume == "incompressible")


def fitted(found: argparse.Namespace, tests: Sequence[StressTest]) -> Comparison:
    """Fit and judge every law."""
    import torch

    from rheograd.engine.fit.stress.compare import compare
    from rheograd.engine.fit.stress.task import Task

    torch.set_num_threads(1)
    incompressible = taken_as_incompressible(found)
    task = Task(
        chosen(found.train, tests), weights(found.weight), found.error == "relative",
        incompressible,
    )  # fmt: skip
    if found.bulk == "fit" and (
        incompressible or (incompressible is None and all(t.isochoric for t in task.tests))
    ):
        raise ValueError(
            "--bulk fit: the tests are taken as incompressible, so that no stress depends on the"
            " bulk modulus: give --bulk X [Pa], or --volume free"
        )
    scales = task.scales()
    if isinstance(found.bulk, float) and task.isochoric and found.bulk < scales.shear:
        raise ValueError(
            f"--bulk: got {found.bulk:g} Pa, less than the shear modulus of these tests,"
            f" {scales.shear:.3g} Pa: give it in Pa, or leave it out"
        )
    rivals = contenders(found, scales)
    require_read(found.constant, rivals, scales)
    order = {rival.name: k for k, rival in enumerate(rivals)}
    with Progress("stress tests", len(rivals), unit="laws", reason=FITTING) as progress:
        return compare(
            rivals, task, tests, seed=found.seed, members=found.members, epochs=found.epochs,
            tell=lambda name, share: progress.to(order[name], f"{name} {100 * share:.0f} %"),
        )  # fmt: skip


def contenders(found: argparse.Namespace, scales: Scales) -> list[Contender]:
    """The laws that are named, or the usual ones.

    Raises:
        ValueError: There is no such law, two have one name, or --start is of none of them.
    """
    from rheograd.engine.fit.stress.contenders import contender, of_law
    from rheograd.engine.fit.stress.families import COMPARED
    from rheograd.materials.known import known_law

    bulk: Bulk = found.bulk
    words = found.law
    material = None if found.start is None else known_law(found.start)
    if material is not None and found.start is not None and words is None:
        one = of_law(found.start, material, scales, bulk)
        return [one]
    rivals = []
    for word in words or affordable(COMPARED, scales):
        if laws.SAVED in word or ".py" in word:
            law = laws.load(word)
            laws.require_savable(law)
            rivals.append(of_law(Path(word.rpartition(":")[2]).stem, law, scales, bulk))
        else:
            rivals.append(contender(word, scales, bulk))
    twice = [r.name for k, r in enumerate(rivals) if r.name in {s.name for s in rivals[:k]}]
    if twice:
        raise ValueError(f"--law: got {twice[0]} twice, expected each law once")
    if material is None:
        return rivals
    begun = [
        replace(r, own=r.family.read(material))
        if r.family is not None and r.family.fits(material) else r
        for r in rivals
    ]  # fmt: skip
    if all(r.own is None for r in begun):
        raise ValueError(
            f"--start {found.start} is a law of the kind {material.name}, which none of"
            f" {', '.join(r.name for r in rivals)} is: leave --law out to fit that kind"
        )
    return begun


def affordable(names: Sequence[str], scales: Scales) -> list[str]:
    """Those families whose numbers are fewer than the stresses; says which ones are not."""
    from rheograd.engine.fit.stress.families import families

    known = families()
    fit = [name for name in names if len(known[name].starts(scales)[0]) < scales.points]
    if left := [name for name in names if name not in fit]:
        say(f"note: {scales.points} stresses are too few for the numbers of {', '.join(left)}")
    return fit or list(names[:1])


def assumed(
    found: argparse.Namespace, files: Sequence[StressFile], tests: Sequence[StressTest]
) -> tuple[str, ...]:
    """What was taken for granted, as sentences."""
    said = [*unit_notes([file.unit for file in files if file.assumed])]
    told = taken_as_incompressible(found)
    isochoric = told or (told is None and all(t.isochoric for t in chosen(found.train, tests)))
    held = "1000 times the shear modulus"
    if isinstance(found.bulk, float):
        held = f"{found.bulk:g} Pa"
    if isochoric:
        said.append(
            "the material is incompressible: a pressure frees the sides, and the tests do not"
            f" determine the bulk modulus, which is set to {held} (--bulk changes it)"
        )
    elif found.bulk != "fit":
        said.append(
            "the volume is free, so that the bulk modulus is felt in the tests, but it is held at"
            f" {held} (--bulk fit fits it)"
        )
    if found.constant and found.volume is None:
        said.append(
            "fibres narrow a specimen more one way than the other, so that the stretch of each side"
            " is solved for (--volume incompressible takes the sides as the file has them)"
        )
    if any(t.times is not None for t in tests):
        if found.bulk is None and any("viscoelastic" in word for word in found.law or ()):
            said.append("the shear modulus of a viscoelastic law is here that of its equilibrium")
        said.append("the deformation steps from each measured point straight to the next")
    return tuple(said)


def unit_notes(units: Sequence[str]) -> tuple[str, ...]:
    """A sentence on units that files did not say, none if all did."""
    return tuple(
        f"stresses are in {unit}, as tables of rubber tests are; the file does not say so"
        " (--unit changes it)"
        for unit in units[:1]
    )


def settings(found: argparse.Namespace, comparison: Comparison) -> dict[str, object]:
    """What was asked, for the report."""
    return {
        "files": ", ".join(map(str, found.file)),
        "set": found.chosen or "–",
        "fitted to": ", ".join(t.name for t in comparison.task.tests),
        "held out": ", ".join(t.name for t in comparison.held) or "–",
        "laws": ", ".join(law.name for law in comparison.laws),
        "error": found.error,
        "weights": ", ".join(found.weight) or "1",
        "volume": found.volume or ("free" if found.constant else "as the tests"),
        "constant fields": ", ".join(found.constant) or "–",
        "bulk": "1000 shear moduli" if found.bulk is None else found.bulk,
        "start": found.start or "–",
        "seed": found.seed,
        "members": found.members,
        "epochs": found.epochs,
    }


def sum_up(comparison: Comparison, notes: Sequence[str], folder: Path) -> None:
    """Print the ranking, the numbers of the best law, and where the report is."""
    from rheograd.engine.fit.quantity import quantity
    from rheograd.engine.fit.stress.page import r_squared, verdict

    for note in notes:
        say(f"note: {note}")
    held = {t.name for t in comparison.held}
    for law in comparison.laws:
        scores = ", ".join(
            f"{name}{' (held out)' if name in held else ''} R² {r_squared(one.r2)}"
            for name, one in law.scores.items()
        )
        say(f"{law.name}: {quantity(law.rms, 'Pa', digits=2)} RMS; {scores}")
    best = comparison.best
    for p in best.parameters:
        text = f"{best.name} {p.name}: {quantity(p.value, p.unit, digits=4, known_to=p.std)}"
        if p.determined and p.low95 is not None and p.high95 is not None:
            low, high = (
                quantity(v, p.unit, known_to=p.std, like=p.value) for v in (p.low95, p.high95)
            )
            say(f"{text} (95 %: {low} to {high})")
        else:
            say(f"{text}, which these tests do not determine")
    for law in comparison.laws:
        for words in law.warnings:
            say(f"warning: {law.name}: {words}")
    say(verdict(comparison))
    say(f"wrote {folder / 'law.safetensors'} and {folder / 'report.html'}")
