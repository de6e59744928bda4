// Memory for numbers, all 0 at first, aligned to the lines of a cache: a vector that lies across two lines takes twice as
// long to load.

#pragma once

#include <algorithm>
#include <cstdlib>

template <class T>
class Buffer {
public:
    explicit Buffer(long size) : size_(size) {
        const std::size_t bytes = (size * sizeof(T) + 63) / 64 * 64;
        data_ = static_cast<T *>(std::aligned_alloc(64, std::max<std::size_t>(bytes, 64)));
        if (!data_) std::abort();
        zero();
    }
    Buffer(const Buffer &) = delete;
    Buffer &operator=(const Buffer &) = delete;
    ~Buffer() { std::free(data_); }

    void zero() { std::fill(data_, data_ + size_, T{}); }
    T *at(long index) const { return data_ + index; }
    T &operator[](long index) const { return data_[index]; }

private:
    long size_;
    T *data_;
};
