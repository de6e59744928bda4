// Matrix products of bf16 numbers that lie in memory in pairs.
//
// AVX512-BF16 has an instruction that multiplies 16 pairs and adds both products of each to an fp32 number.

#pragma once

#include <immintrin.h>

#include <algorithm>
#include <cstring>

#include "vectors.h"

constexpr int LANES = 16;
constexpr int SUMS = 24;  // With what is multiplied, they fit into 32 registers.

// One factor of a product: where it begins, and the numbers from one row, and from one pair of columns, to the next.
struct Factor {
    const bf16 *begin;
    long row, pair;
};

// out[row][column] = the sum over pairs of left[row][pair] . right[pair][column], or that is added to it, COUNT rows at
// once. Returns the number of rows that are left over.
template <int COUNT, int VECTORS>
__attribute__((noinline)) long multiply_rows(
    Factor left, const bf16 *right, long right_pair, long pairs, float *out, long out_row, bool add, long rows) {
    for (; rows >= COUNT; rows -= COUNT, left.begin += COUNT * left.row, out += COUNT * out_row) {
        __m512 sums[COUNT][VECTORS];
#pragma GCC unroll 12
        for (int row = 0; row < COUNT; ++row)
#pragma GCC unroll 8
            for (int v = 0; v < VECTORS; ++v)
                sums[row][v] = add ? _mm512_loadu_ps(out + row * out_row + v * LANES) : _mm512_setzero_ps();
        for (long pair = 0; pair < pairs; ++pair) {
            __m512i columns[VECTORS];
#pragma GCC unroll 8
            for (int v = 0; v < VECTORS; ++v)
                columns[v] = _mm512_loadu_si512(right + pair * right_pair + v * 2 * LANES);
#pragma GCC unroll 12
            for (int row = 0; row < COUNT; ++row) {
                int two;
                std::memcpy(&two, left.begin + row * left.row + pair * left.pair, sizeof two);
                const __m512i both = _mm512_set1_epi32(two);
#pragma GCC unroll 8
                for (int v = 0; v < VECTORS; ++v)
                    sums[row][v] = _mm512_dpbf16_ps(sums[row][v], (__m512bh)both, (__m512bh)columns[v]);
            }
        }
#pragma GCC unroll 12
        for (int row = 0; row < COUNT; ++row)
#pragma GCC unroll 8
            for (int v = 0; v < VECTORS; ++v) _mm512_storeu_ps(out + row * out_row + v * LANES, sums[row][v]);
    }
    return rows;
}

template <int VECTORS, int COUNT = std::min(12, SUMS / VECTORS)>
void multiply(
    Factor left, const bf16 *right, long right_pair, long pairs, float *out, long out_row, bool add, long rows) {
    const long rest = multiply_rows<COUNT, VECTORS>(left, right, right_pair, pairs, out, out_row, add, rows);
    left.begin += (rows - rest) * left.row;
    if constexpr (COUNT > 1)
        if (rest)
            multiply<VECTORS, COUNT - 1>(
                left, right, right_pair, pairs, out + (rows - rest) * out_row, out_row, add, rest);
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

// Two rows of numbers become a row of pairs, rounded.
inline void store_pairs(bf16 *out, Vector<16>::floats first, Vector<16>::floats second) {
    const __m512i order = _mm512_set_epi16(
        31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    const auto both = (__m512i)_mm512_cvtne2ps_pbh((__m512)second, (__m512)first);
    _mm512_storeu_si512(out, _mm512_permutexvar_epi16(order, both));
}

inline void store_pairs(bf16 *out, Vector<8>::floats first, Vector<8>::floats second) {
    const __m256i order = _mm256_set_epi16(15, 7, 14, 6, 13, 5, 12, 4, 11, 3, 10, 2, 9, 1, 8, 0);
    const auto both = (__m256i)_mm256_cvtne2ps_pbh((__m256)second, (__m256)first);
    _mm256_storeu_si256((__m256i *)out, _mm256_permutexvar_epi16(order, both));
}
