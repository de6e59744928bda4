// The transforms of Winograd's F(2x2, 3x3) around the matrix products of winograd_tiles.py, channels last.
//
// Images are [n][h][w][channels], tiles and their products [16][n * high * wide][channels]: tile (ty, tx) is the 4x4 patch
// that the 2x2 outputs at (2 ty, 2 tx) see, one pixel of zeros around the image. Filters are [9][size] and [16][size].
// Channels and sizes are a multiple of 8. All sums are fp32; half precision is only how numbers lie in memory.

#include "winograd.h"

#include <algorithm>

#include "buffer.h"
#include "vectors.h"

namespace {

struct Shape {
    long images, height, width, channels, high, wide;

    long tiles() const { return images * high * wide; }
    long step() const { return tiles() * channels; }  // from one of the 16 to the next
    bool has(long y, long x) const { return 0 <= y && y < height && 0 <= x && x < width; }
    long pixel(long image, long y, long x) const { return ((image * height + y) * width + x) * channels; }
};

// The first of the pixels of which a tile makes outputs.
struct Corner {
    long image, y, x;

    Corner(long tile, Shape shape)
        : image(tile / (shape.high * shape.wide)), y(2 * (tile / shape.wide % shape.high)), x(2 * (tile % shape.wide)) {}
};

template <int N, class T>
void transform_images(const T *images, T *tiles, Shape shape) {
    using V = Vector<N>;
    const long channels = shape.channels, step = shape.step();
#pragma omp parallel
    {
        const Buffer<T> zeros(channels);
#pragma omp for schedule(static)
        for (long tile = 0; tile < shape.tiles(); ++tile) {
            const Corner at(tile, shape);
            const T *pixels[4][4];
            for (int i = 0; i < 4; ++i)
                for (int j = 0; j < 4; ++j) {
                    const long y = at.y + i - 1, x = at.x + j - 1;
                    pixels[i][j] = shape.has(y, x) ? images + shape.pixel(at.image, y, x) : zeros.at(0);
                }
            for (long channel = 0; channel < channels; channel += N) {
                typename V::floats patch[4][4], transformed[4][4];
                for (int i = 0; i < 4; ++i)
                    for (int j = 0; j < 4; ++j) patch[i][j] = V::load(pixels[i][j] + channel);
                transform_patch(patch, transformed);
                T *out = tiles + tile * channels + channel;
                for (int i = 0; i < 4; ++i)
                    for (int j = 0; j < 4; ++j) V::store(out + (4 * i + j) * step, transformed[i][j]);
            }
        }
    }
}

// Gradients of images are sums over tiles.
template <int N, class T>
void transform_images_backward(const T *tiles, T *images, Shape shape) {
    using V = Vector<N>;
    const long channels = shape.channels, step = shape.step(), of_image = shape.high * shape.wide;
    const long padded_high = std::max(shape.height, 2 * shape.high) + 2;
    const long padded_wide = std::max(shape.width, 2 * shape.wide) + 2;
#pragma omp parallel
    {
        Buffer<float> sums(padded_high * padded_wide * channels);
#pragma omp for schedule(static)
        for (long image = 0; image < shape.images; ++image) {
            sums.zero();
            for (long tile = image * of_image; tile < (image + 1) * of_image; ++tile) {
                const Corner at(tile, shape);
                for (long channel = 0; channel < channels; channel += N) {
                    typename V::floats gradient[4][4], patch[4][4];
                    for (int i = 0; i < 4; ++i)
                        for (int j = 0; j < 4; ++j)
                            gradient[i][j] = V::load(tiles + (4 * i + j) * step + tile * channels + channel);
                    transform_patch_backward(gradient, patch);
                    for (int i = 0; i < 4; ++i)
                        for (int j = 0; j < 4; ++j) {
                            float *sum = sums.at(((at.y + i) * padded_wide + at.x + j) * channels + channel);
                            V::store(sum, V::load(sum) + patch[i][j]);
                        }
                }
            }
            for (long y = 0; y < shape.height; ++y)
                for (long x = 0; x < shape.width; ++x) {
                    const float *in = sums.at(((y + 1) * padded_wide + x + 1) * channels);
                    T *out = images + shape.pixel(image, y, x);
                    for (long channel = 0; channel < channels; channel += N)
                        V::store(out + channel, V::load(in + channel));
                }
        }
    }
}

template <int N, class T>
void pool_products(const T *products, T *pooled, uint8_t *places, Shape shape) {
    using V = Vector<N>;
    const long channels = shape.channels, step = shape.step();
#pragma omp parallel for schedule(static)
    for (long tile = 0; tile < shape.tiles(); ++tile)
        for (long channel = 0; channel < channels; channel += N) {
            const long at = tile * channels + channel;
            typename V::floats product[4][4], largest;
            typename V::words place;
            for (int i = 0; i < 4; ++i)
                for (int j = 0; j < 4; ++j) product[i][j] = V::load(products + (4 * i + j) * step + at);
            pool(product, largest, place);
            V::store(pooled + at, largest);
            V::store_bytes(places + at, place);
        }
}

template <int N, class T>
void pool_products_backward(const T *pooled, const uint8_t *places, T *products, Shape shape) {
    using V = Vector<N>;
    const long channels = shape.channels, step = shape.step();
#pragma omp parallel for schedule(static)
    for (long tile = 0; tile < shape.tiles(); ++tile)
        for (long channel = 0; channel < channels; channel += N) {
            const long at = tile * channels + channel;
            typename V::floats product[4][4];
            pool_backward(V::load(pooled + at), V::load_bytes(places + at), product);
            for (int i = 0; i < 4; ++i)
                for (int j = 0; j < 4; ++j) V::store(products + (4 * i + j) * step + at, product[i][j]);
        }
}

// Outputs beyond the image are left out.
template <int N, class T>
void join_products(const T *products, T *images, Shape shape) {
    using V = Vector<N>;
    const long channels = shape.channels, step = shape.step();
#pragma omp parallel for schedule(static)
    for (long tile = 0; tile < shape.tiles(); ++tile) {
        const Corner at(tile, shape);
        for (long channel = 0; channel < channels; channel += N) {
            typename V::floats product[4][4], out[2][2];
            for (int i = 0; i < 4; ++i)
                for (int j = 0; j < 4; ++j)
                    product[i][j] = V::load(products + (4 * i + j) * step + tile * channels + channel);
            join(product, out);
            for (int i = 0; i < 2; ++i)
                for (int j = 0; j < 2; ++j)
                    if (shape.has(at.y + i, at.x + j))
                        V::store(images + shape.pixel(at.image, at.y + i, at.x + j) + channel, out[i][j]);
        }
    }
}

template <int N, class T>
void join_products_backward(const T *images, T *products, Shape shape) {
    using V = Vector<N>;
    const long channels = shape.channels, step = shape.step();
#pragma omp parallel for schedule(static)
    for (long tile = 0; tile < shape.tiles(); ++tile) {
        const Corner at(tile, shape);
        for (long channel = 0; channel < channels; channel += N) {
            typename V::floats out[2][2] = {}, product[4][4];
            for (int i = 0; i < 2; ++i)
                for (int j = 0; j < 2; ++j)
                    if (shape.has(at.y + i, at.x + j))
                        out[i][j] = V::load(images + shape.pixel(at.image, at.y + i, at.x + j) + channel);
            join_backward(out, product);
            for (int i = 0; i < 4; ++i)
                for (int j = 0; j < 4; ++j)
                    V::store(products + (4 * i + j) * step + tile * channels + channel, product[i][j]);
        }
    }
}

template <class T>
void transform_filters(T *transformed, const float *filters, long size) {
    using V = Vector<8>;
#pragma omp parallel for schedule(static)
    for (long at = 0; at < size; at += 8) {
        V::floats filter[3][3], out[4][4];
        for (int i = 0; i < 3; ++i)
            for (int j = 0; j < 3; ++j) filter[i][j] = V::load(filters + (3 * i + j) * size + at);
        transform_filter(filter, out);
        for (int i = 0; i < 4; ++i)
            for (int j = 0; j < 4; ++j) V::store(transformed + (4 * i + j) * size + at, out[i][j]);
    }
}

void transform_filters_backward(const float *transformed, float *filters, long size) {
    using V = Vector<8>;
#pragma omp parallel for schedule(static)
    for (long at = 0; at < size; at += 8) {
        V::floats in[4][4], filter[3][3];
        for (int i = 0; i < 4; ++i)
            for (int j = 0; j < 4; ++j) in[i][j] = V::load(transformed + (4 * i + j) * size + at);
        transform_filter_backward(in, filter);
        for (int i = 0; i < 3; ++i)
            for (int j = 0; j < 3; ++j) V::store(filters + (3 * i + j) * size + at, filter[i][j]);
    }
}

}  // namespace

