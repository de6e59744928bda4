// The transforms of Winograd's F(2x2, 3x3) and F(4x4, 3x3) around the matrix products of winograd_tiles.py, channels last.
//
// A tile makes SIDE x SIDE outputs, SIDE 2 or 4, and has PLACES = (SIDE + 2)^2 numbers of each channel. Images are
// [n][h][w][channels], tiles and their products [PLACES][rows][channels], with a row for each of n * high * wide tiles at
// least: tile (ty, tx) is the patch that the outputs at (SIDE ty, SIDE tx) see, one pixel of zeros around the image.
// Filters are [9][size] and [PLACES][size].
// Channels are a multiple of 8, sizes of 64. All sums are fp32; half precision is only how numbers lie in memory.

#include "winograd.h"

#include <algorithm>
#include <type_traits>

#include "buffer.h"
#include "vectors.h"
#include "winograd_large.h"

namespace {

struct Shape {
    long images, height, width, channels, high, wide, rows;

    long tiles() const { return images * high * wide; }
    long step() const { return rows * channels; }  // from one place of a tile to the next
    bool has(long y, long x) const { return 0 <= y && y < height && 0 <= x && x < width; }
    long pixel(long image, long y, long x) const { return ((image * height + y) * width + x) * channels; }
    Shape pooled() const { return {images, height / 2, width / 2, channels, high, wide, rows}; }
};

// The first of the pixels of which a tile makes outputs.
template <int SIDE>
struct Corner {
    long image, y, x;

    Corner(long tile, Shape shape)
        : image(tile / (shape.high * shape.wide)), y(SIDE * (tile / shape.wide % shape.high)),
          x(SIDE * (tile % shape.wide)) {}
};

template <int N, int SIZE, class T>
inline void load(const T *from, long step, typename Vector<N>::floats (&values)[SIZE][SIZE]) {
    for (int i = 0; i < SIZE; ++i)
        for (int j = 0; j < SIZE; ++j) values[i][j] = Vector<N>::load(from + (SIZE * i + j) * step);
}

template <int N, int SIZE, class T>
inline void store(T *to, long step, const typename Vector<N>::floats (&values)[SIZE][SIZE]) {
    for (int i = 0; i < SIZE; ++i)
        for (int j = 0; j < SIZE; ++j) Vector<N>::store(to + (SIZE * i + j) * step, values[i][j]);
}

// Where a thread writes its tiles into [PLACES][tiles][channels], one after the other.
//
// If the places lie whole pages apart, all compete for the same few lines of a cache, and each of its lines is fetched and
// written back for every vector. Then some tiles are gathered here first, and written place by place.
template <int SIDE, class T>
class TileWriter {
public:
    TileWriter(T *tiles, Shape shape)
        : tiles_(tiles), channels_(shape.channels), step_(shape.step()),
          most_(step_ * sizeof(T) % HALF_PAGE ? 0 : std::max(GATHERED / channels_, 1L)),
          gathered_(PLACES * most_ * channels_) {}
    ~TileWriter() { flush(); }

    template <int N>
    void write(long tile, long channel, const typename Vector<N>::floats (&values)[SIDE + 2][SIDE + 2]) {
        if (most_) store<N>(gathered_.at(count_ * channels_ + channel), most_ * channels_, values);
        else store<N>(tiles_ + tile * channels_ + channel, step_, values);
    }

    void finish(long tile) {
        if (!most_) return;
        end_ = tile + 1;
        if (++count_ == most_) flush();
    }

private:
    static constexpr long PLACES = (SIDE + 2) * (SIDE + 2), HALF_PAGE = 2048, GATHERED = 256;
    T *const tiles_;
    const long channels_, step_, most_;
    const Buffer<T> gathered_;
    long count_ = 0, end_ = 0;  // the tiles that are gathered, and the one after them

