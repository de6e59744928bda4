// How a conv of few channels cuts its images into tiles, and the images that tiles are taken from and gradients added to.
//
// Images are [n][height][width][ins].

#pragma once

#include <algorithm>

#include "buffer.h"
#include "vectors.h"
#include "winograd.h"
#include "winograd_large.h"

constexpr int NARROW = 8;  // channels of an image are a multiple of it

// Not inlined: the compiler would compute the addresses of all places of a tile before a loop over channels, and they
// are more than there are registers.
template <class V, class Function>
[[gnu::noinline]] void apart(V vector, long channel, const Function &function) {
    function(vector, channel);
}

// Call a function for all channels, with a vector's type and the first of its channels.
template <class Function>
inline void by_vectors(long channels, const Function &function) {
    long channel = 0;
    for (; channel + WIDEST <= channels; channel += WIDEST) apart(Vector<WIDEST>{}, channel, function);
    for (; channel < channels; channel += NARROW) apart(Vector<NARROW>{}, channel, function);
}

// The same where channels are whole vectors.
template <class Function>
inline void by_widest(long channels, const Function &function) {
    for (long channel = 0; channel < channels; channel += WIDEST) apart(Vector<WIDEST>{}, channel, function);
}

// The numbers of a tile, `step` from one place to the next.
template <int PATCH, class V, class T>
inline void load_tile(V, const T *from, long step, typename V::floats (*tile)[PATCH]) {
#pragma GCC unroll 6
    for (int i = 0; i < PATCH; ++i)
#pragma GCC unroll 6
        for (int j = 0; j < PATCH; ++j, from += step) tile[i][j] = V::load(from);
}

template <int PATCH, class V, class T>
inline void store_tile(V, T *to, long step, const typename V::floats (*tile)[PATCH]) {
#pragma GCC unroll 6
    for (int i = 0; i < PATCH; ++i)
#pragma GCC unroll 6
        for (int j = 0; j < PATCH; ++j, to += step) V::store(to, tile[i][j]);
}

struct Shape {
    long images, height, width, ins, outs;

    long pixel(long image, long y) const { return (image * height + y) * width * ins; }
};

// The first of the pixels of which a tile makes outputs.
struct Corner {
    long image, y, x;
};

// Tiles of SIDE x SIDE outputs, which see a patch of the image. An image has an even number, so that no pair of tiles is
// of two images: there may be one more, below the others, none of whose outputs exist.
template <int SIDE>
struct Tiling {
    static constexpr int PATCH = SIDE + 2, PLACES = PATCH * PATCH;
    long high, wide, of_image;

    Tiling(long outputs_high, long outputs_wide)
        : high((outputs_high + SIDE - 1) / SIDE), wide((outputs_wide + SIDE - 1) / SIDE),
          of_image((high * wide + 1) / 2 * 2) {}

    Corner corner(long tile) const {
        const long n = tile / of_image, rest = tile % of_image;
        return {n, SIDE * (rest / wide), SIDE * (rest % wide)};
    }
};

// Memory for one image, with as many zeros around it as patches reach.
template <class T, int SIDE>
struct Padded {
    long row, pixel;
    Buffer<T> numbers;

    Padded(Shape shape, Tiling<SIDE> tiling)
        : row((SIDE * tiling.wide + 2) * shape.ins), pixel(shape.ins), numbers((SIDE * tiling.high + SIDE + 2) * row) {}

    T *inside(long y) const { return numbers.at((y + 1) * row + pixel); }
    T *corner(Corner at) const { return numbers.at(at.y * row + at.x * pixel); }  // of the patch that a tile sees
};

template <int SIDE>
class PaddedImage {
    static constexpr int PATCH = SIDE + 2;

public:
    PaddedImage(const bf16 *images, Shape shape, Tiling<SIDE> tiling)
        : images_(images), shape_(shape), padded_(shape, tiling) {}

    void hold(long image) {
        if (image == held_) return;
        for (long y = 0; y < shape_.height; ++y)
            std::copy_n(images_ + shape_.pixel(image, y), shape_.width * shape_.ins, padded_.inside(y));
        held_ = image;
    }

    // The transform of a tile of the image that is held.
    template <class V>
    void transform(V, Corner at, long channel, typename V::floats (*tile)[PATCH]) const {
        typename V::floats patch[PATCH][PATCH];
        const bf16 *row = padded_.corner(at) + channel;
#pragma GCC unroll 6
        for (int i = 0; i < PATCH; ++i, row += padded_.row) {
            const bf16 *pixel = row;
#pragma GCC unroll 6
            for (int j = 0; j < PATCH; ++j, pixel += padded_.pixel) patch[i][j] = V::load(pixel);
        }
        transform_patch(patch, tile);
    }

private:
    const bf16 *images_;
    Shape shape_;
    Padded<bf16, SIDE> padded_;
    long held_ = -1;
};

// Gradients of images are sums over tiles.
template <int SIDE>
class PaddedSums {
    static constexpr int PATCH = SIDE + 2;

public:
    PaddedSums(bf16 *images, Shape shape, Tiling<SIDE> tiling) : images_(images), shape_(shape), padded_(shape, tiling) {}

    void hold(long image) {
        if (image == held_) return;
        write();
        padded_.numbers.zero();
        held_ = image;
    }

    // Add the gradient of a tile, which it overwrites, to the image that is held.
    template <class V>
    void add(V, Corner at, long channel, typename V::floats (*tile)[PATCH]) {
        typename V::floats patch[PATCH][PATCH];
        transform_patch_backward(tile, patch);
        float *row = padded_.corner(at) + channel;
#pragma GCC unroll 6
        for (int i = 0; i < PATCH; ++i, row += padded_.row) {
            float *sum = row;
#pragma GCC unroll 6
            for (int j = 0; j < PATCH; ++j, sum += padded_.pixel) V::store(sum, V::load(sum) + patch[i][j]);
        }
    }

    // Write the image that is held, if any.
    void write() const {
        if (held_ < 0) return;
        for (long y = 0; y < shape_.height; ++y) {
            const float *in = padded_.inside(y);
            bf16 *out = images_ + shape_.pixel(held_, y);
            by_vectors(shape_.width * shape_.ins, [&](auto v, long at) { v.store(out + at, v.load(in + at)); });
        }
    }

private:
    bf16 *images_;
    Shape shape_;
    Padded<float, SIDE> padded_;
    long held_ = -1;
};