#define SHAPE long n, long h, long w, long c, long high, long wide
// By the widest vectors that suit the channels.
#define CALL(function, ...)                                            \
    const Shape shape{n, h, w, c, high, wide};                         \
    if (WIDEST == 16 && c % 16 == 0) function<16>(__VA_ARGS__, shape); \
    else function<8>(__VA_ARGS__, shape);

#define FOR(T, type)                                                                                        \
    void transform_images_##type(const T *images, T *tiles, SHAPE) { CALL(transform_images, images, tiles) } \
    void transform_images_backward_##type(const T *tiles, T *images, SHAPE) {                                \
        CALL(transform_images_backward, tiles, images)                                                       \
    }                                                                                                        \
    void pool_products_##type(const T *products, T *pooled, uint8_t *places, SHAPE) {                        \
        CALL(pool_products, products, pooled, places)                                                        \
    }                                                                                                        \
    void pool_products_backward_##type(const T *pooled, const uint8_t *places, T *products, SHAPE) {         \
        CALL(pool_products_backward, pooled, places, products)                                               \
    }                                                                                                        \
    void join_products_##type(const T *products, T *images, SHAPE) { CALL(join_products, products, images) } \
    void join_products_backward_##type(const T *images, T *products, SHAPE) {                                \
        CALL(join_products_backward, images, products)                                                       \
    }                                                                                                        \
    void transform_filters_##type(T *transformed, const float *filters, long size) {                         \
        transform_filters(transformed, filters, size);                                                       \
    }

extern "C" {
FOR(float, fp32)
FOR(bf16, bf16)
void transform_filters_backward_fp32(const float *transformed, float *filters, long size) {
    transform_filters_backward(transformed, filters, size);
}
}
