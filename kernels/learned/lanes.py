# SPDX-License-Identifier: Apache-2.0
"""Rotations and features of eight deformation gradients at once, on a CPU.

A decomposition of one matrix is a chain of divisions and roots of which each waits for the one
before, and Warp's compiler does not work on several particles at a time by itself. Here each number
is a vector over `LANES` particles, computed by the formulas of decompose.py: a fifth of the time.
Lanes do not mix, so what a particle gets does not depend on its neighbours.

On CUDA there is a thread for each particle instead, and these functions are empty.
"""

from typing import Any, NamedTuple

import warp as wp

from ..decompose import decompositions
from ..dtypes import factory, types

LANES = 8
"""Particles of a call; fewer at the end of a batch, whose spare lanes repeat the first."""

_TYPES = """
    typedef SCALAR V __attribute__((ext_vector_type(LANES)));
    typedef decltype(V{} < V{}) M;
    const V zero = V{}, one = zero + SCALAR(1);
    auto root = [](V a) { return __builtin_elementwise_sqrt(a); };
    auto size = [](V a) { return __builtin_elementwise_abs(a); };
    auto load = [&](const wp::mat_t<3, 3, SCALAR>* from, V* to) {
        const SCALAR* numbers = reinterpret_cast<const SCALAR*>(from);
        #pragma unroll
        for (int lane = 0; lane < LANES; ++lane) {
            const SCALAR* own = numbers + (lane < count ? 9 * lane : 0);
            #pragma unroll
            for (int k = 0; k < 9; ++k) to[k][lane] = own[k];
        }
    };
    auto store = [&](const V* from, SCALAR* to, int columns) {
        for (int lane = 0; lane < count; ++lane)
            for (int k = 0; k < columns; ++k) to[lane * columns + k] = from[k][lane];
    };
    auto cofactor = [](const V* A, V* C) {
        C[0] = A[4] * A[8] - A[5] * A[7];
        C[1] = A[5] * A[6] - A[3] * A[8];
        C[2] = A[3] * A[7] - A[4] * A[6];
        C[3] = A[7] * A[2] - A[8] * A[1];
        C[4] = A[8] * A[0] - A[6] * A[2];
        C[5] = A[6] * A[1] - A[7] * A[0];
        C[6] = A[1] * A[5] - A[2] * A[4];
        C[7] = A[2] * A[3] - A[0] * A[5];
        C[8] = A[0] * A[4] - A[1] * A[3];
        return A[0] * C[0] + A[1] * C[1] + A[2] * C[2];
    };
    auto dot = [](const V* A, const V* B, int n) {
        V sum = A[0] * B[0];
        for (int k = 1; k < n; ++k) sum += A[k] * B[k];
        return sum;
    };
"""
"""Helpers of the functions below; matrices are nine vectors, row by row."""

_ROTATIONS = """
    V A[9], C[9], D[9];
    load(F.data + first, A);
    V det = cofactor(A, C);
    const V n = dot(A, A, 9) * SCALAR(1.0 / 3.0);
    const M sound = (det > zero) & (det * det > SCALAR(1.0e-6) * n * n * n);
    M moving = sound;
    for (int step = 0; step < 20 && __builtin_reduce_or(moving); ++step) {
        const V inverse = one / det;
        for (int k = 0; k < 9; ++k) D[k] = SCALAR(0.5) * (C[k] * inverse - A[k]);
        const V change = dot(D, D, 9);
        const M far = moving & (change > zero + SCALAR(0.5));
        if (__builtin_reduce_or(far)) {
            const V g = root(root(dot(C, C, 9) * inverse * inverse / dot(A, A, 9)));
            const V p = SCALAR(0.5) * g, q = SCALAR(0.5) * inverse / g;
            for (int k = 0; k < 9; ++k) {
                A[k] = far ? p * A[k] + q * C[k] : A[k];
                D[k] = far ? zero : D[k];
            }
        }
        for (int k = 0; k < 9; ++k) A[k] = moving ? A[k] + D[k] : A[k];
        moving &= change >= zero + SCALAR(CONVERGED);
        det = cofactor(A, C);
    }
    store(A, reinterpret_cast<SCALAR*>(R_out.data + row), 9);
    int ill = 0;  // lanes that the iteration leaves out
    for (int lane = 0; lane < count; ++lane) ill |= sound[lane] ? 0 : 1 << lane;
    return ill;
"""
"""See `_polar` in decompose.py; with its constants."""

_STRAIN = """
    V A[9], Q[9], E[9];
    load(F.data + first, A);
    load(R.data + row, Q);
    for (int a = 0; a < 3; ++a)
        for (int b = 0; b < 3; ++b)
            E[3 * a + b] = Q[a] * A[b] + Q[3 + a] * A[3 + b] + Q[6 + a] * A[6 + b];
    for (int a = 0; a < 9; a += 4) E[a] -= one;
"""
"""F in A, and S - I in E, which loses no digits near rest."""

