# SPDX-License-Identifier: Apache-2.0
"""Polar and singular value decompositions of a 3x3 matrix, with exact derivatives.

With F = U diag(sigma) V^T and det U = det V = 1, the singular value of least magnitude carries
the sign of det F. R = U V^T is then a rotation for every F, and S = R^T F is symmetric with
eigenvalues sigma. Derivatives are taken of R and of spectral functions, never of U and V alone,
so they exist where singular values coincide. In particular they are exact at F = I.

    polar     dR = R [w], (tr S I - S) w = axial(R^T dF - dF^T R);
              singular where two singular values sum to zero
    spectral  U diag(b) U^T and U diag(f) V^T of functions b, f of sigma that commute with
              permutations, by the divided differences of Daleckii and Krein

Nothing in this module is differentiated by Warp: the pullbacks are functions of their own.
"""

from typing import Any, NamedTuple

import warp as wp

from .dtypes import factory, types


class Decompositions(NamedTuple):
    """Warp functions of one precision."""

    cofactor: wp.Function
    """cofactor(F) -> d det F / dF."""
    polar: wp.Function
    """polar(F) -> R, det R = 1; usable under wp.grad and wp.Tape as well."""
    polar_pullback: wp.Function
    """polar_pullback(F, R, R_bar) -> F_bar."""
    eigenvectors: wp.Function
    """eigenvectors(S) -> eigenvalues in no particular order, V; of a symmetric S, det V = 1."""
    spectral: wp.Function
    """spectral(F) -> U, sigma, V; det U = det V = 1, sigma in no particular order."""
    descending: wp.Function
    """descending(U, sigma, V) -> the same with sigma sorted, still det U = det V = 1."""
    left_pullback: wp.Function
    """left_pullback(sigma, p, J, B) -> D_bar, see `_spectral_functions`."""
    mixed_pullback: wp.Function
    """mixed_pullback(sigma, f, p, J, H) -> D_bar, see `_spectral_functions`."""


@factory
def decompositions(dtype: Any) -> Decompositions:
    """The decompositions in wp.float32 or wp.float64."""
    cofactor = _cofactor(dtype)
    polar, polar_pullback = _polar(dtype)
    spectral, descending = _spectral(dtype)
    left_pullback, mixed_pullback = _spectral_functions(dtype)
    return Decompositions(
        cofactor,
        polar,
        polar_pullback,
        _eigenvectors(dtype),
        spectral,
        descending,
        left_pullback,
        mixed_pullback,
    )


@factory
def _cofactor(dtype: Any) -> wp.Function:
    mat33 = types(dtype).mat33

    @wp.func
    def cofactor(F: mat33):
        return mat33(
            F[1, 1] * F[2, 2] - F[1, 2] * F[2, 1],
            F[1, 2] * F[2, 0] - F[1, 0] * F[2, 2],
            F[1, 0] * F[2, 1] - F[1, 1] * F[2, 0],
            F[2, 1] * F[0, 2] - F[2, 2] * F[0, 1],
            F[2, 2] * F[0, 0] - F[2, 0] * F[0, 2],
            F[2, 0] * F[0, 1] - F[2, 1] * F[0, 0],
            F[0, 1] * F[1, 2] - F[0, 2] * F[1, 1],
            F[0, 2] * F[1, 0] - F[0, 0] * F[1, 2],
            F[0, 0] * F[1, 1] - F[0, 1] * F[1, 0],
        )

    return cofactor


