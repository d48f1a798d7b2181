//! A block of loopback addresses that belongs to one world alone.
//!
//! A relay is told one SMTP port and one HTTPS port for the whole world, so every host needs an
//! address of its own on which both are free. 127.0.0.0/8 is cut into blocks of 4096 addresses; a
//! world claims one by holding a socket on its first address, which no other process can hold at
//! the same time. Inside a claimed block nobody else listens.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

/// Addresses in one block.
const BLOCK: u32 = 1 << 12;
/// The first and the last block are left alone: 127.0.0.1 and 127.255.255.255 are in them.
const BLOCKS: u32 = (1 << 12) - 2;
/// Where 127.0.0.0/8 begins.
const LOOPBACK: u32 = 127 << 24;
/// The UDP port whose holder owns the block; below the ports that systems give out by themselves.
const CLAIM_PORT: u16 = 20_462;
/// SMTP and HTTPS ports are drawn from here, also below those given out by systems: a socket bound
/// to all addresses would otherwise be in the way now and then.
const FIRST_PORT: u16 = 10_000;
/// How many ports may be drawn.
const PORTS: u16 = 20_000;

/// How many worlds this process has made.
static WORLDS: AtomicU32 = AtomicU32::new(0);

/// One world's addresses and its two ports.
#[derive(Debug)]
pub(crate) struct Loopback {
    /// Held as long as the world exists; the block is free again when it closes.
    _claim: UdpSocket,
    first: u32,
    handed_out: AtomicU32,
    smtp_port: u16,
    https_port: u16,
}

impl Loopback {
    /// Claims a block and finds its ports.
    ///
    /// # Errors
    /// No block can be claimed, which on Linux means that something holds the claim port on all
    /// addresses, or that four thousand worlds exist.
    pub(crate) fn claim() -> io::Result<Self> {
        let start =
            process::id().wrapping_mul(61).wrapping_add(WORLDS.fetch_add(1, Ordering::Relaxed));
        let mut refused = io::Error::from(io::ErrorKind::AddrInUse);
        for offset in 0..BLOCKS {
            let block = 1 + start.wrapping_add(offset) % BLOCKS;
            let first = LOOPBACK + block * BLOCK;
            match UdpSocket::bind((Ipv4Addr::from_bits(first), CLAIM_PORT)) {
                Ok(claim) => return Self::with_ports(claim, first),
                Err(error) => refused = error,
            }
        }
        Err(refused)
    }

    fn with_ports(claim: UdpSocket, first: u32) -> io::Result<Self> {
        let smtp_port = free_port(first, None)?;
        let https_port = free_port(first, Some(smtp_port))?;
        Ok(Self { _claim: claim, first, handed_out: AtomicU32::new(0), smtp_port, https_port })
    }

    /// The first address of the block; the world's DNS lives there.
    pub(crate) fn first(&self) -> IpAddr {
        Ipv4Addr::from_bits(self.first).into()
    }

    /// An address that was not handed out before.
    pub(crate) fn address(&self) -> IpAddr {
        let number = 1 + self.handed_out.fetch_add(1, Ordering::Relaxed);
        assert!(number < BLOCK, "a world has {BLOCK} addresses, and all are handed out");
        Ipv4Addr::from_bits(self.first + number).into()
    }

    /// The port at which every MX host of the world listens.
    pub(crate) const fn smtp_port(&self) -> u16 {
        self.smtp_port
    }

    /// The port at which every policy host of the world listens.
    pub(crate) const fn https_port(&self) -> u16 {
        self.https_port
    }
}

/// A port free in the block that begins at `first`, other than `taken`.
fn free_port(first: u32, taken: Option<u16>) -> io::Result<u16> {
    let spread = u16::try_from(first.wrapping_mul(2_654_435_761) >> 16).unwrap_or(0);
    let mut refused = io::Error::from(io::ErrorKind::AddrInUse);
    for offset in 0..PORTS {
        let port = FIRST_PORT + (spread % PORTS + offset) % PORTS;
        if Some(port) == taken {
            continue;
        }
        match TcpListener::bind(SocketAddr::new(Ipv4Addr::from_bits(first).into(), port)) {
            Ok(_) => return Ok(port),
            Err(error) => refused = error,
        }
    }
    Err(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_worlds_share_no_address() {
        let (one, two) = (Loopback::claim().unwrap(), Loopback::claim().unwrap());
        assert_ne!(one.first, two.first);
        assert_ne!(one.address(), two.address());
        assert!(one.first.abs_diff(two.first) >= BLOCK);
    }

    #[test]
    fn a_claimed_block_cannot_be_claimed_again_until_it_is_dropped() {
        let one = Loopback::claim().unwrap();
        let claim = SocketAddr::new(one.first(), CLAIM_PORT);
        assert!(UdpSocket::bind(claim).is_err());
        drop(one);
        assert!(UdpSocket::bind(claim).is_ok());
    }

    #[test]
    fn both_ports_are_free_on_every_address_handed_out() {
        let block = Loopback::claim().unwrap();
        assert_ne!(block.smtp_port(), block.https_port());
        for _ in 0..300 {
            let address = block.address();
            TcpListener::bind((address, block.smtp_port())).unwrap();
            TcpListener::bind((address, block.https_port())).unwrap();
        }
    }
}
