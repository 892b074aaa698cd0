//! Who may connect, and how much memory unfinished requests may hold: counters that give back by being dropped.
//!
//! It must not know about HTTP or sockets.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Connections at a time, of everybody and of one peer.
///
/// Its memory is bounded by the total: a peer without a connection has no entry.
#[derive(Debug)]
pub struct ConnectionCap {
    total: usize,
    per_peer: Option<usize>,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    by_peer: HashMap<IpAddr, usize>,
}

/// Why a connection is one too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// There are as many as there may be.
    All,
    /// This peer has as many as one may have.
    Peer,
}

impl ConnectionCap {
    /// `per_peer` is `None` where all callers share the address of a proxy in front.
    pub fn new(total: usize, per_peer: Option<usize>) -> Self {
        Self {
            total,
            per_peer,
            open: Mutex::default(),
        }
    }

    /// Counts a connection in; dropping the permit counts it out.
    ///
    /// # Errors
    /// There are too many already.
    pub fn try_admit(self: &Arc<Self>, peer: Option<IpAddr>) -> Result<Permit, Full> {
        let peer = peer.filter(|_| self.per_peer.is_some()).map(network);
        let mut open = self.lock();
        if open.total >= self.total {
            return Err(Full::All);
        }
        if let (Some(peer), Some(cap)) = (peer, self.per_peer) {
            if open.by_peer.get(&peer).is_some_and(|count| *count >= cap) || cap == 0 {
                return Err(Full::Peer);
            }
            *open.by_peer.entry(peer).or_default() += 1;
        }
        open.total += 1;
        drop(open);
        Ok(Permit {
            cap: Arc::clone(self),
            peer,
        })
    }

    /// Connections that are open now.
    pub fn open(&self) -> usize {
        self.lock().total
    }

    fn release(&self, peer: Option<IpAddr>) {
        let mut open = self.lock();
        open.total = open.total.saturating_sub(1);
        let Some(peer) = peer else { return };
        match open.by_peer.get_mut(&peer) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(open.by_peer.remove(&peer)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        // The counts are right after every statement, so a panic elsewhere does not spoil them.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that has been counted in.
#[derive(Debug)]
#[must_use]
pub struct Permit {
    cap: Arc<ConnectionCap>,
    peer: Option<IpAddr>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.cap.release(self.peer);
    }
}

/// One caller's addresses: for IPv6 the /64 that is handed out to a single customer.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(peer) => Ipv6Addr::from_bits(peer.to_bits() >> 64 << 64).into(),
        peer => peer,
    }
}

/// Bytes that all connections together may hold back: of unfinished heads, and of requests behind an unanswered one.
#[derive(Debug)]
pub struct HeadBudget {
    held: AtomicUsize,
    max: usize,
}

impl Default for HeadBudget {
    fn default() -> Self {
        Self::new(16 * 1024 * 1024)
    }
}

impl HeadBudget {
    /// A budget of `max` bytes.
    pub fn new(max: usize) -> Self {
        Self {
            held: AtomicUsize::new(0),
            max,
        }
    }

    /// Bytes held now.
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }
}

/// What one connection takes of the budget.
#[derive(Debug)]
pub(super) struct Charge {
    budget: Arc<HeadBudget>,
    bytes: usize,
}

impl Charge {
    pub(super) fn new(budget: Arc<HeadBudget>) -> Self {
        Self { budget, bytes: 0 }
    }

    /// Sets what is held, and says whether that is within the budget. What is held counts in any case.
    pub(super) fn set(&mut self, bytes: usize) -> bool {
        if bytes == self.bytes {
            return true;
        }
        let freed = std::mem::replace(&mut self.bytes, bytes);
        self.budget.held.fetch_add(bytes, Ordering::Relaxed);
        let before = self.budget.held.fetch_sub(freed, Ordering::Relaxed);
        before.saturating_sub(freed) <= self.budget.max || bytes < freed
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn b12_the_total_is_capped_and_a_dropped_permit_makes_room() {
        let cap = Arc::new(ConnectionCap::new(2, None));

        let first = cap.try_admit(ip("192.0.2.1"));
        let second = cap.try_admit(None);

        assert!(first.is_ok() && second.is_ok());
        assert_eq!(cap.try_admit(ip("192.0.2.2")).unwrap_err(), Full::All);
        drop(first);
        assert!(cap.try_admit(ip("192.0.2.1")).is_ok());
    }

    #[test]
    fn b12_one_peer_is_capped_and_others_are_not() {
        let cap = Arc::new(ConnectionCap::new(10, Some(1)));

        let _first = cap.try_admit(ip("192.0.2.1")).unwrap();
        let _v6 = cap.try_admit(ip("2001:db8::1")).unwrap();

        for same in ["192.0.2.1", "::ffff:192.0.2.1", "2001:db8::ffff"] {
            assert_eq!(cap.try_admit(ip(same)).unwrap_err(), Full::Peer, "{same}");
        }
        for other in ["192.0.2.2", "2001:db8:0:1::1"] {
            assert!(cap.try_admit(ip(other)).is_ok(), "{other}");
        }
    }

    #[test]
    fn c2_peers_without_a_connection_take_no_memory() {
        let cap = Arc::new(ConnectionCap::new(10, Some(2)));

        for host in 0..1000_u32 {
            drop(cap.try_admit(Some(std::net::Ipv4Addr::from(host).into())));
        }

        assert_eq!(cap.open(), 0);
        assert!(cap.lock().by_peer.is_empty());
    }

    #[test]
    fn the_budget_counts_what_connections_hold_until_they_end() {
        let budget = Arc::new(HeadBudget::new(100));
        let (mut one, mut two) = (
            Charge::new(Arc::clone(&budget)),
            Charge::new(Arc::clone(&budget)),
        );

        assert!(one.set(60));
        assert!(two.set(40));
        assert!(!two.set(41));
        assert!(two.set(10));
        assert!(one.set(90));
        drop(one);

        assert_eq!(budget.held(), 10);
    }
}