@factory
def _jacobi_svd(dtype: Any) -> wp.Function:
    """One-sided Jacobi: slow, and accurate for every finite F, singular and zero included."""
    t = types(dtype)
    scalar, vec3, mat33 = t.scalar, t.vec3, t.mat33
    zero, one, two = scalar(0.0), scalar(1.0), scalar(2.0)
    eps = scalar(1.2e-7 if dtype is wp.float32 else 2.3e-16)
    tiny = scalar(1.0e-37 if dtype is wp.float32 else 1.0e-300)

    @wp.func
    def turn(a: vec3, b: vec3):
        """Cosine and sine of the rotation in the plane (a, b) that makes them orthogonal."""
        ab = wp.dot(a, b)
        aa = wp.dot(a, a)
        bb = wp.dot(b, b)
        c = one
        s = zero
        if wp.abs(ab) > eps * wp.sqrt(aa) * wp.sqrt(bb):
            z = (bb - aa) / (two * ab)
            tan = one / (wp.abs(z) + wp.sqrt(one + z * z))
            if z < zero:
                tan = -tan
            c = one / wp.sqrt(one + tan * tan)
            s = c * tan
        return c, s

    @wp.func
    def perpendicular(a: vec3):
        """A unit vector orthogonal to the unit vector a."""
        axis = vec3(one, zero, zero)
        if wp.abs(a[0]) > wp.abs(a[1]):
            axis = vec3(zero, one, zero)
        return wp.normalize(wp.cross(a, axis))

    @wp.func
    def jacobi_svd(F: mat33):
        """U, sigma, V with sigma in descending order of magnitude."""
        scale = zero
        for i in range(3):
            for j in range(3):
                scale = wp.max(scale, wp.abs(F[i, j]))
        if scale <= tiny:
            I = wp.identity(n=3, dtype=scalar)
            return I, wp.get_diag(F), I
        A = F / scale
        a0 = vec3(A[0, 0], A[1, 0], A[2, 0])
        a1 = vec3(A[0, 1], A[1, 1], A[2, 1])
        a2 = vec3(A[0, 2], A[1, 2], A[2, 2])
        v0 = vec3(one, zero, zero)
        v1 = vec3(zero, one, zero)
        v2 = vec3(zero, zero, one)
        sweep = int(0)
        while sweep < 12:
            c, s = turn(a0, a1)
            largest = wp.abs(s)
            a0, a1 = c * a0 - s * a1, s * a0 + c * a1
            v0, v1 = c * v0 - s * v1, s * v0 + c * v1
            c, s = turn(a0, a2)
            largest = wp.max(largest, wp.abs(s))
            a0, a2 = c * a0 - s * a2, s * a0 + c * a2
            v0, v2 = c * v0 - s * v2, s * v0 + c * v2
            c, s = turn(a1, a2)
            largest = wp.max(largest, wp.abs(s))
            a1, a2 = c * a1 - s * a2, s * a1 + c * a2
            v1, v2 = c * v1 - s * v2, s * v1 + c * v2
            sweep += 1
            if largest == zero:
                sweep = 12
        # an exchange with a change of sign keeps det V = 1
        if wp.dot(a0, a0) < wp.dot(a1, a1):
            a0, a1 = a1, -a0
            v0, v1 = v1, -v0
        if wp.dot(a1, a1) < wp.dot(a2, a2):
            a1, a2 = a2, -a1
            v1, v2 = v2, -v1
        if wp.dot(a0, a0) < wp.dot(a1, a1):
            a0, a1 = a1, -a0
            v0, v1 = v1, -v0
        u0 = wp.normalize(a0)
        b1 = a1 - wp.dot(u0, a1) * u0
        u1 = perpendicular(u0)
        if wp.length(b1) > eps:
            u1 = wp.normalize(b1)
        u2 = wp.cross(u0, u1)
        sigma = scale * vec3(wp.dot(u0, a0), wp.dot(u1, a1), wp.dot(u2, a2))
        return wp.matrix_from_cols(u0, u1, u2), sigma, wp.matrix_from_cols(v0, v1, v2)

    return jacobi_svd


