"""Which addresses may be connected to: every kind by name, embedded forms, and properties over all addresses."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.sources.addresses import AddressPolicy, parse_network

NOTHING = AddressPolicy()

REFUSED = {
    "127.0.0.1": "loopback",
    "127.255.255.254": "loopback",
    "::1": "loopback",
    "10.0.0.1": "private",
    "172.16.0.1": "private",
    "172.31.255.255": "private",
    "192.168.1.1": "private",
    "fc00::1": "private",
    "fdff::1": "private",
    "169.254.1.1": "link-local",
    "fe80::1": "link-local",
    "fe80::1%eth0": "link-local",
    "169.254.169.254": "metadata",
    "fd00:ec2::254": "metadata",
    "100.100.100.200": "metadata",
    "168.63.129.16": "metadata",
    "100.64.0.1": "CGNAT",
    "100.127.255.255": "CGNAT",
    "0.0.0.0": "unspecified",
    "0.1.2.3": "this network",
    "::": "unspecified",
    "224.0.0.1": "multicast",
    "239.255.255.250": "multicast",
    "ff02::1": "multicast",
    "ff0e::1": "multicast",
    "240.0.0.1": "reserved",
    "192.0.0.170": "reserved",
    "192.88.99.1": "reserved",
    "255.255.255.255": "broadcast",
    "198.18.0.1": "benchmarking",
    "2001:2::1": "benchmarking",
    "192.0.2.1": "documentation",
    "198.51.100.1": "documentation",
    "203.0.113.1": "documentation",
    "2001:db8::1": "documentation",
    "3fff::1": "documentation",
    "fec0::1": "site-local",
    "2001:10::1": "reserved",
    "100::1": "reserved",
    "5f00::1": "reserved",
    "4000::1": "reserved",
    "::ffff:0:8.8.8.8": "reserved",
    "64:ff9b:1::8.8.8.8": "local translator",
    "64:ff9b:1:a00::1": "local translator",
    "::8.8.8.8": "reserved",
    "::127.0.0.1": "carries 127.0.0.1, which is a loopback",
    "::ffff:127.0.0.1": "127.0.0.1 is a loopback",
    "::ffff:a9fe:a9fe": "metadata",
    "64:ff9b::10.0.0.1": "carries 10.0.0.1, which is a private",
    "64:ff9b::a9fe:a9fe": "metadata",
    "64:ff9b:1::10.0.0.1": "carries 10.0.0.1",
    "2002:7f00:1::1": "carries 127.0.0.1",
    "2002:c0a8:101::": "carries 192.168.1.1",
    "2001:0:7f00:1::f7f7:f7f7": "carries 127.0.0.1",  # the server of a Teredo address
    "2001:0:808:808::80ff:fffe": "carries 127.0.0.1",  # its client, inverted
    "not an address": "not an IP address",
    "": "not an IP address",
    "127.0.0.1/8": "not an IP address",
}
PUBLIC = [
    "8.8.8.8",
    "1.1.1.1",
    "100.63.255.255",
    "100.128.0.0",
    "172.32.0.1",
    "192.0.1.1",
    "223.255.255.255",
    "2606:4700::1111",
    "2a00:1450::1",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
    "2002:808:808::1",
    "2001:0:808:808::f7f7:f7f7",
]


@pytest.mark.parametrize("address", REFUSED)
def test_address_that_is_not_public_is_refused_by_its_kind(address):
    reason = NOTHING.refusal(address)
    assert reason is not None and REFUSED[address] in reason


@pytest.mark.parametrize("address", PUBLIC)
def test_public_address_may_be_connected_to(address):
    assert NOTHING.refusal(address) is None
    assert NOTHING.refusal(ip_address(address)) is None


@pytest.mark.parametrize(
    ("allowed", "address"),
    [
        ("127.0.0.0/8", "127.0.0.1"),
        ("127.0.0.0/8", "::ffff:127.0.0.1"),
        ("::ffff:10.0.0.0/104", "10.1.2.3"),
        ("10.1.0.0/16, ::1/128", "::1"),
        ("fe80::/10", "fe80::1%eth0"),
        ("10.0.0.0/8", "64:ff9b::10.0.0.1"),
        ("64:ff9b::/96", "64:ff9b::10.0.0.1"),
        ("10.0.0.0/8", "64:ff9b:1::10.0.0.1"),
        ("64:ff9b:1::/48", "64:ff9b:1:a00::1"),
        ("10.0.0.0/8", "::10.0.0.1"),
        ("10.0.0.0/8", "2002:a00:1::5"),
        ("127.0.0.0/8", "2001:0:808:808::80ff:fffe"),
        ("::/0", "fd00::1"),
        ("0.0.0.0/0", "169.254.169.254"),
    ],
)
def test_address_inside_an_allowed_network_may_be_connected_to(allowed, address):
    assert NOTHING.refusal(address) is not None
    assert AddressPolicy.parse(allowed).refusal(address) is None


@pytest.mark.parametrize(
    ("allowed", "address"),
    [
        ("10.1.0.0/16", "10.2.0.1"),
        ("::1/128", "127.0.0.1"),
        ("::/0", "::ffff:127.0.0.1"),  # all of IPv6 is not one address of IPv4, however it is written or carried
        ("::/0", "64:ff9b::10.0.0.1"),
        ("2000::/3", "2002:a00:1::5"),
        ("10.0.0.0/8", "2001:0:a00:1::80ff:fffe"),  # one of the two it carries is not allowed
        ("8.8.0.0/16", "64:ff9b:1:a00::808:808"),
        ("8.8.0.0/16", "2001:0:808:808::80ff:fffe"),
    ],
)
def test_network_allows_no_more_than_it_names(allowed, address):
    assert AddressPolicy.parse(allowed).refusal(address)


def test_networks_are_parsed_with_a_sentence_for_each_fault():
    policy = AddressPolicy.parse(" 127.0.0.0/8, ::1/128,10.1.0.0/16,, 192.168.1.7 ")
    assert [str(network) for network in policy.allowed] == ["127.0.0.0/8", "::1/128", "10.1.0.0/16", "192.168.1.7/32"]
    assert AddressPolicy.parse("") == NOTHING
    with pytest.raises(ValueError, match=r"'10\.1\.2\.3/16' names an address inside .* write 10\.1\.0\.0/16"):
        AddressPolicy.parse("10.1.2.3/16")
    for text in ("localhost", "10.0.0.0/33", "10.0.0/8x", "*", "10.0.0.0/8 ::1"):
        with pytest.raises(ValueError, match="is not a network: write it as in"):
            AddressPolicy.parse(text)


def test_what_server_and_feed_both_name_is_allowed():
    server, feed = AddressPolicy.parse("10.0.0.0/8, ::1"), AddressPolicy.parse("10.1.0.0/16, 127.0.0.0/8")
    both = server.within(feed)
    assert [str(network) for network in both.allowed] == ["10.1.0.0/16"]
    assert both.refusal("10.1.0.1") is None
    assert both.refusal("10.2.0.1") and both.refusal("127.0.0.1") and both.refusal("::1")


def test_remedy_is_the_whole_line_that_is_missing():
    server, feed = AddressPolicy.parse("10.0.0.0/8"), AddressPolicy.parse("192.168.0.0/16")
    assert server.remedy(["192.168.1.1"]) == ("start the server with TIDEMILL_SOURCE_ALLOW=10.0.0.0/8,192.168.1.1/32")
    both = server.within(feed)
    assert both.remedy(["192.168.1.1"]) == "start the server with TIDEMILL_SOURCE_ALLOW=10.0.0.0/8,192.168.1.1/32"
    assert both.remedy(["10.1.1.1"]) == 'write allow = ["192.168.0.0/16", "10.1.1.1/32"] in [source] of the feed'
    assert both.remedy(["::1", "8.8.8.8", "::ffff:127.0.0.1"]) == (
        "start the server with TIDEMILL_SOURCE_ALLOW=10.0.0.0/8,::1/128,127.0.0.1/32"
        ' and write allow = ["192.168.0.0/16", "::1/128", "127.0.0.1/32"] in [source] of the feed'
    )


v4 = st.integers(0, 2**32 - 1).map(IPv4Address)
special = st.sampled_from(["127.0.0.1", "10.0.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0"]).map(IPv4Address)
v6 = st.one_of(
    st.integers(0, 2**128 - 1).map(IPv6Address),
    st.builds(
        lambda prefix, tail: IPv6Address(int(IPv6Address(prefix)) | tail),
        st.sampled_from(["::", "::ffff:0:0", "64:ff9b::", "64:ff9b:1::", "2001::", "2002::", "fc00::", "2001:db8::"]),
        st.integers(0, 2**32 - 1) | st.integers(0, 2**80 - 1),
    ),
)
networks = st.builds(
    lambda address, cut: ip_network(f"{address}/{max(0, address.max_prefixlen - cut)}", strict=False),
    v4 | v6,
    st.integers(0, 128),
)


@given(v4 | v6)
def test_nothing_is_allowed_that_is_neither_global_nor_carries_a_global_address(address):
    if NOTHING.refusal(address) is None:
        carriers = [ip_network(text) for text in ("64:ff9b::/96", "2002::/16", "2001::/32", "::ffff:0:0/96")]
        assert address.is_global or any(address in carrier for carrier in carriers if address.version == 6)
        assert not (address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified)


@given(v4 | special)
def test_address_is_judged_alike_however_it_is_carried(address):
    number, plain = int(address), NOTHING.refusal(address) is None
    inverted = number ^ 0xFFFFFFFF
    spellings = [
        IPv6Address((0xFFFF << 32) | number),
        IPv6Address((0x64FF9B << 96) | number),
        IPv6Address((0x2002 << 112) | (number << 80) | 1),
        IPv6Address((0x20010000 << 96) | (number << 64) | 0xF7F7F7F7),
        IPv6Address((0x20010000 << 96) | (0x08080808 << 64) | inverted),
    ]
    assert [NOTHING.refusal(one) is None for one in spellings] == [plain] * len(spellings)
    allowing = AddressPolicy((ip_network(address),))
    assert [allowing.refusal(one) for one in (address, *spellings)] == [None] * (len(spellings) + 1)


@given(st.lists(networks, max_size=3), st.lists(networks, max_size=3), v4 | v6)
def test_intersection_allows_what_both_allow(one, two, address):
    server, feed = AddressPolicy(tuple(one)), AddressPolicy(tuple(two))
    both = server.within(feed)
    if both.refusal(address) is None:
        assert server.refusal(address) is None and feed.refusal(address) is None
    inside = [any(address in network for network in side) for side in (one, two)]
    assert any(address in network for network in both.allowed) == all(inside)


@given(st.lists(v4 | v6, min_size=1, max_size=3), st.lists(networks, max_size=2), st.lists(networks, max_size=2))
def test_following_the_remedy_allows_the_address(addresses, server, feed):
    both = AddressPolicy(tuple(server)).within(AddressPolicy(tuple(feed)))
    lines = both.remedy(addresses)
    for mark, end in (("TIDEMILL_SOURCE_ALLOW=", " and "), ("allow = [", "]")):
        if mark in lines:
            text = lines.partition(mark)[2].partition(end)[0].replace('"', "")
            allowed = tuple(parse_network(part.strip()) for part in text.split(","))
            server, feed = (allowed, feed) if "SOURCE" in mark else (server, allowed)
    for address in addresses:
        assert AddressPolicy(tuple(server)).refusal(address) is None
        assert AddressPolicy(tuple(feed)).refusal(address) is None
