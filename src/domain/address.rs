//! Network addresses that no request of ours may reach, however they are written. PURE: it resolves nothing.
//!
//! Link-local addresses and the metadata services of clouds hand out credentials to whoever asks from inside; nothing
//! that this program speaks to lives there. Private addresses are not refused: an operator's own chat server or
//! internal API is there, and what a platform names itself must be a host of its list.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Metadata services outside of the link-local range: Alibaba's, Oracle's older one, and Amazon's over IPv6 (the
/// providers' documents, checked 2026-11-21); and Azure's `WireServer`, with which a machine's agent talks ("What is IP
/// address 168.63.129.16?", checked 2026-11-22).
const METADATA_V4: [Ipv4Addr; 3] = [
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(192, 0, 0, 192),
    Ipv4Addr::new(168, 63, 129, 16),
];
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// Whether nothing may be sent there.
#[must_use]
pub fn is_off_limits(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_off_limits_v4(v4),
        IpAddr::V6(v6) => is_off_limits_v6(v6),
    }
}

fn is_off_limits_v4(address: Ipv4Addr) -> bool {
    address.octets()[0] == 0
        || address.is_link_local()
        || address.is_multicast()
        || address.is_broadcast()
        || METADATA_V4.contains(&address)
}

fn is_off_limits_v6(address: Ipv6Addr) -> bool {
    if address == Ipv6Addr::LOCALHOST {
        return false;
    }
    match embedded(address) {
        // The same address, written otherwise.
        Some((v4, Embedding::Mapped)) => is_off_limits_v4(v4),
        // A translator or tunnel would carry it to where the address alone does not lead.
        Some((v4, Embedding::Translated)) => {
            is_off_limits_v4(v4) || v4.is_private() || v4.is_loopback()
        }
        None => {
            address.is_unspecified()
                || address.is_unicast_link_local()
                || address.is_multicast()
                || address == METADATA_V6
        }
    }
}

/// How an IPv4 address is inside one of IPv6.
enum Embedding {
    Mapped,
    Translated,
}

/// Mapped and compatible (RFC 4291, 2.5.5), NAT64 (RFC 6052 and 8215), 6to4 (RFC 3056) and Teredo (RFC 4380).
fn embedded(address: Ipv6Addr) -> Option<(Ipv4Addr, Embedding)> {
    let s = address.segments();
    let v4 = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    match s {
        [0, 0, 0, 0, 0, 0xffff, high, low] => Some((v4(high, low), Embedding::Mapped)),
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => Some((v4(high, low), Embedding::Translated)),
        [0x64, 0xff9b, _, _, _, _, high, low] => Some((v4(high, low), Embedding::Translated)),
        [0x2002, high, low, ..] => Some((v4(high, low), Embedding::Translated)),
        [0x2001, 0, _, _, _, _, high, low] => Some((v4(!high, !low), Embedding::Translated)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// E1: however the address is written.
    #[test]
    fn metadata_and_link_local_are_off_limits_in_every_form() {
        for text in [
            "169.254.169.254",
            "169.254.0.0",
            "169.254.0.1",
            "169.254.170.2",
            "169.254.255.255",
            "100.100.100.200",
            "192.0.0.192",
            "168.63.129.16",
            "0.0.0.0",
            "0.1.2.3",
            "224.0.0.1",
            "239.255.255.255",
            "255.255.255.255",
            "::",
            "fe80::1",
            "fe80::a9fe:a9fe",
            "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            "ff02::1",
            "fd00:ec2::254",
            "::ffff:169.254.169.254",
            "::ffff:a9fe:a9fe",
            "::ffff:0.0.0.0",
            "::ffff:100.100.100.200",
            "::ffff:168.63.129.16",
            "64:ff9b::168.63.129.16",
            "::169.254.169.254",
            "::10.0.0.1",
            "64:ff9b::169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b::10.0.0.1",
            "64:ff9b::127.0.0.1",
            "64:ff9b::192.168.1.1",
            "64:ff9b:1::169.254.169.254",
            "64:ff9b:1:ffff::a9fe:a9fe",
            "2002:a9fe:a9fe::",
            "2002:a9fe:a9fe::1",
            "2002:7f00:1::",
            "2002:c0a8:101::1",
            "2002:a00:1::1",
            "2001:0:5ef5:79fb:0:59d:5601:5601",
            "2001:0:0:0:0:0:80ff:fffe",
        ] {
            assert!(is_off_limits(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn what_an_operator_may_mean_is_not() {
        for text in [
            "127.0.0.1",
            "127.255.255.254",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.254",
            "192.168.0.1",
            "100.64.0.1",
            "100.100.100.201",
            "192.0.0.193",
            "169.253.255.255",
            "169.255.0.0",
            "1.1.1.1",
            "52.113.194.132",
            "223.255.255.255",
            "::1",
            "fd00:ec2::253",
            "fd12:3456::1",
            "2606:4700::1111",
            "2a00:1450::200e",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:52.113.194.132",
            "64:ff9b::52.113.194.132",
            "2002:3471:c284::1",
            "2001:4860:4860::8888",
        ] {
            assert!(!is_off_limits(text.parse().unwrap()), "{text}");
        }
    }
}