@factory
def _polar(dtype: Any) -> tuple[wp.Function, wp.Function]:
    """Newton's iteration X <- (X + X^-T) / 2 (Higham 1986), with its scaling while far off.

    Where det F <= 1e-3 (|F|^2/3)^(3/2), so also for a reflection, the Jacobi path takes over.
    The loop ends after a step of squared length `converged`; as convergence is quadratic, what
    remains is half of that.
    """
    t = types(dtype)
    scalar, vec3, mat33 = t.scalar, t.vec3, t.mat33
    zero, half, three = scalar(0.0), scalar(0.5), scalar(3.0)
    ill = scalar(1.0e-6)
    far = scalar(0.5)
    converged = scalar(1.0e-7 if dtype is wp.float32 else 1.0e-15)
    cofactor = _cofactor(dtype)
    jacobi_svd = _jacobi_svd(dtype)

    @wp.func
    def polar(F: mat33):
        """R in SO(3); a non-finite F gives a non-finite R."""
        R = F
        C = cofactor(F)
        det = F[0, 0] * C[0, 0] + F[0, 1] * C[0, 1] + F[0, 2] * C[0, 2]
        n = wp.ddot(F, F) / three
        if det <= zero or det * det <= ill * n * n * n:
            U, _sigma, V = jacobi_svd(F)
            R = U * wp.transpose(V)
        else:
            step = int(0)
            while step < 20:
                D = half * (C / det - R)
                change = wp.ddot(D, D)
                if change > far:
                    Y = C / det
                    g = wp.sqrt(wp.sqrt(wp.ddot(Y, Y) / wp.ddot(R, R)))
                    R = (half * g) * R + (half / g) * Y
                else:
                    R = R + D
                step += 1
                if change < converged:
                    step = 20
                else:
                    C = cofactor(R)
                    det = R[0, 0] * C[0, 0] + R[0, 1] * C[0, 1] + R[0, 2] * C[0, 2]
        return R

    @wp.func
    def polar_pullback(F: mat33, R: mat33, R_bar: mat33):
        """F_bar = R [g], (tr S I - S) g = axial(M - M^T), M = R^T R_bar."""
        S = wp.transpose(R) * F
        M = wp.transpose(R) * R_bar
        xy = half * (S[0, 1] + S[1, 0])
        xz = half * (S[0, 2] + S[2, 0])
        yz = half * (S[1, 2] + S[2, 1])
        a = S[1, 1] + S[2, 2]
        b = S[0, 0] + S[2, 2]
        c = S[0, 0] + S[1, 1]
        G = mat33(a, -xy, -xz, -xy, b, -yz, -xz, -yz, c)
        m = vec3(M[2, 1] - M[1, 2], M[0, 2] - M[2, 0], M[1, 0] - M[0, 1])
        C = cofactor(G)
        g = (C * m) / (a * C[0, 0] - xy * C[0, 1] - xz * C[0, 2])
        return R * wp.skew(g)

    @wp.func_grad(polar)
    def adj_polar(F: mat33, adj_ret: mat33):
        wp.adjoint[F] += polar_pullback(F, polar(F), adj_ret)

    return polar, polar_pullback