_EIGENVECTORS = """
    const V third = zero + SCALAR(1.0 / 3.0);
    V ab = SCALAR(0.5) * (E[1] + E[3]);
    V ac = SCALAR(0.5) * (E[2] + E[6]);
    V bc = SCALAR(0.5) * (E[5] + E[7]);
    const V mean = third * (E[0] + E[4] + E[8]);
    V a = E[0] - mean, b = E[4] - mean, c = E[8] - mean;
    const V norm = root(
        SCALAR(1.0 / 6.0) * (a * a + b * b + c * c) + third * (ab * ab + ac * ac + bc * bc)
    );
    const M some = norm > zero;
    const V k = some ? one / norm : zero;
    a *= k; b *= k; c *= k; ab *= k; ac *= k; bc *= k;
    const V det = a * (b * c - bc * bc) - ab * (ab * c - bc * ac) + ac * (ab * bc - b * ac);
    V x = SCALAR(0.5) * size(det);
    x = x > one ? one : x;
    V y = SCALAR(C0) + x * (SCALAR(C1) + x * (SCALAR(C2) + x * SCALAR(C3)));
    for (int step = 0; step < STEPS; ++step)
        y -= (y * (y * y - SCALAR(3)) - SCALAR(2) * x) / (SCALAR(3) * (y * y - SCALAR(1)));
    y = det < zero ? -y : y;
    V w[3], u[3], v[3], Bu[3], Bv[3], Bw[3];
    auto times = [&](const V* p, V* out) {
        out[0] = a * p[0] + ab * p[1] + ac * p[2];
        out[1] = ab * p[0] + b * p[1] + bc * p[2];
        out[2] = ac * p[0] + bc * p[1] + c * p[2];
    };
    auto normalize = [&](V* p) {
        const V inverse = one / root(dot(p, p, 3));
        for (int i = 0; i < 3; ++i) p[i] *= inverse;
    };
    {
        const V p = a - y, q = b - y, r = c - y;
        const V X = q * r - bc * bc, Y = p * r - ac * ac, Z = p * q - ab * ab;
        const V XY = ac * bc - ab * r, XZ = ab * bc - ac * q, YZ = ab * ac - p * bc;
        const M first_column = (X >= Y) & (X >= Z), second_column = Y >= Z;
        w[0] = first_column ? X : second_column ? XY : XZ;
        w[1] = first_column ? XY : second_column ? Y : YZ;
        w[2] = first_column ? XZ : second_column ? YZ : Z;
    }
    normalize(w);
    const M steep = size(w[0]) > size(w[1]);
    u[0] = steep ? -w[2] : zero;
    u[1] = steep ? zero : w[2];
    u[2] = steep ? w[0] : -w[1];
    normalize(u);
    v[0] = w[1] * u[2] - w[2] * u[1];
    v[1] = w[2] * u[0] - w[0] * u[2];
    v[2] = w[0] * u[1] - w[1] * u[0];
    times(u, Bu);
    times(v, Bv);
    times(w, Bw);
    const V uv = dot(u, Bv, 3), p = dot(u, Bu, 3), q = dot(v, Bv, 3);
    const V d = q - p, off = SCALAR(2) * uv, hypotenuse = root(d * d + off * off);
    const V along = d < zero ? d - hypotenuse : d + hypotenuse;
    const V length = root(along * along + off * off);
    const M turned = length > zero;
    const V scale = turned ? one / length : zero;
    const V co = turned ? along * scale : one, si = off * scale;
    const V tan = turned ? off / along : zero;
    V s0 = dot(w, Bw, 3), s1 = p - tan * uv, s2 = q + tan * uv;
    V W[9];
    for (int i = 0; i < 3; ++i) {
        W[3 * i] = some ? w[i] : (i == 0 ? one : zero);
        W[3 * i + 1] = some ? co * u[i] - si * v[i] : (i == 1 ? one : zero);
        W[3 * i + 2] = some ? si * u[i] + co * v[i] : (i == 2 ? one : zero);
    }
    s0 = some ? s0 : E[0]; s1 = some ? s1 : E[4]; s2 = some ? s2 : E[8];
    auto sort = [&](V& high, V& low, int i) {  // by an exchange of columns that keeps det V = 1
        const M wrong = high < low;
        const V before = high;
        high = wrong ? low : high;
        low = wrong ? before : low;
        for (int row = 0; row < 9; row += 3) {
            const V left = W[row + i];
            W[row + i] = wrong ? W[row + i + 1] : left;
            W[row + i + 1] = wrong ? -left : W[row + i + 1];
        }
    };
    sort(s0, s1, 0);
    sort(s1, s2, 1);
    sort(s0, s1, 0);
    store(W, reinterpret_cast<SCALAR*>(V_out.data + to), 9);
    V out[13];
    for (int i = 0; i < 3; ++i) {
        V sum = zero;
        for (int j = 0; j < 3; ++j) {
            const V row = E[3 * j] * W[i] + E[3 * j + 1] * W[3 + i] + E[3 * j + 2] * W[6 + i];
            sum += W[3 * j + i] * row;
        }
        out[i] = sum;
    }
    V* rest = out + 3;
"""
"""See `_eigenvectors` in decompose.py; sigma - 1 = diag(V^T (S - I) V)."""

