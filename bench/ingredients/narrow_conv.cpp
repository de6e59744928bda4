// A 3x3 conv of few channels, alone or with the 2x2 max pooling behind it, by Winograd's F(2x2, 3x3) or F(4x4, 3x3), in
// one pass over the images.
//
// winograd.cpp transforms all tiles, then torch multiplies them, then the products are transformed. With few channels
// that is more traffic than work. Here a block of tiles goes through all three steps while it is in a core's cache.
//
// Images are [n][h][w][ins] in bf16, outputs [n][h][w][outs], or [n][h / 2][w / 2][outs] if pooled. Products are of pairs
// (pair_products.h), so that factors lie in memory with the two numbers of a pair side by side.

#include "vectors.h"

#if defined(__AVX512BF16__)

#include <omp.h>

#include "buffer.h"
#include "narrow_outputs.h"
#include "narrow_tiles.h"
#include "pair_products.h"

namespace {

constexpr long BLOCK = 48;  // tiles; even, and a multiple of the rows of products

// Filters are [places][ins / 2][outs][2].
template <class Form>
void forward(const bf16 *images, const bf16 *filters, Form form, Shape shape) {
    using Tiles = Tiling<Form::SIDE>;
    constexpr long PATCH = Tiles::PATCH, PLACES = Tiles::PLACES;
    const Tiles tiling = form.tiling();
    const long ins = shape.ins, outs = shape.outs, all = shape.images * tiling.of_image;
#pragma omp parallel
    {
        PaddedImage<Form::SIDE> image(images, shape, tiling);
        Buffer<bf16> tiles(BLOCK * PLACES * ins);
        Buffer<float> products(BLOCK * PLACES * outs);
#pragma omp for schedule(static)
        for (long begin = 0; begin < all; begin += BLOCK) {
            const long count = std::min(BLOCK, all - begin);
            for (long t = 0; t < count; ++t) {
                const Corner at = tiling.corner(begin + t);
                image.hold(at.image);
                by_vectors(ins, [&](auto v, long channel) {
                    typename decltype(v)::floats tile[PATCH][PATCH];
                    image.transform(v, at, channel, tile);
                    store_tile<PATCH>(v, tiles.at(t * PLACES * ins + channel), ins, tile);
                });
            }
            for (long place = 0; place < PLACES; ++place)
                multiply(
                    {tiles.at(place * ins), PLACES * ins, 2}, filters + place * ins * outs, 2 * outs, ins / 2,
                    products.at(place * outs), PLACES * outs, false, count, outs);
            for (long t = 0; t < count; ++t) {
                const Corner at = tiling.corner(begin + t);
                by_widest(outs, [&](Wide v, long channel) {
                    Wide::floats product[PATCH][PATCH];
                    load_tile<PATCH>(v, products.at(t * PLACES * outs + channel), outs, product);
                    form.write(product, at, channel);
                });
            }
        }
    }
}

// The gradients that a thread computes, those of filters summed over its images.
template <class Form>
class Gradients {
    static constexpr int SIDE = Form::SIDE;
    static constexpr long PATCH = SIDE + 2, PLACES = PATCH * PATCH;

public:
    Buffer<float> of_filters;  // [places][ins][outs]
    PaddedSums<SIDE> of_images;

    // `columns` are `ins`, in whole vectors.
    Gradients(const bf16 *images, Form form, bf16 *of_images, Shape shape, long columns)
        : of_filters(PLACES * shape.ins * shape.outs), of_images(of_images, shape, form.tiling()), form_(form),
          tiling_(form.tiling()), ins_(shape.ins), outs_(shape.outs), columns_(columns),
          image_(images, shape, form.tiling()), products_(BLOCK * PLACES * outs_), product_pairs_(PLACES * pairs(outs_)),
          tile_pairs_(PLACES * pairs(ins_)), of_tiles_(BLOCK * PLACES * columns) {}

    // Gradients of the products of a block, from those of its outputs: as factors of the images' and the filters'.
    void take(long begin, long count, bool for_images, bool for_filters) {
        for (long t = 0; t < count; t += 2) {
            const Corner at = tiling_.corner(begin + t), next = tiling_.corner(begin + t + 1);
            by_widest(outs_, [&](Wide v, long channel) {
                Wide::floats first[PATCH][PATCH], second[PATCH][PATCH];
                form_.read(first, at, channel);
                form_.read(second, next, channel);
                if (for_images) {
                    bf16 *out = products_.at(t * PLACES * outs_ + channel);
                    store_tile<PATCH>(v, out, outs_, first);
                    store_tile<PATCH>(v, out + PLACES * outs_, outs_, second);
                }
                if (for_filters) store_both(product_pairs_.at(t * outs_ + 2 * channel), pairs(outs_), first, second);
            });
        }
    }

    // Add a block's part. filters: [places][outs / 2][columns][2]
    void add_to_images(const bf16 *filters, long begin, long count) {
        for (long place = 0; place < PLACES; ++place)
            multiply(
                {products_.at(place * outs_), PLACES * outs_, 2}, filters + place * outs_ * columns_, 2 * columns_,
                outs_ / 2, of_tiles_.at(place * columns_), PLACES * columns_, false, count, columns_);
        for (long t = 0; t < count; ++t) {
            const Corner at = tiling_.corner(begin + t);
            of_images.hold(at.image);
            by_vectors(ins_, [&](auto v, long channel) {
                typename decltype(v)::floats tile[PATCH][PATCH];
                load_tile<PATCH>(v, of_tiles_.at(t * PLACES * columns_ + channel), columns_, tile);
                of_images.add(v, at, channel, tile);
            });
        }
    }

