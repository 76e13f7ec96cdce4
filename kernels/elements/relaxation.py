# SPDX-License-Identifier: Apache-2.0
"""Block Gauss-Seidel sweeps over a matrix in block rows (BSR) of 3 x 3 blocks, and its product.

x_i += D_i^-1 (b - A x)_i, row after row (Saad 2003, "Iterative Methods for Sparse Linear Systems",
4.1). With A = L + D + U, a forward sweep that starts from x = 0 reads L alone and leaves the
residual b - A x = -U x: together they read the matrix once. A backward sweep is taken as the
residual of all rows, which does not wait for memory just written, and a step (D + U)^-1 of it.

A single thread walks all rows, so these are for a CPU; on CUDA they are empty. Rows of a block are
computed on as vectors of four whose last lane is not used, so x has four numbers a node, the
fourth 0.
"""

from typing import Any, NamedTuple

import warp as wp

from ..dtypes import factory, types

_BEGIN = """
    typedef SCALAR V __attribute__((ext_vector_type(4), aligned(sizeof(SCALAR))));
    const int count = rows.shape[0] - 1, last = rows.data[count] - 1;
    SCALAR tail[10];  // the last block, with a number behind it
    for (int k = 0; k < 9; ++k) tail[k] = values.data[9 * last + k];
    tail[9] = SCALAR(0);
    struct Sum { V a, b, c; };
    auto along = [&](int from, int to, const SCALAR* X) __attribute__((always_inline)) {
        V a = {}, b = {}, c = {};
        for (int at = from; at < to; ++at) {
            const SCALAR* block = at == last ? tail : values.data + 9 * at;
            const V y = *reinterpret_cast<const V*>(X + 4 * columns.data[at]);
            a += *reinterpret_cast<const V*>(block) * y;
            b += *reinterpret_cast<const V*>(block + 3) * y;
            c += *reinterpret_cast<const V*>(block + 6) * y;
        }
        return Sum{a, b, c};
    };
    auto sum = [](V a) { return a[0] + a[1] + a[2]; };
"""

_DESCEND = """
    SCALAR* X = x_out.data;
    for (int i = 0; i < count; ++i) {
        const Sum s = along(rows.data[i], diagonal.data[i], X);
        const SCALAR* B = b.data + 3 * i;
        const SCALAR s0 = B[0] - sum(s.a), s1 = B[1] - sum(s.b), s2 = B[2] - sum(s.c);
        *reinterpret_cast<V*>(X + 4 * i) = solved(i, s0, s1, s2);
    }
    for (int i = 0; i < count; ++i) {
        const Sum s = along(diagonal.data[i] + 1, rows.data[i + 1], X);
        r_out.data[3 * i] = -sum(s.a);
        r_out.data[3 * i + 1] = -sum(s.b);
        r_out.data[3 * i + 2] = -sum(s.c);
    }
"""

_ASCEND = """
    SCALAR* X = x.data;
    SCALAR* D = step_out.data;
    for (int i = 0; i < count; ++i) {
        const Sum s = along(rows.data[i], rows.data[i + 1], X);
        const SCALAR* B = b.data + 3 * i;
        *reinterpret_cast<V*>(D + 4 * i) = V{B[0] - sum(s.a), B[1] - sum(s.b), B[2] - sum(s.c), 0};
    }
    for (int i = count - 1; i >= 0; --i) {
        const Sum s = along(diagonal.data[i] + 1, rows.data[i + 1], D);
        const SCALAR* r = D + 4 * i;
        const V step = solved(i, r[0] - sum(s.a), r[1] - sum(s.b), r[2] - sum(s.c));
        *reinterpret_cast<V*>(D + 4 * i) = step;
        *reinterpret_cast<V*>(X + 4 * i) += step;
    }
"""

_SOLVED = """
    auto solved = [&](int i, SCALAR s0, SCALAR s1, SCALAR s2) {
        const SCALAR* d = inverse.data + 9 * i;
        return V{d[0] * s0 + d[1] * s1 + d[2] * s2, d[3] * s0 + d[4] * s1 + d[5] * s2,
                 d[6] * s0 + d[7] * s1 + d[8] * s2, SCALAR(0)};
    };
"""