@factory
def _eigenvectors(dtype: Any) -> wp.Function:
    """Eigenvalues and a rotation of eigenvectors of a symmetric matrix, without a loop.

    After Eberly, "A Robust Eigensolver for 3x3 Symmetric Matrices" (2014), here without
    trigonometry: B, the deviator of S in units of its norm over sqrt 6, has the characteristic
    polynomial y^3 - 3 y - det B, and of its eigenvalues the one with the sign of det B is at
    least sqrt 3 in magnitude and as far from the others. Its eigenvector w is the largest column
    of the cofactors of B - y I; one Jacobi rotation in the plane orthogonal to w gives the
    others, orthonormal to rounding however close their eigenvalues are.
    """
    t = types(dtype)
    scalar, vec3, mat33 = t.scalar, t.vec3, t.mat33
    zero, half, one, two, three = (scalar(i) for i in (0.0, 0.5, 1.0, 2.0, 3.0))
    third, sixth = scalar(1.0 / 3.0), scalar(1.0 / 6.0)
    root = 3.0**0.5
    # values and slopes at 0 and 1 are exact: y = sqrt 3 and 2, dy/dx = 1/3 and 2/9
    c0, c1 = scalar(root), third
    c2, c3 = scalar(3 * (2 - root) - 8 / 9), scalar(5 / 9 - 2 * (2 - root))
    steps = 1 if dtype is wp.float32 else 3

    @wp.func
    def far_root(x: scalar):
        """The root of y^3 - 3 y = 2 x in [sqrt 3, 2], for x in [0, 1]: a cubic, then Newton."""
        y = c0 + x * (c1 + x * (c2 + x * c3))
        for _ in range(steps):
            y -= (y * (y * y - three) - two * x) / (three * (y * y - one))
        return y

    @wp.func
    def angle(p: scalar, q: scalar, off: scalar):
        """Cosine, sine and tangent of the rotation that annihilates `off` between p and q."""
        d = q - p
        y = two * off
        x = d + wp.sqrt(d * d + y * y)
        if d < zero:
            x = d - wp.sqrt(d * d + y * y)
        norm = wp.sqrt(x * x + y * y)
        co = one
        si = zero
        tan = zero
        if norm > zero:
            scale = one / norm
            co = x * scale
            si = y * scale
            tan = y / x
        return co, si, tan

    @wp.func
    def far_vector(a: scalar, b: scalar, c: scalar, ab: scalar, ac: scalar, bc: scalar):
        """The unit eigenvector of eigenvalue 0 of a matrix of rank 2."""
        A = b * c - bc * bc
        B = a * c - ac * ac
        C = a * b - ab * ab
        AB = ac * bc - ab * c
        AC = ab * bc - ac * b
        BC = ab * ac - a * bc
        w = vec3(AC, BC, C)
        if A >= B and A >= C:
            w = vec3(A, AB, AC)
        elif B >= C:
            w = vec3(AB, B, BC)
        return w / wp.length(w)

    @wp.func
    def eigenvectors(S: mat33):
        ab = half * (S[0, 1] + S[1, 0])
        ac = half * (S[0, 2] + S[2, 0])
        bc = half * (S[1, 2] + S[2, 1])
        mean = third * (S[0, 0] + S[1, 1] + S[2, 2])
        a = S[0, 0] - mean
        b = S[1, 1] - mean
        c = S[2, 2] - mean
        size = wp.sqrt(sixth * (a * a + b * b + c * c) + third * (ab * ab + ac * ac + bc * bc))
        sigma = wp.get_diag(S)
        V = wp.diag(vec3(one, one, one))
        if size > zero:
            k = one / size
            a, b, c, ab, ac, bc = k * a, k * b, k * c, k * ab, k * ac, k * bc
            det = a * (b * c - bc * bc) - ab * (ab * c - bc * ac) + ac * (ab * bc - b * ac)
            y = far_root(wp.min(half * wp.abs(det), one))
            if det < zero:
                y = -y
            w = far_vector(a - y, b - y, c - y, ab, ac, bc)
            u = vec3(zero, w[2], -w[1])
            if wp.abs(w[0]) > wp.abs(w[1]):
                u = vec3(-w[2], zero, w[0])
            u = u / wp.length(u)
            v = wp.cross(w, u)
            B = mat33(a, ab, ac, ab, b, bc, ac, bc, c)
            Bu = B * u
            Bv = B * v
            uv = wp.dot(u, Bv)
            p = wp.dot(u, Bu)
            q = wp.dot(v, Bv)
            co, si, tan = angle(p, q, uv)
            sigma = vec3(mean, mean, mean) + size * vec3(
                wp.dot(w, B * w), p - tan * uv, q + tan * uv
            )
            V = wp.matrix_from_cols(w, co * u - si * v, si * u + co * v)
        return sigma, V

    return eigenvectors


@factory
def _spectral(dtype: Any) -> tuple[wp.Function, wp.Function]:
    """Polar decomposition, then eigenvectors of S = R^T F.

    Eigenvalues of F^T F would square the condition number.
    """
    t = types(dtype)
    vec3, mat33 = t.vec3, t.mat33
    polar, _pullback = _polar(dtype)
    eigenvectors = _eigenvectors(dtype)

    @wp.func
    def spectral(F: mat33):
        R = polar(F)
        sigma, V = eigenvectors(wp.transpose(R) * F)
        return R * V, sigma, V

    @wp.func
    def swap(A: mat33, i: int, j: int):
        """A with columns i and j exchanged and one of them negated."""
        B = A
        for k in range(3):
            B[k, i] = A[k, j]
            B[k, j] = -A[k, i]
        return B

    @wp.func
    def descending(U: mat33, sigma: vec3, V: mat33):
        s = sigma
        P = U
        Q = V
        if s[0] < s[1]:
            s, P, Q = vec3(s[1], s[0], s[2]), swap(P, 0, 1), swap(Q, 0, 1)
        if s[1] < s[2]:
            s, P, Q = vec3(s[0], s[2], s[1]), swap(P, 1, 2), swap(Q, 1, 2)
        if s[0] < s[1]:
            s, P, Q = vec3(s[1], s[0], s[2]), swap(P, 0, 1), swap(Q, 0, 1)
        return P, s, Q

    return spectral, descending


