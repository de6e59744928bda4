// A 3x3 conv of few channels and the 2x2 max pooling behind it, by Winograd's F(2x2, 3x3), in one pass over the images.
//
// winograd.cpp transforms all tiles, then torch multiplies them, then the products are transformed. With few channels
// that is more traffic than work. Here a block of tiles goes through all three steps while it is in a core's cache.
//
// Images are [n][h][w][ins] in bf16, outputs [n][h / 2][w / 2][outs]. Products are of pairs (pair_products.h), so that
// factors lie in memory with the two numbers of a pair side by side.

#include "vectors.h"

#if defined(__AVX512BF16__)

#include <omp.h>

#include "buffer.h"
#include "pair_products.h"
#include "winograd.h"

namespace {

constexpr long PLACES = 16;  // of a tile
constexpr long BLOCK = 48;   // tiles; even, and a multiple of ROWS
constexpr int NARROW = 8;    // channels of an image are a multiple of it

using Wide = Vector<LANES>;
using Half = Vector<NARROW>;

struct Shape {
    long images, height, width, ins, outs;

    long wide() const { return width / 2; }
    long tiles() const { return height / 2 * wide(); }  // of an image
    bool has(long y, long x) const { return 0 <= y && y < height && 0 <= x && x < width; }
    // The first of the pixels of which a tile makes outputs.
    long top(long tile) const { return 2 * (tile / wide()); }
    long left(long tile) const { return 2 * (tile % wide()); }
};

// A tile of an image to [16][ins].
inline void transform_tile(const bf16 *image, long tile, const bf16 *zeros, bf16 *out, Shape shape) {
    const long top = shape.top(tile) - 1, left = shape.left(tile) - 1;
    const bf16 *pixels[4][4];
    for (long i = 0; i < 4; ++i)
        for (long j = 0; j < 4; ++j) {
            const long y = top + i, x = left + j;
            pixels[i][j] = shape.has(y, x) ? image + (y * shape.width + x) * shape.ins : zeros;
        }
    for (long channel = 0; channel < shape.ins; channel += NARROW) {
        Half::floats patch[4][4], transformed[4][4];
        for (int i = 0; i < 4; ++i)
            for (int j = 0; j < 4; ++j) patch[i][j] = Half::load(pixels[i][j] + channel);
        transform_patch(patch, transformed);
        for (int i = 0; i < 4; ++i)
            for (int j = 0; j < 4; ++j) Half::store(out + (4 * i + j) * shape.ins + channel, transformed[i][j]);
    }
}

// Two rows of numbers become a row of pairs.
inline void pair_up(const bf16 *first, const bf16 *second, bf16 *out, long size) {
    for (long at = 0; at < size; at += LANES) {
        Wide::halves low, high;
        std::memcpy(&low, first + at, sizeof low);
        std::memcpy(&high, second + at, sizeof high);
        const Wide::words both = widened(low) | widened(high) << 16;
        std::memcpy(out + 2 * at, &both, sizeof both);
    }
}

// The outputs of a tile from its products, [16][outs].
inline void write_pooled(const float *products, bf16 *pooled, uint8_t *places, long outs) {
    for (long channel = 0; channel < outs; channel += LANES) {
        Wide::floats product[4][4], largest;
        Wide::words place;
        for (int i = 0; i < 4; ++i)
            for (int j = 0; j < 4; ++j) product[i][j] = Wide::load(products + (4 * i + j) * outs + channel);
        pool(product, largest, place);
        Wide::store(pooled + channel, largest);
        Wide::store_bytes(places + channel, place);
    }
}

// Filters are [16][ins / 2][outs][2].
void forward(const bf16 *images, const bf16 *filters, bf16 *pooled, uint8_t *places, Shape shape) {
    const long ins = shape.ins, outs = shape.outs, of_image = shape.tiles(), all = shape.images * of_image;
    const long pixels = shape.height * shape.width;
#pragma omp parallel
    {
        Buffer<bf16> zeros(ins), tiles(BLOCK * PLACES * ins);
        Buffer<float> products(BLOCK * PLACES * outs);
#pragma omp for schedule(static)
        for (long begin = 0; begin < all; begin += BLOCK) {
            const long count = std::min(BLOCK, all - begin);
            for (long t = 0; t < count; ++t) {
                const long n = (begin + t) / of_image, tile = (begin + t) % of_image;
                transform_tile(images + n * pixels * ins, tile, zeros.at(0), tiles.at(t * PLACES * ins), shape);
            }
            for (long place = 0; place < PLACES; ++place)
                multiply(
                    {tiles.at(place * ins), PLACES * ins, 2}, filters + place * ins * outs, 2 * outs, ins / 2,
                    products.at(place * outs), PLACES * outs, false, count, outs);
            for (long t = 0; t < count; ++t) {
                const long at = (begin + t) * outs;
                write_pooled(products.at(t * PLACES * outs), pooled + at, places + at, outs);
            }
        }
    }
}

// What a thread needs for gradients of a block of tiles.
struct Workspace {
    Shape shape;
    long columns;  // of the gradients of tiles: `ins`, in whole vectors
    Buffer<bf16> zeros, tiles, products, tile_pairs, product_pairs;
    Buffer<float> of_tiles, image, of_filters;

