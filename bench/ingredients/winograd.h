// The transforms of Winograd's F(2x2, 3x3) in registers, and the max pooling behind them. A value is a vector of
// channels, or of filters.
//
// Lavin and Gray (arXiv 1509.09308); B, G and A are theirs.

#pragma once

#include <cstdint>

// tile = B' d B
template <class Floats>
inline void transform_patch(Floats d[4][4], Floats tile[4][4]) {
    Floats half[4][4];
    for (int j = 0; j < 4; ++j) {
        half[0][j] = d[0][j] - d[2][j];
        half[1][j] = d[1][j] + d[2][j];
        half[2][j] = d[2][j] - d[1][j];
        half[3][j] = d[1][j] - d[3][j];
    }
    for (int i = 0; i < 4; ++i) {
        tile[i][0] = half[i][0] - half[i][2];
        tile[i][1] = half[i][1] + half[i][2];
        tile[i][2] = half[i][2] - half[i][1];
        tile[i][3] = half[i][1] - half[i][3];
    }
}

// d = B g B'
template <class Floats>
inline void transform_patch_backward(Floats g[4][4], Floats d[4][4]) {
    Floats half[4][4];
    for (int j = 0; j < 4; ++j) {
        half[0][j] = g[0][j];
        half[1][j] = g[1][j] - g[2][j] + g[3][j];
        half[2][j] = g[1][j] + g[2][j] - g[0][j];
        half[3][j] = -g[3][j];
    }
    for (int i = 0; i < 4; ++i) {
        d[i][0] = half[i][0];
        d[i][1] = half[i][1] - half[i][2] + half[i][3];
        d[i][2] = half[i][1] + half[i][2] - half[i][0];
        d[i][3] = -half[i][3];
    }
}

// out = A' m A
template <class Floats>
inline void join(Floats m[4][4], Floats out[2][2]) {
    Floats half[2][4];
    for (int j = 0; j < 4; ++j) {
        half[0][j] = m[0][j] + m[1][j] + m[2][j];
        half[1][j] = m[1][j] - m[2][j] - m[3][j];
    }
    for (int i = 0; i < 2; ++i) {
        out[i][0] = half[i][0] + half[i][1] + half[i][2];
        out[i][1] = half[i][1] - half[i][2] - half[i][3];
    }
}

// m = A g A'
template <class Floats>
inline void join_backward(Floats g[2][2], Floats m[4][4]) {
    const Floats half[4][2] = {
        {g[0][0], g[0][1]},
        {g[0][0] + g[1][0], g[0][1] + g[1][1]},
        {g[0][0] - g[1][0], g[0][1] - g[1][1]},
        {-g[1][0], -g[1][1]},
    };
    for (int i = 0; i < 4; ++i) {
        m[i][0] = half[i][0];
        m[i][1] = half[i][0] + half[i][1];
        m[i][2] = half[i][0] - half[i][1];
        m[i][3] = -half[i][1];
    }
}

// The largest of the four of a 2x2 window, and which one it is. NaN stays, as in torch.
template <class Floats, class Words>
inline void largest_of(const Floats window[4], Floats &largest, Words &place) {
    largest = window[0];
    place = Words{};
    for (uint32_t k = 1; k < 4; ++k) {
        const Floats other = window[k];
        const auto larger = (other > largest) | (other != other);
        largest = larger ? other : largest;
        place = larger ? Words{} + k : place;
    }
}

// The largest of the 2x2 of A' m A, and which of the four it is.
template <class Floats, class Words>
inline void pool(Floats m[4][4], Floats &largest, Words &place) {
    Floats out[2][2];
    join(m, out);
    const Floats window[] = {out[0][0], out[0][1], out[1][0], out[1][1]};
    largest_of(window, largest, place);
}

template <class Floats, class Words>
inline void pool(Floats m[4][4], Floats largest[1][1], Words place[1][1]) {
    pool(m, largest[0][0], place[0][0]);
}

// m = A g A', where g is 0 but at the place of the largest
template <class Floats, class Words>
inline void pool_backward(Floats gradient, Words place, Floats m[4][4]) {
    Floats g[2][2];
    for (uint32_t k = 0; k < 4; ++k) g[k / 2][k % 2] = place == Words{} + k ? gradient : Floats{};
    join_backward(g, m);
}

template <class Floats, class Words>
inline void pool_backward(Floats gradient[1][1], Words place[1][1], Floats m[4][4]) {
    pool_backward(gradient[0][0], place[0][0], m);
}

// out = G g G'
template <class Floats>
inline void transform_filter(Floats g[3][3], Floats out[4][4]) {
    Floats half[4][3];
    for (int j = 0; j < 3; ++j) {
        const Floats outer = g[0][j] + g[2][j];
        half[0][j] = g[0][j];
        half[1][j] = 0.5f * (outer + g[1][j]);
        half[2][j] = 0.5f * (outer - g[1][j]);
        half[3][j] = g[2][j];
    }
    for (int i = 0; i < 4; ++i) {
        const Floats outer = half[i][0] + half[i][2];
        out[i][0] = half[i][0];
        out[i][1] = 0.5f * (outer + half[i][1]);
        out[i][2] = 0.5f * (outer - half[i][1]);
        out[i][3] = half[i][2];
    }
}

// g = G' out G
template <class Floats>
inline void transform_filter_backward(Floats out[4][4], Floats g[3][3]) {
    Floats half[3][4];
    for (int j = 0; j < 4; ++j) {
        const Floats even = 0.5f * (out[1][j] + out[2][j]);
        half[0][j] = out[0][j] + even;
        half[1][j] = 0.5f * (out[1][j] - out[2][j]);
        half[2][j] = out[3][j] + even;
    }
    for (int i = 0; i < 3; ++i) {
        const Floats even = 0.5f * (half[i][1] + half[i][2]);
        g[i][0] = half[i][0] + even;
        g[i][1] = 0.5f * (half[i][1] - half[i][2]);
        g[i][2] = half[i][3] + even;
    }
}
