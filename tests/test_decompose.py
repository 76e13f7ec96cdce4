# SPDX-License-Identifier: Apache-2.0
"""Decompositions of F: what they promise for every F, and their derivatives."""
# pyright: reportInvalidTypeForm=false, reportIndexIssue=false, reportReturnType=false
# pyright: reportOptionalMemberAccess=false

import functools
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import warp as wp

from rheograd.kernels.decompose import decompositions
from rheograd.kernels.dtypes import types
from rheograd.kernels.laws.hencky import quotient_functions

DTYPES = pytest.mark.parametrize("dtype", [wp.float32, wp.float64], ids=["f32", "f64"])


@functools.cache
def kernels(dtype: Any) -> tuple[wp.Kernel, ...]:
    """One kernel around each function."""
    d, t = decompositions(dtype), types(dtype)
    mat33, vec3 = t.mat33, t.vec3
    polar, polar_pullback, spectral, descending = (
        d.polar,
        d.polar_pullback,
        d.spectral,
        d.descending,
    )
    left_pullback, mixed_pullback = d.left_pullback, d.mixed_pullback
    log_quotients, _exp_quotients = quotient_functions(dtype)
    module = f"rheograd.tests.decompose.{t.suffix}"
    one = t.scalar(1.0)

    @wp.kernel(module=module, enable_backward=False)
    def rotate(F: wp.array[mat33], R: wp.array[mat33]):
        i = wp.tid()
        R[i] = polar(F[i])

    @wp.kernel(module=module, enable_backward=False)
    def rotate_pull(F: wp.array[mat33], R_bar: wp.array[mat33], F_bar: wp.array[mat33]):
        i = wp.tid()
        F_bar[i] = polar_pullback(F[i], polar(F[i]), R_bar[i])

    @wp.kernel(module=module, enable_backward=False)
    def decompose(
        F: wp.array[mat33], U: wp.array[mat33], sigma: wp.array[vec3], V: wp.array[mat33]
    ):
        i = wp.tid()
        u, s, v = spectral(F[i])
        u, s, v = descending(u, s, v)
        U[i] = u
        sigma[i] = s
        V[i] = v

    @wp.kernel(module=module, enable_backward=False)
    def log_pull(F: wp.array[mat33], bar: wp.array[mat33], F_bar: wp.array[mat33]):
        i = wp.tid()
        U, s, V = spectral(F[i])
        slopes = wp.diag(vec3(one / s[0], one / s[1], one / s[2]))
        D = left_pullback(s, log_quotients(s), slopes, wp.transpose(U) * bar[i] * U)
        F_bar[i] = U * D * wp.transpose(V)

    @wp.kernel(module=module, enable_backward=False)
    def cube_pull(F: wp.array[mat33], bar: wp.array[mat33], F_bar: wp.array[mat33]):
        """Of F F^T F = U diag(sigma^3) V^T, plus the trace of S times R, to couple the sigma."""
        i = wp.tid()
        U, s, V = spectral(F[i])
        trace = s[0] + s[1] + s[2]
        f = wp.cw_mul(s, wp.cw_mul(s, s)) + vec3(trace, trace, trace)
        three = one + one + one
        slopes = wp.diag(three * wp.cw_mul(s, s)) + mat33(
            one, one, one, one, one, one, one, one, one
        )
        a = vec3(s[1], s[2], s[0])
        b = vec3(s[2], s[0], s[1])
        p = wp.cw_mul(a, a) + wp.cw_mul(a, b) + wp.cw_mul(b, b)
        D = mixed_pullback(s, f, p, slopes, wp.transpose(U) * bar[i] * V)
        F_bar[i] = U * D * wp.transpose(V)

    @wp.kernel(module=f"{module}.tape")
    def taped(F: wp.array[mat33], out: wp.array[mat33]):
        i = wp.tid()
        out[i] = polar(F[i]) * F[i]

    return rotate, rotate_pull, decompose, log_pull, cube_pull, taped


def run(kernel: wp.Kernel, dtype: Any, *inputs: np.ndarray, outputs: str = "M") -> Any:
    """Launch over arrays of matrices; answers float64 arrays."""
    t = types(dtype)
    kinds = {"M": t.mat33, "v": t.vec3}
    arrays = [wp.array(a, dtype=t.mat33, device="cpu") for a in inputs]
    out = [wp.zeros(len(inputs[0]), dtype=kinds[kind], device="cpu") for kind in outputs]
    wp.launch(kernel, len(inputs[0]), inputs=arrays, outputs=out, device="cpu")
    answers = [a.numpy().astype(np.float64) for a in out]
    return answers[0] if len(answers) == 1 else answers


