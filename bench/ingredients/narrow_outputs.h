// What becomes of the products of a tile in a conv of few channels: its outputs, with or without the pooling behind them.
//
// Outputs are [n][h][w][outs], or [n][h / 2][w / 2][outs] if pooled.

#pragma once

#include "narrow_tiles.h"

using Wide = Vector<WIDEST>;

// The outputs of a conv, or their gradients.
struct Outputs {
    bf16 *values;
    uint8_t *places;  // if they are pooled, which of its window was the largest
    long height, width, channels;

    // Call a function for those of COUNT x COUNT outputs that exist, with where their channels begin.
    template <int COUNT, class Function>
    void each(long image, long y, long x, const Function &function) const {
        long line = ((image * height + y) * width + x) * channels;
#pragma GCC unroll 4
        for (int i = 0; i < COUNT; ++i, line += width * channels) {
            long at = line;
#pragma GCC unroll 4
            for (int j = 0; j < COUNT; ++j, at += channels)
                if (y + i < height && x + j < width) function(i, j, at);
        }
    }
};

// Every output.
template <int S>
struct Alone {
    static constexpr int SIDE = S, PATCH = S + 2;
    Outputs outputs;

    Alone(bf16 *values, Shape shape) : outputs{values, nullptr, shape.height, shape.width, shape.outs} {}

    Tiling<SIDE> tiling() const { return {outputs.height, outputs.width}; }

    void write(Wide::floats (*product)[PATCH], Corner at, long channel) const {
        Wide::floats out[SIDE][SIDE];
        join(product, out);
        outputs.each<SIDE>(
            at.image, at.y, at.x, [&](int i, int j, long to) { Wide::store(outputs.values + to + channel, out[i][j]); });
    }

    // The gradient of the products.
    void read(Wide::floats (*product)[PATCH], Corner at, long channel) const {
        Wide::floats out[SIDE][SIDE] = {};
        outputs.each<SIDE>(at.image, at.y, at.x, [&](int i, int j, long from) {
            out[i][j] = Wide::load(outputs.values + from + channel);
        });
        join_backward(out, product);
    }
};

// The largest of each 2x2 window.
template <int S>
struct Pooled {
    static constexpr int SIDE = S, PATCH = S + 2, WINDOWS = S / 2;
    Outputs outputs;

    Pooled(bf16 *values, uint8_t *places, Shape shape)
        : outputs{values, places, shape.height / 2, shape.width / 2, shape.outs} {}

    Tiling<SIDE> tiling() const { return {2 * outputs.height, 2 * outputs.width}; }

    void write(Wide::floats (*product)[PATCH], Corner at, long channel) const {
        Wide::floats largest[WINDOWS][WINDOWS];
        Wide::words place[WINDOWS][WINDOWS];
        pool(product, largest, place);
        outputs.each<WINDOWS>(at.image, at.y / 2, at.x / 2, [&](int i, int j, long to) {
            Wide::store(outputs.values + to + channel, largest[i][j]);
            Wide::store_bytes(outputs.places + to + channel, place[i][j]);
        });
    }

    // The gradient of the products.
    void read(Wide::floats (*product)[PATCH], Corner at, long channel) const {
        Wide::floats gradient[WINDOWS][WINDOWS] = {};
        Wide::words place[WINDOWS][WINDOWS] = {};
        outputs.each<WINDOWS>(at.image, at.y / 2, at.x / 2, [&](int i, int j, long from) {
            gradient[i][j] = Wide::load(outputs.values + from + channel);
            place[i][j] = Wide::load_bytes(outputs.places + from + channel);
        });
        pool_backward(gradient, place, product);
    }
};