_MULTIPLY = """
    for (int i = 0; i < count; ++i) {
        const Sum s = along(rows.data[i], rows.data[i + 1], x.data);
        y_out.data[3 * i] = sum(s.a);
        y_out.data[3 * i + 1] = sum(s.b);
        y_out.data[3 * i + 2] = sum(s.c);
    }
"""


class RelaxationKernels(NamedTuple):
    """Kernels of one precision, each over one thread.

    `values` holds the blocks, in ascending columns for the sweeps, `diagonal` the index of each
    row's diagonal block, and `inverse` the inverses of those. b, r and y have three numbers a node,
    x and steps four.
    """

    descend: wp.Kernel
    """(rows, columns, values, diagonal, inverse, b, x_out, r_out): a forward sweep from x = 0 and
    the residual after it."""
    ascend: wp.Kernel
    """(rows, columns, values, diagonal, inverse, b, x, step_out): a backward sweep from any x; the
    difference it makes is in `step_out`."""
    multiply: wp.Kernel
    """(rows, columns, values, x, y_out): y = A x."""


@factory
def relaxation_kernels(dtype: Any) -> RelaxationKernels:
    """The kernels in wp.float32 or wp.float64."""
    scalar = types(dtype).scalar
    module = f"rheograd.relaxation.{types(dtype).suffix}"

    def source(text: str) -> str:
        text = (_BEGIN + text).replace("SCALAR", f"wp::{scalar.__name__}")
        return f"#if !defined(__CUDA_ARCH__)\n{text}\n#endif\n"

    @wp.func_native(source(_SOLVED + _DESCEND))
    def walk_down(
        rows: wp.array[wp.int32],
        columns: wp.array[wp.int32],
        values: wp.array[scalar],
        diagonal: wp.array[wp.int32],
        inverse: wp.array[scalar],
        b: wp.array[scalar],
        x_out: wp.array[scalar],
        r_out: wp.array[scalar],
    ): ...

    @wp.func_native(source(_SOLVED + _ASCEND))
    def walk_up(
        rows: wp.array[wp.int32],
        columns: wp.array[wp.int32],
        values: wp.array[scalar],
        diagonal: wp.array[wp.int32],
        inverse: wp.array[scalar],
        b: wp.array[scalar],
        x: wp.array[scalar],
        step_out: wp.array[scalar],
    ): ...

    @wp.func_native(source(_MULTIPLY))
    def product(
        rows: wp.array[wp.int32],
        columns: wp.array[wp.int32],
        values: wp.array[scalar],
        x: wp.array[scalar],
        y_out: wp.array[scalar],
    ): ...

    @wp.kernel(module=module, enable_backward=False)
    def descend(
        rows: wp.array[wp.int32],
        columns: wp.array[wp.int32],
        values: wp.array[scalar],
        diagonal: wp.array[wp.int32],
        inverse: wp.array[scalar],
        b: wp.array[scalar],
        x_out: wp.array[scalar],
        r_out: wp.array[scalar],
    ):
        walk_down(rows, columns, values, diagonal, inverse, b, x_out, r_out)

    @wp.kernel(module=module, enable_backward=False)
    def ascend(
        rows: wp.array[wp.int32],
        columns: wp.array[wp.int32],
        values: wp.array[scalar],
        diagonal: wp.array[wp.int32],
        inverse: wp.array[scalar],
        b: wp.array[scalar],
        x: wp.array[scalar],
        step_out: wp.array[scalar],
    ):
        walk_up(rows, columns, values, diagonal, inverse, b, x, step_out)

    @wp.kernel(module=module, enable_backward=False)
    def multiply(
        rows: wp.array[wp.int32],
        columns: wp.array[wp.int32],
        values: wp.array[scalar],
        x: wp.array[scalar],
        y_out: wp.array[scalar],
    ):
        product(rows, columns, values, x, y_out)

    return RelaxationKernels(descend, ascend, multiply)
