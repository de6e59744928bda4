// Vectors of N fp32 numbers, which may lie in memory in half precision, for the C++ files beside this one.
//
// They are the compiler's own, so that one source suits every instruction set; it splits what is too wide for a machine.

#pragma once

#include <cstdint>
#include <cstring>
#ifdef __AVX512BF16__
#include <immintrin.h>
#endif

using bf16 = uint16_t;

// The most numbers that the machine computes at once; it is 8 or 16, because shorter vectors would gain nothing.
#ifdef __AVX512F__
constexpr int WIDEST = 16;
#else
constexpr int WIDEST = 8;
#endif

template <int N>
struct Types;

// The compiler converts no vectors whose type depends on a template's parameter.
#define TYPES(N)                                                                                   \
    typedef float floats##N __attribute__((vector_size(4 * N)));                                   \
    typedef uint32_t words##N __attribute__((vector_size(4 * N)));                                 \
    typedef uint16_t halves##N __attribute__((vector_size(2 * N)));                                \
    typedef uint8_t bytes##N __attribute__((vector_size(N)));                                      \
    template <>                                                                                    \
    struct Types<N> {                                                                              \
        using floats = floats##N;                                                                  \
        using words = words##N;                                                                    \
        using halves = halves##N;                                                                  \
        using bytes = bytes##N;                                                                    \
    };                                                                                             \
    inline words##N widened(halves##N values) { return __builtin_convertvector(values, words##N); } \
    inline words##N widened(bytes##N values) { return __builtin_convertvector(values, words##N); }  \
    inline halves##N to_halves(words##N values) { return __builtin_convertvector(values, halves##N); } \
    inline bytes##N to_bytes(words##N values) { return __builtin_convertvector(values, bytes##N); }

TYPES(8)
TYPES(16)
#undef TYPES

template <int N>
struct Vector {
    using floats = typename Types<N>::floats;
    using words = typename Types<N>::words;
    using halves = typename Types<N>::halves;
    using bytes = typename Types<N>::bytes;

    static floats load(const float *from) { return copied<floats>(from); }

    static floats load(const bf16 *from) { return (floats)(widened(copied<halves>(from)) << 16); }

    static words load_bytes(const uint8_t *from) { return widened(copied<bytes>(from)); }

    static void store(float *to, floats values) { std::memcpy(to, &values, sizeof values); }

    // To the nearest, ties to even.
    static void store(bf16 *to, floats values) {
#ifdef __AVX512BF16__
        if constexpr (N == 16) {
            const auto rounded = _mm512_cvtneps_pbh((__m512)values);
            std::memcpy(to, &rounded, sizeof rounded);
        } else {
            const auto rounded = _mm256_cvtneps_pbh((__m256)values);
            std::memcpy(to, &rounded, sizeof rounded);
        }
#else
        const words bits = (words)values;
        const words even = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
        // Rounding could carry a NaN over into a number.
        const halves rounded = to_halves(values == values ? even : (bits >> 16) | 0x40);
        std::memcpy(to, &rounded, sizeof rounded);
#endif
    }

    static void store_bytes(uint8_t *to, words values) {
        const bytes narrow = to_bytes(values);
        std::memcpy(to, &narrow, sizeof narrow);
    }

private:
    template <class V>
    static V copied(const void *from) {
        V values;
        std::memcpy(&values, from, sizeof values);
        return values;
    }
};
