//! Subnets: private addresses of tasks with network interfaces of their own (NET-4).
//!
//! Availability Zones stand for subnets, one each. The block of the n-th zone is `10.(16n).0.0/12`, wider than AWS allows,
//! so that a subnet without a limit (`subnet_ips`) has room for a million tasks.

use std::collections::BTreeSet;
use std::fmt;
use std::net::Ipv4Addr;

/// Bits of an address within its subnet.
const HOST_BITS: u32 = 20;
/// The first four addresses of a subnet are AWS's: network, router, DNS, reserved.
const RESERVED: u32 = 4;
/// The last address, the broadcast, is AWS's too.
const MOST: u32 = (1 << HOST_BITS) - RESERVED - 1;

/// A private IPv4 address of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    zone: u8,
    number: u32,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let block = (10 << 24) | (u32::from(self.zone & 0xf) << HOST_BITS);
        fmt::Display::fmt(&Ipv4Addr::from(block | (self.number + RESERVED)), f)
    }
}

/// The addresses of one subnet: the lowest free one is the next.
#[derive(Clone, Debug)]
pub struct Subnet {
    zone: u8,
    limit: u32,
    /// Addresses from here on have never been taken.
    fresh: u32,
    /// Those below that are free again.
    free: BTreeSet<u32>,
}

impl Subnet {
    /// The subnet of the zone of this index, with at most `limit` addresses for tasks.
    pub fn new(zone: usize, limit: Option<u32>) -> Self {
        Self { zone: zone as u8, limit: limit.unwrap_or(MOST).min(MOST), fresh: 0, free: BTreeSet::new() }
    }

    /// Takes an address; `None` when there is none left.
    pub fn take(&mut self) -> Option<Address> {
        let number = match self.free.pop_first() {
            Some(number) => number,
            None if self.fresh < self.limit => {
                self.fresh += 1;
                self.fresh - 1
            }
            None => return None,
        };
        Some(Address { zone: self.zone, number })
    }

    /// Gives back an address of this subnet.
    pub fn give_back(&mut self, address: Address) {
        self.free.insert(address.number);
    }

    /// Addresses in use.
    pub fn in_use(&self) -> usize {
        self.fresh as usize - self.free.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn net_4_a_subnet_gives_each_task_an_address_until_it_has_no_more() {
        let mut subnet = Subnet::new(1, Some(2));
        let [one, two] = [subnet.take().unwrap(), subnet.take().unwrap()];
        assert_eq!([one.to_string(), two.to_string()], ["10.16.0.4", "10.16.0.5"]);
        assert_eq!((subnet.take(), subnet.in_use()), (None, 2));
        subnet.give_back(one);
        assert_eq!(subnet.take(), Some(one));
        assert_eq!(Subnet::new(0, None).take().unwrap().to_string(), "10.0.0.4");
    }
}
