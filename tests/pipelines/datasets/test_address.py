"""An address as it is asked for, and as it is told."""

import pytest

from bench.pipelines.datasets.address import Address


@pytest.mark.parametrize(
    ("text", "shown", "url"),
    [
        ("https://host/data", "https://host/data/f", "https://host/data/f"),
        ("https://host/data/", "https://host/data/f", "https://host/data/f"),
        ("https://u:t0ken@host:8443/", "https://host:8443/f", "https://host:8443/f"),
        ("http://t0ken@host", "http://host/f", "http://host/f"),
        ("http://[::1]:80/a?sig=t0ken&x=1#t0ken", "http://[::1]:80/a/f", "http://[::1]:80/a/f?sig=t0ken&x=1"),
    ],
)
def test_a_file_in_a_folder(text, shown, url):
    address = Address.of(text, "$BENCH_DATA_URL").file("f")
    assert (str(address), address.url) == (shown, url)
    assert "t0ken" not in repr(address)
    assert (address.authorization is not None) == ("@" in text)