def rotations(n: int, rng: np.random.Generator) -> np.ndarray:
    Q, _ = np.linalg.qr(rng.normal(size=(n, 3, 3)))
    Q[:, :, 0] *= np.linalg.det(Q)[:, None]
    return Q


def stretched(sigma: Any, n: int = 64) -> np.ndarray:
    """U diag(sigma) V^T with random rotations."""
    rng = np.random.default_rng(1)
    U, V = rotations(n, rng), rotations(n, rng)
    return np.einsum("nij,j,nkj->nik", U, np.asarray(sigma, dtype=float), V)


SIGMAS = {
    "rest": (1, 1, 1),
    "two equal": (2, 1, 1),
    "nearly equal": (1, 1 + 1e-7, 1 - 1e-7),
    "strained": (1.3, 1.0, 0.7),
    "crushed": (1, 0.5, 1e-3),
    "stretched": (40, 1, 0.02),
    "inverted": (1.2, 0.9, -0.5),
    "inverted and equal": (1, 1, -1),
    "all equal, inverted": (0.5, 0.5, -0.5),
    "barely inverted": (1, 0.8, -1e-9),
    "flat": (1.5, 0.8, 0),
    "line": (2, 0, 0),
    "zero": (0, 0, 0),
    "huge": (3e12, 1e12, 2e11),
    "small": (3e-12, 1e-12, 2e-13),
}


@DTYPES
@pytest.mark.parametrize("case", SIGMAS)
def test_decomposition_of_any_matrix(case: str, dtype: Any) -> None:
    """F = U diag(sigma) V^T with rotations, sigma as in LAPACK, and R^T F symmetric."""
    rotate, _, decompose, *_ = kernels(dtype)
    F = stretched(SIGMAS[case]).astype(np.float32 if dtype is wp.float32 else np.float64)
    F = F.astype(np.float64)
    eps = 2e-6 if dtype is wp.float32 else 4e-15
    scale = np.abs(SIGMAS[case]).max()
    R = run(rotate, dtype, F)
    U, sigma, V = run(decompose, dtype, F, outputs="MvM")
    for Q in (R, U, V):
        assert np.abs(Q @ Q.swapaxes(1, 2) - np.eye(3)).max() < eps
        assert np.abs(np.linalg.det(Q) - 1).max() < eps
    rebuilt = np.einsum("nij,nj,nkj->nik", U, sigma, V)
    assert np.abs(rebuilt - F).max() <= eps * scale
    expected = np.linalg.svd(F, compute_uv=False)
    signed = expected * np.array([1, 1, np.sign(np.prod(SIGMAS[case])) or 1])
    if min(np.abs(SIGMAS[case])) > 1e-6 * scale:
        assert np.abs(sigma - signed).max() <= eps * scale
    assert np.abs(np.abs(sigma) - expected).max() <= eps * scale
    S = R.swapaxes(1, 2) @ F
    assert np.abs(S - S.swapaxes(1, 2)).max() <= eps * scale


@DTYPES
def test_random_matrices_of_either_sign(dtype: Any) -> None:
    rotate, _, decompose, *_ = kernels(dtype)
    F = np.random.default_rng(2).normal(size=(20000, 3, 3)).astype(np.float32).astype(np.float64)
    eps = 4e-6 if dtype is wp.float32 else 8e-15
    R = run(rotate, dtype, F)
    U, sigma, V = run(decompose, dtype, F, outputs="MvM")
    expected = np.linalg.svd(F, compute_uv=False)
    expected[:, 2] *= np.sign(np.linalg.det(F))
    assert np.abs(np.linalg.det(R) - 1).max() < eps
    assert (np.abs(sigma - expected).max(1) / expected[:, 0]).max() < eps
    rebuilt = np.einsum("nij,nj,nkj->nik", U, sigma, V)
    assert (np.abs(rebuilt - F).max((1, 2)) / expected[:, 0]).max() < eps


@DTYPES
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_non_finite_input_is_not_hidden(bad: float, dtype: Any) -> None:
    F = np.eye(3)[None].copy()
    F[0, 1, 2] = bad
    assert not np.isfinite(run(kernels(dtype)[0], dtype, F)).all()


def difference(value: Any, F: np.ndarray, bar: np.ndarray, step: float) -> np.ndarray:
    """Central differences of <bar, value(F)> with respect to each entry of F, fourth order."""
    out = np.empty_like(F)
    for i in range(3):
        for j in range(3):
            E = np.zeros((3, 3))
            E[i, j] = step
            a, b, c, d = (value(F + k * E) for k in (2, 1, -1, -2))
            out[:, i, j] = ((-a + 8 * b - 8 * c + d) * bar).sum((1, 2)) / (12 * step)
    return out


