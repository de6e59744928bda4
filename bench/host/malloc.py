"""How glibc's malloc serves the tensors of a training on a CPU: it keeps what is freed, and uses huge pages if asked.

Both change the whole process, to its end. `BENCH_MALLOC=default` leaves malloc as it is.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import resource
from functools import cache
from pathlib import Path

from bench.errors import MissingError
from bench.host import proc

# The numbers of M_TRIM_THRESHOLD and M_MMAP_MAX in glibc's malloc.h.
TRIM_THRESHOLD, MMAP_MAX = -1, -4
KERNEL = Path("/sys/kernel/mm/transparent_hugepage")
OVERCOMMIT = Path("/proc/sys/vm/overcommit_memory")
# Larger ones (512 MiB with base pages of 64 KiB) would cost a training much memory that it does not use.
LARGEST_PAGE_BYTES = 2 << 20
# The address space that gets huge pages, as a share of the machine's memory.
SHARE = 0.5


def keep_freed_memory() -> bool:
    """Let malloc keep freed memory for the next step; returns false if that is impossible.

    Otherwise it returns every large block to the kernel, and each step faults in its activations again, page by page.
    """
    try:
        libc = _glibc()
    except MissingError:
        return False
    return bool(libc.mallopt(TRIM_THRESHOLD, -1) and libc.mallopt(MMAP_MAX, 0))


@cache
def use_huge_pages() -> None:
    """Let malloc keep freed memory, and serve from pages of 2 MiB in place of 4 KiB from now on.

    A processor remembers the places of few pages, so that each access to a large tensor in small pages may need a
    look-up. Address space at the end of the heap is reserved, advised and freed, and malloc serves from it afterwards;
    it takes memory only when it is used. Raises `MissingError` with the reason if that is impossible.
    """
    libc, page_bytes = _glibc(), _page_bytes()
    _check_limits()
    keep_freed_memory()
    size_bytes = int(SHARE * os.sysconf("SC_PHYS_PAGES") * mmap.PAGESIZE)
    address = libc.malloc(size_bytes)
    if address is None:
        raise MissingError("half of the machine's memory cannot be reserved as address space")
    begin, end = -(-address // page_bytes) * page_bytes, (address + size_bytes) // page_bytes * page_bytes
    refused = libc.madvise(begin, end - begin, mmap.MADV_HUGEPAGE)
    why = os.strerror(ctypes.get_errno())
    libc.free(address)
    if refused:
        raise MissingError(f"the kernel refuses huge pages: {why}")


def huge_page_bytes(process: Path | str = "/proc/self") -> int | None:
    """How much of a process's memory is in huge pages at the moment; None if the system does not say."""
    return proc.size_bytes(process, "smaps_rollup", b"AnonHugePages")


def _glibc() -> ctypes.CDLL:
    if os.environ.get("BENCH_MALLOC") == "default":
        raise MissingError("BENCH_MALLOC=default leaves malloc as it is; unset it")
    try:
        libc = ctypes.CDLL("libc.so.6", use_errno=True)
        libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
        libc.free.restype, libc.free.argtypes = None, [ctypes.c_void_p]
        libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
        libc.mallopt.argtypes = [ctypes.c_int, ctypes.c_int]
    except (OSError, AttributeError):
        raise MissingError("this system has no glibc") from None
    return libc


def _page_bytes() -> int:
    """The size of a huge page. Raises `MissingError` if the kernel gives none, or only too large ones."""
    try:
        allowed, page_bytes = (KERNEL / "enabled").read_text(), int((KERNEL / "hpage_pmd_size").read_text())
    except (OSError, ValueError):
        raise MissingError("this kernel has no transparent huge pages") from None
    if "[never]" in allowed:
        raise MissingError(f"the kernel gives no huge pages; as root: echo madvise > {KERNEL / 'enabled'}")
    if page_bytes > LARGEST_PAGE_BYTES:
        raise MissingError(f"huge pages of {page_bytes >> 20} MiB would cost too much memory")
    return page_bytes


def _check_limits() -> None:
    """Raise `MissingError` if reserved address space, which is not used yet, counts as memory."""
    limits = (resource.RLIMIT_AS, resource.RLIMIT_DATA)
    if any(resource.getrlimit(limit)[0] != resource.RLIM_INFINITY for limit in limits):
        raise MissingError("the address space is limited; lift the limit: ulimit -v unlimited -d unlimited")
    try:
        counted = OVERCOMMIT.read_text().strip() == "2"
    except OSError:
        return
    if counted:
        raise MissingError("the kernel counts reserved memory as used; as root: sysctl vm.overcommit_memory=0")
