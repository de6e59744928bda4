// Matrix products of bf16 numbers that lie in memory in pairs.
//
// AVX512-BF16 has an instruction that multiplies 16 pairs and adds both products of each to an fp32 number.

#pragma once

#include <immintrin.h>

#include <cstring>

#include "vectors.h"

constexpr int LANES = 16;
constexpr int ROWS = 6;  // With 4 vectors, their 24 sums and what is multiplied fit into 32 registers.

// One factor of a product: where it begins, and the numbers from one row, and from one pair of columns, to the next.
struct Factor {
    const bf16 *begin;
    long row, pair;
};

// out[row][column] = the sum over pairs of left[row][pair] . right[pair][column], or that is added to it.
template <int COUNT, int VECTORS>
inline void multiply_rows(Factor left, const bf16 *right, long right_pair, long pairs, float *out, long out_row, bool add) {
    __m512 sums[COUNT][VECTORS];
#pragma GCC unroll 8
    for (int row = 0; row < COUNT; ++row)
#pragma GCC unroll 8
        for (int v = 0; v < VECTORS; ++v)
            sums[row][v] = add ? _mm512_loadu_ps(out + row * out_row + v * LANES) : _mm512_setzero_ps();
    for (long pair = 0; pair < pairs; ++pair) {
        __m512i columns[VECTORS];
#pragma GCC unroll 8
        for (int v = 0; v < VECTORS; ++v)
            columns[v] = _mm512_loadu_si512(right + pair * right_pair + v * 2 * LANES);
#pragma GCC unroll 8
        for (int row = 0; row < COUNT; ++row) {
            int two;
            std::memcpy(&two, left.begin + row * left.row + pair * left.pair, sizeof two);
            const __m512i both = _mm512_set1_epi32(two);
#pragma GCC unroll 8
            for (int v = 0; v < VECTORS; ++v)
                sums[row][v] = _mm512_dpbf16_ps(sums[row][v], (__m512bh)both, (__m512bh)columns[v]);
        }
    }
#pragma GCC unroll 8
    for (int row = 0; row < COUNT; ++row)
#pragma GCC unroll 8
        for (int v = 0; v < VECTORS; ++v) _mm512_storeu_ps(out + row * out_row + v * LANES, sums[row][v]);
}

template <int VECTORS>
void multiply(
    Factor left, const bf16 *right, long right_pair, long pairs, float *out, long out_row, bool add, long rows) {
    for (; rows >= ROWS; rows -= ROWS, left.begin += ROWS * left.row, out += ROWS * out_row)
        multiply_rows<ROWS, VECTORS>(left, right, right_pair, pairs, out, out_row, add);
    switch (rows) {
        case 5: return multiply_rows<5, VECTORS>(left, right, right_pair, pairs, out, out_row, add);
        case 4: return multiply_rows<4, VECTORS>(left, right, right_pair, pairs, out, out_row, add);
        case 3: return multiply_rows<3, VECTORS>(left, right, right_pair, pairs, out, out_row, add);
        case 2: return multiply_rows<2, VECTORS>(left, right, right_pair, pairs, out, out_row, add);
        case 1: return multiply_rows<1, VECTORS>(left, right, right_pair, pairs, out, out_row, add);
    }
}

// The product of [rows, 2 pairs] and [2 pairs, columns], where columns are 16 to 64.
inline void multiply(
    Factor left, const bf16 *right, long right_pair, long pairs, float *out, long out_row, bool add, long rows,
    long columns) {
    switch (columns / LANES) {
        case 1: return multiply<1>(left, right, right_pair, pairs, out, out_row, add, rows);
        case 2: return multiply<2>(left, right, right_pair, pairs, out, out_row, add, rows);
        case 3: return multiply<3>(left, right, right_pair, pairs, out, out_row, add, rows);
        case 4: return multiply<4>(left, right, right_pair, pairs, out, out_row, add, rows);
    }
}
