// Batch norm and the activation behind it, for activated_norm.py.
//
// Images are [rows][channels], a row for each pixel of each image. Channels are a multiple of 16. All sums are fp32 or
// more; half precision is only how numbers lie in memory.

#include <algorithm>

#include "activations.h"
#include "buffer.h"

namespace {

// So many rows are added in fp32, and their sums in double precision. The blocks do not depend on the number of threads,
// so that neither does a result.
constexpr long ROWS = 256;

template <class T>
inline floats load(const T *from) {
    return Vector<WIDTH>::load(from);
}

template <class T>
inline void store(T *to, floats values) {
    Vector<WIDTH>::store(to, values);
}

struct Images {
    long rows, channels;

    long blocks() const { return (rows + ROWS - 1) / ROWS; }
    long begin(long block) const { return block * ROWS; }
    long end(long block) const { return std::min(begin(block) + ROWS, rows); }
    long size(long block) const { return end(block) - begin(block); }
};

// The mean and the (biased) variance of each channel. Those of blocks are merged as in Chan, Golub and LeVeque,
// "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances" (1979).
template <class T>
void moments(const T *in, float *mean, float *variance, Images images) {
    const long blocks = images.blocks(), channels = images.channels;
    const Buffer<float> means(blocks * channels), squares(blocks * channels);
#pragma omp parallel
    {
#pragma omp for schedule(static)
        for (long block = 0; block < blocks; ++block) {
            // Less the block's first row, or squares of values far from 0 would cancel out.
            const T *origin = in + images.begin(block) * channels;
            float *sum = means.at(block * channels), *square = squares.at(block * channels);
            for (long row = images.begin(block); row < images.end(block); ++row)
                for (long channel = 0; channel < channels; channel += WIDTH) {
                    const floats from_origin = load(in + row * channels + channel) - load(origin + channel);
                    store(sum + channel, load(sum + channel) + from_origin);
                    store(square + channel, load(square + channel) + from_origin * from_origin);
                }
            for (long channel = 0; channel < channels; channel += WIDTH) {
                const floats total = load(sum + channel), offset = total / (float)images.size(block);
                store(square + channel, load(square + channel) - total * offset);
                store(sum + channel, load(origin + channel) + offset);
            }
        }
#pragma omp for schedule(static)
        for (long channel = 0; channel < channels; ++channel) {
            double total = 0, spread = 0;
            for (long block = 0; block < blocks; ++block)
                total += (double)images.size(block) * means[block * channels + channel];
            const double middle = total / images.rows;
            for (long block = 0; block < blocks; ++block) {
                const double apart = means[block * channels + channel] - middle;
                spread += squares[block * channels + channel] + images.size(block) * apart * apart;
            }
            mean[channel] = middle;
            variance[channel] = spread / images.rows;
        }
    }
}

// out = the activation of z = in * scale + shift
template <class Activation, class T>
void activate(const T *in, const float *scale, const float *shift, T *out, float parameter, Images images) {
    const long channels = images.channels;
#pragma omp parallel for schedule(static)
    for (long row = 0; row < images.rows; ++row)
        for (long channel = 0; channel < channels; channel += WIDTH) {
            const long at = row * channels + channel;
            const floats z = load(in + at) * load(scale + channel) + load(shift + channel);
            store(out + at, Activation::at(z, parameter).value);
        }
}

// Gradients of the norm's scale, of its shift and, unless `of_in` is null, of its images. For g, the gradient of z, and
// x, the normalised images, they are the sums of g x and of g, and scale (g - mean of g - x mean of g x): Ioffe and
// Szegedy (arXiv 1502.03167). The activation's slope is computed twice, which is faster than to keep g in memory.
template <class Activation, class T>
void activate_backward(
    const T *in, const T *gradient, const float *scale, const float *shift, const float *mean, const float *rstd,
    float *of_weight, float *of_bias, T *of_in, float parameter, Images images) {
    const long blocks = images.blocks(), channels = images.channels;
    const Buffer<float> sums(blocks * channels), products(blocks * channels), factors(channels), offsets(channels);
    const auto of_z = [=](long at, long channel) {
        const floats z = load(in + at) * load(scale + channel) + load(shift + channel);
        return load(gradient + at) * Activation::at(z, parameter).slope;
    };
#pragma omp parallel
    {
#pragma omp for schedule(static)
        for (long block = 0; block < blocks; ++block) {
            float *sum = sums.at(block * channels), *product = products.at(block * channels);
            for (long row = images.begin(block); row < images.end(block); ++row)
                for (long channel = 0; channel < channels; channel += WIDTH) {
                    const long at = row * channels + channel;
                    const floats g = of_z(at, channel), centred = load(in + at) - load(mean + channel);
                    store(sum + channel, load(sum + channel) + g);
                    store(product + channel, load(product + channel) + g * centred);
                }
        }
#pragma omp for schedule(static)
        for (long channel = 0; channel < channels; ++channel) {
            double sum = 0, product = 0;
            for (long block = 0; block < blocks; ++block) {
                sum += sums[block * channels + channel];
                product += products[block * channels + channel];
            }
            of_bias[channel] = sum;
            of_weight[channel] = product * rstd[channel];
            offsets[channel] = scale[channel] * sum / images.rows;
            factors[channel] = scale[channel] * product * rstd[channel] * rstd[channel] / images.rows;
        }
#pragma omp for schedule(static)
        for (long row = 0; row < (of_in ? images.rows : 0); ++row)
            for (long channel = 0; channel < channels; channel += WIDTH) {
                const long at = row * channels + channel;
                const floats centred = load(in + at) - load(mean + channel);
                const floats of_mean = load(offsets.at(channel)) + centred * load(factors.at(channel));
                store(of_in + at, load(scale + channel) * of_z(at, channel) - of_mean);
            }
    }
}

}  // namespace

#define FOR_TYPE(T, type)                                                                          \
    void moments_##type(const T *in, float *mean, float *variance, long rows, long channels) {      \
        moments(in, mean, variance, Images{rows, channels});                                        \
    }

#define FOR(Activation, activation, T, type)                                                                      \
    void activation##_##type(                                                                                     \
        const T *in, const float *scale, const float *shift, T *out, float parameter, long rows, long channels) { \
        activate<Activation>(in, scale, shift, out, parameter, Images{rows, channels});                           \
    }                                                                                                             \
    void activation##_backward_##type(                                                                            \
        const T *in, const T *gradient, const float *scale, const float *shift, const float *mean,                \
        const float *rstd, float *of_weight, float *of_bias, T *of_in, float parameter, long rows,                \
        long channels) {                                                                                          \
        activate_backward<Activation>(                                                                            \
            in, gradient, scale, shift, mean, rstd, of_weight, of_bias, of_in, parameter,                         \
            Images{rows, channels});                                                                              \
    }

#define FOR_BOTH(Activation, activation)   \
    FOR(Activation, activation, float, fp32) \
    FOR(Activation, activation, bf16, bf16)

extern "C" {
FOR_TYPE(float, fp32)
FOR_TYPE(bf16, bf16)
FOR_BOTH(Leaky, leaky)
FOR_BOTH(Silu, silu)
FOR_BOTH(Gelu, gelu)
}
