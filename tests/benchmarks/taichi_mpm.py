# SPDX-License-Identifier: Apache-2.0
"""MLS-MPM as a user of Taichi 1.7 would write it: the other side of the benchmark `mpm.py`.

Quadratic B-splines, APIC, float32, one field a quantity, atomic adds into a dense grid that is
cleared as a whole; free-slip separating walls. Needs `pip install "rheograd[bench]"`.
"""
# pyright: reportMissingImports=false, reportInvalidTypeForm=false, reportGeneralTypeIssues=false
# pyright: reportOptionalSubscript=false, reportIndexIssue=false, reportAttributeAccessIssue=false

from typing import Any, NamedTuple

import numpy as np
import taichi as ti

MARGIN = 2
NEWTON = 5
"""Iterations of the polar decomposition where it is differentiated: enough for float32 here."""


class Settings(NamedTuple):
    """What both sides simulate."""

    cell: float
    dt: float
    nodes: int
    volume: float
    density: float
    lame: tuple[float, float]
    """mu and lambda [Pa]"""
    gravity: float
    corotated: bool


def start(threads: int) -> None:
    """Set Taichi up; before the first field is made."""
    ti.init(
        arch=ti.cpu, cpu_max_num_threads=threads, default_fp=ti.f32, log_level=ti.ERROR,
        offline_cache=True,
    )  # fmt: skip