    Workspace(Shape shape, long columns)
        : shape(shape), columns(columns), zeros(shape.ins), tiles(BLOCK * PLACES * shape.ins),
          products(BLOCK * PLACES * shape.outs), tile_pairs(BLOCK * PLACES * shape.ins),
          product_pairs(BLOCK * PLACES * shape.outs), of_tiles(BLOCK * PLACES * columns),
          image((shape.height + 2) * (shape.width + 2) * shape.ins), of_filters(PLACES * shape.ins * shape.outs) {}

    // Gradients of the products of a block, from those of its outputs.
    void take(const bf16 *gradient, const uint8_t *places, long count) {
        for (long t = 0; t < count; ++t)
            for (long channel = 0; channel < shape.outs; channel += LANES) {
                Wide::floats product[4][4];
                const long at = t * shape.outs + channel;
                pool_backward(Wide::load(gradient + at), Wide::load_bytes(places + at), product);
                bf16 *out = products.at(t * PLACES * shape.outs + channel);
                for (int i = 0; i < 4; ++i)
                    for (int j = 0; j < 4; ++j) Wide::store(out + (4 * i + j) * shape.outs, product[i][j]);
            }
    }

    // Add a block's part to the gradients of filters, [16][ins][outs].
    void add_to_filters(const bf16 *images, long begin, long count) {
        const long ins = PLACES * shape.ins, outs = PLACES * shape.outs;
        for (long t = 0; t < count; ++t) transform_tile(images, begin + t, zeros.at(0), tiles.at(t * ins), shape);
        if (count % 2) {
            std::fill(tiles.at(count * ins), tiles.at((count + 1) * ins), bf16{});
            std::fill(products.at(count * outs), products.at((count + 1) * outs), bf16{});
        }
        const long pairs = (count + 1) / 2;
        for (long pair = 0; pair < pairs; ++pair) {
            pair_up(tiles.at(2 * pair * ins), tiles.at((2 * pair + 1) * ins), tile_pairs.at(2 * pair * ins), ins);
            pair_up(
                products.at(2 * pair * outs), products.at((2 * pair + 1) * outs), product_pairs.at(2 * pair * outs), outs);
        }
        for (long place = 0; place < PLACES; ++place)
            multiply(
                {tile_pairs.at(place * 2 * shape.ins), 2, 2 * ins}, product_pairs.at(place * 2 * shape.outs), 2 * outs,
                pairs, of_filters.at(place * shape.ins * shape.outs), shape.outs, true, shape.ins, shape.outs);
    }