DIFFERENTIABLE = ["rest", "two equal", "nearly equal", "strained", "stretched", "inverted"]


@pytest.mark.parametrize("case", DIFFERENTIABLE)
def test_polar_pullback(case: str) -> None:
    rotate, rotate_pull, *_ = kernels(wp.float64)
    F = stretched(SIGMAS[case])
    bar = np.random.default_rng(3).normal(size=F.shape)
    smallest = np.sort(np.abs(SIGMAS[case]))[:2].sum() if case != "inverted" else 0.4
    expected = difference(lambda A: run(rotate, wp.float64, A), F, bar, 1e-3 * smallest)
    got = run(rotate_pull, wp.float64, F, bar)
    assert np.abs(got - expected).max() < 1e-9 * np.abs(got).max()


def test_polar_on_a_tape() -> None:
    """The derivative Warp uses is the hand-written one, through a loop it could not replay."""
    taped = kernels(wp.float64)[-1]
    F = stretched((1, 1, 1))
    bar = np.random.default_rng(4).normal(size=F.shape)
    x = wp.array(F, dtype=wp.mat33d, requires_grad=True, device="cpu")
    y = wp.zeros_like(x)
    with wp.Tape() as tape:
        wp.launch(taped, len(F), inputs=[x], outputs=[y], device="cpu")
    tape.backward(grads={y: wp.array(bar, dtype=wp.mat33d, device="cpu")})
    expected = difference(lambda A: run(taped, wp.float64, A), F, bar, 1e-3)
    assert np.abs(x.grad.numpy() - expected).max() < 1e-10 * np.abs(expected).max()


@pytest.mark.parametrize("case", DIFFERENTIABLE)
def test_mixed_pullback(case: str) -> None:
    """Of U diag(sigma^3 + tr sigma) V^T = F F^T F + tr(S) R."""
    rotate, _, _, _, cube_pull, _ = kernels(wp.float64)

    def value(F: np.ndarray) -> np.ndarray:
        R = run(rotate, wp.float64, F)
        return F @ F.swapaxes(1, 2) @ F + np.einsum("nij,nij->n", R, F)[:, None, None] * R

    F = stretched(SIGMAS[case])
    bar = np.random.default_rng(5).normal(size=F.shape)
    got = run(cube_pull, wp.float64, F, bar)
    step = 1e-3 * (0.02 if case == "stretched" else 0.4)
    expected = difference(value, F, bar, step)
    assert np.abs(got - expected).max() < 2e-9 * np.abs(got).max()


def log_pullback(F: np.ndarray, bar: np.ndarray) -> np.ndarray:
    """Exact gradient of <bar, log V>, V = (F F^T)^(1/2), from logm of a block matrix.

    log [[A, dA], [0, A]] = [[log A, L(dA)], [0, log A]] with L the derivative of log at A, which
    is self-adjoint for a symmetric A.
    """
    out = np.empty_like(F)
    for k, (f, b) in enumerate(zip(F, bar, strict=True)):
        A = f @ f.T
        symmetric = (b + b.T) / 2
        block = np.block([[A, symmetric], [np.zeros((3, 3)), A]])
        out[k] = np.real(scipy.linalg.logm(block))[:3, 3:] @ f
    return out


@DTYPES
@pytest.mark.parametrize("gap", [0.0, 1e-14, 1e-9, 1e-7, 1e-5, 1e-3, 9e-3, 0.011, 0.09, 0.11, 0.3])
@pytest.mark.parametrize("middle", [1.0, 0.1])
def test_log_pullback_at_equal_and_nearly_equal_values(
    gap: float, middle: float, dtype: Any
) -> None:
    """Rounding at any distance of two singular values, either side of the thresholds."""
    bound = 5e-6 if dtype is wp.float32 else 1e-12
    F = stretched((1.2, middle * (1 + gap), middle * (1 - gap)), 8)
    F = np.concatenate([F, stretched((middle, middle * (1 + gap), middle * (1 - gap)), 8)])
    if dtype is wp.float32:
        F = F.astype(np.float32).astype(np.float64)
    bar = np.random.default_rng(6).normal(size=F.shape).astype(np.float32).astype(np.float64)
    got = run(kernels(dtype)[3], dtype, F, bar)
    expected = log_pullback(F, bar)
    assert np.abs(got - expected).max() < bound * np.abs(expected).max()
