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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_fnv_1a() {
        // RFC 9923, test vectors.
        for (text, hash) in
            [("", 0xcbf2_9ce4_8422_2325), ("a", 0xaf63_dc4c_8601_ec8c), ("foobar", 0x8594_4171_f739_67e8)]
        {
            assert_eq!(fnv1a(text.bytes()), hash, "{text}");
        }
    }

    /// Recorded runs stay reproducible: whatever changes these numbers changes every result.
    #[test]
    fn the_numbers_of_a_stream_are_fixed_for_ever() {
        let mut stream = Streams::new(42, 3).named("arrivals/web");
        let drawn: Vec<u64> = (0..4).map(|_| stream.next_u64()).collect();
        assert_eq!(drawn, [0x7544_e4d1_7dbb_2aac, 0x59ec_40b2_c200_4a56, 0x2093_7dd5_eb1d_c5dc, 0xc991_46ac_a020_d503]);
    }

    #[test]
    fn seed_replication_and_name_each_make_another_stream() {
        let first = |seed, replication, name: &str| Streams::new(seed, replication).named(name).next_u64();
        let base = first(1, 0, "arrivals/web");
        assert_eq!(base, first(1, 0, "arrivals/web"));
        assert_ne!(base, first(2, 0, "arrivals/web"));
        assert_ne!(base, first(1, 1, "arrivals/web"));
        assert_ne!(base, first(1, 0, "arrivals/api"));
    }

    #[test]
    fn a_clone_goes_on_from_the_same_place() {
        let mut stream = Streams::new(5, 0).named("clone");
        // Past the generator's buffer of 32 numbers, at every offset in it.
        for _ in 0..100 {
            let mut copy = stream.clone();
            assert_eq!(format!("{copy:?}"), format!("{stream:?}"));
            let ahead: Vec<u64> = (0..40).map(|_| copy.next_u64()).collect();
            let mut original = stream.clone();
            assert_eq!(ahead, (0..40).map(|_| original.next_u64()).collect::<Vec<_>>());
            assert_eq!(stream.next_u64(), ahead[0]);
        }
    }

    #[test]
    fn uniform_numbers_have_the_moments_and_the_bounds_of_their_kind() {
        let mut stream = Streams::new(1, 0).named("uniform");
        let count = 200_000;
        let (mut sum, mut squares) = (0.0, 0.0);
        for _ in 0..count {
            let (closed, open) = (stream.uniform(), stream.open_uniform());
            assert!((0.0..1.0).contains(&closed) && open > 0.0 && open < 1.0);
            sum += closed + open;
            squares += closed * closed + open * open;
        }
        let mean = sum / f64::from(2 * count);
        let variance = squares / f64::from(2 * count) - mean * mean;
        // Four standard errors: 4 * sqrt(1/12 / 400,000) and 4 * sqrt(1/180 / 400,000).
        assert!((mean - 0.5).abs() < 0.001_83, "mean {mean}");
        assert!((variance - 1.0 / 12.0).abs() < 0.000_48, "variance {variance}");
    }

    #[test]
    fn below_is_even_and_keeps_to_its_bound() {
        let mut stream = Streams::new(1, 0).named("below");
        let mut counts = [0u32; 7];
        for _ in 0..70_000 {
            counts[stream.below(7) as usize] += 1;
        }
        let chi_square: f64 = counts.iter().map(|&count| (f64::from(count) - 10_000.0).powi(2) / 10_000.0).sum();
        assert!(chi_square < 22.46, "chi-square {chi_square} with 6 degrees of freedom: p < 0.001");
        assert_eq!(stream.below(1), 0);
        // Just above 2^63 nearly half of the draws must be refused; two thirds of the range lie above a third of it.
        let n = (1 << 63) + 1;
        let upper = (0..3_000).filter(|_| stream.below(n) >= n / 3).count();
        assert!((1_890..=2_110).contains(&upper), "{upper} of 3000 in the upper two thirds");
    }

    #[test]
    #[should_panic(expected = "no number is below zero")]
    fn below_zero_there_is_no_number() {
        Streams::new(1, 0).named("below").below(0);
    }

    #[test]
    fn certain_and_impossible_events_draw_as_any_other() {
        let mut stream = Streams::new(1, 0).named("bernoulli");
        let mut twin = stream.clone();
        for (p, expected) in [(0.0, false), (-1.0, false), (f64::NAN, false), (1.0, true), (2.0, true)] {
            assert_eq!(stream.bernoulli(p), expected, "p = {p}");
            twin.uniform();
        }
        assert_eq!(stream, twin);
        let hits = (0..10_000).filter(|_| stream.bernoulli(0.3)).count();
        assert!((2_817..=3_183).contains(&hits), "{hits} of 10,000 at p = 0.3 is more than four standard errors off");
    }

    #[test]
    fn every_order_of_a_shuffle_is_equally_likely() {
        let mut stream = Streams::new(1, 0).named("shuffle");
        let mut counts = std::collections::BTreeMap::new();
        for _ in 0..24_000 {
            let mut items = [1, 2, 3, 4];
            stream.shuffle(&mut items);
            *counts.entry(items).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 24);
        let chi_square: f64 = counts.values().map(|&count| f64::from(count - 1_000).powi(2) / 1_000.0).sum();
        assert!(chi_square < 49.73, "chi-square {chi_square} with 23 degrees of freedom: p < 0.001");
    }

    #[test]
    fn nothing_is_chosen_from_nothing() {
        let mut stream = Streams::new(1, 0).named("choose");
        assert_eq!(stream.choose::<u8>(&[]), None);
        assert_eq!(stream.choose(&[5]), Some(&5));
        let mut seen = [false; 3];
        for _ in 0..100 {
            seen[*stream.choose(&[0, 1, 2]).expect("three to choose from")] = true;
        }
        assert_eq!(seen, [true; 3]);
    }
}