    // Add a block's part to the gradient of the image. filters: [16][outs / 2][columns][2]
    void add_to_image(const bf16 *filters, long begin, long count) {
        const long ins = shape.ins, outs = shape.outs, padded = (shape.width + 2);
        for (long place = 0; place < PLACES; ++place)
            multiply(
                {products.at(place * outs), PLACES * outs, 2}, filters + place * outs * columns, 2 * columns, outs / 2,
                of_tiles.at(place * columns), PLACES * columns, false, count, columns);
        for (long t = 0; t < count; ++t) {
            const long top = shape.top(begin + t), left = shape.left(begin + t);
            for (long channel = 0; channel < ins; channel += NARROW) {
                Half::floats gradient[4][4], patch[4][4];
                for (int i = 0; i < 4; ++i)
                    for (int j = 0; j < 4; ++j)
                        gradient[i][j] = Half::load(of_tiles.at((t * PLACES + 4 * i + j) * columns + channel));
                transform_patch_backward(gradient, patch);
                for (int i = 0; i < 4; ++i)
                    for (int j = 0; j < 4; ++j) {
                        float *sum = image.at(((top + i) * padded + left + j) * ins + channel);
                        Half::store(sum, Half::load(sum) + patch[i][j]);
                    }
            }
        }
    }

    void write_image(bf16 *out) {
        for (long y = 0; y < shape.height; ++y) {
            const float *in = image.at(((y + 1) * (shape.width + 2) + 1) * shape.ins);
            for (long at = 0; at < shape.width * shape.ins; at += NARROW)
                Half::store(out + y * shape.width * shape.ins + at, Half::load(in + at));
        }
    }
};

// `filters` and `of_images` are null if gradients of images are not wanted, and `of_filters` if theirs are not.
void backward(
    const bf16 *images, const bf16 *filters, const bf16 *gradient, const uint8_t *places, bf16 *of_images,
    float *of_filters, Shape shape) {
    const long of_image = shape.tiles(), pixels = shape.height * shape.width * shape.ins;
    const long size = PLACES * shape.ins * shape.outs, columns = (shape.ins + LANES - 1) / LANES * LANES;
    const long threads = omp_get_max_threads();
    Buffer<float> parts(of_filters ? threads * size : 0);
#pragma omp parallel num_threads(threads)
    {
        Workspace own(shape, columns);
#pragma omp for schedule(static)
        for (long n = 0; n < shape.images; ++n) {
            if (of_images) own.image.zero();
            for (long begin = 0; begin < of_image; begin += BLOCK) {
                const long count = std::min(BLOCK, of_image - begin), at = (n * of_image + begin) * shape.outs;
                own.take(gradient + at, places + at, count);
                if (of_images) own.add_to_image(filters, begin, count);
                if (of_filters) own.add_to_filters(images + n * pixels, begin, count);
            }
            if (of_images) own.write_image(of_images + n * pixels);
        }
        if (of_filters) std::copy(own.of_filters.at(0), own.of_filters.at(size), parts.at(omp_get_thread_num() * size));
    }
    if (!of_filters) return;
    std::fill(of_filters, of_filters + size, 0.f);
    for (long thread = 0; thread < threads; ++thread)
        for (long at = 0; at < size; ++at) of_filters[at] += *parts.at(thread * size + at);
}

}  // namespace

extern "C" {
// Where a machine multiplies whole tiles of bf16 (AMX), torch's products are faster.
#ifdef __AMX_BF16__
int is_fast() { return 0; }
#else
int is_fast() { return 1; }
#endif

void narrow_conv(
    const bf16 *images, const bf16 *filters, bf16 *pooled, uint8_t *places, long n, long h, long w, long ins, long outs) {
    forward(images, filters, pooled, places, Shape{n, h, w, ins, outs});
}

void narrow_conv_backward(
    const bf16 *images, const bf16 *filters, const bf16 *gradient, const uint8_t *places, bf16 *of_images,
    float *of_filters, long n, long h, long w, long ins, long outs) {
    backward(images, filters, gradient, places, of_images, of_filters, Shape{n, h, w, ins, outs});
}
}

#else

extern "C" int is_fast() { return 0; }

#endif