@ti.data_oriented
class TaichiMPM:
    """Particles and grid of one scene; `slots` states are kept where gradients are asked for."""

    def __init__(self, s: Settings, x: np.ndarray, v: np.ndarray, slots: int, grad: bool) -> None:
        """Allocate the fields and write the start."""
        self.s, self.n, self.slots, self.grad = s, len(x), slots, grad
        self.mu, self.la = s.lame
        count = slots + 1

        def field(width: int, matrix: bool = False) -> Any:
            if matrix:
                return ti.Matrix.field(3, 3, ti.f32, (count, self.n), needs_grad=grad)
            return ti.Vector.field(width, ti.f32, (count, self.n), needs_grad=grad)

        self.x, self.v = field(3), field(3)
        self.C, self.F = field(3, True), field(3, True)
        grid = (s.nodes, s.nodes, s.nodes)
        self.momentum = ti.Vector.field(3, ti.f32, grid, needs_grad=grad)
        self.mass = ti.field(ti.f32, grid, needs_grad=grad)
        self.velocity = ti.Vector.field(3, ti.f32, grid, needs_grad=grad)
        self.loss = ti.field(ti.f32, (), needs_grad=grad)
        self.reset(x, v)

    def reset(self, x: np.ndarray, v: np.ndarray) -> None:
        """Start at rest shape."""
        for field, value in ((self.x, x), (self.v, v)):
            full = np.zeros((self.slots + 1, self.n, 3), np.float32)
            full[0] = value
            field.from_numpy(full)
        eye = np.tile(np.eye(3, dtype=np.float32), (self.slots + 1, self.n, 1, 1))
        self.F.from_numpy(eye)
        self.C.from_numpy(0.0 * eye)

    @ti.func
    def stress(self, F):
        """Kirchhoff stress [Pa]."""
        J = F.determinant()
        tau = ti.Matrix.zero(ti.f32, 3, 3)
        if ti.static(self.s.corotated):
            R = F
            if ti.static(self.grad):  # Taichi differentiates no SVD
                for _ in ti.static(range(NEWTON)):
                    R = 0.5 * (R + R.inverse().transpose())
            else:
                R, _S = ti.polar_decompose(F)
            tau = 2.0 * self.mu * (F - R) @ F.transpose() + ti.Matrix.identity(ti.f32, 3) * (
                self.la * J * (J - 1.0)
            )
        else:
            tau = self.mu * (F @ F.transpose()) + ti.Matrix.identity(ti.f32, 3) * (
                self.la * ti.log(J) - self.mu
            )
        return tau

    @ti.kernel
    def clear(self):
        for I in ti.grouped(self.mass):
            self.momentum[I] = ti.Vector.zero(ti.f32, 3)
            self.mass[I] = 0.0

    @ti.kernel
    def clear_gradients(self):
        for I in ti.grouped(self.mass):
            self.momentum.grad[I] = ti.Vector.zero(ti.f32, 3)
            self.mass.grad[I] = 0.0
            self.velocity.grad[I] = ti.Vector.zero(ti.f32, 3)

    @ti.kernel
    def p2g(self, k: ti.i32):
        for p in range(self.n):
            inv = 1.0 / self.s.cell
            base = (self.x[k, p] * inv - 0.5).cast(int)
            fx = self.x[k, p] * inv - base.cast(ti.f32)
            w = [0.5 * (1.5 - fx) ** 2, 0.75 - (fx - 1.0) ** 2, 0.5 * (fx - 0.5) ** 2]
            m = self.s.volume * self.s.density
            tau = self.stress(self.F[k, p])
            A = m * self.C[k, p] - (self.s.dt * self.s.volume * 4.0 * inv * inv) * tau
            for i, j, l in ti.static(ti.ndrange(3, 3, 3)):
                offset = ti.Vector([i, j, l])
                d = (offset.cast(ti.f32) - fx) * self.s.cell
                weight = w[i][0] * w[j][1] * w[l][2]
                self.momentum[base + offset] += weight * (m * self.v[k, p] + A @ d)
                self.mass[base + offset] += weight * m

    @ti.kernel
    def balance(self):
        for I in ti.grouped(self.mass):
            m = self.mass[I]
            u = ti.Vector.zero(ti.f32, 3)
            if m > 0.0:
                u = self.momentum[I] / m
                u[1] += self.s.dt * self.s.gravity
                for d in ti.static(range(3)):
                    if I[d] <= MARGIN and u[d] < 0.0:
                        u[d] = 0.0
                    if I[d] >= self.s.nodes - 2 - MARGIN and u[d] > 0.0:
                        u[d] = 0.0
            self.velocity[I] = u

    @ti.kernel
    def g2p(self, k: ti.i32, after: ti.i32):
        for p in range(self.n):
            inv = 1.0 / self.s.cell
            base = (self.x[k, p] * inv - 0.5).cast(int)
            fx = self.x[k, p] * inv - base.cast(ti.f32)
            w = [0.5 * (1.5 - fx) ** 2, 0.75 - (fx - 1.0) ** 2, 0.5 * (fx - 0.5) ** 2]
            new_v = ti.Vector.zero(ti.f32, 3)
            new_C = ti.Matrix.zero(ti.f32, 3, 3)
            for i, j, l in ti.static(ti.ndrange(3, 3, 3)):
                offset = ti.Vector([i, j, l])
                d = offset.cast(ti.f32) - fx
                weight = w[i][0] * w[j][1] * w[l][2]
                u = self.velocity[base + offset]
                new_v += weight * u
                new_C += (4.0 * inv * weight) * u.outer_product(d)
            self.v[after, p] = new_v
            self.C[after, p] = new_C
            self.x[after, p] = self.x[k, p] + self.s.dt * new_v
            self.F[after, p] = (ti.Matrix.identity(ti.f32, 3) + self.s.dt * new_C) @ self.F[k, p]

    @ti.kernel
    def measure(self, k: ti.i32):
        for p in range(self.n):
            self.loss[None] += self.x[k, p].norm_sqr()

    def forward(self, steps: int) -> None:
        """In place, or from slot to slot where there are slots."""
        for step in range(steps):
            k = step if self.slots else 0
            self.clear()
            self.p2g(k)
            self.balance()
            self.g2p(k, k + 1 if self.slots else 0)
        ti.sync()

    def gradient(self) -> None:
        """Forward through all slots and back: v.grad[0] is that of sum |x|² at the end."""
        self.forward(self.slots)
        for field in (self.x, self.v, self.C, self.F):
            field.grad.fill(0.0)
        self.loss[None] = 0.0
        self.measure(self.slots)
        self.loss.grad[None] = 1.0
        self.measure.grad(self.slots)
        for k in reversed(range(self.slots)):
            self.clear()
            self.clear_gradients()
            self.p2g(k)
            self.balance()
            self.g2p.grad(k, k + 1)
            self.balance.grad()
            self.p2g.grad(k)
        ti.sync()
