# SPDX-License-Identifier: Apache-2.0
"""Laws as a command line names them.

- ``law.safetensors``: a saved law;
- ``my_law.py:MyLaw``: a class in a file of the user's own, with its constructor's defaults;
- ``my_law.py:law.safetensors``: a saved law whose class is in that file;
- ``natural-rubber``: a published law of a material, of `rheograd.materials.known`;
- ``snow``: a law or a flow of the project by its name, of the numbers that its example has.

A Python file runs only because it is named here; a saved law names the file of its class in an
error, and never runs it.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import hashlib
import inspect
import tempfile
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from rheograd.engine.suggestion import did_you_mean

from .options import number
from .user_files import import_file

if TYPE_CHECKING:
    from rheograd.engine.scene import Scene
    from rheograd.engine.solver import Solver
    from rheograd.materials.law import ConstitutiveLaw

    from .catalog import Script

ENERGY_LAWS = ("polyconvex", "cann")
SAVED = ".safetensors"
FORMS = f"a {SAVED} file, FILE.py:CLASS or FILE.py:FILE{SAVED}"
MATERIAL = "a material such as natural-rubber"


def split(word: str) -> tuple[Path | None, str]:
    """The user's own file, if one is named, and the rest: a saved law's file, or a name.

    Raises:
        ValueError: A file is named and nothing in it.
    """
    script, colon, rest = word.partition(".py:")
    if colon and rest:
        return Path(script + ".py"), rest
    if word.endswith((".py", ".py:")):
        raise ValueError(f"--law: got {word!r} without a class, expected {FORMS}")
    return None, word


def import_script(word: str) -> None:
    """Import the user's own file, if one is named, so that laws saved from it can be read."""
    script, _ = split(word)
    if script is not None:
        import_file(script, "law")


def load(word: str, known: Iterable[str] | None = None) -> ConstitutiveLaw:
    """The law that is named.

    Args:
        word: As above, or the name of a law or a flow, which stands for one of ordinary numbers.
        known: Words that were expected in place of such names.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: There is no such law, or it cannot be made.
    """
    from rheograd.materials.law import ConstitutiveLaw

    script, rest = split(word)
    module = None if script is None else import_file(script, "law")
    if rest.endswith(SAVED):
        return ConstitutiveLaw.load(Path(rest))
    if module is None or script is None:
        from rheograd.materials.known import KNOWN

        from . import named_laws

        words = named_laws.named()
        if rest in KNOWN:
            return ConstitutiveLaw.from_material(rest)
        if known is None and word in words:
            return words[word].example()
        if other := _instead(word):
            raise ValueError(f"--law: got {word!r}, {other}")
        known = words if known is None else known
        raise ValueError(
            f"--law: got {word!r}{did_you_mean(word, [*known, *KNOWN])}, expected"
            f" {', '.join([*known, FORMS])}, or {MATERIAL}"
        )
    return _made(module, rest, script)


def _instead(word: str) -> str:
    """What else a word is and what to do, as the end of a sentence; "" for what nobody knows."""
    from rheograd.materials.files import registered
    from rheograd.materials.law import ConstitutiveLaw

    saved = Path(word) / f"law{SAVED}"
    if saved.is_file():
        return f"a folder, expected the law in it, {saved}"
    kind = registered().get(word)
    if kind is None:
        return ""
    where = f"{kind.__module__}.{kind.__name__}"
    if not issubclass(kind, ConstitutiveLaw):
        return f"a flow, {where}, expected a law: ElastoPlastic(elasticity, flow) (docs/laws.md)"
    return (
        f"a law without its numbers, {where}, expected {FORMS}, or {MATERIAL}: docs/laws.md shows"
        " a class that gives them"
    )


def learned() -> dict[str, type[Any]]:
    """Learned laws that a fit can start anew, by name: of a stress scale, a flow scale, a seed."""
    from rheograd.materials.learned.invariant import InvariantFull, InvariantSmooth
    from rheograd.materials.learned.invariant_only import Invariant
    from rheograd.materials.learned.isotropic import Isotropic
    from rheograd.materials.learned.plain import Plain
    from rheograd.materials.learned.polar import Polar
    from rheograd.materials.learned.singular import Singular
    from rheograd.materials.learned.spline import Spline

    kinds = (
        InvariantSmooth, InvariantFull, Isotropic, Polar, Invariant, Singular, Spline, Plain,
    )  # fmt: skip
    return {kind.name: kind for kind in kinds}


def fixed(script: Script, word: str) -> Script:
    """A scene whose bodies are of a law that stays as it is while numbers of the scene are fitted.

    Args:
        script: The scene's.
        word: A law of two moduli (corotated, neo-hookean, stvk or hencky), made of the scene's
            young and poisson; or a law as above, whose fields start from zero.

    Raises:
        ValueError: There is no such law, or the scene has no such parameters.
    """
    if word.endswith(SAVED) or split(word)[0] is not None:
        return _frozen(script, load(word).freeze())
    return _analytic(script, word)


def _frozen(script: Script, law: ConstitutiveLaw) -> Script:
    from rheograd.engine.constant_fields import with_values

    build = script.build
    zeros = {name: dict.fromkeys(range(k), 0.0) for name, k in law.fields.items()}

    @functools.wraps(build)
    def made(own: ConstitutiveLaw | None = None, **given: Any) -> Scene:
        scene = build(own or law, **given)
        lacking = {n: z for n, z in zeros.items() if all(n not in b.fields for b in scene.bodies)}
        return with_values(scene, lacking)

    return dataclasses.replace(script, made=made)


