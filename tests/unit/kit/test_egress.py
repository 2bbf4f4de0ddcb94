"""Nothing but the public internet is asked, however an address is spelt."""

from ipaddress import ip_address

import pytest

from invoicing.kit.egress import EgressError, is_public, networks_of, target_of

LOCAL = networks_of("127.0.0.0/8, 10.1.0.0/16,::1/128")


@pytest.mark.parametrize(
    "text",
    [
        "0.0.0.0", "10.0.0.1", "100.64.0.1", "127.0.0.1", "127.255.255.254", "169.254.169.254", "172.16.0.1",
        "172.31.255.255", "192.0.0.8", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.19.255.255",
        "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
        "::", "::1", "::ffff:8.8.8.8", "::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::808:808",
        "64:ff9b:1::1", "100::1", "2001::1", "2001:2::1", "2001:10::1", "2001:db8::1", "2002:7f00:1::",
        "2002:808:808::1", "3fff::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1",
    ],
)  # fmt: skip
def test_what_is_not_of_the_public_internet_is_not_asked(text: str) -> None:
    assert not is_public(ip_address(text))
    host = f"[{text}]" if ":" in text else text
    with pytest.raises(EgressError) as refused:
        target_of(f"https://{host}/hook")
    assert refused.value.code == "address_not_allowed"


@pytest.mark.parametrize(
    "text",
    ["8.8.8.8", "1.1.1.1", "100.63.255.255", "100.128.0.1", "172.15.0.1", "172.32.0.1", "192.167.1.1", "223.255.255.1",
     "2001:4860:4860::8888", "2606:4700:4700::1111", "2a00:1450:4001::1", "2001:200::1"],
)  # fmt: skip
def test_the_public_internet_is_asked(text: str) -> None:
    assert is_public(ip_address(text))
    host = f"[{text}]" if ":" in text else text
    assert target_of(f"https://{host}/hook").literal == ip_address(text)


@pytest.mark.parametrize(
    "url",
    [
        "https://2130706433/", "https://017700000001/", "https://0177.0.0.1/", "https://0x7f.0.0.1/",
        "https://0x7f000001/", "https://127.1/", "https://127.0.1/", "https://127.0.0.1./", "https://0/",
        "https://[::1%25lo]/", "https://[fe80::1%eth0]/", "https://[127.0.0.1]/", "https://[::ffff:0x7f.0.0.1]/",
        "https://example.com.1/", "https://1.2.3.4.5/", "https://example.0x/", "https://%31%32%37.0.0.1/",
        "http://example.com/", "ftp://example.com/", "file:///etc/passwd", "//example.com/", "https:example.com",
        "https:///hook", "https://user@example.com/", "https://user:word@example.com/", "https://example.com/#part",
        "https://example.com\\@127.0.0.1/", "https://exa mple.com/", "https://例え.jp/", "https://\uff11\uff12\uff17.0.0.1/",
        "https://example.com:0/", "https://example.com:99999/", "https://example.com:port/", "https://-a.example/",
        "https://a..example/", "https://exam\nple.com/", f"https://example.com/{'a' * 2000}", "https://[::1/", "",
    ],
)  # fmt: skip
def test_a_url_that_could_be_read_in_two_ways_is_refused(url: str) -> None:
    with pytest.raises(EgressError) as refused:
        target_of(url)
    assert refused.value.code == "bad_url"


def test_a_url_is_taken_apart() -> None:
    target = target_of("https://Hooks.Example.com:8443/in?tenant=7")
    assert (target.host, target.port, target.path, target.authority) == (
        "hooks.example.com",
        8443,
        "/in?tenant=7",
        "hooks.example.com:8443",
    )
    assert target_of("https://xn--bcher-kva.example").authority == "xn--bcher-kva.example"
    assert target_of("https://[2606:4700:4700::1111]:8443").authority == "[2606:4700:4700::1111]:8443"


def test_plain_http_is_for_the_networks_that_were_allowed_and_for_no_others() -> None:
    assert target_of("http://127.0.0.1:8080/", LOCAL).port == 8080
    assert target_of("https://10.1.2.3/", LOCAL).literal == ip_address("10.1.2.3")
    for url in ("http://8.8.8.8/", "http://10.2.0.1/", "https://10.2.0.1/", "https://[::ffff:127.0.0.1]/"):
        with pytest.raises(EgressError) as refused:
            target_of(url, LOCAL)
        assert refused.value.code == "address_not_allowed"
