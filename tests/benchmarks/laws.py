# SPDX-License-Identifier: Apache-2.0
"""Cost of the analytic laws per particle, beside that of one `wp.svd3`.

python tests/benchmarks/laws.py [--particles N] [--strain S] [--float64]

Prints nanoseconds per particle of stress, update and adjoint, and the seconds that a first launch
took, which is the compile time on a cold cache.
"""
# pyright: reportIndexIssue=false, reportArgumentType=false

import argparse
import time
from typing import Any

import numpy as np
import warp as wp

from rheograd.kernels.dtypes import types
from rheograd.kernels.laws.update import coefficient_count, internal_count, law_kernels

LAWS = (
    ("corotated", "none", False),
    ("corotated", "none", True),
    ("neo-hookean", "none", False),
    ("stvk", "none", False),
    ("volumetric", "fluid-reset", False),
    ("hencky", "none", False),
    ("hencky", "von-mises", False),
    ("hencky", "hardening-von-mises", False),
    ("hencky", "drucker-prager", False),
    ("hencky", "herschel-bulkley", False),
    ("corotated", "von-mises", False),
    ("mooney-rivlin", "none", False),
    ("gent", "none", False),
    ("ogden-3", "none", False),
)
COLUMNS = {
    "von-mises": [5e3],
    "hardening-von-mises": [5e3, 1e4],
    "drucker-prager": [0.3, 0.0],
    "herschel-bulkley": [5e3, 100.0, 0.5],
    "mooney-rivlin": [1e4],
    "gent": [50.0],
    "ogden-3": [1.4e5, 1.3, 3e2, 5.0, -1e4, -2.0],
}
REPEATS = 7


@wp.kernel(enable_backward=False)
def svd3_single(
    F: wp.array[wp.mat33f], U: wp.array[wp.mat33f], s: wp.array[wp.vec3f], V: wp.array[wp.mat33f]
):
    """The decomposition that these laws do without."""
    i = wp.tid()
    u, sigma, v = wp.svd3(F[i])
    U[i] = u
    s[i] = sigma
    V[i] = v


def clock(kernel: wp.Kernel, particles: int, arguments: list[Any]) -> tuple[float, float]:
    """Nanoseconds per particle, best of some launches, and seconds of the first launch.

    On a CPU, where a launch is synchronous, of processor time: others may use the machine.
    """
    now = time.process_time if wp.get_device().is_cpu else time.perf_counter
    times = []
    for _ in range(1 + REPEATS):
        start = now()
        wp.launch(kernel, particles, inputs=arguments)
        wp.synchronize_device()
        times.append(now() - start)
    return min(times[1:]) / particles * 1e9, times[0]


def measure(law: tuple[str, str, bool], F: np.ndarray, dtype: Any) -> str:
    """One line of the table."""
    n, t, kernels = len(F), types(dtype), law_kernels(*law, dtype)
    given = [1e5, 1e5, *COLUMNS.get(law[0], []), *COLUMNS.get(law[1], []), 1e-3, 1.0, 0.0]
    columns = given[: coefficient_count(*law)]
    index = wp.array(np.arange(n), dtype=wp.int32)
    row = wp.zeros(n, dtype=wp.int32)
    coefficients = wp.array([columns], dtype=dtype)
    numbers = np.concatenate([F.reshape(n, 9)[:, : 9 * law[2]], np.zeros((n, 9))], 1)
    history = wp.array(numbers[:, : internal_count(*law)], dtype=dtype)
    state = wp.array(F, dtype=t.mat33)
    bars = [wp.array(F, dtype=t.mat33), wp.array(F, dtype=t.mat33), wp.zeros_like(history)]
    out = [wp.empty_like(state), wp.empty_like(state), wp.empty_like(history)]
    F_bar, history_bar = wp.empty_like(state), wp.empty_like(history)
    coefficients_bar = wp.zeros_like(coefficients)
    given = [index, state, history, 1e-3, row, coefficients]
    results = [
        clock(kernels.stress, n, [index, state, history, row, coefficients, out[0]]),
        clock(kernels.update, n, [*given, *out]),
        clock(kernels.adjoint, n, [*given, *bars, F_bar, history_bar, coefficients_bar]),
    ]
    name = " ".join([law[0], law[1], "damped" if law[2] else ""])
    return f"{name:32}" + "".join(f"{ns:10.0f} {first:7.2f}" for ns, first in results)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--particles", type=int, default=100_000)
    parser.add_argument("--strain", type=float, default=0.03, help="size of random strains [-]")
    parser.add_argument("--float64", action="store_true")
    options = parser.parse_args()
    wp.init()
    rng = np.random.default_rng(0)
    Q, _ = np.linalg.qr(rng.normal(size=(options.particles, 3, 3)))
    Q[:, :, 0] *= np.linalg.det(Q)[:, None]
    F = Q @ (np.eye(3) + options.strain * rng.normal(size=Q.shape))
    single = wp.array(F, dtype=wp.mat33f)
    spare = [wp.empty_like(single), wp.empty(len(F), dtype=wp.vec3f), wp.empty_like(single)]
    svd, _ = clock(svd3_single, len(F), [single, *spare])
    print(f"{len(F)} particles, strain {options.strain}; wp.svd3 alone (float32): {svd:.0f} ns")
    titles = "".join(f"{title:>10} {'first':>7}" for title in ("stress", "update", "adjoint"))
    print(f"{'ns per particle, s':32}{titles}")
    for law in LAWS:
        print(measure(law, F, wp.float64 if options.float64 else wp.float32))


if __name__ == "__main__":
    main()