_INVARIANTS = """
    V out[12];
    const V e1 = E[0] + E[4] + E[8];
    out[0] = e1;
    out[1] = SCALAR(2) * e1 + SCALAR(0.5) * (e1 * e1 - dot(E, E, 9));
    V* rest = out + 2;
"""

_REST = """
    for (int i = 0; i < 3; ++i)
        for (int j = 0; j < 3; ++j)
            rest[3 * i + j] = A[i] * A[j] + A[3 + i] * A[3 + j] + A[6 + i] * A[6 + j];
    for (int i = 0; i < 9; i += 4) rest[i] -= one;
    V C[9];
    rest[9] = cofactor(A, C) - one;
    store(out, x_out.data + to * COLUMNS, COLUMNS);
"""


_POLAR = """
    store(E, x_out.data + to * COLUMNS, COLUMNS);
"""

_SCALAR = """
    V out[3], C[9];
    const V e1 = E[0] + E[4] + E[8];
    out[0] = e1;
    out[1] = SCALAR(2) * e1 + dot(E, E, 9);
    out[2] = cofactor(A, C) - one;
    store(out, x_out.data + to * COLUMNS, COLUMNS);
"""


class LaneFunctions(NamedTuple):
    """Warp functions on the matrices `first`, ..., `first + count - 1`, at most `LANES`.

    Their rotations are from `row` on, what else is written from `to` on.
    """

    rotate: wp.Function
    """rotate(F, first, count, R_out, row)"""
    describe: dict[str, wp.Function]
    """For each kind of features: (F, first, count, R, row, x_out, V_out, to)."""


@factory
def lane_functions(dtype: Any) -> LaneFunctions:
    """The functions in wp.float32 or wp.float64."""
    t = types(dtype)
    scalar, mat33 = t.scalar, t.mat33
    polar = decompositions(dtype).polar
    single = dtype is wp.float32
    root = 3.0**0.5
    constants = {
        "SCALAR": "wp::float32" if single else "wp::float64",
        "LANES": LANES,
        "CONVERGED": 1.0e-7 if single else 1.0e-15,
        "STEPS": 1 if single else 3,
        "C0": root,
        "C1": 1 / 3,
        "C2": 3 * (2 - root) - 8 / 9,
        "C3": 5 / 9 - 2 * (2 - root),
    }

    def source(*parts: str, columns: int = 9, empty: str = "") -> str:
        text = "".join(parts)
        for name, value in {**constants, "COLUMNS": columns}.items():
            text = text.replace(name, str(value))
        return f"#if defined(__CUDA_ARCH__)\n{empty}\n#else\n{text}\n#endif\n"

    @wp.func_native(source(_TYPES, _ROTATIONS, empty="return -1;"))
    def rotations(
        F: wp.array[mat33], first: wp.int32, count: wp.int32, R_out: wp.array[mat33], row: wp.int32
    ) -> wp.int32: ...

    @wp.func
    def rotate(F: wp.array[mat33], first: int, count: int, R_out: wp.array[mat33], row: int):
        ill = rotations(F, first, count, R_out, row)
        if ill != 0:
            for lane in range(count):
                if (ill >> lane) & 1 == 1:
                    R_out[row + lane] = polar(F[first + lane])

    @wp.func_native(source(_TYPES, _STRAIN, _EIGENVECTORS, _REST, columns=13))
    def full(
        F: wp.array[mat33],
        first: wp.int32,
        count: wp.int32,
        R: wp.array[mat33],
        row: wp.int32,
        x_out: wp.array2d[scalar],
        V_out: wp.array[mat33],
        to: wp.int32,
    ): ...

    @wp.func_native(source(_TYPES, _STRAIN, _INVARIANTS, _REST, columns=12))
    def smooth(
        F: wp.array[mat33],
        first: wp.int32,
        count: wp.int32,
        R: wp.array[mat33],
        row: wp.int32,
        x_out: wp.array2d[scalar],
        V_out: wp.array[mat33],
        to: wp.int32,
    ): ...

    @wp.func_native(source(_TYPES, _STRAIN, _POLAR, columns=9))
    def polar_strains(
        F: wp.array[mat33],
        first: wp.int32,
        count: wp.int32,
        R: wp.array[mat33],
        row: wp.int32,
        x_out: wp.array2d[scalar],
        V_out: wp.array[mat33],
        to: wp.int32,
    ): ...

    @wp.func_native(source(_TYPES, _STRAIN, _SCALAR, columns=3))
    def scalars(
        F: wp.array[mat33],
        first: wp.int32,
        count: wp.int32,
        R: wp.array[mat33],
        row: wp.int32,
        x_out: wp.array2d[scalar],
        V_out: wp.array[mat33],
        to: wp.int32,
    ): ...

    kinds = {"full": full, "smooth": smooth, "polar": polar_strains, "scalar": scalars}
    return LaneFunctions(rotate, kinds)