    void add_to_filters(long begin, long count) {
        for (long t = 0; t < count; t += 2) {
            const Corner at = tiling_.corner(begin + t), next = tiling_.corner(begin + t + 1);
            image_.hold(at.image);
            by_vectors(ins_, [&](auto v, long channel) {
                typename decltype(v)::floats first[PATCH][PATCH], second[PATCH][PATCH];
                image_.transform(v, at, channel, first);
                image_.transform(v, next, channel, second);
                store_both(tile_pairs_.at(t * ins_ + 2 * channel), pairs(ins_), first, second);
            });
        }
        for (long place = 0; place < PLACES; ++place)
            multiply(
                {tile_pairs_.at(place * pairs(ins_)), 2, 2 * ins_}, product_pairs_.at(place * pairs(outs_)), 2 * outs_,
                count / 2, of_filters.at(place * ins_ * outs_), outs_, true, ins_, outs_);
    }

private:
    Form form_;
    Tiling<SIDE> tiling_;
    long ins_, outs_, columns_;
    PaddedImage<SIDE> image_;
    Buffer<bf16> products_;                    // [tile][place][outs]
    Buffer<bf16> product_pairs_, tile_pairs_;  // [place][pair of tiles][channel][2]
    Buffer<float> of_tiles_;                   // [tile][place][columns]

    // From one place to the next. They would share the few lines of a cache's set at a multiple of 4096 bytes.
    static long pairs(long channels) { return BLOCK * channels + 32; }

    template <class Floats>
    static void store_both(bf16 *out, long step, Floats (*first)[PATCH], Floats (*second)[PATCH]) {
#pragma GCC unroll 6
        for (int i = 0; i < PATCH; ++i)
#pragma GCC unroll 6
            for (int j = 0; j < PATCH; ++j, out += step) store_pairs(out, first[i][j], second[i][j]);
    }
};

// `filters` and `of_images` are null if gradients of images are not wanted, and `of_filters` if theirs are not.
template <class Form>
void backward(const bf16 *images, const bf16 *filters, Form form, bf16 *of_images, float *of_filters, Shape shape) {
    using Tiles = Tiling<Form::SIDE>;
    const long of_image = form.tiling().of_image, size = Tiles::PLACES * shape.ins * shape.outs;
    const long columns = (shape.ins + LANES - 1) / LANES * LANES, most = omp_get_max_threads();
    Buffer<float> parts(of_filters ? most * size : 0);
#pragma omp parallel num_threads(most)
    {
        Gradients<Form> own(images, form, of_images, shape, columns);
        const long thread = omp_get_thread_num(), threads = omp_get_num_threads();
        const long share = shape.images / threads, more = shape.images % threads;
        const long first = thread * share + std::min(thread, more), last = first + share + (thread < more);
        for (long begin = first * of_image; begin < last * of_image; begin += BLOCK) {
            const long count = std::min(BLOCK, last * of_image - begin);
            own.take(begin, count, of_images, of_filters);
            if (of_images) own.add_to_images(filters, begin, count);
            if (of_filters) own.add_to_filters(begin, count);
        }
        own.of_images.write();
        if (of_filters) std::copy_n(own.of_filters.at(0), size, parts.at(thread * size));
    }
    if (!of_filters) return;
    std::fill(of_filters, of_filters + size, 0.f);
    for (long thread = 0; thread < most; ++thread)
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

// A tile's outputs are `side` x `side`.
#define SIZES long n, long h, long w, long ins, long outs, long side

void narrow_conv(const bf16 *images, const bf16 *filters, bf16 *pooled, uint8_t *places, SIZES) {
    const Shape shape{n, h, w, ins, outs};
    if (side == 2) forward(images, filters, Pooled<2>(pooled, places, shape), shape);
    else forward(images, filters, Pooled<4>(pooled, places, shape), shape);
}

void narrow_conv_backward(
    const bf16 *images, const bf16 *filters, bf16 *gradient, uint8_t *places, bf16 *of_images, float *of_filters, SIZES) {
    const Shape shape{n, h, w, ins, outs};
    if (side == 2) backward(images, filters, Pooled<2>(gradient, places, shape), of_images, of_filters, shape);
    else backward(images, filters, Pooled<4>(gradient, places, shape), of_images, of_filters, shape);
}

void narrow_conv_alone(const bf16 *images, const bf16 *filters, bf16 *out, SIZES) {
    const Shape shape{n, h, w, ins, outs};
    forward(images, filters, Alone<4>(out, shape), shape);
}

void narrow_conv_alone_backward(
    const bf16 *images, const bf16 *filters, bf16 *gradient, bf16 *of_images, float *of_filters, SIZES) {
    const Shape shape{n, h, w, ins, outs};
    backward(images, filters, Alone<4>(gradient, shape), of_images, of_filters, shape);
}
}

#else

extern "C" int is_fast() { return 0; }

#endif
