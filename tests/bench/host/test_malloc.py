"""Where malloc takes the memory of a training from: asked of a process of its own, which it changes to its end."""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys

import pytest

from bench.errors import MissingError
from bench.host import malloc

BLOCK_BYTES = 64 << 20
# Whether the kernel was asked for huge pages where a block is, the peak of all memory, and what is in huge pages.
SCRIPT = f"""
import ctypes, json, sys
from bench.host import malloc
from bench.host.peak_memory import peak_host_bytes

def flags(address):
    inside = False
    for line in open("/proc/self/smaps"):
        first = line.split()[0]
        if "-" in first and not first.endswith(":"):
            begin, end = (int(part, 16) for part in first.split("-"))
            inside = begin <= address < end
        elif inside and first == "VmFlags:":
            return line.split()[1:]

malloc.keep_freed_memory()
if sys.argv[1] == "huge":
    malloc.use_huge_pages()
    malloc.use_huge_pages()  # as a second run in this process does
libc = ctypes.CDLL("libc.so.6")
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
for _ in range(3):
    block = libc.malloc({BLOCK_BYTES})
    ctypes.memset(block, 1, {BLOCK_BYTES})
    libc.free(block)
peak_bytes = peak_host_bytes()  # of `getrusage`, it could be the peak of pytest
print(json.dumps(["hg" in (flags(block + {BLOCK_BYTES // 2}) or []), peak_bytes, malloc.huge_page_bytes()]))
"""


@pytest.fixture
def huge_pages():
    """Skips the test where the system does not allow them."""
    try:
        malloc._glibc(), malloc._page_bytes(), malloc._check_limits()
    except MissingError as error:
        pytest.skip(str(error))


def asked(how):
    done = subprocess.run([sys.executable, "-c", SCRIPT, how], capture_output=True, text=True, timeout=120, check=True)
    return json.loads(done.stdout)


@pytest.mark.usefixtures("huge_pages")
def test_large_blocks_are_in_huge_pages_and_take_no_more_memory():
    (_, usual_bytes, _), (advised, peak_bytes, huge_bytes) = asked("usual"), asked("huge")
    assert advised
    # A page of the kernel's at each end, and what another start of Python differs by.
    assert peak_bytes < usual_bytes + BLOCK_BYTES // 4
    assert 0 <= huge_bytes <= peak_bytes


@pytest.mark.usefixtures("huge_pages")
def test_nothing_is_asked_of_the_kernel_unless_a_recipe_does():
    assert asked("usual")[0] is False


@pytest.mark.usefixtures("huge_pages")
def test_with_a_limit_on_the_address_space_nothing_is_reserved():
    """What is reserved would be missing for threads and libraries."""
    limited = "import resource; resource.setrlimit(resource.RLIMIT_AS, (1 << 40, 1 << 40))\n" + SCRIPT
    done = subprocess.run(
        [sys.executable, "-c", limited, "huge"], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stderr.splitlines()[-1].endswith(
        "the address space is limited; lift the limit: ulimit -v unlimited -d unlimited"
    )


@pytest.fixture
def kernel(tmp_path, monkeypatch):
    """A kernel that gives pages of 2 MiB to those who ask, in this folder."""
    for name, text in {"enabled": "always [madvise] never\n", "hpage_pmd_size": f"{2 << 20}\n"}.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "overcommit").write_text("0\n")
    monkeypatch.setattr(malloc, "KERNEL", tmp_path)
    monkeypatch.setattr(malloc, "OVERCOMMIT", tmp_path / "overcommit")
    monkeypatch.setattr(malloc.resource, "getrlimit", lambda _: (malloc.resource.RLIM_INFINITY,) * 2)
    monkeypatch.delenv("BENCH_MALLOC", raising=False)
    malloc.use_huge_pages.cache_clear()
    return tmp_path


@pytest.mark.parametrize(
    ("file", "text", "reason"),
    [
        ("enabled", "always madvise [never]\n", "gives no huge pages; as root: echo madvise > .*enabled"),
        ("hpage_pmd_size", f"{512 << 20}\n", "pages of 512 MiB would cost too much memory"),
        ("hpage_pmd_size", "many\n", "this kernel has no transparent huge pages"),
        ("overcommit", "2\n", "counts reserved memory as used; as root: sysctl vm.overcommit_memory=0"),
    ],
)
def test_a_kernel_that_gives_none_is_told_with_what_to_do(kernel, file, text, reason):
    (kernel / file).write_text(text)
    with pytest.raises(MissingError, match=reason):
        malloc.use_huge_pages()


def test_memory_that_cannot_be_reserved_is_told(kernel, monkeypatch):
    monkeypatch.setattr(malloc, "SHARE", 2.0**62 / (malloc.os.sysconf("SC_PHYS_PAGES") * malloc.mmap.PAGESIZE))
    with pytest.raises(MissingError, match="cannot be reserved as address space"):
        malloc.use_huge_pages()


def test_without_glibc_or_by_the_users_wish_malloc_stays_as_it_is(kernel, monkeypatch):
    monkeypatch.setenv("BENCH_MALLOC", "default")
    assert not malloc.keep_freed_memory()
    with pytest.raises(MissingError, match="BENCH_MALLOC=default leaves malloc as it is; unset it"):
        malloc.use_huge_pages()
    monkeypatch.delenv("BENCH_MALLOC")
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: ctypes.PyDLL("no-such-library.so"))
    assert not malloc.keep_freed_memory()
    with pytest.raises(MissingError, match="this system has no glibc"):
        malloc.use_huge_pages()


def test_what_is_in_huge_pages_is_read_from_the_kernel(tmp_path):
    (tmp_path / "smaps_rollup").write_text("Rss:  9216 kB\nAnonHugePages:      4096 kB\nShmemPmdMapped:  0 kB\n")
    assert malloc.huge_page_bytes(tmp_path) == 4 << 20
    assert malloc.huge_page_bytes(tmp_path / "nowhere") is None
