//! Named random streams: one generator per source of chance.
//!
//! Two variants of a scenario that share a seed face the same chance in every stream they both name (common random
//! numbers; Law, *Simulation Modeling and Analysis*, 5th ed., section 11.2): a change to placement does not shift the
//! arrivals. A stream is ChaCha8 keyed by the seed, with the 64-bit FNV-1a hash of replication and name as stream
//! number, so neither the order in which streams are made nor the platform matters.

use rand::rngs::ChaCha8Rng;
use rand::{Rng, SeedableRng};
use std::fmt;

/// Hands out the streams of one replication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Streams {
    seed: u64,
    replication: u64,
}

impl Streams {
    /// The streams of replication `replication` under `seed`.
    pub const fn new(seed: u64, replication: u64) -> Self {
        Self { seed, replication }
    }

    /// The stream of that name, from its beginning.
    ///
    /// The same name gives the same numbers; name the source and its owner, as in `arrivals/web`.
    pub fn named(&self, name: &str) -> Stream {
        let mut generator = ChaCha8Rng::seed_from_u64(self.seed);
        generator.set_stream(fnv1a(self.replication.to_le_bytes().into_iter().chain(name.bytes())));
        Stream { generator }
    }
}

/// FNV-1a, 64 bits (RFC 9923): written down here because the hashers of `std` may change between releases.
pub fn fnv1a(bytes: impl Iterator<Item = u8>) -> u64 {
    const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    bytes.fold(OFFSET_BASIS, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME))
}

/// One source of chance: independent, uniform, reproducible on every platform.
#[derive(PartialEq, Eq)]
pub struct Stream {
    generator: ChaCha8Rng,
}

/// The same position in the same stream. (The generator itself cannot be cloned, lest a key be reused by mistake.)
impl Clone for Stream {
    fn clone(&self) -> Self {
        Self { generator: ChaCha8Rng::deserialize_state(&self.generator.serialize_state()) }
    }
}

/// Shows the stream number and the position, in 32-bit words; the generator would show neither.
impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("number", &self.generator.get_stream())
            .field("position", &self.generator.get_word_pos())
            .finish()
    }
}

impl Stream {
    /// 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.generator.next_u64()
    }

    /// A number in [0, 1), a multiple of 2^-53.
    pub fn uniform(&mut self) -> f64 {
        const STEP: f64 = 1.0 / (1u64 << 53) as f64;
        (self.next_u64() >> 11) as f64 * STEP
    }

    /// A number in (0, 1), an odd multiple of 2^-53: what inverse transforms need, where both 0 and 1 may be infinite.
    pub fn open_uniform(&mut self) -> f64 {
        const STEP: f64 = 1.0 / (1u64 << 52) as f64;
        ((self.next_u64() >> 12) as f64 + 0.5) * STEP
    }

    /// A whole number in [0, n), each equally likely.
    ///
    /// Source: Lemire, "Fast Random Integer Generation in an Interval", ACM TOMACS 29(1), 2019.
    ///
    /// # Panics
    ///
    /// When `n` is zero: there is no such number.
    pub fn below(&mut self, n: u64) -> u64 {
        assert!(n > 0, "no number is below zero");
        let mut product = u128::from(self.next_u64()) * u128::from(n);
        if (product as u64) < n {
            // The lowest 2^64 mod n fractions are one too many for some results: drawing again keeps the odds even.
            let surplus = n.wrapping_neg() % n;
            while (product as u64) < surplus {
                product = u128::from(self.next_u64()) * u128::from(n);
            }
        }
        (product >> 64) as u64
    }

    /// True with probability `p`; never for p ≤ 0 or NaN, always for p ≥ 1.
    ///
    /// Takes one number from the stream whatever `p` is, so that changing it leaves later draws alone.
    pub fn bernoulli(&mut self, p: f64) -> bool {
        self.uniform() < p
    }

    /// One of `items`, each equally likely; `None` if there is none.
    pub fn choose<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        if items.is_empty() {
            return None;
        }
        items.get(self.below(items.len() as u64) as usize)
    }

    /// Puts `items` into a random order, each equally likely (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u64 + 1) as usize);
        }
    }
}