    void flush() {
        for (long place = 0; place < PLACES; ++place) {
            const T *from = gathered_.at(place * most_ * channels_);
            std::copy(from, from + count_ * channels_, tiles_ + place * step_ + (end_ - count_) * channels_);
        }
        count_ = 0;
    }
};

template <int SIDE, int N, class T>
void transform_images(const T *images, T *tiles, Shape shape) {
    using V = Vector<N>;
    constexpr int SIZE = SIDE + 2;
    const long channels = shape.channels;
#pragma omp parallel
    {
        const Buffer<T> zeros(channels);
        TileWriter<SIDE, T> writer(tiles, shape);
#pragma omp for schedule(static)
        for (long tile = 0; tile < shape.tiles(); ++tile) {
            const Corner<SIDE> at(tile, shape);
            const T *pixels[SIZE][SIZE];
            for (int i = 0; i < SIZE; ++i)
                for (int j = 0; j < SIZE; ++j) {
                    const long y = at.y + i - 1, x = at.x + j - 1;
                    pixels[i][j] = shape.has(y, x) ? images + shape.pixel(at.image, y, x) : zeros.at(0);
                }
            for (long channel = 0; channel < channels; channel += N) {
                typename V::floats patch[SIZE][SIZE], transformed[SIZE][SIZE];
                for (int i = 0; i < SIZE; ++i)
                    for (int j = 0; j < SIZE; ++j) patch[i][j] = V::load(pixels[i][j] + channel);
                transform_patch(patch, transformed);
                writer.template write<N>(tile, channel, transformed);
            }
            writer.finish(tile);
        }
    }
}

// Gradients of images are sums over tiles.
template <int SIDE, int N, class T>
void transform_images_backward(const T *tiles, T *images, Shape shape) {
    using V = Vector<N>;
    constexpr int SIZE = SIDE + 2;
    const long channels = shape.channels, of_image = shape.high * shape.wide;
    const long padded_high = std::max(shape.height, SIDE * shape.high) + 2;
    const long padded_wide = std::max(shape.width, SIDE * shape.wide) + 2;
#pragma omp parallel
    {
        Buffer<float> sums(padded_high * padded_wide * channels);
#pragma omp for schedule(static)
        for (long image = 0; image < shape.images; ++image) {
            sums.zero();
            for (long tile = image * of_image; tile < (image + 1) * of_image; ++tile) {
                const Corner<SIDE> at(tile, shape);
                for (long channel = 0; channel < channels; channel += N) {
                    typename V::floats gradient[SIZE][SIZE], patch[SIZE][SIZE];
                    load<N>(tiles + tile * channels + channel, shape.step(), gradient);
                    transform_patch_backward(gradient, patch);
                    for (int i = 0; i < SIZE; ++i)
                        for (int j = 0; j < SIZE; ++j) {
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

// Windows beyond the image are left out.
template <int SIDE, int N, class T>
void pool_products(const T *products, T *pooled, uint8_t *places, Shape shape) {
    using V = Vector<N>;
    constexpr int WINDOWS = SIDE / 2;
    const Shape windows = shape.pooled();
#pragma omp parallel for schedule(static)
    for (long tile = 0; tile < shape.tiles(); ++tile) {
        const Corner<WINDOWS> at(tile, shape);
        for (long channel = 0; channel < shape.channels; channel += N) {
            typename V::floats product[SIDE + 2][SIDE + 2], largest[WINDOWS][WINDOWS];
            typename V::words place[WINDOWS][WINDOWS];
            load<N>(products + tile * shape.channels + channel, shape.step(), product);
            pool(product, largest, place);
            for (int i = 0; i < WINDOWS; ++i)
                for (int j = 0; j < WINDOWS; ++j)
                    if (windows.has(at.y + i, at.x + j)) {
                        const long to = windows.pixel(at.image, at.y + i, at.x + j) + channel;
                        V::store(pooled + to, largest[i][j]);
                        V::store_bytes(places + to, place[i][j]);
                    }
        }
    }
}

template <int SIDE, int N, class T>
void pool_products_backward(const T *pooled, const uint8_t *places, T *products, Shape shape) {
    using V = Vector<N>;
    constexpr int WINDOWS = SIDE / 2;
    const Shape windows = shape.pooled();
#pragma omp parallel
    {
        TileWriter<SIDE, T> writer(products, shape);
#pragma omp for schedule(static)
        for (long tile = 0; tile < shape.tiles(); ++tile) {
            const Corner<WINDOWS> at(tile, shape);
            for (long channel = 0; channel < shape.channels; channel += N) {
                typename V::floats gradient[WINDOWS][WINDOWS] = {}, product[SIDE + 2][SIDE + 2];
                typename V::words place[WINDOWS][WINDOWS] = {};
                for (int i = 0; i < WINDOWS; ++i)
                    for (int j = 0; j < WINDOWS; ++j)
                        if (windows.has(at.y + i, at.x + j)) {
                            const long from = windows.pixel(at.image, at.y + i, at.x + j) + channel;
                            gradient[i][j] = V::load(pooled + from);
                            place[i][j] = V::load_bytes(places + from);
                        }
                pool_backward(gradient, place, product);
                writer.template write<N>(tile, channel, product);
            }
            writer.finish(tile);
        }
    }
}

// Outputs beyond the image are left out.
template <int SIDE, int N, class T>
void join_products(const T *products, T *images, Shape shape) {
    using V = Vector<N>;
#pragma omp parallel for schedule(static)
    for (long tile = 0; tile < shape.tiles(); ++tile) {
        const Corner<SIDE> at(tile, shape);
        for (long channel = 0; channel < shape.channels; channel += N) {
            typename V::floats product[SIDE + 2][SIDE + 2], out[SIDE][SIDE];
            load<N>(products + tile * shape.channels + channel, shape.step(), product);
            join(product, out);
            for (int i = 0; i < SIDE; ++i)
                for (int j = 0; j < SIDE; ++j)
                    if (shape.has(at.y + i, at.x + j))
                        V::store(images + shape.pixel(at.image, at.y + i, at.x + j) + channel, out[i][j]);
        }
    }
}

template <int SIDE, int N, class T>
void join_products_backward(const T *images, T *products, Shape shape) {
    using V = Vector<N>;
#pragma omp parallel
    {
        TileWriter<SIDE, T> writer(products, shape);
#pragma omp for schedule(static)
        for (long tile = 0; tile < shape.tiles(); ++tile) {
            const Corner<SIDE> at(tile, shape);
            for (long channel = 0; channel < shape.channels; channel += N) {
                typename V::floats out[SIDE][SIDE] = {}, product[SIDE + 2][SIDE + 2];
                for (int i = 0; i < SIDE; ++i)
                    for (int j = 0; j < SIDE; ++j)
                        if (shape.has(at.y + i, at.x + j))
                            out[i][j] = V::load(images + shape.pixel(at.image, at.y + i, at.x + j) + channel);
                join_backward(out, product);
                writer.template write<N>(tile, channel, product);
            }
            writer.finish(tile);
        }
    }
}

// Filters are written like tiles of so many channels.
constexpr long FILTERS = 64;

template <int SIDE, class T>
void transform_filters(T *transformed, const float *filters, long size) {
#pragma omp parallel
    {
        TileWriter<SIDE, T> writer(transformed, Shape{size / FILTERS, 0, 0, FILTERS, 1, 1, size / FILTERS});
#pragma omp for schedule(static)
        for (long tile = 0; tile < size / FILTERS; ++tile) {
            for (long at = 0; at < FILTERS; at += 16) {
                Vector<16>::floats filter[3][3], out[SIDE + 2][SIDE + 2];
                load<16>(filters + tile * FILTERS + at, size, filter);
                transform_filter(filter, out);
                writer.template write<16>(tile, at, out);
            }
            writer.finish(tile);
        }
    }
}

template <int SIDE>
void transform_filters_backward(const float *transformed, float *filters, long size) {
#pragma omp parallel for schedule(static)
    for (long at = 0; at < size; at += 16) {
        Vector<16>::floats in[SIDE + 2][SIDE + 2], filter[3][3];
        load<16>(transformed + at, size, in);
        transform_filter_backward(in, filter);
        store<16>(filters + at, size, filter);
    }
}

template <int VALUE>
using Number = std::integral_constant<int, VALUE>;

// Call a function of a tile's side and of the length of vectors: the longest that suits the channels.
template <class Call>
void with_sizes(long side, long channels, Call call) {
    const bool is_long = WIDEST == 16 && channels % 16 == 0;
    if (side == 4) is_long ? call(Number<4>{}, Number<16>{}) : call(Number<4>{}, Number<8>{});
    else is_long ? call(Number<2>{}, Number<16>{}) : call(Number<2>{}, Number<8>{});
}

}  // namespace

#define SHAPE long n, long h, long w, long c, long high, long wide, long rows, long side
#define CALL(function, ...)                                                            \
    with_sizes(side, c, [&](auto size, auto width) {                                   \
        function<size, width>(__VA_ARGS__, Shape{n, h, w, c, high, wide, rows});       \
    });

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
    void transform_filters_##type(T *transformed, const float *filters, long size, long side) {              \
        if (side == 4) transform_filters<4>(transformed, filters, size);                                     \
        else transform_filters<2>(transformed, filters, size);                                               \
    }

extern "C" {
FOR(float, fp32)
FOR(bf16, bf16)
void transform_filters_backward_fp32(const float *transformed, float *filters, long size, long side) {
    if (side == 4) transform_filters_backward<4>(transformed, filters, size);
    else transform_filters_backward<2>(transformed, filters, size);
}
}
