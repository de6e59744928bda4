// The transforms of Winograd's F(2x2, 3x3) around the matrix products of winograd.py, channels last.
//
// Images are [n][h][w][channels], tiles and their products [16][n * th * tw][channels]: tile (ty, tx) is the 4x4 patch
// that the 2x2 outputs at (2 ty, 2 tx) see, one pixel of zeros around the image. Channels are a multiple of 8. All sums
// are fp32; half precision is only how numbers lie in memory.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

namespace {

using bf16 = uint16_t;
// Vectors of the compiler's own, so that one source suits every instruction set.
typedef float floats __attribute__((vector_size(32)));
typedef uint32_t words __attribute__((vector_size(32)));
typedef uint16_t halves __attribute__((vector_size(16)));
typedef uint8_t bytes __attribute__((vector_size(8)));
constexpr long WIDTH = 8;

struct Shape {
    long images, height, width, channels;

    long tiles_high() const { return height / 2; }
    long tiles_wide() const { return width / 2; }
    long tiles() const { return images * tiles_high() * tiles_wide(); }
    long step() const { return tiles() * channels; }  // from one of the 16 to the next
};

inline floats load(const float *from) {
    floats values;
    std::memcpy(&values, from, sizeof values);
    return values;
}

inline floats load(const bf16 *from) {
    halves values;
    std::memcpy(&values, from, sizeof values);
    return (floats)(__builtin_convertvector(values, words) << 16);
}

inline void store(float *to, floats values) { std::memcpy(to, &values, sizeof values); }

inline void store(bf16 *to, floats values) {
    const words bits = (words)values;
    const words even = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;  // to the nearest, ties to even
    const halves rounded = __builtin_convertvector(even, halves);
    std::memcpy(to, &rounded, sizeof rounded);
}

// tiles = B' d B
template <class T>
void transform_images(const T *images, T *tiles, Shape shape) {
    const long high = shape.tiles_high(), wide = shape.tiles_wide(), channels = shape.channels, step = shape.step();
#pragma omp parallel
    {
        const std::vector<T> zeros(channels);
#pragma omp for schedule(static)
        for (long tile = 0; tile < shape.tiles(); ++tile) {
            const long image = tile / (high * wide), top = 2 * (tile / wide % high) - 1, left = 2 * (tile % wide) - 1;
            const T *pixels[4][4];
            for (int i = 0; i < 4; ++i)
                for (int j = 0; j < 4; ++j) {
                    const long y = top + i, x = left + j;
                    const bool inside = 0 <= y && y < shape.height && 0 <= x && x < shape.width;
                    pixels[i][j] =
                        inside ? images + ((image * shape.height + y) * shape.width + x) * channels : zeros.data();
                }
            for (long channel = 0; channel < channels; channel += WIDTH) {
                floats half[4][4];
                for (int j = 0; j < 4; ++j) {
                    const floats d0 = load(pixels[0][j] + channel), d1 = load(pixels[1][j] + channel);
                    const floats d2 = load(pixels[2][j] + channel), d3 = load(pixels[3][j] + channel);
                    half[0][j] = d0 - d2;
                    half[1][j] = d1 + d2;
                    half[2][j] = d2 - d1;
                    half[3][j] = d1 - d3;
                }
                T *out = tiles + tile * channels + channel;
                for (int i = 0; i < 4; ++i, out += 4 * step) {
                    store(out, half[i][0] - half[i][2]);
                    store(out + step, half[i][1] + half[i][2]);
                    store(out + 2 * step, half[i][2] - half[i][1]);
                    store(out + 3 * step, half[i][1] - half[i][3]);
                }
            }
        }
    }
}

// gradients of images = the sum over tiles of B g B'
template <class T>
void transform_images_backward(const T *tiles, T *images, Shape shape) {
    const long high = shape.tiles_high(), wide = shape.tiles_wide(), channels = shape.channels, step = shape.step();
    const long padded_high = shape.height + 2, padded_wide = shape.width + 2;
#pragma omp parallel
    {
        std::vector<float> sums(padded_high * padded_wide * channels);
#pragma omp for schedule(static)
        for (long image = 0; image < shape.images; ++image) {
            std::fill(sums.begin(), sums.end(), 0.f);
            for (long place = 0; place < high * wide; ++place) {
                const T *in = tiles + (image * high * wide + place) * channels;
                float *corner = sums.data() + (2 * (place / wide) * padded_wide + 2 * (place % wide)) * channels;
                for (long channel = 0; channel < channels; channel += WIDTH) {
                    floats half[4][4];
                    for (int j = 0; j < 4; ++j) {
                        const T *column = in + j * step + channel;
                        const floats g0 = load(column), g1 = load(column + 4 * step);
                        const floats g2 = load(column + 8 * step), g3 = load(column + 12 * step);
                        half[0][j] = g0;
                        half[1][j] = g1 - g2 + g3;
                        half[2][j] = g1 + g2 - g0;
                        half[3][j] = -g3;
                    }
                    for (int i = 0; i < 4; ++i) {
                        float *row = corner + i * padded_wide * channels + channel;
                        const floats *g = half[i];
                        store(row, load(row) + g[0]);
                        store(row + channels, load(row + channels) + (g[1] - g[2] + g[3]));
                        store(row + 2 * channels, load(row + 2 * channels) + (g[1] + g[2] - g[0]));
                        store(row + 3 * channels, load(row + 3 * channels) - g[3]);
                    }
                }
            }
            for (long y = 0; y < shape.height; ++y)
                for (long x = 0; x < shape.width; ++x) {
                    const float *in = sums.data() + ((y + 1) * padded_wide + x + 1) * channels;
                    T *out = images + ((image * shape.height + y) * shape.width + x) * channels;
                    for (long channel = 0; channel < channels; channel += WIDTH)
                        store(out + channel, load(in + channel));
                }
        }
    }
}

// pooled = the largest of the 2x2 of A' m A, and which of the four it is
template <class T>
void pool_products(const T *products, T *pooled, uint8_t *places, Shape shape) {
    const long channels = shape.channels, step = shape.step();
#pragma omp parallel for schedule(static)
    for (long tile = 0; tile < shape.tiles(); ++tile)
        for (long channel = 0; channel < channels; channel += WIDTH) {
            const long at = tile * channels + channel;
            floats half[2][4];
            for (int j = 0; j < 4; ++j) {
                const T *column = products + j * step + at;
                const floats m0 = load(column), m1 = load(column + 4 * step);
                const floats m2 = load(column + 8 * step), m3 = load(column + 12 * step);
                half[0][j] = m0 + m1 + m2;
                half[1][j] = m1 - m2 - m3;
            }
            floats largest = half[0][0] + half[0][1] + half[0][2];
            words place = {};
            const floats others[3] = {
                half[0][1] - half[0][2] - half[0][3],
                half[1][0] + half[1][1] + half[1][2],
                half[1][1] - half[1][2] - half[1][3],
            };
            for (uint32_t k = 0; k < 3; ++k) {
                const auto larger = (others[k] > largest) | (others[k] != others[k]);  // NaN stays, as in torch
                largest = larger ? others[k] : largest;
                place = larger ? words{} + (k + 1) : place;
            }
            store(pooled + at, largest);
            const bytes narrow = __builtin_convertvector(place, bytes);
            std::memcpy(places + at, &narrow, sizeof narrow);
        }
}

// gradients of products = A g A', where g is 0 but at the place of the largest
template <class T>
void pool_products_backward(const T *pooled, const uint8_t *places, T *products, Shape shape) {
    const long channels = shape.channels, step = shape.step();
#pragma omp parallel for schedule(static)
    for (long tile = 0; tile < shape.tiles(); ++tile)
        for (long channel = 0; channel < channels; channel += WIDTH) {
            const long at = tile * channels + channel;
            const floats gradient = load(pooled + at);
            bytes narrow;
            std::memcpy(&narrow, places + at, sizeof narrow);
            const words place = __builtin_convertvector(narrow, words);
            floats g[2][2];
            for (uint32_t k = 0; k < 4; ++k) g[k / 2][k % 2] = place == words{} + k ? gradient : floats{};
            const floats half[4][2] = {
                {g[0][0], g[0][1]},
                {g[0][0] + g[1][0], g[0][1] + g[1][1]},
                {g[0][0] - g[1][0], g[0][1] - g[1][1]},
                {-g[1][0], -g[1][1]},
            };
            T *out = products + at;
            for (int i = 0; i < 4; ++i, out += 4 * step) {
                store(out, half[i][0]);
                store(out + step, half[i][0] + half[i][1]);
                store(out + 2 * step, half[i][0] - half[i][1]);
                store(out + 3 * step, -half[i][1]);
            }
        }
}

}  // namespace

#define FOR(T, type)                                                                                          \
    void transform_images_##type(const T *images, T *tiles, long n, long h, long w, long c) {                 \
        transform_images(images, tiles, Shape{n, h, w, c});                                                   \
    }                                                                                                         \
    void transform_images_backward_##type(const T *tiles, T *images, long n, long h, long w, long c) {        \
        transform_images_backward(tiles, images, Shape{n, h, w, c});                                          \
    }                                                                                                         \
    void pool_products_##type(const T *products, T *pooled, uint8_t *places, long n, long h, long w, long c) { \
        pool_products(products, pooled, places, Shape{n, h, w, c});                                           \
    }                                                                                                         \
    void pool_products_backward_##type(                                                                       \
        const T *pooled, const uint8_t *places, T *products, long n, long h, long w, long c) {                \
        pool_products_backward(pooled, places, products, Shape{n, h, w, c});                                  \
    }

extern "C" {
FOR(float, fp32)
FOR(bf16, bf16)
}