@factory
def _spectral_functions(dtype: Any) -> tuple[wp.Function, wp.Function]:
    """Derivatives of U diag(b) U^T and U diag(f) V^T, both functions of sigma.

    With D = U^T dF V and s = sigma, for i != j, in the frame of U (and of V on the right)

        d(U b U^T)_ij = p (D_ij + D_ji) / 2 + q (D_ij - D_ji) / 2,
            p = (b_j - b_i) / (s_j - s_i),   q = (b_j - b_i) / (s_i + s_j)
        d(U f V^T)_ij = p (D_ij + D_ji) / 2 + q (D_ij - D_ji) / 2,
            p = (f_j - f_i) / (s_j - s_i),   q = (f_i + f_j) / (s_i + s_j)

    and on the diagonal the Jacobians J of b and f. The callers give the three quotients p, of the
    pairs (1, 2), (2, 0) and (0, 1), with their limits where values coincide. No rule that needs J
    alone can: how near is near depends on b, which turns, where a solid yields, over a distance of
    the yield strain. q has no limit to take: for s_i + s_j = 0 it is infinite unless its numerator
    vanishes, as for b clamped to a constant on both sides.

    B = U^T tau_bar U and H = U^T F_bar V are gradients with respect to these frame components;
    the answer D_bar gives F_bar = U D_bar V^T.
    """
    t = types(dtype)
    scalar, vec3, mat33 = t.scalar, t.vec3, t.mat33
    zero, half = scalar(0.0), scalar(0.5)

    @wp.func
    def skew_slope(numerator: scalar, s: vec3, i: int, j: int):
        q = zero
        if numerator != zero:
            q = numerator / (s[i] + s[j])
        return q

    @wp.func
    def left_pair(s: vec3, p: scalar, B: mat33, i: int, j: int):
        """D_bar_ij and D_bar_ji."""
        q = skew_slope(p * (s[j] - s[i]), s, i, j)
        B_sum = half * (B[i, j] + B[j, i])
        return (p + q) * B_sum, (p - q) * B_sum

    @wp.func
    def mixed_pair(s: vec3, f: vec3, p: scalar, H: mat33, i: int, j: int):
        """D_bar_ij and D_bar_ji."""
        even = half * p * (H[i, j] + H[j, i])
        odd = half * skew_slope(f[i] + f[j], s, i, j) * (H[i, j] - H[j, i])
        return even + odd, even - odd

    @wp.func
    def left_pullback(s: vec3, p: vec3, J: mat33, B: mat33):
        """D_bar of U diag(b) U^T; J_ij = db_i/ds_j."""
        d = wp.transpose(J) * wp.get_diag(B)
        xy, yx = left_pair(s, p[2], B, 0, 1)
        xz, zx = left_pair(s, p[1], B, 0, 2)
        yz, zy = left_pair(s, p[0], B, 1, 2)
        return mat33(d[0], xy, xz, yx, d[1], yz, zx, zy, d[2])

    @wp.func
    def mixed_pullback(s: vec3, f: vec3, p: vec3, J: mat33, H: mat33):
        """D_bar of U diag(f) V^T; J_ij = df_i/ds_j."""
        d = wp.transpose(J) * wp.get_diag(H)
        xy, yx = mixed_pair(s, f, p[2], H, 0, 1)
        xz, zx = mixed_pair(s, f, p[1], H, 0, 2)
        yz, zy = mixed_pair(s, f, p[0], H, 1, 2)
        return mat33(d[0], xy, xz, yx, d[1], yz, zx, zy, d[2])

    return left_pullback, mixed_pullback
