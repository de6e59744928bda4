// The transforms of Winograd's F(4x4, 3x3) in registers, and the max pooling behind them. A value is a vector of
// channels, or of filters. The functions are named as in winograd.h; the sizes of the arrays tell them apart.
//
// Lavin and Gray (arXiv 1509.09308), with other points: 0, 2/3, -2/3, 3/2, -3/2 and infinity. Where factors and products
// are rounded to half precision, errors are half as large as with their 0, 1, -1, 2, -2 and infinity.

#pragma once

#include <cstdint>

#include "winograd.h"

namespace large {

constexpr float NEAR = 2.f / 3, NEAR2 = NEAR * NEAR, NEAR3 = NEAR2 * NEAR;
constexpr float FAR = 1.5f, FAR2 = FAR * FAR, FAR3 = FAR2 * FAR;
constexpr float SQUARES = NEAR2 + FAR2;
// NEAR * FAR is 1, so that many coefficients of the patch are.
constexpr float NEAR_SCALE = 1 / (2 * NEAR2 * (NEAR2 - FAR2)), FAR_SCALE = 1 / (2 * FAR2 * (FAR2 - NEAR2));

// out = T in T', where `line` multiplies a vector by T.
template <int IN, int OUT, class Floats, class Line>
inline void both_ways(Floats (*in)[IN], Floats (*out)[OUT], Line line) {
    Floats half[OUT][IN];
#pragma GCC unroll 6
    for (int j = 0; j < IN; ++j) {
        Floats column[IN], result[OUT];
#pragma GCC unroll 6
        for (int i = 0; i < IN; ++i) column[i] = in[i][j];
        line(column, result);
#pragma GCC unroll 6
        for (int i = 0; i < OUT; ++i) half[i][j] = result[i];
    }
#pragma GCC unroll 6
    for (int i = 0; i < OUT; ++i) line(half[i], out[i]);
}

}  // namespace large

// tile = B' d B
template <class Floats>
inline void transform_patch(Floats d[6][6], Floats tile[6][6]) {
    using namespace large;
    both_ways(d, tile, [](const Floats *in, Floats *out) {
        const Floats near_even = in[4] - FAR2 * in[2], near_odd = in[3] - FAR2 * in[1];
        const Floats far_even = in[4] - NEAR2 * in[2], far_odd = in[3] - NEAR2 * in[1];
        out[0] = in[0] + in[4] - SQUARES * in[2];
        out[1] = near_even + NEAR * near_odd;
        out[2] = near_even - NEAR * near_odd;
        out[3] = far_even + FAR * far_odd;
        out[4] = far_even - FAR * far_odd;
        out[5] = in[1] + in[5] - SQUARES * in[3];
    });
}

// d = B g B'
template <class Floats>
inline void transform_patch_backward(Floats g[6][6], Floats d[6][6]) {
    using namespace large;
    both_ways(g, d, [](const Floats *in, Floats *out) {
        const Floats near_even = in[1] + in[2], near_odd = in[1] - in[2];
        const Floats far_even = in[3] + in[4], far_odd = in[3] - in[4];
        out[0] = in[0];
        out[1] = in[5] - FAR * near_odd - NEAR * far_odd;
        out[2] = -SQUARES * in[0] - FAR2 * near_even - NEAR2 * far_even;
        out[3] = NEAR * near_odd + FAR * far_odd - SQUARES * in[5];
        out[4] = in[0] + near_even + far_even;
        out[5] = in[5];
    });
}

// out = A' m A
template <class Floats>
inline void join(Floats m[6][6], Floats out[4][4]) {
    using namespace large;
    both_ways(m, out, [](const Floats *in, Floats *out) {
        const Floats near_even = in[1] + in[2], near_odd = in[1] - in[2];
        const Floats far_even = in[3] + in[4], far_odd = in[3] - in[4];
        out[0] = in[0] + near_even + far_even;
        out[1] = NEAR * near_odd + FAR * far_odd;
        out[2] = NEAR2 * near_even + FAR2 * far_even;
        out[3] = in[5] + NEAR3 * near_odd + FAR3 * far_odd;
    });
}

// m = A g A'
template <class Floats>
inline void join_backward(Floats g[4][4], Floats m[6][6]) {
    using namespace large;
    both_ways(g, m, [](const Floats *in, Floats *out) {
        const Floats near_even = in[0] + NEAR2 * in[2], near_odd = in[1] + NEAR2 * in[3];
        const Floats far_even = in[0] + FAR2 * in[2], far_odd = in[1] + FAR2 * in[3];
        out[0] = in[0];
        out[1] = near_even + NEAR * near_odd;
        out[2] = near_even - NEAR * near_odd;
        out[3] = far_even + FAR * far_odd;
        out[4] = far_even - FAR * far_odd;
        out[5] = in[3];
    });
}

// The largest of each 2x2 window of A' m A, and which of the four it is. NaN stays, as in torch.
template <class Floats, class Words>
inline void pool(Floats m[6][6], Floats largest[2][2], Words place[2][2]) {
    Floats out[4][4];
    join(m, out);
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) {
        const int i = k / 2, j = k % 2;
        const Floats *top = &out[2 * i][2 * j], *bottom = &out[2 * i + 1][2 * j];
        const Floats window[] = {top[0], top[1], bottom[0], bottom[1]};
        largest_of(window, largest[i][j], place[i][j]);
    }
}

// m = A g A', where g is 0 but at the places of the largest
template <class Floats, class Words>
inline void pool_backward(Floats gradient[2][2], Words place[2][2], Floats m[6][6]) {
    Floats g[4][4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i)
#pragma GCC unroll 4
        for (int j = 0; j < 4; ++j) {
            const uint32_t k = 2 * (i % 2) + j % 2;
            g[i][j] = place[i / 2][j / 2] == Words{} + k ? gradient[i / 2][j / 2] : Floats{};
        }
    join_backward(g, m);
}

// out = G g G'
template <class Floats>
inline void transform_filter(Floats g[3][3], Floats out[6][6]) {
    using namespace large;
    both_ways(g, out, [](const Floats *in, Floats *out) {
        const Floats near_even = NEAR_SCALE * (in[0] + NEAR2 * in[2]), near_odd = NEAR_SCALE * NEAR * in[1];
        const Floats far_even = FAR_SCALE * (in[0] + FAR2 * in[2]), far_odd = FAR_SCALE * FAR * in[1];
        out[0] = in[0];
        out[1] = near_even + near_odd;
        out[2] = near_even - near_odd;
        out[3] = far_even + far_odd;
        out[4] = far_even - far_odd;
        out[5] = in[2];
    });
}

// g = G' out G
template <class Floats>
inline void transform_filter_backward(Floats out[6][6], Floats g[3][3]) {
    using namespace large;
    both_ways(out, g, [](const Floats *in, Floats *out) {
        const Floats near_even = NEAR_SCALE * (in[1] + in[2]), near_odd = NEAR_SCALE * NEAR * (in[1] - in[2]);
        const Floats far_even = FAR_SCALE * (in[3] + in[4]), far_odd = FAR_SCALE * FAR * (in[3] - in[4]);
        out[0] = in[0] + near_even + far_even;
        out[1] = near_odd + far_odd;
        out[2] = in[5] + NEAR2 * near_even + FAR2 * far_even;
    });
}
