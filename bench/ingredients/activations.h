// Activations and their slopes, as `activated_norm.cpp` computes them.

#pragma once

#ifdef __AVX512F__
#include <immintrin.h>
#endif

#include "vectors.h"

constexpr int WIDTH = WIDEST;
using floats = Vector<WIDTH>::floats;
using words = Vector<WIDTH>::words;

// An activation at z, and its derivative there. The compiler leaves out the one that is not used.
struct Point {
    floats value, slope;
};

inline floats all(float value) { return floats{} + value; }

// e to the x, with a relative error below 3e-7: 0 where it would be too small for fp32, large and finite where it would be
// too large, NaN for NaN.
inline floats exponential(floats x) {
    constexpr float LEAST = -87.3f, MOST = 88.3f;
    constexpr float WHOLE = 12582912.f;  // 1.5 * 2^23: what is added to it becomes a whole number in its last bits
    constexpr float LOG2_E = 1.44269504f, LN2_HIGH = 0.693359375f, LN2_LOW = -2.12194440e-4f;
    const floats inside = x > MOST ? all(MOST) : x;
    const floats shifted = inside * LOG2_E + WHOLE, twos = shifted - WHOLE;
    const floats rest = (inside - twos * LN2_HIGH) - twos * LN2_LOW;
    // Taylor's series, because |rest| is at most half of ln 2.
    floats sum = rest * (1 / 720.f) + 1 / 120.f;
    sum = sum * rest + 1 / 24.f;
    sum = sum * rest + 1 / 6.f;
    sum = sum * rest + 0.5f;
    sum = sum * rest + 1.f;
    sum = sum * rest + 1.f;
    const floats power = (floats)(((words)shifted << 23) + (127u << 23));
    return x < LEAST ? floats{} : sum * power;
}

// 1 divided by finite numbers of at least 1.
inline floats reciprocal(floats x) {
#ifdef __AVX512F__
    // A division takes longer than a step of Newton's method.
    const floats guess = (floats)_mm512_rcp14_ps((__m512)x);
    return guess * (2.f - x * guess);
#else
    return 1.f / x;
#endif
}

// Leaky ReLU; with a slope of 0, ReLU.
struct Leaky {
    static Point at(floats z, float negative_slope) {
        const auto rises = z > 0.f;
        return {rises ? z : z * negative_slope, rises ? all(1.f) : all(negative_slope)};
    }
};

struct Silu {
    static Point at(floats z, float) {
        const floats sigmoid = reciprocal(1.f + exponential(-z)), value = z * sigmoid;
        return {value, sigmoid + value * (1.f - sigmoid)};
    }
};

// By Abramowitz and Stegun's formula 7.1.26 for the error function, with an absolute error below 1.5e-7.
struct Gelu {
    static Point at(floats z, float) {
        const floats size = z < 0.f ? -z : z, bell = exponential(-0.5f * z * z);
        const floats t = 1.f / (1.f + (0.3275911f * 0.70710678f) * size);
        floats sum = t * 1.061405429f - 1.453152027f;
        sum = sum * t + 1.421413741f;
        sum = sum * t - 0.284496736f;
        sum = (sum * t + 0.254829592f) * t;
        const floats beyond = 0.5f * sum * bell;  // the share of a normal distribution beyond |z|
        const floats below = z < 0.f ? beyond : 1.f - beyond;
        return {z * below, below + z * bell * 0.39894228f};
    }
};