def _analytic(script: Script, name: str) -> Script:
    from rheograd.engine.fit.parameter import option_value
    from rheograd.materials import elastic

    kinds = (elastic.Corotated, elastic.NeoHookean, elastic.StVenantKirchhoff, elastic.Hencky)
    known = {kind.name: kind for kind in kinds}
    if name not in known:
        raise ValueError(
            f"--law: got {name!r}{did_you_mean(name, known)} with --parameters, expected one of"
            f" {', '.join(known)}, or {FORMS}; a new learned law is trained without --parameters"
        )
    kind, build = known[name], script.build
    takes = inspect.signature(build).parameters
    if "young" not in takes or "poisson" not in takes:
        raise ValueError(
            f"--law: {script.name} has no young and poisson to make {name} of: leave --law out"
        )

    @functools.wraps(build)
    def made(law: ConstitutiveLaw | None = None, **given: Any) -> Scene:
        moduli = {n: option_value(build, n, given) for n in ("young", "poisson")}
        return build(law or kind(**moduli), **given)

    return dataclasses.replace(script, made=made)


def energy_law(name: str, young: float, seed: int) -> ConstitutiveLaw:
    """A new energy law of `ENERGY_LAWS`, which starts nearly neo-Hookean with a ratio of 0.25.

    Args:
        name: Of the law.
        young: Expected Young's modulus [Pa].
        seed: Of the weights, where they are drawn.
    """
    from rheograd.materials.energies.cann import CANN
    from rheograd.materials.energies.polyconvex import Polyconvex

    shear, bulk = young / 2.5, young / 1.5
    if name == CANN.name:
        return CANN(shear, bulk, exponents=(1.5,))
    return Polyconvex(shear, bulk, seed=seed)


def constant_values(words: Iterable[str]) -> dict[str, list[float]]:
    """What --constant says, by name.

    Args:
        words: Such as fibre=1,0,0.

    Raises:
        ValueError: One is not NAME=X,Y,... of finite numbers.
    """
    found: dict[str, list[float]] = {}
    for word in words:
        name, equals, numbers = word.partition("=")
        try:
            found[name] = [number(x) for x in numbers.split(",")]
        except argparse.ArgumentTypeError:
            equals = ""
        if not equals:
            raise ValueError(
                f"--constant: got {word!r}, expected NAME=X,Y,... such as fibre=1,0,0 or"
                " code=0.2,-0.1"
            )
    return found


def with_constants(scene: Scene, words: Iterable[str]) -> Scene:
    """The scene with constant fields of its laws.

    Args:
        scene: The scene.
        words: Such as code=0.2,-0.1.

    Raises:
        ValueError: One cannot be read, or no law of the scene has that field.
    """
    from rheograd.engine.constant_fields import with_values

    found = {name: dict(enumerate(row)) for name, row in constant_values(words).items()}
    told = with_values(scene, found)
    for body in scene.bodies:
        for name, width in body.law.fields.items():
            if name in found and name not in body.fields and len(found[name]) < width:
                raise ValueError(
                    f"--constant: got {len(found[name])} of the {width} numbers of {name}, expected"
                    " all of them"
                )
    return told


def load_for(word: str | None, solver: Solver) -> ConstitutiveLaw | None:
    """The law that is named, one that runs as torch as the solver computes; None for None."""
    if word is None:
        return None
    law = load(word)
    if law.twin is not None:
        return law
    return law.to(getattr(solver, "device", "cpu"), getattr(solver, "dtype", None))


def digest(word: str | None) -> str | None:
    """SHA-256 of the files that a law is named by, or of its name; None without one."""
    if word is None:
        return None
    script, rest = split(word)
    held = Path(rest).read_bytes() if rest.endswith(SAVED) else rest.encode()
    return hashlib.sha256(held if script is None else script.read_bytes() + held).hexdigest()


def require_savable(law: ConstitutiveLaw) -> None:
    """Refuse a law that a fit could not save.

    Raises:
        ValueError: Says what its class lacks.
    """
    with tempfile.TemporaryDirectory() as folder:
        try:
            law.save(Path(folder) / f"law{SAVED}")
        except TypeError as error:
            raise ValueError(str(error)) from error


def _made(module: ModuleType, name: str, script: Path) -> ConstitutiveLaw:
    """A law of a class in the user's own file."""
    from rheograd.materials.files import registered
    from rheograd.materials.law import ConstitutiveLaw

    own = {
        key: value
        for key, value in vars(module).items()
        if inspect.isclass(value) and issubclass(value, ConstitutiveLaw)
        if value.__module__ == module.__name__
    }
    if name not in own:
        there = ", ".join(own) or "none"
        raise ValueError(
            f"{script} has no law {name!r}{did_you_mean(name, own)}, expected a subclass of"
            f" ConstitutiveLaw; there is {there}"
        )
    kind = own[name]
    lacking: list[str] = sorted(getattr(kind, "__abstractmethods__", ()))
    if not hasattr(kind, "name"):
        lacking.insert(0, "name")
    if lacking:
        raise ValueError(f"{script}: {name} lacks {', '.join(lacking)}: define what is missing")
    if registered().get(kind.name, kind).__module__.startswith("rheograd."):
        raise ValueError(
            f"{script}: {name} has the name {kind.name!r} of a law of rheograd: choose another"
        )
    required = [
        p.name
        for p in inspect.signature(kind).parameters.values()
        if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
    if required:
        raise ValueError(
            f"{script}: {name} cannot be made without {', '.join(required)}: give defaults to its"
            " constructor"
        )
    try:
        return kind()
    except Exception as error:
        raise ValueError(
            f"{script}: {name}() failed with {type(error).__name__}: {error}; mend the script"
        ) from error
